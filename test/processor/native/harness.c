/*
 * Runs instruction snippets on the machine's own processor in 64-bit user mode and reports the state afterwards.
 *
 * Input:  12288 bytes that the data pages hold before each case, then struct request records until the end, each followed by a
 *         struct vectors and AREA_SIZE bytes if its options say so.
 * Output: a struct reply per request, each followed by a struct vectors if the request had one (vectors_length bytes), and by the
 *         changed part of the data pages (dirty_length bytes, padded to a multiple of 8).
 *
 * The code pages are filled with INT3, so every case ends in a signal: the kernel's signal frame then holds the whole
 * state, whatever the snippet did to RSP or to the segments. The program has no C library, and so no thread-local
 * storage: FS and GS are free for the snippets. It is entered by IRETQ, so that TF takes effect after the first
 * instruction of the snippet.
 */
#include <stdint.h>

#define CODE 0x10000000ul
#define CODE_SIZE 0x2000ul
#define DATA 0x20000000ul
#define DATA_RW 0x2000ul
#define DATA_SIZE 0x3000ul /* the third page is read-only */
#define AREA 0x400ul
#define AREA_SIZE 0x400ul

/* Selectors: the GDT of Linux, and an LDT that describes the code pages and the data pages as 16-bit segments. */
enum { USER_CODE_32 = 0x23, USER_DATA = 0x2b, USER_CODE_64 = 0x33, LDT_CODE_16 = 0x07, LDT_DATA_16 = 0x0f };

struct request {
  uint64_t gpr[16];
  uint64_t rflags, rip, fs_base, gs_base;
  /* bit 0: report segments and bases, and put them back; bit 1: 32-bit code; bit 2: 16-bit code; bit 3: vectors follow;
     bit 4: bytes follow that lie at DATA + AREA */
  uint32_t options;
  uint32_t code_length;
  uint8_t code[32];
  uint32_t patch_at, patch_length;
  uint8_t patch[48];
};
_Static_assert(sizeof(struct request) == 256, "request layout");

struct reply {
  uint64_t gpr[16];
  uint64_t rflags, rip;
  uint32_t vector, error;
  uint64_t cr2;
  uint16_t cs, ss, ds, es, fs, gs;
  uint32_t vectors_length;
  uint64_t fs_base, gs_base;
  uint32_t dirty_at, dirty_length;
  uint8_t padding[56];
};
_Static_assert(sizeof(struct reply) == 256, "reply layout");

/* State of x87, SSE and AVX: the image of FXSAVE, then the upper halves of the YMM registers. */
struct vectors {
  /* FXSAVE leaves the last bytes of the image alone: here they name components to be left in their initial configuration. */
  uint8_t fxsave[504];
  uint64_t initial;
  uint8_t upper[256];
};

/* What XRSTOR loads, in the standard format. */
struct xsave {
  uint8_t fxsave[504];
  uint64_t unused, present, header[7];
  uint8_t upper[256];
};
enum { X87_SSE_AVX = 7, AVX = 4 };

/* The kernel's own view of a signal frame (x86-64 ABI of Linux). */
struct sigcontext64 {
  uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
  uint16_t cs, gs, fs, ss;
  uint64_t err, trapno, oldmask, cr2;
  const struct xsave *fpstate;
};
struct ucontext64 {
  uint64_t flags, link;
  struct { uint64_t sp; uint32_t flags, pad; uint64_t size; } stack;
  struct sigcontext64 mc;
};
struct kernel_sigaction {
  void *handler;
  uint64_t flags;
  void *restorer;
  uint64_t mask;
};

static long syscall6(long n, long a, long b, long c, long d, long e, long f) {
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return result;
}
enum { SYS_read = 0, SYS_write = 1, SYS_mmap = 9, SYS_mprotect = 10, SYS_rt_sigaction = 13, SYS_setitimer = 38, SYS_exit = 60,
       SYS_sigaltstack = 131, SYS_modify_ldt = 154, SYS_arch_prctl = 158 };
enum { ARCH_SET_GS = 0x1001, ARCH_SET_FS = 0x1002, ARCH_GET_FS = 0x1003, ARCH_GET_GS = 0x1004 };
enum { SIGILL = 4, SIGTRAP = 5, SIGBUS = 7, SIGFPE = 8, SIGSEGV = 11, SIGALRM = 14 };

