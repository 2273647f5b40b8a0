import { Flag } from '../../../src/processor/state/cpu-state.ts';
import { hex } from '../../../src/x86/address.ts';
import { entersMmxOddly, isApproximate, isNear } from './approximations.ts';
import type { EmulatedMachine } from './emulated-machine.ts';
import { runNative } from './native-machine.ts';
import { AREA, CODE, DATA, describeRequest, type Reply, type Request, registerName } from './record.ts';
import { faultPriorityVaries, incomparableFlags } from './undefined-flags.ts';

const FLAG_NAMES = Object.entries(Flag).filter(([, bit]) => (bit & (bit - 1)) === 0);
const PAGE_FAULT = 14;
const RSP = 4;
const SELECTOR_NAMES = ['cs', 'ss', 'ds', 'es', 'fs', 'gs'];

/** A case in which the processors differ. */
export interface Difference {
  readonly index: number;
  /** What differs, real value first. */
  readonly text: string;
  readonly request: string;
}

function describeFlags(native: number, emulated: number, mask: number): string {
  const differing = FLAG_NAMES.filter(([, bit]) => ((native ^ emulated) & mask & bit) !== 0);
  return `flags ${differing.map(([name, bit]) => `${name}=${native & bit ? 1 : 0} not ${emulated & bit ? 1 : 0}`).join(' ')}`;
}

/**
 * Error code of a page fault as the hardware gave it: Linux sets the present bit for all kernel addresses,
 * and the harness has pages of its own. */
function faultError(reply: Reply): number {
  const { cr2 } = reply;
  const known = (cr2 >= CODE && cr2 < CODE + 0x1_0000n) || (cr2 >= DATA && cr2 < DATA + 0x1_0000n);
  return reply.vector === PAGE_FAULT && !known ? reply.error | 1 : reply.error;
}

/** All differences of one case in words; empty when the processors agree. */
function differences(
  mnemonic: string,
  request: Request,
  native: Reply,
  emulated: Reply,
  machine: EmulatedMachine,
  vendor: 'intel' | 'amd',
  expected: Uint8Array,
): string[] {
  const found: string[] = [];
  // At 15 bytes it is a matter of where the decoder gives up on an opcode that it does not know: #UD, or #GP for the length.
  const limit = (vector: number): boolean => vector === 6 || vector === 13;
  const tooLong = mnemonic === 'invalid' && limit(native.vector) && limit(emulated.vector) && request.code.length === 15;
  if (tooLong) return [];
  const stackOrTarget = (vector: number): boolean => (vector >= 12 && vector <= 14) || vector === 17;
  if (
    faultPriorityVaries(mnemonic) &&
    native.vector !== emulated.vector &&
    stackOrTarget(native.vector) &&
    stackOrTarget(emulated.vector)
  )
    return [];
  // Of two operands that can't be read either may be the one that the fault tells of.
  const otherAddress = native.vector === PAGE_FAULT && emulated.vector === PAGE_FAULT && native.cr2 !== emulated.cr2;
  const otherOperand = otherAddress && faultPriorityVaries(mnemonic);
  if (native.vector !== emulated.vector) found.push(`vector ${native.vector} not ${emulated.vector}`);
  else if (faultError(native) !== faultError(emulated) && !otherOperand)
    found.push(`error code ${hex(native.error)} not ${hex(emulated.error)}`);
  if (native.rip !== emulated.rip) found.push(`rip ${hex(native.rip)} not ${hex(emulated.rip)}`);
  if (otherAddress && !otherOperand) found.push(`cr2 ${hex(native.cr2)} not ${hex(emulated.cr2)}`);
  const mask = 0x3f_ffff & ~Flag.RF & ~incomparableFlags(mnemonic, vendor);
  if (((native.rflags ^ emulated.rflags) & mask) !== 0) found.push(describeFlags(native.rflags, emulated.rflags, mask));
  const sameRegisters = Buffer.compare(native.registers, emulated.registers) === 0;
  for (let index = 0; index < 16 && !sameRegisters; index++) {
    const [real, ours] = [native.register(index), emulated.register(index)];
    // Linux returns to a 16-bit stack with other upper bits of RSP, when it interrupts the case.
    const same = request.bits === 16 && index === RSP ? ((real ^ ours) & 0xffff_ffffn) === 0n : real === ours;
    if (!same) found.push(`${registerName(index)} ${hex(real)} not ${hex(ours)}`);
  }
  if (request.segments) {
    // The way through the kernel turns null selectors with an RPL into 0.
    for (const [place, name] of SELECTOR_NAMES.entries())
      if (native.selector(place) !== emulated.selector(place) && (native.selector(place) | emulated.selector(place)) > 3)
        found.push(`${name} ${hex(native.selector(place))} not ${hex(emulated.selector(place))}`);
    if (native.fsBase !== emulated.fsBase) found.push(`fs base ${hex(native.fsBase)} not ${hex(emulated.fsBase)}`);
    if (native.gsBase !== emulated.gsBase) found.push(`gs base ${hex(native.gsBase)} not ${hex(emulated.gsBase)}`);
  }
  if (native.vectors && emulated.vectors) {
    const options = { isNear: isApproximate(mnemonic) ? isNear : undefined, ignoresStack: entersMmxOddly(mnemonic) };
    found.push(...native.vectors.differences(emulated.vectors, options));
  }
  if (Buffer.compare(expected, machine.data) !== 0) {
    const at = expected.findIndex((byte, index) => byte !== machine.data[index]);
    const show = (bytes: Uint8Array): string => Buffer.from(bytes.subarray(at, at + 16)).toString('hex');
    found.push(`data+${hex(at)} ${show(expected)} not ${show(machine.data)}`);
  }
  return found;
}

