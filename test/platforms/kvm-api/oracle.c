// Makes the calls of oracle.test.ts on the host's /dev/kvm and prints what comes of each, a line a call.
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM 0x100000

static const char *code(int error) {
  switch (error) {
  case EINTR: return "EINTR";
  case ENOENT: return "ENOENT";
  case ENXIO: return "ENXIO";
  case E2BIG: return "E2BIG";
  case EFAULT: return "EFAULT";
  case EBUSY: return "EBUSY";
  case EEXIST: return "EEXIST";
  case EINVAL: return "EINVAL";
  default: return strerror(error);
  }
}

// Results that are file descriptors or counts of no meaning are "ok".
static void say(const char *what, int result) { printf("%s: %s\n", what, result < 0 ? code(errno) : "ok"); }
static void count(const char *what, int result) {
  if (result < 0) say(what, result);
  else printf("%s: %d\n", what, result);
}

static uint8_t *ram;

static int slot(int vm, uint32_t number, uint32_t flags, uint64_t gpa, uint64_t size, uint64_t offset) {
  struct kvm_userspace_memory_region region = {number, flags, gpa, size, (uint64_t)ram + offset};
  return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
}

static int dirty(int vm, uint32_t number, uint8_t *bitmap) {
  struct kvm_dirty_log log = {.slot = number, .dirty_bitmap = bitmap};
  return ioctl(vm, KVM_GET_DIRTY_LOG, &log);
}

static int event(int vm, uint64_t addr, uint32_t len, uint32_t flags, uint64_t match, int fd) {
  struct kvm_ioeventfd io = {.datamatch = match, .addr = addr, .len = len, .fd = fd, .flags = flags};
  return ioctl(vm, KVM_IOEVENTFD, &io);
}

static int irqfd(int vm, int fd, uint32_t gsi, uint32_t flags) {
  struct kvm_irqfd irq = {.fd = fd, .gsi = gsi, .flags = flags};
  return ioctl(vm, KVM_IRQFD, &irq);
}

static int route(int vm, uint32_t gsi, uint32_t type, uint32_t chip, uint32_t pin) {
  struct { struct kvm_irq_routing table; struct kvm_irq_routing_entry entries[1]; } routing = {{1, 0}, {{.gsi = gsi, .type = type}}};
  routing.entries[0].u.irqchip.irqchip = chip;
  routing.entries[0].u.irqchip.pin = pin;
  return ioctl(vm, KVM_SET_GSI_ROUTING, &routing);
}

static int filter(int vm, uint32_t flags, uint32_t range_flags, uint32_t count) {
  static uint8_t bitmap[0x2000];
  struct kvm_msr_filter f = {.flags = flags};
  f.ranges[0] = (struct kvm_msr_filter_range){range_flags, count, 0x174, bitmap};
  return ioctl(vm, KVM_X86_SET_MSR_FILTER, &f);
}

static int enable(int vm, uint32_t cap, uint64_t argument) {
  struct kvm_enable_cap c = {.cap = cap, .args = {argument}};
  return ioctl(vm, KVM_ENABLE_CAP, &c);
}

static void memory(int kvm) {
  int vm = ioctl(kvm, KVM_CREATE_VM, 0);
  uint8_t bitmap[64];
  say("slot 0", slot(vm, 0, 0, 0, 0x10000, 0));
  say("the same again", slot(vm, 0, 0, 0, 0x10000, 0));
  say("size of no page", slot(vm, 1, 0, 0x20000, 0x1001, 0x20000));
  say("address of no page", slot(vm, 1, 0, 0x20001, 0x1000, 0x20000));
  say("memory of no page", slot(vm, 1, 0, 0x20000, 0x1000, 0x20001));
  say("unknown flag", slot(vm, 1, 8, 0x20000, 0x1000, 0x20000));
  say("slot 40000", slot(vm, 40000, 0, 0x20000, 0x1000, 0x20000));
  say("overlap", slot(vm, 1, 0, 0xf000, 0x2000, 0x20000));
  say("slot 1 behind it", slot(vm, 1, 0, 0x10000, 0x2000, 0x20000));
  say("larger", slot(vm, 1, 0, 0x10000, 0x3000, 0x20000));
  say("other memory", slot(vm, 1, 0, 0x10000, 0x2000, 0x30000));
  say("read-only later", slot(vm, 1, KVM_MEM_READONLY, 0x10000, 0x2000, 0x20000));
  say("moved into slot 0", slot(vm, 1, 0, 0x8000, 0x2000, 0x20000));
  say("moved away", slot(vm, 1, 0, 0x40000, 0x2000, 0x20000));
  say("moved over itself", slot(vm, 1, 0, 0x41000, 0x2000, 0x20000));
  say("log of no slot", dirty(vm, 7, bitmap));
  say("log of one without", dirty(vm, 1, bitmap));
  say("with log", slot(vm, 1, KVM_MEM_LOG_DIRTY_PAGES, 0x41000, 0x2000, 0x20000));
  say("its log", dirty(vm, 1, bitmap));
  say("deleted", slot(vm, 1, 0, 0, 0, 0));
  say("deleted again", slot(vm, 1, 0, 0, 0, 0));
  say("deleted that never was", slot(vm, 9, 0, 0, 0, 0));
  say("beyond all addresses", slot(vm, 2, 0, 0xfffffffffffff000, 0x2000, 0x40000));
  close(vm);
}