static void fail(int status) {
  syscall6(SYS_exit, status, 0, 0, 0, 0, 0);
  __builtin_unreachable();
}

void *memcpy(void *to, const void *from, unsigned long n) {
  void *d = to;
  __asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(n)::"memory");
  return to;
}
void *memset(void *to, int value, unsigned long n) {
  void *d = to;
  __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(value) : "memory");
  return to;
}

uint64_t host_rsp;
uint64_t entry_cs, entry_ss, entry_rip;
struct xsave entry_vectors __attribute__((aligned(64)));
void enter_guest(const struct request *request);
void host_return(void);
void restorer(void);
__asm__(
    ".text\n"
    ".global _start\n_start:\n  xor %ebp,%ebp\n  and $-16,%rsp\n  call run\n"
    "restorer:\n  mov $15,%eax\n  syscall\n"
    "enter_guest:\n"
    "  push %rbx\n  push %rbp\n  push %r12\n  push %r13\n  push %r14\n  push %r15\n"
    "  mov %rsp,host_rsp\n"
    "  mov $0x76541f00,%esp\n  push entry_ss\n  push 32(%rdi)\n  push 128(%rdi)\n  push entry_cs\n  push entry_rip\n"
    "  testb $8,160(%rdi)\n  jz 1f\n  mov $7,%eax\n  xor %edx,%edx\n  xrstor64 entry_vectors\n1:\n"
    "  mov 0(%rdi),%rax\n  mov 8(%rdi),%rcx\n  mov 16(%rdi),%rdx\n  mov 24(%rdi),%rbx\n  mov 40(%rdi),%rbp\n  mov 48(%rdi),%rsi\n"
    "  mov 64(%rdi),%r8\n  mov 72(%rdi),%r9\n  mov 80(%rdi),%r10\n  mov 88(%rdi),%r11\n  mov 96(%rdi),%r12\n  mov 104(%rdi),%r13\n"
    "  mov 112(%rdi),%r14\n  mov 120(%rdi),%r15\n  mov 56(%rdi),%rdi\n"
    "  iretq\n"
    "host_return:\n"
    "  mov host_rsp,%rsp\n  push $0x202\n  popf\n"
    "  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbp\n  pop %rbx\n  ret\n");

static struct reply reply;
static struct vectors reply_vectors;
static int with_vectors;
static volatile uint64_t case_number;
static uint64_t alarm_case;
static volatile int in_guest;

static void on_signal(int signal, void *info, struct ucontext64 *context) {
  (void)info;
  __asm__ volatile("push $0x202\n popf" ::: "memory", "cc"); /* AC may still be set */
  const struct sigcontext64 *m = &context->mc;
  if (signal == SIGALRM) {
    /* Still the same case since the last tick: it hangs. */
    if (alarm_case != case_number) {
      alarm_case = case_number;
      return;
    }
    if (!in_guest) return;
  }
  const uint64_t gpr[16] = {m->rax, m->rcx, m->rdx, m->rbx, m->rsp, m->rbp, m->rsi, m->rdi,
                            m->r8,  m->r9,  m->r10, m->r11, m->r12, m->r13, m->r14, m->r15};
  memcpy(reply.gpr, gpr, sizeof gpr);
  reply.rflags = m->eflags;
  reply.rip = m->rip;
  reply.vector = signal == SIGALRM ? 0xffff : (uint32_t)m->trapno;
  reply.error = (uint32_t)m->err;
  reply.cr2 = m->cr2;
  reply.cs = m->cs;
  reply.ss = m->ss;
  reply.fs = m->fs;
  reply.gs = m->gs;
  uint32_t value;
  __asm__ volatile("mov %%ds,%0" : "=r"(value));
  reply.ds = (uint16_t)value;
  __asm__ volatile("mov %%es,%0" : "=r"(value));
  reply.es = (uint16_t)value;
  __asm__ volatile("mov %%fs,%0" : "=r"(value));
  reply.fs = (uint16_t)value;
  __asm__ volatile("mov %%gs,%0" : "=r"(value));
  reply.gs = (uint16_t)value;
  if (with_vectors) {
    memcpy(reply_vectors.fxsave, m->fpstate->fxsave, sizeof reply_vectors.fxsave);
    if (m->fpstate->present & AVX) memcpy(reply_vectors.upper, m->fpstate->upper, sizeof reply_vectors.upper);
    else memset(reply_vectors.upper, 0, sizeof reply_vectors.upper);
  }
  host_return();
}

