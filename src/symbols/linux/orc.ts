import { RBP, RETURN_ADDRESS, RSP } from '../registers.ts';
import type { FrameContext, FrameRegisters } from '../symbol-source.ts';
import type { KernelMemory } from './kernel-memory.ts';

/** Where ORC tables stand, of the kernel or of a module: instruction addresses (each relative to itself), and an entry for each. */
export interface OrcTable {
  readonly addresses: bigint;
  readonly entries: bigint;
  readonly count: number;
}

/** What ends a stack: its outermost frame, or a frame of which nothing is known, with the reason. */
export type StackEnd = 'outermost' | { readonly reason: string };

/** What an entry's bits say, in either layout. */
interface OrcEntry {
  readonly kind: 'undefined' | 'end' | 'call' | 'regs' | 'partial';
  readonly spRegister: number;
  readonly spOffset: bigint;
  readonly bpRegister: number;
  readonly bpOffset: bigint;
}

/** Registers of arch/x86/include/asm/orc_types.h. */
const Orc = { UNDEFINED: 0, PREV_SP: 1, DX: 2, DI: 3, BP: 4, SP: 5, R10: 6, R13: 7, BP_INDIRECT: 8, SP_INDIRECT: 9 } as const;
/** Registers that a stack may be found by, with their numbers in frames. */
const PLAIN: Readonly<Record<number, number>> = { [Orc.DX]: 1, [Orc.DI]: 5, [Orc.R10]: 10, [Orc.R13]: 13 };
const ENTRY_SIZE = 6n;
const ENDS_OF_OLD = 1 << 10;
const KINDS = ['undefined', 'end', 'call', 'regs', 'partial'] as const;
const OLD_KINDS = ['call', 'regs', 'partial'] as const;
const SAMPLES = 64;

/** `struct pt_regs`: where each register of a frame stands, by its number there. */
const PT_REGS: ReadonlyMap<number, number> = new Map([
  ...[15, 14, 13, 12, RBP, 3, 11, 10, 9, 8, 0, 2, 1, 4, 5].map((register, index): [number, number] => [register, 8 * index]),
  [RETURN_ADDRESS, 0x80],
  [RSP, 0x98],
]);
/** The part of it that the processor pushes, from RIP on. */
const PUSHED = 0x80n;

/** Layout of the entries: 6.4 has kinds for "no information" and for the end of the stack. Told apart by what most entries are: calls. */
function isOldLayout(memory: KernelMemory, table: OrcTable): boolean {
  let old = 0;
  const samples = Math.min(SAMPLES, table.count);
  for (let sample = 0; sample < samples; sample++) {
    const index = Math.floor((sample * table.count) / samples);
    const bits = memory.u32(table.entries + BigInt(index) * ENTRY_SIZE + 2n);
    if (bits === undefined) continue;
    const flags = bits >>> 16;
    const kind = (flags >> 8) & 7;
    if ((flags & 15) !== 0) old += kind === 0 ? 1 : kind === 2 ? -1 : 0;
  }
  return old > 0;
}

/** Follows kernel stacks by ORC tables (arch/x86/kernel/unwind_orc.c). */
export class OrcUnwinder {
  private old: boolean | undefined;

  constructor(
    private readonly memory: KernelMemory,
    /** The table that covers an address of code. */
    private readonly tableOf: (address: bigint) => OrcTable | undefined,
  ) {}

  /** The caller's registers, or what ends the stack. */
  unwind(frame: FrameContext): FrameRegisters | StackEnd {
    const place = frame.isCaller ? frame.pc - 1n : frame.pc;
    const table = this.tableOf(place);
    const entry = table && this.find(table, place);
    if (!entry) return this.byFramePointer(frame) ?? { reason: 'no unwind information' };
    if (entry.kind === 'end') return 'outermost';
    if (entry.kind === 'undefined') return { reason: 'no unwind information' };
    return this.follow(frame, entry) ?? { reason: "the stack can't be read" };
  }

