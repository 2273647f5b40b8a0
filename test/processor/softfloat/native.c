/*
 * Runs SSE instructions on the machine's own processor, one a record, with MXCSR as the record says.
 *
 * Input:  struct request records until the end.
 * Output: a struct reply per request.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <ucontext.h>

struct request {
  uint32_t operation, mxcsr;
  uint64_t a, b, c;
};
struct reply {
  uint64_t result;
  uint32_t flags, faulted;
};

static sigjmp_buf back;
static volatile uint32_t fault_mxcsr;

static void on_fault(int signal, siginfo_t *info, void *context) {
  (void)signal;
  (void)info;
  fault_mxcsr = ((ucontext_t *)context)->uc_mcontext.fpregs->mxcsr;
  siglongjmp(back, 1);
}

static uint32_t after;
static const uint32_t usual = 0x1f80;

/* Operands in XMM0–XMM2 (also RAX for integers), the result in XMM0 or RAX. */
#define RUN(text)                                                                                                  \
  __asm__ volatile("movq %[a],%%xmm0\n movq %[b],%%xmm1\n movq %[c],%%xmm2\n mov %[a],%%rax\n ldmxcsr %[m]\n" text \
                   "\n stmxcsr %[after]\n ldmxcsr %[usual]"                                                        \
                   : [after] "=m"(after), "=&a"(integer), "=&Yz"(vector)                                            \
                   : [a] "m"(r->a), [b] "m"(r->b), [c] "m"(r->c), [m] "m"(r->mxcsr), [usual] "m"(usual)            \
                   : "xmm1", "xmm2", "cc")
#define FLOAT(number, text) case number: RUN(text); reply->result = vector[0]; break;
#define INTEGER(number, text) case number: RUN(text); reply->result = integer; break;
/* Both formats: the double one has the odd number. */
#define FLOATS(number, name) FLOAT(number, name "ss %%xmm1,%%xmm0") FLOAT(number + 1, name "sd %%xmm1,%%xmm0")
#define FMA(number, name) \
  FLOAT(number, name "213ss %%xmm2,%%xmm1,%%xmm0") FLOAT(number + 1, name "213sd %%xmm2,%%xmm1,%%xmm0")
#define ROUND(number, mode) \
  FLOAT(number, "roundss $" #mode ",%%xmm0,%%xmm0") FLOAT(number + 1, "roundsd $" #mode ",%%xmm0,%%xmm0")
/* ZF, PF and CF of a comparison, as LAHF gives them. */
#define COMPARE(number, name) \
  INTEGER(number, name "ss %%xmm1,%%xmm0\n lahf") INTEGER(number + 1, name "sd %%xmm1,%%xmm0\n lahf")

typedef uint64_t pair __attribute__((vector_size(16)));

static void run(const struct request *r, struct reply *reply) {
  uint64_t integer = 0;
  pair vector;
  switch (r->operation) {
    FLOATS(0, "add")
    FLOATS(2, "sub")
    FLOATS(4, "mul")
    FLOATS(6, "div")
    FLOATS(8, "min")
    FLOATS(10, "max")
    FLOAT(12, "sqrtss %%xmm0,%%xmm0") FLOAT(13, "sqrtsd %%xmm0,%%xmm0")
    COMPARE(14, "ucomi")
    COMPARE(16, "comi")
    ROUND(18, 0) ROUND(20, 1) ROUND(22, 2) ROUND(24, 3) ROUND(26, 4) ROUND(28, 9)
    FLOAT(30, "cvtss2sd %%xmm0,%%xmm0") FLOAT(31, "cvtsd2ss %%xmm0,%%xmm0")
    INTEGER(32, "cvtss2si %%xmm0,%%eax") INTEGER(33, "cvtsd2si %%xmm0,%%eax")
    INTEGER(34, "cvtss2si %%xmm0,%%rax") INTEGER(35, "cvtsd2si %%xmm0,%%rax")
    INTEGER(36, "cvttss2si %%xmm0,%%eax") INTEGER(37, "cvttsd2si %%xmm0,%%eax")
    INTEGER(38, "cvttss2si %%xmm0,%%rax") INTEGER(39, "cvttsd2si %%xmm0,%%rax")
    FLOAT(40, "cvtsi2ssq %%rax,%%xmm0") FLOAT(41, "cvtsi2sdq %%rax,%%xmm0")
    FMA(42, "vfmadd")
    FMA(44, "vfmsub")
    FMA(46, "vfnmadd")
    FMA(48, "vfnmsub")
    FLOAT(50, "vcvtph2ps %%xmm0,%%xmm0")
    FLOAT(51, "vcvtps2ph $4,%%xmm0,%%xmm0")
    default: reply->faulted = 2;
  }
}

int main(void) {
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGFPE, &action, 0);
  struct request request;
  while (fread(&request, sizeof request, 1, stdin) == 1) {
    struct reply reply = {0, 0, 0};
    if (sigsetjmp(back, 0) == 0) {
      run(&request, &reply);
      reply.flags = after & 0x3f;
    } else {
      __asm__ volatile("ldmxcsr %0" ::"m"(usual));
      reply.faulted = 1;
      reply.flags = fault_mxcsr & 0x3f;
    }
    fwrite(&reply, sizeof reply, 1, stdout);
  }
  return 0;
}
