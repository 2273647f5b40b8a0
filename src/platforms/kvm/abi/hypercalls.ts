/** KVM's hypercalls and their return codes (Linux Documentation/virt/kvm/x86/hypercalls.rst). */

export const Hypercall = {
  VAPIC_POLL_IRQ: 1,
  KICK_CPU: 5,
  CLOCK_PAIRING: 9,
  SEND_IPI: 10,
  SCHED_YIELD: 11,
  MAP_GPA_RANGE: 12,
} as const;

/** One row per hypercall: number, name, arguments in RBX, RCX, RDX, RSI. */
export const HYPERCALL_REFERENCE: readonly {
  readonly number: number;
  readonly name: string;
  readonly arguments: readonly string[];
  readonly description: string;
}[] = [
  {
    number: 1,
    name: 'KVM_HC_VAPIC_POLL_IRQ',
    arguments: [],
    description: 'leaves the guest, so that the host looks for interrupts',
  },
  { number: 5, name: 'KVM_HC_KICK_CPU', arguments: ['flags', 'apicid'], description: 'wakes a halted vCPU' },
  { number: 9, name: 'KVM_HC_CLOCK_PAIRING', arguments: ['gpa', 'type'], description: 'host wall clock and TSC of one moment' },
  {
    number: 10,
    name: 'KVM_HC_SEND_IPI',
    arguments: ['ipi_bitmap_low', 'ipi_bitmap_high', 'min', 'icr'],
    description: 'IPIs to many vCPUs; returns how many got one',
  },
  { number: 11, name: 'KVM_HC_SCHED_YIELD', arguments: ['apicid'], description: 'yields to a vCPU that was preempted' },
  {
    number: 12,
    name: 'KVM_HC_MAP_GPA_RANGE',
    arguments: ['gpa', 'pages', 'attributes'],
    description: 'says that pages become shared or private; served by the VMM',
  },
];

const BY_NUMBER = new Map(HYPERCALL_REFERENCE.map((row) => [row.number, row]));

/** The number of a hypercall as a plain one; undefined for one that has more than 16 bits, as none of KVM's has. */
export function plainNumber(number: bigint): number | undefined {
  return number > 0xffffn ? undefined : Number(number);
}

/** The row of a hypercall; undefined for a number that KVM doesn't know. */
export function hypercallRow(number: bigint): (typeof HYPERCALL_REFERENCE)[number] | undefined {
  const plain = plainNumber(number);
  return plain === undefined ? undefined : BY_NUMBER.get(plain);
}

const REQUESTS = {
  vmcall: new Map(HYPERCALL_REFERENCE.map(({ number, name }) => [number, `vmcall ${name}`])),
  vmmcall: new Map(HYPERCALL_REFERENCE.map(({ number, name }) => [number, `vmmcall ${name}`])),
} as const;

/** A hypercall as the exit journal has it: by its name where it has one. */
export function hypercallRequest(instruction: 'vmcall' | 'vmmcall', number: bigint): string {
  return REQUESTS[instruction].get(plainNumber(number) ?? -1) ?? `${instruction} hypercall ${number}`;
}

/** Returned in RAX. */
export const ReturnCode = {
  OK: 0n,
  EPERM: -1n,
  E2BIG: -7n,
  EFAULT: -14n,
  EINVAL: -22n,
  EOPNOTSUPP: -95n,
  ENOSYS: -1000n,
} as const;

const CODE_NAMES = new Map<bigint, string>(
  Object.entries(ReturnCode).map(([name, code]) => [code, code === 0n ? '0' : `-KVM_${name} (${code})`]),
);

/** Name of a return code, or the value itself. */
export function returnCodeName(value: bigint): string {
  return CODE_NAMES.get(value) ?? value.toString();
}

/** struct kvm_clock_pairing, 64 bytes. */
export const ClockPairing = { SECONDS: 0, NANOSECONDS: 8, TSC: 16, FLAGS: 24, SIZE: 64 } as const;
export const CLOCK_PAIRING_WALLCLOCK = 0n;
