import { describe, expect, test } from 'vitest';
import { At } from '../system/machine.ts';
import { withProgram } from './programs.ts';

const RAX = 0;
const RCX = 1;
const TRANSLATOR = { threshold: 20 };

/** Counts in RAX, and goes through memory with RSI. */
const WALK = `
    mov ecx, 100000
    mov esi, ${At.DATA}
again:
    add rax, 1
    mov [rsi], rax
    add rdx, [rsi+8]
marked:
    xor rdx, rax
    dec ecx
    jnz again
    hlt`;

describe('translated code', () => {
  test('stops at a breakpoint that is set while it runs, before the instruction', () => {
    const { processor, state } = withProgram('long', WALK, TRANSLATOR);
    processor.run(10_000);
    expect(processor.translations.kept).toBe(1);
    const before = state.gpr(RAX);
    // The XOR lies behind 5 + 5 + 4 + 3 + 4 bytes.
    processor.setBreakpoints(new Set([BigInt(At.CODE + 21)]));
    expect(processor.run(10_000)).toMatchObject({ kind: 'breakpoint', rip: BigInt(At.CODE + 21) });
    expect(state.gpr(RAX) - before).toBeLessThanOrEqual(1n);
  });

  test('stops before an access to a watched range', () => {
    const source = WALK.replace('add rax, 1', 'add rax, 1\n    add rsi, 8').replace(`mov esi, ${At.DATA}`, 'mov esi, 0x100000');
    const { processor, state } = withProgram('long', source, TRANSLATOR);
    processor.setWatches([{ id: 7, space: 'gva', address: 0x10_8004n, length: 1n, read: false, write: true }]);
    const result = processor.run(1_000_000);
    expect(result).toMatchObject({ kind: 'watch', hit: { address: 0x10_8000n, write: true } });
    expect(state.gpr(6)).toBe(0x10_8000n);
    expect(processor.readMemory('gpa', 0x10_8000n, 8)).toEqual(new Uint8Array(8));
    expect(processor.translations.made).toBeGreaterThan(0);
  });

  test('leaves the state as it was before an instruction that faults', () => {
    const source = WALK.replace('add rax, 1', 'add rax, 1\n    add rsi, 8').replace(`mov esi, ${At.DATA}`, 'mov esi, 0x3f0000');
    const { processor, state } = withProgram('long', source, TRANSLATOR);
    // RAM and page tables end at 4 MiB.
    const result = processor.run(1_000_000);
    expect(result).toMatchObject({ kind: 'exit', exit: { reason: 'exception', vector: 14, payload: 0x40_0000n } });
    // Two instructions before the loop, five for each pass before, and two of this pass: the load of the last 8 bytes faulted.
    const passes = BigInt((0x40_0000 - 0x3f_0000) / 8 - 1);
    expect(state.gpr(RAX)).toBe(passes);
    expect(state.icount).toBe(2n + (passes - 1n) * 7n + 3n);
    expect(processor.translations.made).toBeGreaterThan(0);
  });

  test('takes an interrupt at the same instruction as the interpreter', () => {
    const run = (threshold: number) => {
      const { processor, state } = withProgram('long', WALK, { threshold });
      processor.intercepts.exceptions = 0;
      processor.run(5000);
      state.rflags |= 0x200;
      processor.stateChanged();
      let waiting = true;
      processor.setInterruptSource({
        hasInterrupt: () => waiting,
        getTpr: () => 0,
        setTpr: () => {},
        acknowledge: () => {
          waiting = false;
          return 40;
        },
      });
      processor.run(1);
      return [state.rip, state.icount, processor.stateHash()];
    };
    expect(run(20)).toEqual(run(0));
  });

  test('is dropped when the guest changes it', () => {
    // Every 1000th pass the immediate of the ADD is changed.
    const source = `
    mov ecx, 20000
    mov ebx, 1000
again:
    add rax, 1
    dec ebx
    jnz same
    mov ebx, 1000
    inc byte [again + 3]
same:
    dec ecx
    jnz again
    hlt`;
    const run = (threshold: number) => {
      const { processor, state } = withProgram('long', source, { threshold });
      processor.intercepts.hlt = true;
      expect(processor.run(1_000_000).kind).toBe('exit');
      return { rax: state.gpr(RAX), hash: processor.stateHash(), made: processor.translations.made };
    };
    const translated = run(20);
    const interpreted = run(0);
    expect(translated.rax).toBe(BigInt((1000 * 20 * 21) / 2));
    expect(translated.hash).toBe(interpreted.hash);
    expect(translated.made).toBeGreaterThan(1);
  });

  test('that crosses into another page holds only where that page is the same', () => {
    // A loop at the end of the page calls a function in the next one, which another address space maps elsewhere.
    const { processor, state, memory } = withProgram('long', 'hlt', TRANSLATOR);
    const code = Uint8Array.of(0xe8, 0x0b, 0x00, 0x00, 0x00, 0xff, 0xc9, 0x75, 0xf7, 0xf4);
    memory.write(0x10_0ff0n, code);
    // add rax, 1; ret — and add rax, 2; ret
    memory.write(0x10_1000n, Uint8Array.of(0x48, 0x83, 0xc0, 0x01, 0xc3));
    memory.write(0x10_2000n, Uint8Array.of(0x48, 0x83, 0xc0, 0x02, 0xc3));
    const put = (gpa: number, value: number) => {
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
      memory.write(BigInt(gpa), bytes);
    };
    // Two address spaces: 4 KiB pages for the first 2 MiB, one with the second function in the place of the first.
    for (const [space, root] of [0x11_0000, 0x12_0000].entries()) {
      put(root, (root + 0x1000) | 7);
      put(root + 0x1000, (root + 0x2000) | 7);
      put(root + 0x2000, (root + 0x3000) | 7);
      for (let page = 0; page < 512; page++)
        put(root + 0x3000 + page * 8, ((page === 0x101 && space === 1 ? 0x102 : page) << 12) | 0x67);
    }
    processor.intercepts.hlt = true;
    for (const [root, count, sum] of [
      [0x11_0000n, 5000n, 5000n],
      [0x12_0000n, 5000n, 15_000n],
      [0x11_0000n, 100n, 15_100n],
      [0x12_0000n, 100n, 15_300n],
    ] as const) {
      state.rip = 0x10_0ff0n;
      state.setGpr(RCX, count);
      processor.writeRegister({ kind: 'control', number: 3 }, root);
      expect(processor.run(1_000_000)).toMatchObject({ kind: 'exit', exit: { reason: 'hlt' } });
      state.rip = 0x10_0ff0n;
      expect(state.gpr(RAX)).toBe(sum);
    }
    expect(processor.translations.made).toBeGreaterThan(1);
  });

  test('respects the limits of segments in real mode', () => {
    // A word at offset FFFF is beyond the limit.
    const source = `
    mov bx, 0xff00
again:
    mov [bx], ax
    add ax, 3
    inc bx
    jmp again`;
    const run = (threshold: number) => {
      const { processor, state } = withProgram('real', source, { threshold });
      return [processor.run(1_000_000), state.gpr(3), state.rip, processor.stateHash()];
    };
    expect(run(20)).toEqual(run(0));
    expect(run(20)[0]).toMatchObject({ kind: 'exit', exit: { reason: 'exception', vector: 13 } });
    expect(run(20)[1]).toBe(0xffffn);
  });
});
