/**
 * Layouts of KVM's structures on x86-64 (Linux arch/x86/include/uapi/asm/kvm.h, include/uapi/linux/kvm.h): offsets of fields in bytes,
 * little-endian. Fields that follow each other as words of 64 bits are lists of names.
 */

/** struct kvm_regs: words of 64 bits in this order. */
export const REGS = [
  'rax',
  'rbx',
  'rcx',
  'rdx',
  'rsi',
  'rdi',
  'rsp',
  'rbp',
  'r8',
  'r9',
  'r10',
  'r11',
  'r12',
  'r13',
  'r14',
  'r15',
  'rip',
  'rflags',
] as const;

/** struct kvm_segment, 24 bytes. The limit is in bytes, whatever the granularity. */
export const SegmentLayout = {
  base: 0,
  limit: 8,
  selector: 12,
  type: 14,
  present: 15,
  dpl: 16,
  db: 17,
  s: 18,
  l: 19,
  g: 20,
  avl: 21,
  unusable: 22,
  SIZE: 24,
} as const;

/** struct kvm_sregs, 312 bytes. */
export const SregsLayout = {
  cs: 0,
  ds: 24,
  es: 48,
  fs: 72,
  gs: 96,
  ss: 120,
  tr: 144,
  ldt: 168,
  gdt: 192,
  idt: 208,
  cr0: 224,
  cr2: 232,
  cr3: 240,
  cr4: 248,
  cr8: 256,
  efer: 264,
  apic_base: 272,
  interrupt_bitmap: 280,
  SIZE: 312,
} as const;

/** struct kvm_fpu, 416 bytes. */
export const FpuLayout = {
  fpr: 0,
  fcw: 128,
  fsw: 130,
  ftwx: 132,
  last_opcode: 134,
  last_ip: 136,
  last_dp: 144,
  xmm: 152,
  mxcsr: 408,
  SIZE: 416,
} as const;

/** struct kvm_vcpu_events, 64 bytes. */
export const VcpuEventsLayout = {
  'exception.injected': 0,
  'exception.nr': 1,
  'exception.has_error_code': 2,
  'exception.pending': 3,
  'exception.error_code': 4,
  'interrupt.injected': 8,
  'interrupt.nr': 9,
  'interrupt.soft': 10,
  'interrupt.shadow': 11,
  'nmi.injected': 12,
  'nmi.pending': 13,
  'nmi.masked': 14,
  sipi_vector: 16,
  flags: 20,
  SIZE: 64,
} as const;

/** struct kvm_debugregs, 128 bytes. */
export const DebugRegsLayout = { db: 0, dr6: 32, dr7: 40, flags: 48, SIZE: 128 } as const;

/** struct kvm_run, 2352 bytes: what all exits have, then what each has. */
export const RunLayout = {
  request_interrupt_window: 0,
  immediate_exit: 1,
  exit_reason: 8,
  ready_for_interrupt_injection: 12,
  if_flag: 13,
  flags: 14,
  cr8: 16,
  apic_base: 24,
  'io.direction': 32,
  'io.size': 33,
  'io.port': 34,
  'io.count': 36,
  'io.data_offset': 40,
  'mmio.phys_addr': 32,
  'mmio.data': 40,
  'mmio.len': 48,
  'mmio.is_write': 52,
  'debug.arch.exception': 32,
  'debug.arch.pc': 40,
  'debug.arch.dr6': 48,
  'debug.arch.dr7': 56,
  'fail_entry.hardware_entry_failure_reason': 32,
  'internal.suberror': 32,
  'internal.ndata': 36,
  'internal.data': 40,
  'hypercall.nr': 32,
  'hypercall.args': 40,
  'hypercall.ret': 88,
  'system_event.type': 32,
  'msr.error': 32,
  'msr.reason': 40,
  'msr.index': 44,
  'msr.data': 48,
  kvm_valid_regs: 288,
  kvm_dirty_regs: 296,
  SIZE: 2352,
} as const;

/** struct kvm_userspace_memory_region, 32 bytes. */
export const MemoryRegionLayout = {
  slot: 0,
  flags: 4,
  guest_phys_addr: 8,
  memory_size: 16,
  userspace_addr: 24,
  SIZE: 32,
} as const;

/** struct kvm_irq_routing_entry, 48 bytes. */
export const RoutingEntryLayout = {
  gsi: 0,
  type: 4,
  flags: 8,
  'u.irqchip.irqchip': 16,
  'u.irqchip.pin': 20,
  'u.msi.address_lo': 16,
  'u.msi.address_hi': 20,
  'u.msi.data': 24,
  SIZE: 48,
} as const;

/** struct kvm_ioeventfd, 64 bytes. */
export const IoEventFdLayout = { datamatch: 0, addr: 8, len: 16, fd: 20, flags: 24, SIZE: 64 } as const;

/** struct kvm_irqfd, 32 bytes. */
export const IrqFdLayout = { fd: 0, gsi: 4, flags: 8, resamplefd: 12, SIZE: 32 } as const;

/** struct kvm_msr_filter_range, 24 bytes, of which struct kvm_msr_filter has 16 from byte 8 on. */
export const MsrRangeLayout = { flags: 0, nmsrs: 4, base: 8, bitmap: 16, SIZE: 24 } as const;
export const MsrFilterLayout = { flags: 0, ranges: 8, SIZE: 392 } as const;

/** struct kvm_guest_debug, 72 bytes. */
export const GuestDebugLayout = { control: 0, 'arch.debugreg': 8, SIZE: 72 } as const;

/** struct kvm_cpuid_entry2, 40 bytes. */
export const CpuidEntryLayout = { function: 0, index: 4, flags: 8, eax: 12, ebx: 16, ecx: 20, edx: 24, SIZE: 40 } as const;

/** struct kvm_clock_data, 48 bytes. */
export const ClockDataLayout = { clock: 0, flags: 8, realtime: 16, host_tsc: 24, SIZE: 48 } as const;

/** struct kvm_translation, 24 bytes. */
export const TranslationLayout = {
  linear_address: 0,
  physical_address: 8,
  valid: 16,
  writeable: 17,
  usermode: 18,
  SIZE: 24,
} as const;
