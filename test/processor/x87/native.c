/*
 * Runs x87 instructions on the machine's own processor in 64-bit mode, one a record, with the unit's state as the record has it.
 *
 * Input:  struct request records until the end.
 * Output: a struct reply per request.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

/* FNSAVE's image in 32-bit protected format. */
enum { IMAGE = 108, MEMORY = 112 };

struct request {
  uint64_t rflags, rax;
  uint32_t length;
  uint8_t image[IMAGE];
  uint8_t memory[MEMORY];
  uint8_t code[16];
} __attribute__((packed));
_Static_assert(sizeof(struct request) == 256, "request layout");

struct reply {
  uint64_t rflags, rax;
  uint32_t vector;
  uint8_t image[IMAGE];
  uint8_t memory[MEMORY];
  uint8_t padding[16];
} __attribute__((packed));
_Static_assert(sizeof(struct reply) == 256, "reply layout");

static uint8_t *const code = (uint8_t *)0x10000000;
static uint8_t *const data = (uint8_t *)0x20000000;

static sigjmp_buf back;
static struct reply reply;
static uint8_t fx[512] __attribute__((aligned(64)));

static void on_signal(int signal, siginfo_t *info, void *context) {
  (void)signal;
  (void)info;
  const mcontext_t *m = &((ucontext_t *)context)->uc_mcontext;
  memcpy(fx, m->fpregs, sizeof fx);
  reply.vector = (uint32_t)m->gregs[REG_TRAPNO];
  reply.rflags = (uint64_t)m->gregs[REG_EFL];
  reply.rax = (uint64_t)m->gregs[REG_RAX];
  siglongjmp(back, 1);
}

static void run(const struct request *r) {
  memset(code, 0xcc, 32);
  memcpy(code, r->code, r->length);
  code[r->length] = 0xc3;
  memcpy(data, r->memory, MEMORY);
  memset(&reply, 0, sizeof reply);
  if (sigsetjmp(back, 0) == 0) {
    uint64_t rax = r->rax, rflags = r->rflags;
    __asm__ volatile(
        "frstor %[image]\n push %[rflags]\n popfq\n call *%[code]\n pushfq\n pop %[rflags]\n fnsave %[after]\n"
        : [rflags] "+r"(rflags), "+a"(rax), [after] "=m"(reply.image)
        : [image] "m"(r->image), "b"(data), [code] "r"(code)
        : "memory", "cc");
    reply.rflags = rflags;
    reply.rax = rax;
  } else {
    /* FXRSTOR takes no more than the x87 part here: SSE's is put back as it is. */
    uint8_t own[512] __attribute__((aligned(64)));
    __asm__ volatile("fxsave64 %0" : "=m"(own));
    memcpy(own, fx, 24);
    memcpy(own + 32, fx + 32, 128);
    __asm__ volatile("fxrstor64 %1\n fnsave %0" : "=m"(reply.image) : "m"(own));
  }
  __asm__ volatile("fninit");
  memcpy(reply.memory, data, MEMORY);
}

int main(void) {
  if (mmap(code, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != code) return 1;
  if (mmap(data, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != data) return 1;
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGFPE, &action, 0);
  sigaction(SIGILL, &action, 0);
  sigaction(SIGTRAP, &action, 0);
  sigaction(SIGSEGV, &action, 0);
  static struct request request;
  while (fread(&request, sizeof request, 1, stdin) == 1) {
    run(&request);
    fwrite(&reply, sizeof reply, 1, stdout);
  }
  return 0;
}
