import { describe, expect, test } from 'vitest';
import { OrcUnwinder } from '../../../src/symbols/linux/orc.ts';
import { RBP, RETURN_ADDRESS, RSP } from '../../../src/symbols/registers.ts';
import type { FrameContext, FrameRegisters } from '../../../src/symbols/symbol-source.ts';
import { KernelSpace } from './kernel-space.ts';

const TEXT = 0xffff_ffff_9a00_0000n;
const ADDRESSES = 0xffff_ffff_9b00_0000n;
const ENTRIES = 0xffff_ffff_9b10_0000n;
const STACK = 0xffff_c900_0010_0000n;

const Reg = { UNDEFINED: 0, PREV_SP: 1, DI: 3, BP: 4, SP: 5, R10: 6, BP_INDIRECT: 8, SP_INDIRECT: 9 } as const;
type Kind = 'call' | 'regs' | 'partial' | 'end' | 'undefined';
/** Bits of each kind, from the type's first bit on. */
const BITS: Readonly<Record<'6.1' | '6.4', Readonly<Record<Kind, number>>>> = {
  '6.1': { call: 0, regs: 1, partial: 2, end: 4, undefined: 0 },
  '6.4': { undefined: 0, end: 1, call: 2, regs: 3, partial: 4 },
};

interface Entry {
  readonly kind: Kind;
  readonly sp?: readonly [register: number, offset: number];
  readonly bp?: readonly [register: number, offset: number];
}

const PLAIN: Entry = { kind: 'call', sp: [Reg.SP, 8] };

/** An entry for each 16 bytes of code from TEXT on. */
function unwinder(layout: '6.1' | '6.4', space: KernelSpace, entries: readonly Entry[]): OrcUnwinder {
  for (const [index, { kind, sp = [0, 0], bp = [0, 0] }] of entries.entries()) {
    const at = ADDRESSES + 4n * BigInt(index);
    space.integer(at, BigInt.asUintN(32, TEXT + 16n * BigInt(index) - at), 4);
    const entry = ENTRIES + 6n * BigInt(index);
    space.integer(entry, BigInt.asUintN(16, BigInt(sp[1])), 2);
    space.integer(entry + 2n, BigInt.asUintN(16, BigInt(bp[1])), 2);
    space.integer(entry + 4n, BigInt(sp[0] | (bp[0] << 4) | (BITS[layout][kind] << 8)), 2);
  }
  const table = { addresses: ADDRESSES, entries: ENTRIES, count: entries.length };
  return new OrcUnwinder(space.memory, (address) => (address >= TEXT && address < TEXT + 0x1000n ? table : undefined));
}

function frame(space: KernelSpace, pc: bigint, registers: Readonly<Record<number, bigint>>, isCaller = false): FrameContext {
  return { pc, registers: { get: (number) => registers[number] }, memory: space.memory.read, pointerSize: 8, isCaller };
}

/** RIP, RSP, RBP and whether it was interrupted. */
function shown(caller: ReturnType<OrcUnwinder['unwind']>): unknown {
  if (typeof caller === 'string' || 'reason' in caller) return caller;
  const { get, isInterrupted }: FrameRegisters = caller;
  return [get(RETURN_ADDRESS), get(RSP), get(RBP), isInterrupted];
}

