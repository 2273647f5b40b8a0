import { describe, expect, test } from 'vitest';
import { type DisassembledInstruction, disassembleAround } from '../../src/debugger/inspection/disassembly.ts';
import { createPartition } from '../../src/platforms/create-partition.ts';
import { loadProgram } from '../../src/programs/load-program.ts';
import { openSymbols } from '../../src/symbols/open-symbols.ts';
import { cpuTime } from '../support/cpu-time.ts';
import { oneFile } from '../support/files.ts';
import { Random } from '../support/random.ts';

/** A guest that has not run yet. */
function guest(content: string | Uint8Array, mode?: 16 | 32 | 64) {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  const path = typeof content === 'string' ? 'guest.asm' : 'guest.bin';
  const program = loadProgram(bytes, path, { mode }, oneFile(path, bytes));
  const partition = createPartition({ platform: 'bare', vendor: 'intel', memory: 4 * 1024 * 1024, vcpus: 1 }, program);
  const processor = partition.vcpus[0]?.processor;
  if (!processor) throw new Error('no vCPU');
  const symbols = openSymbols(program);
  const around = (address: bigint, offset: number, count: number) =>
    disassembleAround(processor, symbols, address, offset, count);
  return { processor, around, entry: program.entry };
}

const shown = ({ address, bytes, text }: DisassembledInstruction) => `${address.toString(16)} ${bytes.join(' ')} ${text}`;

describe.each([16, 32, 64] as const)('the disassembly of random bytes as %i-bit code', (mode) => {
  const random = new Random(mode);
  const { around, entry } = guest(
    Uint8Array.from({ length: 2000 }, () => random.next() & 0xff),
    mode,
  );
  /** In the code, at its edges, at the ends of memory and of the address space. */
  const places = [
    ...Array.from({ length: 40 }, () => entry + BigInt(random.below(2000))),
    0n,
    1n,
    entry - 1n,
    4n * 1024n * 1024n - 3n,
    0xffff_fff8n,
    0x7fff_ffff_fffan,
    0xffff_8000_0000_0000n,
    0xffff_ffff_ffff_fffdn,
  ];
  const last = mode === 64 ? 64 : 32;

  test.each(places)('has the lines asked for, each where the one before ends: %i', (place) => {
    const address = BigInt.asUintN(last, place);
    for (const [offset, count] of [
      [0, 20],
      [-30, 60],
      [-30, 10],
      [7, 5],
      [-1, 1],
      [0, 0],
    ] as const) {
      const lines = around(place, offset, count);
      expect(lines).toHaveLength(count);
      if (offset <= 0 && offset + count > 0) expect(lines[-offset]?.address).toBe(address);
      for (const [index, line] of lines.entries()) {
        const next = lines[index + 1];
        const length = BigInt(Math.max(1, line.bytes.length));
        if (next) expect(next.address).toBe(BigInt.asUintN(last, line.address + length));
        expect(line.valid).toBe(line.bytes.length > 0);
        expect(line.valid).toBe(line.text !== '??');
      }
    }
  });

  test('says of a place the same whether it is asked for from before, from behind or itself', () => {
    for (let round = 0; round < 25; round++) {
      const address = entry + BigInt(100 + random.below(1800));
      const back = around(address, -25, 26);
      const [first] = back;
      if (!first) throw new Error('no lines');
      // A single byte in front of the address may be cut off an instruction that begins there.
      for (const line of back.filter(({ text }) => !text.startsWith('db')))
        expect(around(line.address, 0, 1).map(shown)).toEqual([shown(line)]);
      const forward = around(first.address, 0, 26).map(shown);
      if (back.every(({ text }) => !text.startsWith('db'))) expect(back.map(shown)).toEqual(forward);
      expect(around(address, 5, 5).map(shown)).toEqual(around(address, 0, 10).map(shown).slice(5));
    }
  });
});

const BOOT_SECTOR = `bits 16
org 0x7c00
_start: jmp near far_away
times 100 nop
far_away: hlt
times 510-($-$$) db 0
dw 0xaa55
`;

describe('the disassembly of a program', () => {
  const source = `bits 64
_start:
    call near helper
    mov rax, [rel value]
    jmp _start
helper:
    mov rcx, 0x1122334455667788
    ret
value: dq 7
`;

  test('goes back along the lines that the program has, and names what begins and what is referred to', () => {
    const { around, entry } = guest(source);
    const forward = around(entry, 0, 5);
    expect(forward.map(({ text }) => text)).toEqual([
      expect.stringMatching(/^call 0x\w+ ; helper$/),
      expect.stringMatching(/^mov rax, \[.*0x\w+\] ; value$/),
      expect.stringMatching(/^jmp .*; _start$/),
      'mov rcx, 0x1122334455667788',
      'ret',
    ]);
    expect(forward.map(({ symbol }) => symbol)).toEqual(['_start', undefined, undefined, 'helper', undefined]);
    const last = forward[4];
    if (!last) throw new Error('no lines');
    expect(around(last.address, -4, 5).map(shown)).toEqual(forward.map(shown));
  });

  test('names branch targets in real mode by their linear address', () => {
    const { around } = guest(BOOT_SECTOR);
    expect(around(0x7c00n, 0, 1)[0]?.text).toMatch(/; far_away$/);
  });

  test('follows the code segment where its base is not 0', () => {
    const { processor, around } = guest(BOOT_SECTOR);
    processor.state.setSegment(1, { ...processor.state.segment(1), selector: 0x7c0, base: 0x7c00n });
    processor.state.rip = 0n;
    processor.stateChanged();
    expect(around(0x7c00n, 0, 1)[0]?.text).toBe('jmp 0x0067 ; far_away');
  });

  test('answers what an editor asks for at each stop within milliseconds', () => {
    const random = new Random(7);
    const { around, entry } = guest(
      Uint8Array.from({ length: 0x4000 }, () => random.next() & 0xff),
      64,
    );
    const times = Array.from({ length: 9 }, (_, index) => {
      const begin = cpuTime();
      around(entry + 0x2000n + BigInt(index), -200, 400);
      return cpuTime() - begin;
    }).sort((a, b) => a - b);
    expect(times[4]).toBeLessThan(60);
  });
});
