import { describe, expect, test } from 'vitest';
import { parseCpu } from '../../../src/processor/models/parse-cpu.ts';
import { EmulatedMachine } from '../native/emulated-machine.ts';
import { CODE, DATA_SIZE, Request, VECTOR_RECORD_SIZE } from '../native/record.ts';

const GENERAL_PROTECTION = 13;
const PAGE_FAULT = 14;
const RSI = 6;
/** VCVTPS2PH [SI],YMM4,0: a store of 16 bytes. */
const STORE = [0xc4, 0xe3, 0x7d, 0x1d, 0x24, 0x00];

describe.each(['interpreter', 'translator'] as const)('stores that convert, in the %s', (tier) => {
  const machine = new EmulatedMachine(parseCpu('max', 'amd'), new Uint8Array(DATA_SIZE), tier);
  const vectorAt = (offset: number): number => {
    const request = new Request(new Uint8Array(VECTOR_RECORD_SIZE));
    request.clear();
    request.bits = 16;
    request.rflags = 0x202;
    request.rip = CODE;
    request.gpr[RSI] = BigInt(offset);
    request.code = STORE;
    if (request.vectors) request.vectors.mxcsr = 0x1f80;
    const { vector } = machine.run(request);
    machine.restore();
    return vector;
  };

  test('ask for the limit of the segment before the page', () => {
    expect(vectorAt(DATA_SIZE - 16)).toBe(PAGE_FAULT);
    expect(vectorAt(DATA_SIZE - 11)).toBe(GENERAL_PROTECTION);
  });
});
