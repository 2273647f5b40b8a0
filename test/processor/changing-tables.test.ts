import { describe, expect, test } from 'vitest';
import type { RunResult } from '../../src/processor/exit.ts';
import { At, SystemMachine } from './system/machine.ts';

/** Two tables, of which one is in the page directory, and two roots that share it. */
const TABLES = [0x1_0000, 0x1_1000] as const;
const ROOTS = [At.PML4, 0x1_2000] as const;
const DIRECTORY_ENTRY = At.PD + 16;
/** Pages that the tables lead to, and where they are mapped. */
const POOL = 0x2_0000;
const POOL_PAGES = 6;
const WINDOW = 0x40_0000;
const WINDOW_PAGES = 4;

/** Numbers that are the same in every run. */
function numbers(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

const word = (value: number): number[] => [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, value >>> 24];

/** A loop of stores to page tables, accesses and calls through them, and changes of the address space. */
function program(below: (limit: number) => number): Uint8Array {
  const code: number[] = [];
  const here = () => At.CODE + code.length;
  const linear = () => WINDOW + below(WINDOW_PAGES) * 0x1000;
  const entry = () => (TABLES[below(2)] ?? 0) + below(WINDOW_PAGES) * 8;
  for (let count = 30 + below(30); count > 0; count--) {
    // Changes that drop much are rare, so that others are seen.
    switch (below(10 - (below(6) ? 2 : 0))) {
      case 0:
        // mov edx, eax; and edx, 3; shl edx, 12; add edx, first page; mov [entry], rdx: another page each time
        code.push(0x89, 0xc2, 0x83, 0xe2, 3, 0xc1, 0xe2, 12, 0x81, 0xc2, ...word(POOL | 7));
        code.push(0x48, 0x89, 0x14, 0x25, ...word(entry()));
        break;
      case 1: {
        // mov qword [entry], page: hardly ever one that isn't present
        const bits = below(12) === 0 ? 6 : 7;
        code.push(0x48, 0xc7, 0x04, 0x25, ...word(entry()), ...word((POOL + below(POOL_PAGES) * 0x1000) | bits));
        break;
      }
      case 2:
        // and qword [entry], without the accessed or the dirty bit
        code.push(0x48, 0x83, 0x24, 0x25, ...word(entry()), below(2) ? 0xdf : 0xbf);
        break;
      case 3:
        // mov edx, [window]; add eax, edx
        code.push(0x8b, 0x14, 0x25, ...word(linear() + 0x800), 0x01, 0xd0);
        break;
      case 4:
        // add [window], eax
        code.push(0x01, 0x04, 0x25, ...word(linear() + 0x800));
        break;
      case 5: {
        // call the instructions that cross from one page into the next, or a jump to them
        const target = linear() + (below(2) ? 0xffd : 0x30);
        code.push(0xe8, ...word(target - here() - 5));
        break;
      }
      case 8:
        // mov qword [directory entry], table
        code.push(0x48, 0xc7, 0x04, 0x25, ...word(DIRECTORY_ENTRY), ...word((TABLES[below(2)] ?? 0) | 7));
        break;
      case 9:
        // mov ecx, root; mov cr3, rcx
        code.push(0xb9, ...word(ROOTS[below(2)] ?? 0), 0x0f, 0x22, 0xd9);
        break;
      default: {
        const target = linear() + 0x10;
        code.push(0xe8, ...word(target - here() - 5));
      }
    }
  }
  code.push(0xe9, ...word(At.CODE - here() - 5));
  return Uint8Array.from(code);
}

function machine(seed: number, threshold: number): SystemMachine {
  const made = new SystemMachine('long', 'intel', { threshold });
  const { memory } = made;
  memory.write(BigInt(At.CODE), program(numbers(seed)));
  for (let index = 0; index < POOL_PAGES; index++) {
    const page = BigInt(POOL + index * 0x1000);
    // add eax, index + 1; ret — and the same in a loop within the page, and across its end
    memory.write(page + 0x10n, Uint8Array.of(0x05, index + 1, 0, 0, 0, 0xeb, 0x10));
    memory.write(page + 0x27n, Uint8Array.of(0x05, index + 1, 1, 0, 0, 0xc3));
    memory.write(page + 0x30n, Uint8Array.of(0xe9, ...word(0xffd - 0x35)));
    memory.write(page + 0xffdn, Uint8Array.of(0x05, index + 1, 2));
    memory.write(page, Uint8Array.of(index, 3, 0xc3));
  }
  for (const [number, table] of TABLES.entries())
    for (let index = 0; index <= WINDOW_PAGES; index++)
      made.write64(table + index * 8, BigInt((POOL + ((index + number) % POOL_PAGES) * 0x1000) | 7));
  made.write64(DIRECTORY_ENTRY, BigInt(TABLES[0] | 7));
  made.write64(ROOTS[1], BigInt(At.PDPT | 7));
  made.processor.stateChanged();
  return made;
}

/** Goes on after a page fault: behind the instruction, or where a call came from. */
function recover({ processor, state }: SystemMachine, result: RunResult): void {
  if (result.kind === 'budget') return;
  if (result.kind !== 'exit' || result.exit.reason !== 'exception') throw new Error(`ended by ${result.kind}`);
  if (state.rip < BigInt(WINDOW)) {
    processor.skipInstruction(result.exit.instructionLength);
    return;
  }
  const stack = processor.readMemory('gva', state.gpr(4), 8);
  state.rip = new DataView(stack.buffer).getBigUint64(0, true);
  state.setGpr(4, state.gpr(4) + 8n);
}

describe('page tables that change all the time', () => {
  for (const threshold of [0, 5])
    test.each([
      [1, 1000],
      [7, 1500],
      [1000, 8000],
    ])(`(threshold ${threshold}, slices of %i) give what walks for each access would give`, (slice, longest) => {
      for (let seed = 1; seed <= 12; seed++) {
        const cached = machine(seed, threshold);
        const walking = machine(seed, 0);
        while (cached.state.icount < BigInt(longest)) {
          const result = cached.processor.run(slice);
          let last: RunResult = { kind: 'budget' };
          while (walking.state.icount < cached.state.icount) {
            // Forgets all translations.
            walking.processor.stateChanged();
            last = walking.processor.run(1);
          }
          walking.processor.stateChanged();
          if (result.kind !== 'budget') last = walking.processor.run(1);
          const place = `seed ${seed} at ${cached.state.icount}`;
          expect(last.kind, place).toBe(result.kind);
          expect(walking.processor.stateHash(), place).toBe(cached.processor.stateHash());
          expect(Buffer.compare(walking.memory.read(0n, 0x3_0000), cached.memory.read(0n, 0x3_0000)), place).toBe(0);
          recover(cached, result);
          recover(walking, last);
        }
      }
    });
});

test('an instruction whose second page has become another one is fetched anew, also by a jump in its first page', () => {
  const made = machine(1, 0);
  const { memory, processor, state } = made;
  const code: number[] = [];
  const call = () => code.push(0xe8, ...word(WINDOW + 0x30 - At.CODE - code.length - 5));
  call();
  call();
  call();
  // The second page of the window becomes the fourth of the pool: mov qword [entry], page
  code.push(0x48, 0xc7, 0x04, 0x25, ...word((TABLES[0] ?? 0) + 8), ...word((POOL + 0x3000) | 7));
  call();
  memory.write(BigInt(At.CODE), Uint8Array.from(code));
  processor.run(4 * 4 + 1);
  expect(state.rip).toBe(BigInt(At.CODE + code.length));
  expect(state.gpr(0)).toBe(3n * 0x0301_0201n + 0x0303_0201n);
});