static void interrupts(int kvm) {
  int vm = ioctl(kvm, KVM_CREATE_VM, 0);
  int fd = eventfd(0, EFD_NONBLOCK), other = eventfd(0, EFD_NONBLOCK);
  struct kvm_pit_config pit = {0};
  struct kvm_irq_level line = {.irq = 4, .level = 1};
  struct kvm_irqchip chip = {.chip_id = 0};
  struct kvm_msi msi = {.address_lo = 0xfee00000, .data = 0x40};
  say("PIT without chip", ioctl(vm, KVM_CREATE_PIT2, &pit));
  say("line without chip", ioctl(vm, KVM_IRQ_LINE, &line));
  say("state without chip", ioctl(vm, KVM_GET_IRQCHIP, &chip));
  say("irqfd without chip", irqfd(vm, fd, 4, 0));
  say("routes without chip", route(vm, 4, 1, 0, 4));
  say("message without chip", ioctl(vm, KVM_SIGNAL_MSI, &msi));
  say("chip", ioctl(vm, KVM_CREATE_IRQCHIP, 0));
  say("chip again", ioctl(vm, KVM_CREATE_IRQCHIP, 0));
  say("PIT", ioctl(vm, KVM_CREATE_PIT2, &pit));
  say("PIT again", ioctl(vm, KVM_CREATE_PIT2, &pit));
  say("line", ioctl(vm, KVM_IRQ_LINE, &line));
  chip.chip_id = 3;
  say("state of no chip", ioctl(vm, KVM_GET_IRQCHIP, &chip));
  say("route", route(vm, 4, 1, 0, 4));
  say("route to pin 8 of a PIC", route(vm, 4, 1, 0, 8));
  say("route to pin 24", route(vm, 4, 1, 2, 24));
  say("route to chip 3", route(vm, 4, 1, 3, 0));
  say("route of GSI 5000", route(vm, 5000, 1, 0, 4));
  say("irqfd", irqfd(vm, fd, 4, 0));
  say("irqfd again", irqfd(vm, fd, 5, 0));
  say("irqfd off", irqfd(vm, fd, 4, KVM_IRQFD_FLAG_DEASSIGN));
  say("irqfd off again", irqfd(vm, fd, 4, KVM_IRQFD_FLAG_DEASSIGN));
  say("irqfd with a flag", irqfd(vm, fd, 4, 8));
  say("ioeventfd", event(vm, 0x510, 2, 2, 0, fd));
  say("ioeventfd again", event(vm, 0x510, 2, 2, 0, other));
  say("ioeventfd for data", event(vm, 0x510, 2, 3, 5, other));
  say("ioeventfd in memory", event(vm, 0x510, 2, 0, 0, other));
  say("ioeventfd of 3 bytes", event(vm, 0x520, 3, 2, 0, fd));
  say("ioeventfd of any length", event(vm, 0x530, 0, 0, 0, fd));
  say("ioeventfd of any length for data", event(vm, 0x540, 0, 1, 5, fd));
  say("ioeventfd with a flag", event(vm, 0x550, 4, 0x20, 0, fd));
  say("ioeventfd beyond 64 bits", event(vm, 0xfffffffffffffffe, 4, 0, 0, fd));
  say("ioeventfd off", event(vm, 0x510, 2, 6, 0, fd));
  say("ioeventfd off again", event(vm, 0x510, 2, 6, 0, fd));
  close(vm);
}

static void filters(int kvm) {
  int vm = ioctl(kvm, KVM_CREATE_VM, 0);
  say("filter", filter(vm, 0, 3, 8));
  say("filter with a flag", filter(vm, 2, 3, 8));
  say("range with a flag", filter(vm, 0, 4, 8));
  say("range of 12289 MSRs", filter(vm, 0, 3, 12289));
  say("deny all", filter(vm, 1, 3, 0));
  say("no filter", filter(vm, 0, 3, 0));
  say("exits for MSRs", enable(vm, KVM_CAP_X86_USER_SPACE_MSR, 7));
  say("exits for what isn't", enable(vm, KVM_CAP_X86_USER_SPACE_MSR, 0x100));
  say("manual log", enable(vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 1));
  say("manual log, only set", enable(vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 2));
  say("manual log with 4", enable(vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 4));
  say("hypercall 12", enable(vm, KVM_CAP_EXIT_HYPERCALL, 1 << 12));
  say("hypercall 5", enable(vm, KVM_CAP_EXIT_HYPERCALL, 1 << 5));
  say("capability that can't", enable(vm, KVM_CAP_IRQCHIP, 1));
  close(vm);
}

