import type { OperandSize } from '../../x86/instruction.ts';
import type { RegisterSegment, Semantics, StringRun, Value, Variable } from '../../x86/semantics.ts';
import { LOADS, STORES } from '../generator/instruction-builder.ts';
import { Expression, emit, emitTruth } from '../generator/value-builder.ts';
import * as L from '../state/layout.ts';
import { type Code, Op, VOID } from '../wasm/code.ts';

/**
 * Passes of REP string instructions done together: as many as the budget allows and as stay within a page on each side. Both pages
 * are in the TLB, so none of these passes can fault, touch a device, a watched range or code; nobody can tell them from passes
 * done one by one.
 */

/** What a handler's builder has besides for them. */
export interface RunBuilder extends Semantics {
  readonly code: Code;
  /** Linear address of an operand, and its place in the partition's memory: 0 where the TLB doesn't have its page. */
  place(
    segment: RegisterSegment,
    offset: Value,
    size: OperandSize,
    write: boolean,
  ): { readonly linear: Value; readonly host: Value };
  /** Instructions that may be retired from this pass on; it was charged already. */
  budget(): Value;
  setBudget(value: Value): void;
  /** Ends the instruction. */
  done(): void;
}

const RAX = 0;
const RCX = 1;
const RSI = 6;
const RDI = 7;
const DF = 10;
/** Bytes from which on a call of memory.copy or memory.fill is faster than a loop. */
const WORTH_A_CALL = 64;
/** Where addresses of each size end, for those that runs are made for. */
const ADDRESSES = { 32: 1n << 32n, 64: undefined } as const;

export function emitStringRun(s: RunBuilder, run: StringRun, count: Value): void {
  const { addressSize } = s;
  if (addressSize === 16) return;
  const bytes = s.constant(s.size / 8);
  const shift = s.constant(Math.log2(s.size / 8));
  s.when(s.isZero(s.systemFlag(DF)), () => {
    const passes = s.variable(s.budget());
    const limit = (most: Value) => {
      const kept = s.keep(most);
      passes.set(s.select(s.lessU(kept, passes), kept, passes));
    };
    limit(count);
    const side = (segment: RegisterSegment, register: number, write: boolean): Value => {
      const offset = s.keep(s.register(register, addressSize));
      const end = ADDRESSES[addressSize];
      if (end !== undefined) limit(s.shr(s.sub(s.constant(end), offset), shift));
      const { linear, host } = s.place(segment, offset, s.size, write);
      limit(s.shr(s.sub(s.constant(0x1000), s.and(linear, s.constant(0xfff))), shift));
      passes.set(s.select(host, passes, s.constant(0)));
      return host;
    };
    const source = run === 'move' || run === 'compare' ? side('operand', RSI, false) : undefined;
    const destination = side(L.Segment.ES, RDI, run === 'move' || run === 'store');
    s.when(s.lessU(s.constant(1), passes), () => {
      const again = s.variable(s.constant(1));
      if (run === 'move' && source) move(s, source, destination, passes, shift);
      else if (run === 'store') fill(s, destination, passes, shift);
      else again.set(search(s, source, destination, passes, bytes));
      const size = addressSize as OperandSize;
      const length = s.keep(s.shl(passes, shift));
      for (const register of source ? [RSI, RDI] : [RDI])
        s.setRegister(register, size, s.add(s.register(register, addressSize), length));
      const left = s.keep(s.zeroExtend(s.sub(count, passes), addressSize));
      s.setRegister(RCX, size, left);
      s.setBudget(s.sub(s.budget(), passes));
      s.repeatWhile(s.and(s.isZero(s.isZero(left)), again));
      s.done();
    });
  });
}

