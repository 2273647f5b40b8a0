// The whole user space of a guest with two vCPUs that makes its kernel use what KVM offers. It has TLBs of other vCPUs flushed: a thread
// stays where it computes, the other gives memory back that both have used. And it says where a page of it is, and waits a while
// before it touches that again, so that the host can take it meanwhile.
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROUNDS 300

static atomic_int stop;
static atomic_uint_fast64_t rounds;
static _Atomic(volatile char *) shared;

static void *compute(void *unused) {
  while (!stop) {
    volatile char *page = shared;
    if (page) *page;
    rounds++;
  }
  return unused;
}

// Prints lines of a file that have one of the words.
static void grep(const char *path, const char *word) {
  char line[512];
  FILE *file = fopen(path, "r");
  while (file && fgets(line, sizeof line, file))
    if (strstr(line, word)) fputs(line, stdout);
  if (file) fclose(file);
}

// Guest physical address of a page of this process.
static uint64_t place(volatile void *page) {
  uint64_t entry = 0;
  FILE *map = fopen("/proc/self/pagemap", "r");
  if (map && fseek(map, (long)((uintptr_t)page / 4096 * 8), SEEK_SET) == 0 && fread(&entry, 8, 1, map) == 1) fclose(map);
  return (entry & ((1ull << 55) - 1)) * 4096;
}

static void touch_later(void) {
  volatile uint64_t *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  *page = 0x1122334455667788;
  printf("PAGE %#llx\n", (unsigned long long)place(page));
  fflush(stdout);
  for (volatile int wait = 0; wait < 5000000; wait++) {}
  printf("value %#llx\n", (unsigned long long)*page);
}

int main(void) {
  pthread_t thread;
  mkdir("/proc", 0755);
  mount("proc", "/proc", "proc", 0, 0);
  pthread_create(&thread, 0, compute, 0);
  printf("BEGIN\n");
  // The other thread may read where nothing is any more: a guard page stays under it.
  for (int round = 0; round < ROUNDS; round++) {
    volatile char *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *page = round;
    shared = page;
    uint_fast64_t seen = rounds;
    while (rounds < seen + 2) {}
    shared = 0;
    seen = rounds;
    while (rounds < seen + 2) {}
    munmap((void *)page, 4096);
  }
  stop = 1;
  pthread_join(thread, 0);
  grep("/proc/interrupts", "TLB");
  grep("/proc/interrupts", "CAL");
  touch_later();
  grep("/proc/interrupts", "HYP");
  printf("rounds %s\nEND\n", rounds > 0 ? "done" : "none");
  fflush(stdout);
  reboot(RB_POWER_OFF);
}