static uint8_t alternate_stack[1 << 16] __attribute__((aligned(64)));
static uint8_t background[DATA_SIZE] __attribute__((aligned(64)));
static uint8_t input[1 << 17] __attribute__((aligned(64)));
static uint8_t output[1 << 18] __attribute__((aligned(64)));
static uint32_t output_length;

static void flush(void) {
  uint32_t done = 0;
  while (done < output_length) {
    long n = syscall6(SYS_write, 1, (long)(output + done), output_length - done, 0, 0, 0);
    if (n == -4) continue; /* EINTR */
    if (n <= 0) fail(3);
    done += (uint32_t)n;
  }
  output_length = 0;
}

/* Reads until `length` bytes are there or the input ends; returns how many came. */
static uint32_t fill(uint8_t *to, uint32_t length) {
  uint32_t done = 0;
  while (done < length) {
    long n = syscall6(SYS_read, 0, (long)(to + done), length - done, 0, 0, 0);
    if (n == -4) continue;
    if (n < 0) fail(4);
    if (n == 0) break;
    done += (uint32_t)n;
  }
  return done;
}

static void set_base(long which, uint64_t value) { syscall6(SYS_arch_prctl, which, (long)value, 0, 0, 0, 0); }

static uint64_t fs_base, gs_base;

/* Bytes of a request with what belongs to it. */
static uint32_t request_size(const struct request *r) {
  return sizeof *r + (r->options & 8 ? sizeof(struct vectors) : 0) + (r->options & 16 ? AREA_SIZE : 0);
}

static void load_vectors(const struct vectors *v) {
  memcpy(entry_vectors.fxsave, v->fxsave, sizeof v->fxsave);
  memcpy(entry_vectors.upper, v->upper, sizeof v->upper);
  entry_vectors.present = X87_SSE_AVX & ~v->initial;
}

static void run_case(const struct request *r) {
  uint8_t *code = (uint8_t *)r->rip;
  if (r->rip < CODE || r->rip + r->code_length > CODE + CODE_SIZE || r->code_length > sizeof r->code) fail(5);
  if (r->patch_at > DATA_SIZE || r->patch_length > sizeof r->patch || r->patch_at + r->patch_length > DATA_RW) fail(6);
  memcpy(code, r->code, r->code_length);
  if (r->options & 16) {
    const uint8_t *area = (const uint8_t *)r + request_size(r) - AREA_SIZE;
    memcpy((void *)(DATA + AREA), area, AREA_SIZE);
    memcpy(background + AREA, area, AREA_SIZE);
  }
  memcpy((void *)(DATA + r->patch_at), r->patch, r->patch_length);
  if (r->fs_base != fs_base) set_base(ARCH_SET_FS, fs_base = r->fs_base);
  if (r->gs_base != gs_base) set_base(ARCH_SET_GS, gs_base = r->gs_base);
  entry_cs = r->options & 2 ? USER_CODE_32 : r->options & 4 ? LDT_CODE_16 : USER_CODE_64;
  entry_ss = r->options & 4 ? LDT_DATA_16 : USER_DATA;
  entry_rip = r->options & 4 ? r->rip - CODE : r->rip;
  if (r->options & 6) __asm__ volatile("mov %0,%%ds\n mov %0,%%es" ::"r"((uint32_t)entry_ss));
  if (r->options & 4) __asm__ volatile("mov %0,%%fs\n mov %0,%%gs" ::"r"((uint32_t)entry_ss));
  with_vectors = (r->options & 8) != 0;
  if (with_vectors) load_vectors((const struct vectors *)(r + 1));
  reply.vectors_length = with_vectors ? sizeof reply_vectors : 0;
  case_number++;
  in_guest = 1;
  enter_guest(r);
  in_guest = 0;
  reply.fs_base = fs_base;
  reply.gs_base = gs_base;
  if (r->options & 7) {
    syscall6(SYS_arch_prctl, ARCH_GET_FS, (long)&reply.fs_base, 0, 0, 0, 0);
    syscall6(SYS_arch_prctl, ARCH_GET_GS, (long)&reply.gs_base, 0, 0, 0, 0);
    __asm__ volatile("mov %0,%%ds\n mov %0,%%es\n mov %0,%%fs\n mov %0,%%gs" ::"r"(0));
    set_base(ARCH_SET_FS, fs_base);
    set_base(ARCH_SET_GS, gs_base);
  }
  memset(code, 0xcc, r->code_length);

  /* What the case changed, the patch taken as given. */
  memcpy(background + r->patch_at, r->patch, r->patch_length);
  const uint64_t *now = (const uint64_t *)DATA, *then = (const uint64_t *)background;
  uint32_t first = 0, last = DATA_RW / 8;
  while (first < last && now[first] == then[first]) first++;
  while (last > first && now[last - 1] == then[last - 1]) last--;
  reply.dirty_at = first * 8;
  reply.dirty_length = (last - first) * 8;
  if (output_length + sizeof reply + reply.vectors_length + reply.dirty_length > sizeof output) flush();
  memcpy(output + output_length, &reply, sizeof reply);
  output_length += sizeof reply;
  memcpy(output + output_length, &reply_vectors, reply.vectors_length);
  output_length += reply.vectors_length;
  memcpy(output + output_length, (void *)(DATA + reply.dirty_at), reply.dirty_length);
  output_length += reply.dirty_length;
}