/** `passes` elements from one place to another, the lower ones first: what lies there already may be moved on. */
function move(s: RunBuilder, source: Value, destination: Value, passes: Value, shift: Value): void {
  const length = s.keep(s.shl(passes, shift));
  // Where the destination begins inside of the source, elements are read that were written before.
  const overlaps = s.lessU(s.sub(destination, source), length);
  s.when(
    s.or(overlaps, s.lessU(length, s.constant(WORTH_A_CALL))),
    () => elementwise(s, destination, length, (code, distance) => loadAt(s, code, source, distance)),
    () => {
      for (const value of [destination, source, length]) narrow(s.code, value);
      s.code.memoryCopy();
    },
  );
}

function fill(s: RunBuilder, destination: Value, passes: Value, shift: Value): void {
  const { code } = s;
  const length = s.keep(s.shl(passes, shift));
  const value = s.keep(s.register(RAX, s.size));
  const byte = s.and(value, s.constant(0xff));
  const ones = (1n << BigInt(s.size)) / 255n;
  const uniform = s.equal(value, s.mul(byte, s.constant(ones)));
  s.when(
    s.and(uniform, s.isZero(s.lessU(length, s.constant(WORTH_A_CALL)))),
    () => {
      for (const operand of [destination, byte, length]) narrow(code, operand);
      code.memoryFill();
    },
    () => elementwise(s, destination, length, () => emit(code, value)),
  );
}

/** Compares until the condition of the prefix no longer holds. Leaves the passes done in `passes`, sets the flags; 1: it held. */
function search(s: RunBuilder, source: Value | undefined, destination: Value, passes: Variable, bytes: Value): Value {
  const element = s.variable(s.constant(0));
  const first = source ? element : s.keep(s.register(RAX, s.size));
  const second = s.variable(s.constant(0));
  const done = s.variable(s.constant(0));
  const at = (place: Value) => new Expression((target) => loadAt(s, target, place, s.mul(done, bytes)));
  if (source && s.rep === 'rep' && s.size < 64) {
    // Words that are equal are passed as a whole; the last pass is left for the flags.
    const step = s.constant(64 / s.size);
    const word = (place: Value) =>
      new Expression((target) => {
        narrow(target, s.add(place, s.mul(done, bytes)));
        target.memory(LOADS[64], 0);
      });
    const fits = () => s.lessU(s.add(done, step), passes);
    s.when(fits(), () => {
      const same = s.variable(s.constant(0));
      s.repeat(() => {
        same.set(s.equal(word(source), word(destination)));
        done.set(s.add(done, s.select(same, step, s.constant(0))));
        return s.and(same, fits());
      });
    });
  }
  const equal = s.equal(first, second);
  const holds = s.rep === 'rep' ? equal : s.isZero(equal);
  s.repeat(() => {
    if (source) element.set(at(source));
    second.set(at(destination));
    done.set(s.add(done, s.constant(1)));
    return s.and(s.lessU(done, passes), holds);
  });
  passes.set(done);
  const result = s.keep(s.zeroExtend(s.sub(first, second), s.size));
  s.flags.subtraction(first, second, result, s.size);
  return holds;
}

/** Stores one element after the other. `value` leaves an element on the stack, given its distance from the start. */
function elementwise(s: RunBuilder, destination: Value, length: Value, value: (code: Code, distance: Value) => void): void {
  const { code } = s;
  const distance = s.variable(s.constant(0));
  code.op(Op.loop, VOID);
  narrow(code, s.add(destination, distance));
  value(code, distance);
  code.memory(STORES[s.size], 0);
  distance.set(s.add(distance, s.constant(s.size / 8)));
  emitTruth(code, s.lessU(distance, length));
  code.op(Op.br_if).u(0).op(Op.end);
}

function loadAt(s: RunBuilder, code: Code, place: Value, distance: Value): void {
  narrow(code, s.add(place, distance));
  code.memory(LOADS[s.size], 0);
}

/** Leaves a value on the stack as 32 bits. */
function narrow(code: Code, value: Value): void {
  emit(code, value);
  code.op(Op.i32_wrap_i64);
}
