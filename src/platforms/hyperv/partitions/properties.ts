import { hex } from '../../../x86/address.ts';
import { Property } from '../abi/intercepts.ts';
import { HvStatus } from '../abi/status.ts';
import type { Hyperv } from '../hyperv.ts';
import type { ChildPartition } from './child-partition.ts';
import { type Refused, refused } from './refused.ts';
import { childOf, SELF } from './target.ts';

interface PropertyRow {
  /** Until the parent sets it. */
  readonly usual: bigint;
  /** Only before the partition is initialized. */
  readonly early?: boolean;
  readonly readOnly?: boolean;
  /** The highest value. */
  readonly most?: bigint;
}

const ANY = 0xffff_ffff_ffff_ffffn;

/** Properties by their codes. Those without an effect here are kept, so that a parent finds what it has written. */
const ROWS = new Map<number, PropertyRow>([
  [Property.PRIVILEGES, { usual: 0n, early: true }],
  [Property.SYNTHETIC_FEATURES, { usual: 0n, early: true }],
  [Property.SUSPEND, { usual: 0n, most: 1n }],
  [Property.CPU_RESERVE, { usual: 0n, most: 0x1_0000n }],
  [Property.CPU_CAP, { usual: 0x1_0000n, most: 0x1_0000n }],
  [Property.CPU_WEIGHT, { usual: 100n, most: 10_000n }],
  [Property.CPU_GROUP, { usual: 0n }],
  [Property.TIME_FREEZE, { usual: 0n, most: 1n }],
  [Property.APIC_FREQUENCY, { usual: 200_000_000n, readOnly: true }],
  [Property.REFERENCE_TIME, { usual: 0n, readOnly: true }],
  [Property.VIRTUAL_TLB_PAGES, { usual: 0n }],
  [Property.ZERO_MEMORY_ON_RESET, { usual: 0n, most: 1n }],
  [Property.PROCESSORS_PER_SOCKET, { usual: 1n, most: 2048n }],
  [Property.GPA_SPACE_BITS, { usual: 40n, readOnly: true }],
  // Unknown MSRs are #GP, and nothing else.
  [Property.UNIMPLEMENTED_MSR_ACTION, { usual: 0n, most: 0n }],
  [Property.PROCESSOR_VENDOR, { usual: 0n, readOnly: true }],
  [Property.XSAVE_FEATURES, { usual: 0n, readOnly: true }],
  [Property.COMPATIBILITY_VERSION, { usual: 0n, readOnly: true }],
  [Property.PHYSICAL_ADDRESS_BITS, { usual: 40n, early: true }],
  [Property.PROCESSOR_CLOCK, { usual: 1_000_000_000n, readOnly: true }],
  [Property.PROCESSOR_FEATURES0, { usual: 0n, readOnly: true }],
  [Property.PROCESSOR_FEATURES1, { usual: 0n, readOnly: true }],
  [Property.GUEST_OS_ID, { usual: 0n, readOnly: true }],
]);

/** HvCallSetPartitionProperty. */
export function setProperty(parent: Hyperv, child: ChildPartition, code: number, value: bigint): Refused | undefined {
  const row = ROWS.get(code);
  if (!row) return refused(HvStatus.UNKNOWN_PROPERTY, `there is no property ${hex(code)}`);
  if (row.readOnly) return refused(HvStatus.ACCESS_DENIED, `property ${hex(code)} can only be read`);
  if (child.state === 'finalized' || (row.early && child.state !== 'created'))
    return refused(
      HvStatus.INVALID_PARTITION_STATE,
      `property ${hex(code)} can't be set any more: the partition is ${child.state}`,
    );
  if (value > (row.most ?? ANY)) return refused(HvStatus.PROPERTY_VALUE_OUT_OF_RANGE, `${hex(value)} is out of its range`);
  if (code === Property.PRIVILEGES) {
    const beyond = value & ~parent.privileges;
    if (beyond !== 0n) return refused(HvStatus.ACCESS_DENIED, `its parent itself lacks the privileges ${hex(beyond)}`);
    child.privileges = value;
  } else if (code === Property.SUSPEND && child.running) child.running.hyperv.suspension.isWhole = value !== 0n;
  child.properties.set(code, value);
  return undefined;
}

/** HvCallGetPartitionProperty, of the caller itself or of one of its children. */
export function getProperty(caller: Hyperv, partition: bigint, code: number): bigint | Refused {
  const row = ROWS.get(code);
  const isSelf = partition === SELF || partition === caller.partitionId;
  const child = isSelf ? undefined : childOf(caller, partition);
  if (child && 'status' in child) return child;
  if (!row) return refused(HvStatus.UNKNOWN_PROPERTY, `there is no property ${hex(code)}`);
  const running = isSelf ? caller : child?.running?.hyperv;
  switch (code) {
    case Property.PRIVILEGES:
      return isSelf ? caller.privileges : (child?.privileges ?? 0n);
    case Property.REFERENCE_TIME:
      return running?.referenceTime() ?? 0n;
    case Property.COMPATIBILITY_VERSION:
      return BigInt(child?.compatibilityVersion ?? 0);
    case Property.PROCESSOR_VENDOR:
      return caller.vendor === 'amd' ? 0n : 1n;
    case Property.GUEST_OS_ID:
      return guestOsId(running);
    default:
      return child?.properties.get(code) ?? row.usual;
  }
}

const GUEST_OS_ID = 0x4000_0000;

function guestOsId(running: Hyperv | undefined): bigint {
  const [processor] = running?.machine.processors ?? [];
  return (processor && running?.msrs.read(processor, GUEST_OS_ID)) ?? 0n;
}
