/** A test of kvm-unit-tests, in the configuration in which it is run. */
export interface UnitTest {
  readonly name: string;
  /** Its image, without `.flat`. */
  readonly file: string;
  /** Of which build the image is: 64 when missing. */
  readonly bits?: 32 | 64;
  /** Its command line. */
  readonly parameters?: string;
  readonly vcpus?: number;
  /** MiB, 128 when missing. */
  readonly memory?: number;
  /** QEMU's processor. */
  readonly qemu?: string;
  /** The emulated processor; its vendor is Intel when missing. */
  readonly cpu?: string;
  readonly vendor?: 'intel' | 'amd';
  /** Wants what a BIOS leaves in the machine; the boot protocol promises nothing of it. */
  readonly firmware?: boolean;
  /** `bare` and `kvm` when missing. */
  readonly platforms?: readonly ('bare' | 'kvm' | 'hyperv')[];
  /** Why QEMU's emulation is no measure: then the test's own verdicts are, all of which must be good. */
  readonly notQemu?: string;
  /** Lines that are not compared, and why. */
  readonly ignored?: readonly { readonly line: RegExp; readonly because: string }[];
  /** What it may take on the emulated processor. */
  readonly instructions?: bigint;
  /** Left to `npm run test:long`. */
  readonly long?: boolean;
}

const NO_PCID = "QEMU's emulation has no PCID, but lets CR4.PCIDE be set";
const NO_MSR_CHECKS = "QEMU's emulation does not check values of MSRs";
/** The test makes hypercalls of KVM's without asking whether it runs on KVM. */
const KVM_ONLY = ['kvm'] as const;
const NO_HYPERV = "QEMU's emulation has no Hyper-V";
/** Seconds of guest time, with loops of PAUSE or of exits in between. */
const SECONDS_OF_LOOPS = 30_000_000_000n;
const NO_APIC_OFF = "QEMU's emulation does not let the local APIC be switched off";

const LONG_HYPERV = {
  platforms: ['hyperv'],
  notQemu: NO_HYPERV,
  instructions: SECONDS_OF_LOOPS,
  long: true,
} as const satisfies Partial<UnitTest>;