  /** The last entry at or before an address. */
  private find(table: OrcTable, address: bigint): OrcEntry | undefined {
    const { memory } = this;
    let [low, high] = [0, table.count];
    while (low < high) {
      const middle = (low + high) >> 1;
      const at = table.addresses + 4n * BigInt(middle);
      const distance = memory.i32(at);
      if (distance === undefined) return undefined;
      if (BigInt.asUintN(64, at + BigInt(distance)) <= address) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return undefined;
    const bytes = memory.read(table.entries + BigInt(low - 1) * ENTRY_SIZE, Number(ENTRY_SIZE));
    if (!bytes) return undefined;
    this.old ??= isOldLayout(memory, table);
    return decode(bytes, this.old);
  }

  private follow(frame: FrameContext, entry: OrcEntry): FrameRegisters | undefined {
    const sp = this.stackPointer(frame, entry);
    if (sp === undefined) return undefined;
    const known = this.newRegisters(frame, entry, sp);
    if (!known) return undefined;
    const [pc, newSp] = [known.get(RETURN_ADDRESS), known.get(RSP)];
    if (pc === undefined || newSp === undefined) return undefined;
    const oldBp = frame.registers.get(RBP);
    let bp = known.get(RBP) ?? oldBp;
    if (entry.bpRegister === Orc.PREV_SP) bp = this.word(frame, sp + entry.bpOffset);
    else if (entry.bpRegister === Orc.BP && oldBp !== undefined) bp = this.word(frame, oldBp + entry.bpOffset);
    return {
      isInterrupted: entry.kind !== 'call',
      get: (register) => (register === RBP ? bp : known.get(register)),
    };
  }

  /** Where the caller's stack, or what was pushed by an entry to the kernel, is. */
  private stackPointer({ registers, ...frame }: FrameContext, { spRegister, spOffset }: OrcEntry): bigint | undefined {
    const [sp, bp] = [registers.get(RSP), registers.get(RBP)];
    const plus = (base: bigint | undefined, offset: bigint) =>
      base === undefined ? undefined : BigInt.asUintN(64, base + offset);
    const at = (address: bigint | undefined) => (address === undefined ? undefined : this.word({ registers, ...frame }, address));
    switch (spRegister) {
      case Orc.SP:
        return plus(sp, spOffset);
      case Orc.BP:
        return plus(bp, spOffset);
      case Orc.SP_INDIRECT:
        return plus(at(sp), spOffset);
      case Orc.BP_INDIRECT:
        return at(plus(bp, spOffset));
      default: {
        const register = PLAIN[spRegister];
        return register === undefined ? undefined : registers.get(register);
      }
    }
  }

  /** What stands on the stack at `sp`: a return address below it, or the registers of whoever was interrupted. */
  private newRegisters(frame: FrameContext, { kind }: OrcEntry, sp: bigint): FrameRegisters | undefined {
    if (kind === 'call') {
      const pc = this.word(frame, sp - 8n);
      return pc === undefined ? undefined : { get: (register) => registerOfCall(register, pc, sp) };
    }
    const start = kind === 'regs' ? sp : sp - PUSHED;
    const words = new Map<number, bigint>();
    for (const [register, offset] of PT_REGS) {
      if (kind === 'partial' && BigInt(offset) < PUSHED) continue;
      const word = this.word(frame, start + BigInt(offset));
      if (word === undefined) return undefined;
      words.set(register, word);
    }
    return { get: (register) => words.get(register) };
  }

  /** Code without a table: the frame pointer is believed where a return address of the kernel's code stands above it. */
  private byFramePointer(frame: FrameContext): FrameRegisters | undefined {
    const bp = frame.registers.get(RBP);
    const sp = frame.registers.get(RSP);
    if (bp === undefined || sp === undefined || bp < sp || bp - sp > 0x4000n || bp % 8n !== 0n) return undefined;
    const [callerBp, pc] = [this.word(frame, bp), this.word(frame, bp + 8n)];
    if (callerBp === undefined || pc === undefined || !this.tableOf(pc - 1n)) return undefined;
    return { isGuessed: true, get: (register) => (register === RBP ? callerBp : registerOfCall(register, pc, bp + 16n)) };
  }

  private word(frame: FrameContext, address: bigint): bigint | undefined {
    const at = BigInt.asUintN(64, address);
    const direct = frame.memory(at, 8);
    if (!direct) return this.memory.u64(at);
    return new DataView(direct.buffer, direct.byteOffset, 8).getBigUint64(0, true);
  }
}

/** A call leaves no more than these to be known. */
function registerOfCall(register: number, pc: bigint, sp: bigint): bigint | undefined {
  return register === RETURN_ADDRESS ? pc : register === RSP ? sp : undefined;
}

function decode(bytes: Uint8Array, old: boolean): OrcEntry {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const flags = view.getUint16(4, true);
  const spRegister = flags & 15;
  const isNothing = old && spRegister === Orc.UNDEFINED;
  const kind = isNothing
    ? (flags & (ENDS_OF_OLD | (ENDS_OF_OLD << 1))) !== 0
      ? 'end'
      : 'undefined'
    : ((old ? OLD_KINDS[(flags >> 8) & 3] : KINDS[(flags >> 8) & 7]) ?? 'undefined');
  return {
    kind,
    spRegister,
    spOffset: BigInt(view.getInt16(0, true)),
    bpRegister: (flags >> 4) & 15,
    bpOffset: BigInt(view.getInt16(2, true)),
  };
}
