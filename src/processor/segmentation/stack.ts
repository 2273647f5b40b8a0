import { isCanonical } from '../../x86/address.ts';
import { GuestFault, Vector } from '../faults/guest-fault.ts';
import type { SegmentValue } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';
import type { SystemContext } from '../system/context.ts';
import { accessSegment } from './access.ts';
import { Rights } from './descriptor.ts';

const RSP = 4;

/**
 * A stack that is not (yet) the current one: pushes go to memory at once, SS:rSP is committed by the caller. For event
 * delivery, far calls and returns.
 */
export class StackCursor {
  /** The pointer, and how far it has moved since: a number costs less than a new pointer. */
  private top: bigint;
  private moved = 0;
  /** Where the next bytes to be popped lie in the memory, and how many that is known of. */
  private place = 0;
  private known = 0;

  constructor(
    private readonly context: SystemContext,
    private readonly segment: SegmentValue | undefined,
    pointer: bigint,
    /** 16, 32 or 64: how the pointer wraps. */
    private readonly width: 16 | 32 | 64,
    private readonly user: boolean,
    private readonly fault: { readonly vector: number; readonly code: number } = { vector: Vector.SS, code: 0 },
  ) {
    this.top = pointer;
  }

  get pointer(): bigint {
    if (this.moved !== 0) {
      this.top = BigInt.asUintN(this.width, this.top + BigInt(this.moved));
      this.moved = 0;
    }
    return this.top;
  }
  set pointer(value: bigint) {
    this.top = value;
    this.moved = 0;
  }

  /** The current stack. */
  static current(context: SystemContext): StackCursor {
    const { state } = context;
    const segment = context.mode === 64 ? undefined : state.segment(L.Segment.SS);
    return new StackCursor(
      context,
      segment,
      BigInt.asUintN(context.stackWidth, state.gpr(RSP)),
      context.stackWidth,
      state.cpl === 3,
    );
  }

  /** A stack about to be switched to. */
  static of(context: SystemContext, segment: SegmentValue, pointer: bigint, long: boolean, cpl: number): StackCursor {
    const width = long ? 64 : segment.rights & Rights.DB ? 32 : 16;
    return new StackCursor(context, long ? undefined : segment, BigInt.asUintN(width, pointer), width, cpl === 3, {
      vector: Vector.SS,
      code: long ? 0 : segment.selector & 0xfffc,
    });
  }

  private linear(offset: bigint, size: number, write: boolean): bigint {
    if (!this.segment) {
      if (!isCanonical(offset)) throw new GuestFault(this.fault.vector, this.fault.code);
      return offset;
    }
    const { state } = this.context;
    const old = state.segment(L.Segment.SS);
    // The check reads the register; it is put back at once.
    state.setSegment(L.Segment.SS, this.segment);
    try {
      accessSegment(state, L.Segment.SS, offset, size, write);
    } catch {
      throw new GuestFault(this.fault.vector, this.fault.code);
    } finally {
      state.setSegment(L.Segment.SS, old);
    }
    return (this.segment.base + offset) & 0xffff_ffffn;
  }

  push(value: bigint, size: 2 | 4 | 8): void {
    const pointer = BigInt.asUintN(this.width, this.pointer - BigInt(size));
    this.context.writeLinear(this.linear(pointer, size, true), size, BigInt.asUintN(size * 8, value), this.user);
    this.pointer = pointer;
  }

  /** Pushes words of 8 bytes on a 64-bit stack, the first one first. */
  pushAll(words: readonly bigint[]): void {
    const { context } = this;
    const bytes = words.length * 8;
    const lowest = BigInt.asUintN(64, this.pointer - BigInt(bytes));
    let place = context.place(lowest, bytes, this.user, true);
    if (place === 0) {
      this.probe(lowest);
      for (const word of words) this.push(word, 8);
      return;
    }
    place += bytes;
    for (const word of words) {
      place -= 8;
      context.memory.view.setBigUint64(place, word, true);
    }
    this.pointer = lowest;
  }

  /** Throws what pushing down to an address of a 64-bit stack would throw, page by page from above, with nothing written. */
  private probe(lowest: bigint): void {
    const top = this.pointer - 8n;
    if (lowest >= top || top < 0n) return;
    this.context.probeLinear(this.linear(top, 8, true), 8, this.user);
    const page = top & ~0xfffn;
    if (lowest < page) this.context.probeLinear(this.linear(page - 8n, 8, true), 8, this.user);
  }

  /** Looks where the next bytes of a 64-bit stack are, so that popping them costs less. */
  look(bytes: number): void {
    this.place = this.segment ? 0 : this.context.place(this.pointer, bytes, this.user, false);
    this.known = this.place === 0 ? 0 : bytes;
  }

  private read(distance: number, size: 2 | 4 | 8): bigint {
    if (size === 8 && distance + size <= this.known) return this.context.memory.view.getBigUint64(this.place + distance, true);
    const offset = distance === 0 ? this.pointer : BigInt.asUintN(this.width, this.pointer + BigInt(distance));
    return this.context.readLinear(this.linear(offset, size, false), size, this.user);
  }

  pop(size: 2 | 4 | 8): bigint {
    const value = this.read(0, size);
    this.release(size);
    return value;
  }

  /** Reads a slot above the top, without moving. */
  peek(distance: number, size: 2 | 4 | 8): bigint {
    return this.read(distance, size);
  }

  /** Moves past bytes without reading them. */
  release(bytes: number): void {
    this.moved += bytes;
    this.place += bytes;
    this.known -= bytes;
  }

  /** Writes the pointer into rSP, at the cursor's width. */
  commit(): void {
    const { state } = this.context;
    const old = state.gpr(RSP);
    if (this.width === 16) state.setGpr(RSP, (old & ~0xffffn) | this.pointer);
    else state.setGpr(RSP, this.pointer);
  }
}
