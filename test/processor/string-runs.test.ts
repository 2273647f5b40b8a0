import { describe, expect, test } from 'vitest';
import * as L from '../../src/processor/state/layout.ts';
import { withCode } from './guest-code.ts';
import { At, type Mode, describe as outcomeOf, type SystemMachine } from './system/machine.ts';

const RCX = 1;
const RSI = 6;
const RDI = 7;
const DF = 0x400;

/** Numbers that are the same in every run. */
class Numbers {
  constructor(private state: number) {}
  below(limit: number): number {
    this.state = (Math.imul(this.state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.state / 2 ** 32) * limit);
  }
  pick<T>(...items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }
}

interface Case {
  readonly code: string;
  readonly source: bigint;
  readonly destination: bigint;
  readonly count: bigint;
  readonly accumulator: bigint;
  readonly down: boolean;
}

/** MOVS, STOS, CMPS, SCAS and LODS of all sizes, across pages, overlapping, into code and beyond the end of the memory. */
function randomCase(numbers: Numbers, mode: Mode): Case {
  const prefixes = [numbers.pick('F3', 'F2'), numbers.pick('', '', '66'), numbers.pick('', '', '67')];
  const wide = mode.startsWith('long') ? numbers.pick('', '48') : '';
  const opcode = numbers.pick('A4', 'A5', 'AA', 'AB', 'A6', 'A7', 'AE', 'AF', 'AC', 'AD');
  const place = () => numbers.pick(0x9000, 0xb000, 0xbff8, 0xe003, At.CODE + 0x40, mode === 'real' ? 0xfff0 : 0x3f_fd00);
  const source = place() + numbers.below(40);
  const destination = numbers.pick(source + numbers.below(20), source - numbers.below(20), place() + numbers.below(4000));
  return {
    code: `${prefixes.join(' ')} ${wide} ${opcode} F4`,
    source: BigInt(source),
    destination: BigInt(destination),
    count: BigInt(numbers.pick(0, 1, 2, 3, 50, 700, 5000)),
    accumulator: numbers.pick(0n, 0x0101_0101_0101_0101n, 0x1234_5678_9abc_def0n),
    down: numbers.below(8) === 0,
  };
}

function machineFor(mode: Mode, item: Case, fill: number): SystemMachine {
  const machine = withCode(mode, item.code);
  const { state, memory } = machine;
  const bytes = Uint8Array.from({ length: 0x3000 }, (_, index) => (fill < 3 ? 0 : index % 7 === fill ? index : 1));
  memory.write(0x9000n, bytes);
  state.setGpr(0, item.accumulator);
  state.setGpr(RCX, item.count);
  state.setGpr(RSI, item.source);
  state.setGpr(RDI, item.destination);
  if (item.down) state.set32(L.EFLAGS, state.get32(L.EFLAGS) | DF);
  machine.processor.stateChanged();
  return machine;
}

const MODES: readonly Mode[] = ['real', 'protected', 'protected-user', 'compatible', 'long', 'long-user'];

describe('REP instructions, many passes at once', () => {
  test.each(MODES)('in mode %s end, wherever they are stopped, as pass by pass', (mode) => {
    const numbers = new Numbers(MODES.indexOf(mode) + 1);
    for (let round = 0; round < 60; round++) {
      const item = randomCase(numbers, mode);
      const fill = numbers.below(7);
      const whole = machineFor(mode, item, fill);
      const single = machineFor(mode, item, fill);
      for (let stops = 0; stops < 6; stops++) {
        const budget = numbers.pick(1, 2, 3, 17, 100, 3000);
        const outcome = outcomeOf(whole.processor.run(budget));
        const passes = Number(whole.state.icount - single.state.icount);
        let other = 'ok';
        for (let pass = 0; pass < passes; pass++) other = outcomeOf(single.processor.run(1));
        // What ended the run retires nothing.
        if (outcome !== 'ok') other = outcomeOf(single.processor.run(1));
        const place = `${JSON.stringify(item, (_, value) => (typeof value === 'bigint' ? value.toString(16) : value))} after ${passes}`;
        expect(other, place).toBe(outcome);
        expect(single.processor.stateHash(), place).toBe(whole.processor.stateHash());
        expect(Buffer.compare(single.memory.read(0n, 0x2_0000), whole.memory.read(0n, 0x2_0000)), place).toBe(0);
        if (outcome !== 'ok') break;
      }
    }
  });

  test('overlapping moves repeat what was moved before', () => {
    const { processor, state, memory } = withCode('long', 'F3 A4');
    memory.write(BigInt(At.DATA), Uint8Array.of(1, 2, 3));
    state.setGpr(RCX, 1000n);
    state.setGpr(RSI, BigInt(At.DATA));
    state.setGpr(RDI, BigInt(At.DATA + 3));
    processor.run(1000);
    expect(memory.read(BigInt(At.DATA), 1003)).toEqual(Uint8Array.from({ length: 1003 }, (_, index) => (index % 3) + 1));
  });
});