static void *map_fixed(uint64_t at, uint64_t size, int protection) {
  long got = syscall6(SYS_mmap, (long)at, (long)size, protection, 0x100022 /* PRIVATE ANONYMOUS FIXED_NOREPLACE */, -1, 0);
  if ((uint64_t)got != at) fail(7);
  return (void *)at;
}

__attribute__((used)) void run(void) {
  static uint8_t pristine[DATA_SIZE];
  memset(map_fixed(CODE, CODE_SIZE, 7), 0xcc, CODE_SIZE);
  map_fixed(DATA, DATA_SIZE, 3);
  if (fill(pristine, DATA_SIZE) != DATA_SIZE) fail(8);
  memcpy((void *)DATA, pristine, DATA_SIZE);
  if (syscall6(SYS_mprotect, DATA + DATA_RW, DATA_SIZE - DATA_RW, 1, 0, 0, 0) != 0) fail(9);

  /* struct user_desc: number, base, limit, then contents (bits 1-2: 2 is code) and useable (bit 6). */
  const uint32_t code16[4] = {0, CODE, CODE_SIZE - 1, 2 << 1 | 1 << 6}, data16[4] = {1, DATA, DATA_SIZE - 1, 1 << 6};
  if (syscall6(SYS_modify_ldt, 1, (long)code16, sizeof code16, 0, 0, 0) != 0) fail(12);
  if (syscall6(SYS_modify_ldt, 1, (long)data16, sizeof data16, 0, 0, 0) != 0) fail(12);
  /* IRETQ to a 16-bit stack leaves the upper bits of RSP as they are: the frame lies where these bits are known. */
  map_fixed(0x76540000, 0x2000, 3);

  struct { void *sp; uint64_t flags; uint64_t size; } stack = {alternate_stack, 0, sizeof alternate_stack};
  if (syscall6(SYS_sigaltstack, (long)&stack, 0, 0, 0, 0, 0) != 0) fail(10);
  const int signals[] = {SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGALRM};
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) {
    /* SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTORER */
    struct kernel_sigaction action = {on_signal, 0x4u | 0x08000000u | 0x40000000u | 0x04000000u, restorer, 0};
    if (syscall6(SYS_rt_sigaction, signals[i], (long)&action, 0, 8, 0, 0) != 0) fail(11);
  }
  const int64_t interval[4] = {0, 200000, 0, 200000};
  syscall6(SYS_setitimer, 0, (long)interval, 0, 0, 0, 0);

  uint32_t there = 0;
  for (;;) {
    const uint32_t got = fill(input + there, sizeof input - there);
    there += got;
    uint32_t at = 0;
    while (there - at >= sizeof(struct request)) {
      const struct request *r = (const struct request *)(input + at);
      if (there - at < request_size(r)) break;
      memcpy(background, pristine, DATA_RW);
      run_case(r);
      memcpy((void *)DATA, pristine, DATA_RW);
      at += request_size(r);
    }
    flush();
    if (got == 0) break;
    there -= at;
    memcpy(input, input + at, there);
  }
  fail(0);
}