export const UNIT_TESTS: readonly UnitTest[] = [
  // Exceptions, injection and exits.
  { name: 'eventinj', file: 'eventinj' },
  { name: 'eventinj-32', file: 'eventinj', bits: 32 },
  { name: 'idt_test', file: 'idt_test', notQemu: 'QEMU hangs in it' },
  { name: 'debug', file: 'debug', notQemu: 'QEMU fails steps behind STI, and hangs in those behind MOV SS' },
  { name: 'hypercall', file: 'hypercall', platforms: ['kvm'], notQemu: "QEMU's emulation has no hypercalls" },
  { name: 'hypercall-32', file: 'hypercall', bits: 32, platforms: ['kvm'], notQemu: "QEMU's emulation has no hypercalls" },
  { name: 'umip', file: 'umip', qemu: 'qemu64,+umip', cpu: 'skylake,+umip' },
  { name: 'umip-32', file: 'umip', bits: 32, qemu: 'qemu64,+umip', cpu: 'skylake,+umip' },
  { name: 'rdpru', file: 'rdpru', qemu: 'max' },

  { name: 'syscall', file: 'syscall', qemu: 'Opteron_G1,vendor=AuthenticAMD', vendor: 'amd' },
  { name: 'msr', file: 'msr', notQemu: NO_MSR_CHECKS },
  { name: 'msr-xapic', file: 'msr', cpu: 'skylake,-x2apic', notQemu: NO_MSR_CHECKS },
  { name: 'msr-32', file: 'msr', bits: 32, notQemu: NO_MSR_CHECKS },

  {
    name: 'x2apic',
    file: 'apic',
    vcpus: 2,
    platforms: KVM_ONLY,
    notQemu: NO_APIC_OFF,
    instructions: 30_000_000_000n,
    long: true,
  },
  {
    name: 'xapic',
    file: 'apic',
    vcpus: 2,
    cpu: 'skylake,-x2apic',
    platforms: KVM_ONLY,
    notQemu: NO_APIC_OFF,
    instructions: 30_000_000_000n,
    long: true,
  },
  {
    name: 'ioapic',
    file: 'ioapic',
    vcpus: 4,
    notQemu: 'QEMU hangs in it, in logical destination mode',
  },

  // Several processors.
  { name: 'smptest', file: 'smptest', vcpus: 2 },
  { name: 'smptest3', file: 'smptest', vcpus: 3 },
  { name: 'smptest-32', file: 'smptest', bits: 32, vcpus: 3 },
  { name: 'init', file: 'init' },
  { name: 'init-32', file: 'init', bits: 32 },

  // Tasks.
  { name: 'taskswitch', file: 'taskswitch', bits: 32 },
  { name: 'taskswitch2', file: 'taskswitch2', bits: 32, notQemu: 'QEMU fails one of its tests' },

  // Paging.
  { name: 'smap', file: 'smap', qemu: 'max', cpu: 'max' },
  { name: 'smap-32', file: 'smap', bits: 32, qemu: 'max', cpu: 'max' },
  { name: 'pku', file: 'pku', qemu: 'max', cpu: 'max' },
  { name: 'pcid-enabled', file: 'pcid', notQemu: NO_PCID },
  { name: 'pcid-disabled', file: 'pcid', cpu: 'skylake,-pcid,-invpcid', notQemu: NO_PCID },
  { name: 'pcid-asymmetric', file: 'pcid', cpu: 'skylake,-pcid,+invpcid', notQemu: NO_PCID },
  { name: 'rmap_chain', file: 'rmap_chain' },
  { name: 'la57', file: 'la57', notQemu: "QEMU's emulation does not check that bases are canonical" },
  { name: 'la57-32', file: 'la57', bits: 32, notQemu: 'QEMU hangs in it' },

  {
    name: 'access',
    file: 'access_test',
    memory: 256,
    // Protection keys would make it ten times as long.
    cpu: 'skylake,-pku',
    notQemu: "QEMU's emulation leaves P out of error codes of reserved bits",
    instructions: 3_000_000_000n,
    long: true,
  },

  // Time.
  { name: 'tsc', file: 'tsc', qemu: 'max', ignored: [{ line: /^rdtsc/, because: 'it says what a measurement gave' }] },
  { name: 'tsc_adjust', file: 'tsc_adjust', notQemu: "QEMU's emulation has no TSC_ADJUST" },
  {
    name: 'kvmclock',
    file: 'kvmclock_test',
    vcpus: 2,
    parameters: '1000',
    platforms: ['kvm'],
    notQemu: "QEMU's emulation has no kvmclock",
  },

  // Hyper-V: synthetic interrupts and timers, messages and events, the reference clock.
  { name: 'hyperv_synic', file: 'hyperv_synic', vcpus: 2, platforms: ['hyperv'], notQemu: NO_HYPERV },
  { name: 'hyperv_synic-1', file: 'hyperv_synic', platforms: ['hyperv'], notQemu: NO_HYPERV },
  { name: 'hyperv_synic-3', file: 'hyperv_synic', vcpus: 3, platforms: ['hyperv'], notQemu: NO_HYPERV },
  { name: 'hyperv_synic-amd', file: 'hyperv_synic', vcpus: 4, vendor: 'amd', platforms: ['hyperv'], notQemu: NO_HYPERV },
  ...([2, 4] as const).flatMap((vcpus) =>
    (['intel', 'amd'] as const).map((vendor): UnitTest => {
      return { ...LONG_HYPERV, name: `hyperv_connections-${vcpus}-${vendor}`, file: 'hyperv_connections', vcpus, vendor };
    }),
  ),
  { ...LONG_HYPERV, name: 'hyperv_stimer', file: 'hyperv_stimer', vcpus: 2 },
  { ...LONG_HYPERV, name: 'hyperv_stimer-amd', file: 'hyperv_stimer', vendor: 'amd' },
  { ...LONG_HYPERV, name: 'hyperv_stimer_direct', file: 'hyperv_stimer', vcpus: 2, parameters: 'direct' },
  { ...LONG_HYPERV, name: 'hyperv_stimer_direct-amd', file: 'hyperv_stimer', vendor: 'amd', parameters: 'direct' },
  { ...LONG_HYPERV, name: 'hyperv_clock', file: 'hyperv_clock', vcpus: 2 },

  // Instructions.
  { name: 'realmode', file: 'realmode', firmware: true },
  { name: 'realmode-32', file: 'realmode', bits: 32, firmware: true },
  { name: 'emulator', file: 'emulator', notQemu: 'QEMU raises #GP for #SS, has no RPL check of SS and no shadow of MOV SS' },
  { name: 'emulator-32', file: 'emulator', bits: 32, notQemu: 'QEMU has no shadow of MOV SS' },
  { name: 'lam', file: 'lam', notQemu: 'QEMU hangs in it' },
  { name: 'cmpxchg8b', file: 'cmpxchg8b', bits: 32 },
  { name: 'setjmp', file: 'setjmp' },
  { name: 'setjmp-32', file: 'setjmp', bits: 32 },
  {
    name: 'xsave',
    file: 'xsave',
    qemu: 'max',
    cpu: 'max',
    ignored: [{ line: /^PASS: XGETBV\(0x\w{9,}\)|^Supported XCR0/, because: 'components that are emulated, and random numbers' }],
  },
];