for (const layout of ['6.1', '6.4'] as const)
  describe(`unwinding by ORC as ${layout} has it`, () => {
    test('a call is left by the stack pointer, and finds the frame pointer again where it was saved', () => {
      const space = new KernelSpace();
      const orc = unwinder(layout, space, [PLAIN, { kind: 'call', sp: [Reg.SP, 32], bp: [Reg.PREV_SP, -16] }, PLAIN]);
      space.u64(STACK + 24n, TEXT + 0x25n);
      space.u64(STACK + 16n, 0x1234n);
      expect(shown(orc.unwind(frame(space, TEXT + 0x14n, { [RSP]: STACK, [RBP]: 7n })))).toEqual([
        TEXT + 0x25n,
        STACK + 32n,
        0x1234n,
        false,
      ]);
    });

    test('a return address belongs to the call before it', () => {
      const space = new KernelSpace();
      const orc = unwinder(layout, space, [{ kind: 'call', sp: [Reg.SP, 16] }, { kind: 'end' }, PLAIN, PLAIN]);
      space.u64(STACK + 8n, TEXT + 2n);
      expect(shown(orc.unwind(frame(space, TEXT + 0x10n, { [RSP]: STACK }, true)))).toEqual([
        TEXT + 2n,
        STACK + 16n,
        undefined,
        false,
      ]);
      expect(orc.unwind(frame(space, TEXT + 0x10n, { [RSP]: STACK }))).toBe('outermost');
    });

    test('stacks are found by the frame pointer, by a register and through memory', () => {
      const space = new KernelSpace();
      const orc = unwinder(layout, space, [
        { kind: 'call', sp: [Reg.BP, 16], bp: [Reg.PREV_SP, -16] },
        { kind: 'call', sp: [Reg.R10, 0], bp: [Reg.BP, 0] },
        { kind: 'call', sp: [Reg.SP_INDIRECT, 8] },
        { kind: 'call', sp: [Reg.BP_INDIRECT, -8] },
      ]);
      space.u64(STACK, 0x77n);
      space.u64(STACK + 8n, TEXT + 1n);
      space.u64(STACK + 32n, STACK + 8n);
      space.u64(STACK + 40n, STACK + 16n);
      const at = (index: number, registers: Readonly<Record<number, bigint>>) =>
        shown(orc.unwind(frame(space, TEXT + 16n * BigInt(index), registers)));
      expect(at(0, { [RSP]: 0n, [RBP]: STACK })).toEqual([TEXT + 1n, STACK + 16n, 0x77n, false]);
      expect(at(1, { 10: STACK + 16n, [RBP]: STACK })).toEqual([TEXT + 1n, STACK + 16n, 0x77n, false]);
      expect(at(2, { [RSP]: STACK + 32n })).toEqual([TEXT + 1n, STACK + 16n, undefined, false]);
      expect(at(3, { [RSP]: 0n, [RBP]: STACK + 48n })).toEqual([TEXT + 1n, STACK + 16n, STACK + 48n, false]);
      expect(at(1, { [RBP]: STACK })).toEqual({ reason: "the stack can't be read" });
    });

    test('an entry of the kernel leads to all registers of what it interrupted, or to those that the processor pushed', () => {
      const space = new KernelSpace();
      const orc = unwinder(layout, space, [
        PLAIN,
        { kind: 'regs', sp: [Reg.SP, 0] },
        { kind: 'partial', sp: [Reg.SP, 16] },
        PLAIN,
      ]);
      const regs = [...'fedcb'].map((_, index) => BigInt(15 - index));
      for (let index = 0; index < 21; index++) space.u64(STACK + 8n * BigInt(index), regs[index] ?? 0x100n + BigInt(index));
      const all = orc.unwind(frame(space, TEXT + 0x10n, { [RSP]: STACK, [RBP]: 1n }));
      expect(shown(all)).toEqual([0x110n, 0x113n, 11n, true]);
      expect(typeof all === 'object' && 'get' in all && [all.get(15), all.get(3), all.get(0), all.get(5)]).toEqual([
        15n,
        0x105n,
        0x10an,
        0x10en,
      ]);
      // RIP, CS, RFLAGS, RSP, SS.
      const pushed = STACK + 0x80n - 16n;
      expect(shown(orc.unwind(frame(space, TEXT + 0x20n, { [RSP]: pushed, [RBP]: 1n })))).toEqual([0x110n, 0x113n, 1n, true]);
    });

    test('nothing is guessed', () => {
      const space = new KernelSpace();
      const orc = unwinder(layout, space, [PLAIN, { kind: 'undefined' }, PLAIN, PLAIN]);
      expect(orc.unwind(frame(space, TEXT + 0x10n, { [RSP]: STACK }))).toEqual({ reason: 'no unwind information' });
      expect(orc.unwind(frame(space, TEXT, { [RSP]: STACK }))).toEqual({ reason: "the stack can't be read" });
      // Code without a table, with a frame pointer that leads to the kernel's code or not.
      const elsewhere = TEXT + 0x2000n;
      expect(orc.unwind(frame(space, elsewhere, { [RSP]: STACK, [RBP]: STACK + 32n }))).toEqual({
        reason: 'no unwind information',
      });
      space.u64(STACK + 32n, 0x55n);
      space.u64(STACK + 40n, TEXT + 1n);
      const guessed = orc.unwind(frame(space, elsewhere, { [RSP]: STACK, [RBP]: STACK + 32n }));
      expect(shown(guessed)).toEqual([TEXT + 1n, STACK + 48n, 0x55n, undefined]);
      expect(guessed).toMatchObject({ isGuessed: true });
    });
  });
