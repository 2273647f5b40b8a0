import { expect } from 'vitest';
import type { TranslatorOptions } from '../../../src/processor/translator/translator.ts';
import { assemble } from '../../../src/programs/assembler/assemble.ts';
import { At, type Mode, SystemMachine } from '../system/machine.ts';

/** The bytes of a source text, which starts at the machine's code address. */
export function codeOf(source: string): Uint8Array {
  const text = `org ${At.CODE}\n${source}`;
  const files = { read: () => new TextEncoder().encode(text), exists: () => true, resolve: (_: string, name: string) => name };
  const { bytes, diagnostics } = assemble('guest.asm', files, { format: 'bin' });
  expect(diagnostics).toEqual([]);
  return bytes ?? new Uint8Array(0);
}

const BITS: Readonly<Record<Mode, number>> = {
  real: 16,
  protected: 32,
  'protected-user': 32,
  compatible: 32,
  long: 64,
  'long-user': 64,
};

/** A machine with a program at its start address. */
export function withProgram(mode: Mode, source: string, translator: Partial<TranslatorOptions>): SystemMachine {
  const machine = new SystemMachine(mode, 'amd', translator);
  machine.memory.write(BigInt(At.CODE), codeOf(`bits ${BITS[mode]}\n${source}`));
  return machine;
}

/**
 * A program for any mode: nested loops over memory, a recursive function, a jump table, string instructions, shifts with flags that are
 * read late, bytes in the upper halves of registers. `a` and so on are the mode's registers.
 */
export function mixedProgram(mode: Mode): string {
  const wide = BITS[mode] === 64 ? 'r' : BITS[mode] === 32 ? 'e' : '';
  const register = (name: string) => wide + name;
  const [ax, bx, cx, dx, si, di] = ['ax', 'bx', 'cx', 'dx', 'si', 'di'].map(register);
  const word = BITS[mode] === 64 ? 'qword' : BITS[mode] === 32 ? 'dword' : 'word';
  const unit = BITS[mode] / 8;
  return `
start:
    cld
    mov ${di}, ${At.DATA}
    mov ${cx}, 64
    xor ${ax}, ${ax}
fill:
    mov [${di}], ${ax}
    add ${ax}, 0x35
    add ${di}, ${unit}
    dec ${cx}
    jnz fill
    mov ${dx}, 30
outer:
    mov ${si}, ${At.DATA}
    mov ${cx}, 63
inner:
    mov ${ax}, [${si}]
    add ${ax}, [${si}+${unit}]
    adc ${ax}, 3
    rol ${ax}, 3
    xor ah, cl
    sbb ${ax}, ${dx}
    mov [${si}], ${ax}
    shl ${ax}, cl
    setc bl
    sets bh
    imul ${ax}, ${bx}
    inc ${word} [${si}+${unit}]
    add ${si}, ${unit}
    loop inner
    push ${dx}
    mov ${ax}, 7
    call fib
    add [${At.DATA}], ${ax}
    pop ${dx}
    mov ${bx}, ${dx}
    and ${bx}, 3
    shl ${bx}, ${Math.log2(unit)}
    jmp [${bx} + table]
case0:
    neg ${ax}
    jmp next
case1:
    not ${ax}
    jmp next
case2:
    xchg ah, al
case3:
    shr ${ax}, 1
next:
    rcr ${word} [${At.DATA + 8}], 1
    mov ${di}, ${At.DATA + 0x400}
    mov ${cx}, 5
    rep stosb
    dec ${dx}
    jnz outer
    hlt
fib:
    cmp ${ax}, 2
    jb done
    push ${ax}
    dec ${ax}
    call fib
    pop ${cx}
    push ${ax}
    mov ${ax}, ${cx}
    sub ${ax}, 2
    call fib
    pop ${cx}
    add ${ax}, ${cx}
done:
    ret
align 8
table:
    d${BITS[mode] === 64 ? 'q' : BITS[mode] === 32 ? 'd' : 'w'} case0, case1, case2, case3
`;
}
