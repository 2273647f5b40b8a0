import { isCanonical } from '../../x86/address.ts';
import { GuestFault, Vector } from '../faults/guest-fault.ts';
import type { SystemContext } from '../system/context.ts';

/** A model-specific register that the processor owns. What is not in a model's table is the platform's. */
export interface Msr {
  readonly index: number;
  readonly name: string;
  readonly description: string;
  read(context: Pick<SystemContext, 'state' | 'readTsc'>): bigint;
  /** Throws #GP(0) for what can't be written. */
  write(context: SystemContext, value: bigint): void;
}

export const refuse = (): never => {
  throw new GuestFault(Vector.GP, 0);
};

const ALL = 0xffff_ffff_ffff_ffffn;

/** An MSR that is a slot of the state. A value with bits outside of `writable`, or one that `allows` denies, faults. */
export function slot(
  index: number,
  name: string,
  description: string,
  offset: number,
  writable = ALL,
  allows: (value: bigint, context: SystemContext) => boolean = () => true,
): Msr {
  return {
    index,
    name,
    description,
    read: ({ state }) => state.get64(offset),
    write: (context, value) => {
      if ((value & ~writable) !== 0n || !allows(value, context)) refuse();
      context.state.set64(offset, value);
    },
  };
}

/** As {@link slot}, for a linear address that must be canonical. */
export function addressSlot(index: number, name: string, description: string, offset: number): Msr {
  return slot(index, name, description, offset, ALL, isCanonical);
}

/** An MSR with a fixed value. Writes fault, or are ignored. */
export function constant(
  index: number,
  name: string,
  description: string,
  value: bigint,
  writes: 'fault' | 'ignored' = 'fault',
): Msr {
  return { index, name, description, read: () => value, write: () => (writes === 'ignored' ? undefined : refuse()) };
}

/** The base of FS or GS. */
export function segmentBase(index: number, name: string, segment: number): Msr {
  return {
    index,
    name,
    description: `Base of ${name.slice(0, 2)}`,
    read: ({ state }) => state.segment(segment).base,
    write: (context, value) => {
      if (!isCanonical(value)) refuse();
      context.state.setSegment(segment, { ...context.state.segment(segment), base: value });
      context.modeChanged();
    },
  };
}
