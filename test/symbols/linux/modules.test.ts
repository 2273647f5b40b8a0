import { expect, test } from 'vitest';
import { Btf } from '../../../src/symbols/linux/btf.ts';
import { ModuleReader } from '../../../src/symbols/linux/modules.ts';
import { TaskReader } from '../../../src/symbols/linux/tasks.ts';
import { KernelSpace } from './kernel-space.ts';
import { btf, type TestMember } from './tables.ts';

const HEAD = 0xffff_ffff_8200_0000n;
const MODULE = 0xffff_ffff_c022_6000n;
const CODE = 0xffff_ffff_c022_1000n;
const SYMBOLS = 0xffff_c900_0001_0000n;
const STRINGS = 0xffff_c900_0001_1000n;

const ARCH = [
  { name: 'num_orcs', offset: 0 },
  { name: 'orc_unwind_ip', offset: 8 },
  { name: 'orc_unwind', offset: 16 },
];
const KALLSYMS = [
  { name: 'symtab', offset: 0 },
  { name: 'num_symtab', offset: 8 },
  { name: 'strtab', offset: 16 },
];
const COMMON = [
  { name: 'list', offset: 8 },
  { name: 'name', offset: 24 },
  { name: 'kallsyms', offset: 200 },
  { name: 'arch', offset: 300, struct: ARCH },
];
/** As 6.1 has it, and as 6.4 does. */
const MEMORY: readonly TestMember[] = [
  {
    name: 'core_layout',
    offset: 100,
    struct: [
      { name: 'base', offset: 0 },
      { name: 'size', offset: 8 },
    ],
  },
  {
    name: 'mem',
    offset: 100,
    isArray: true,
    struct: [
      { name: 'base', offset: 0 },
      { name: 'size', offset: 8 },
    ],
  },
];

function symbol(
  space: KernelSpace,
  index: number,
  name: number,
  info: number,
  section: number,
  value: bigint,
  size: bigint,
): void {
  const at = SYMBOLS + BigInt(24 * index);
  space.integer(at, BigInt(name), 4);
  space.integer(at + 4n, BigInt(info), 1);
  space.integer(at + 6n, BigInt(section), 2);
  space.u64(at + 8n, value);
  space.u64(at + 16n, size);
}

/** A list with one module of two symbols, and others that don't count. */
function moduleSpace(): KernelSpace {
  const space = new KernelSpace();
  space.u64(HEAD, MODULE + 8n);
  space.u64(MODULE + 8n, HEAD);
  space.text(MODULE + 24n, 'virtio_blk');
  space.u64(MODULE + 100n, CODE);
  space.u64(MODULE + 108n, 0x7000n);
  space.u64(MODULE + 200n, MODULE + 208n);
  space.u64(MODULE + 208n, SYMBOLS);
  space.u64(MODULE + 216n, 5n);
  space.u64(MODULE + 224n, STRINGS);
  for (const [offset, value] of [
    [300n, 12n],
    [308n, CODE + 0x5000n],
    [316n, CODE + 0x6000n],
  ] as const)
    space.u64(MODULE + offset, value);
  space.text(STRINGS, '');
  space.text(STRINGS + 1n, 'virtblk_probe');
  space.text(STRINGS + 20n, 'features');
  symbol(space, 0, 0, 0, 0, 0n, 0n);
  symbol(space, 1, 1, 0x02, 2, CODE + 0xe90n, 0x400n);
  symbol(space, 2, 20, 0x11, 3, CODE + 0x4000n, 16n);
  // Undefined, and one of a section.
  symbol(space, 3, 1, 0x12, 0, CODE, 0n);
  symbol(space, 4, 20, 0x03, 4, CODE, 0n);
  return space;
}

for (const member of MEMORY)
  test(`a module is read where its memory is called ${member.name}`, () => {
    const space = moduleSpace();
    const reader = ModuleReader.open(space.memory, new Btf(btf({ module: [...COMMON, member], mod_kallsyms: KALLSYMS })));
    const modules = reader?.list(HEAD) ?? [];
    expect(modules).toEqual([{ address: MODULE, name: 'virtio_blk', base: CODE, size: 0x7000, symbolTable: MODULE + 208n }]);
    for (const module of modules) {
      expect(reader?.symbolsOf(module)).toEqual([
        { name: 'virtblk_probe', address: CODE + 0xe90n, size: 0x400, kind: 'function', global: false },
        { name: 'features', address: CODE + 0x4000n, size: 16, kind: 'object', global: true },
      ]);
      expect(reader?.orcOf(module)).toEqual({ count: 12, addresses: CODE + 0x5000n, entries: CODE + 0x6000n });
    }
  });

test('a damaged module is none, and a list in circles ends', () => {
  const types = new Btf(btf({ module: [...COMMON, ...MEMORY], mod_kallsyms: KALLSYMS }));
  const space = moduleSpace();
  const reader = ModuleReader.open(space.memory, types);
  space.u64(MODULE + 8n, MODULE + 8n);
  expect(reader?.list(HEAD)).toHaveLength(1);
  space.u64(MODULE + 216n, 1n << 31n);
  expect(reader?.list(HEAD).map((module) => reader.symbolsOf(module))).toEqual([[]]);
  space.text(MODULE + 24n, 'a\nb');
  expect(reader?.list(HEAD)).toEqual([]);
  expect(ModuleReader.open(space.memory, new Btf(btf({ module: COMMON })))).toBeUndefined();
});

const TASK = 0xffff_8880_0010_0000n;
const MM = 0xffff_8880_0020_0000n;

test('processes are read with their state and their page tables', () => {
  const space = new KernelSpace();
  const [idle, init] = [HEAD, TASK];
  const names = ['tasks', '__state', 'exit_state', 'pid', 'comm', 'mm'];
  const types = new Btf(
    btf({ task_struct: names.map((name, index) => ({ name, offset: 16 * index })), mm_struct: [{ name: 'pgd', offset: 72 }] }),
  );
  const task = (at: bigint, next: bigint, state: bigint, exit: bigint, pid: bigint, name: string, mm: bigint) => {
    for (const [index, value] of [next, state, exit, pid].entries()) space.u64(at + 16n * BigInt(index), value);
    space.text(at + 64n, name);
    space.u64(at + 80n, mm);
  };
  task(idle, init, 0n, 0n, 0n, 'swapper/0', 0n);
  task(init, idle, 1n, 0n, 1n, 'in\x1bit', MM);
  space.u64(MM + 72n, MM);
  const reader = TaskReader.open(space.memory, types);
  const pageTables = space.memory.translate(MM);
  expect(pageTables).toBeTypeOf('bigint');
  expect(reader?.list(idle)).toEqual([{ address: init, pid: 1, name: 'in?it', state: 'S', pageTables }]);
  expect(reader?.at(idle)).toEqual({ address: idle, pid: 0, name: 'swapper/0', state: 'R', pageTables: undefined });
  for (const [state, exit, letter] of [
    [2n, 0n, 'D'],
    [0x402n, 0n, 'I'],
    [0n, 0x20n, 'Z'],
    [0n, 0x10n, 'X'],
    [4n, 0n, 'T'],
  ] as const) {
    task(init, idle, state, exit, 1n, 'init', 0n);
    expect(reader?.at(init)?.state).toBe(letter);
  }
  expect(reader?.at(0x1000n)).toBeUndefined();
  expect(reader?.at(MM + 0x100_0000n)).toBeUndefined();
});