export interface Comparison {
  readonly machine: EmulatedMachine;
  readonly background: Uint8Array;
  readonly vendor: 'intel' | 'amd';
  /** Differences to return at most. */
  readonly limit: number;
  /** Makes equal in the data pages what may differ between processors: changes what the real one left to what the emulated one has. */
  readonly forgive?: (request: Request, real: Uint8Array, emulated: Uint8Array) => void;
}

/**
 * Runs cases on both processors and returns those that differ. `records` holds the requests' bytes, `mnemonic` says what the
 * case at an index is.
 */
export function compareRequests(
  records: Uint8Array,
  requests: readonly Request[],
  mnemonic: (index: number) => string,
  comparison: Comparison,
): Difference[] {
  return compareReplies(requests, runNative(records, comparison.background, requests[0]?.bytes.length), mnemonic, comparison);
}

/** Runs cases on the emulated processor and returns those that differ from what the real one did. */
export function compareReplies(
  requests: readonly Request[],
  replies: readonly Reply[],
  mnemonic: (index: number) => string,
  comparison: Comparison,
): Difference[] {
  const { machine, background } = comparison;
  const found: Difference[] = [];
  const expected = new Uint8Array(background);
  for (const [index, request] of requests.entries()) {
    const native = replies[index];
    if (!native) throw new Error('a reply is missing');
    if (request.area) expected.set(request.area, AREA);
    expected.set(request.patch, request.patchAt);
    expected.set(native.dirty, native.dirtyAt);
    let texts: string[];
    try {
      const emulated = machine.run(request);
      comparison.forgive?.(request, expected, machine.data);
      texts = differences(mnemonic(index), request, native, emulated, machine, comparison.vendor, expected);
    } catch (error) {
      texts = [error instanceof Error ? (error.stack ?? error.message) : String(error)];
    }
    machine.restore();
    expected.set(background);
    if (texts.length > 0) {
      found.push({ index, text: texts.join(', '), request: describeRequest(request) });
      if (found.length >= comparison.limit) break;
    }
  }
  return found;
}