static void vcpus(int kvm) {
  int vm = ioctl(kvm, KVM_CREATE_VM, 0);
  int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
  int sizes = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
  struct kvm_run *run = mmap(0, sizes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
  struct kvm_sregs sregs, bad;
  struct kvm_regs regs = {.rip = 0x1000, .rsp = 0x8000, .rflags = 2};
  struct kvm_mp_state state = {3};
  struct kvm_interrupt interrupt = {0x40};
  struct kvm_lapic_state lapic;
  struct kvm_debugregs debug = {.dr6 = 0x100000000};
  struct { struct kvm_msrs list; struct kvm_msr_entry entries[3]; } msrs = {{3, 0}, {{.index = 0x174}, {.index = 0x175}, {.index = 0x12345}}};
  struct kvm_translation place = {.linear_address = 0x1234};
  say("vCPU again", ioctl(vm, KVM_CREATE_VCPU, 0));
  say("vCPU 100000", ioctl(vm, KVM_CREATE_VCPU, 100000));
  say("chip behind a vCPU", ioctl(vm, KVM_CREATE_IRQCHIP, 0));
  ioctl(vcpu, KVM_GET_SREGS, &sregs);
  printf("code at reset: %#llx %#x\n", sregs.cs.base, sregs.cs.selector);
  bad = sregs;
  bad.cr0 |= 0x80000000;
  bad.cr0 &= ~1ull;
  say("paging in real mode", ioctl(vcpu, KVM_SET_SREGS, &bad));
  bad = sregs;
  bad.efer |= 0x400;
  say("EFER.LMA in real mode", ioctl(vcpu, KVM_SET_SREGS, &bad));
  say("halted without chip", ioctl(vcpu, KVM_SET_MP_STATE, &state));
  state.mp_state = 77;
  say("MP state 77", ioctl(vcpu, KVM_SET_MP_STATE, &state));
  say("local APIC without chip", ioctl(vcpu, KVM_GET_LAPIC, &lapic));
  say("DR6 of 33 bits", ioctl(vcpu, KVM_SET_DEBUGREGS, &debug));
  interrupt.irq = 256;
  say("interrupt 256", ioctl(vcpu, KVM_INTERRUPT, &interrupt));
  count("MSRs up to one that isn't", ioctl(vcpu, KVM_GET_MSRS, &msrs));
  count("MSRs written up to one that isn't", ioctl(vcpu, KVM_SET_MSRS, &msrs));
  ioctl(vcpu, KVM_TRANSLATE, &place);
  printf("translation: %#llx %d %d %d\n", place.physical_address, place.valid, place.writeable, place.usermode);

  slot(vm, 0, 0, 0, 0x10000, 0);
  // mov al, 0x42; out 0x80, al; mov ds, bx (0xffff); mov [0x20], al; in al, 0x60; hlt
  memcpy(ram + 0x1000, "\xb0\x42\xe6\x80\xbb\xff\xff\x8e\xdb\xa2\x20\x00\xe4\x60\xf4", 15);
  sregs.cs.base = sregs.cs.selector = 0;
  ioctl(vcpu, KVM_SET_SREGS, &sregs);
  ioctl(vcpu, KVM_SET_REGS, &regs);
  run->immediate_exit = 1;
  say("immediate exit", ioctl(vcpu, KVM_RUN, 0));
  run->immediate_exit = 0;
  if (ioctl(vcpu, KVM_RUN, 0) < 0) { printf("run: %s\n", strerror(errno)); return; }
  printf("exit: %d port %#x direction %d size %d data %#x\n", run->exit_reason, run->io.port, run->io.direction, run->io.size, *((uint8_t *)run + run->io.data_offset));
  ioctl(vcpu, KVM_RUN, 0);
  printf("exit: %d at %#llx length %d write %d data %#x\n", run->exit_reason, run->mmio.phys_addr, run->mmio.len, run->mmio.is_write, run->mmio.data[0]);
  ioctl(vcpu, KVM_RUN, 0);
  printf("exit: %d port %#x direction %d size %d\n", run->exit_reason, run->io.port, run->io.direction, run->io.size);
  *((uint8_t *)run + run->io.data_offset) = 0x5a;
  ioctl(vcpu, KVM_RUN, 0);
  ioctl(vcpu, KVM_GET_REGS, &regs);
  printf("exit: %d rip %#llx rax %#llx\n", run->exit_reason, regs.rip, regs.rax);
  close(vcpu);
  close(vm);
}

int main(void) {
  int kvm = open("/dev/kvm", O_RDWR);
  if (kvm < 0) return 1;
  ram = mmap(0, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  printf("version: %d\n", ioctl(kvm, KVM_GET_API_VERSION, 0));
  say("type 77", ioctl(kvm, KVM_CREATE_VM, 77));
  count("slots", ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS));
  count("read-only memory", ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_READONLY_MEM));
  count("routes", ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_IRQ_ROUTING));
  count("capability 9999", ioctl(kvm, KVM_CHECK_EXTENSION, 9999));
  memory(kvm);
  interrupts(kvm);
  filters(kvm);
  vcpus(kvm);
  return 0;
}
