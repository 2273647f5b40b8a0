import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { nodeFiles } from '../../src/cli/node-files.ts';
import { assemble } from '../../src/programs/assembler/assemble.ts';
import { btf, kallsyms, LAYOUTS } from '../symbols/linux/tables.ts';

/** Where the toy lies in memory, and where its code runs. */
export const GPA = 0x100_0000n;
export const TEXT = 0xffff_ffff_9a00_0000n;
/** Where the program of its two processes lies, below the kernel's addresses (toy-program.s). */
export const PROGRAM = 0x120_1000n;
const SIZE = 0x40_0000;
/** A second page of 2 MiB. */
const MODULE_CODE = 0x20_0000;

/** Offsets in the image. */
const Place = {
  PML4: 0x1000,
  LOW_PDPT: 0x2000,
  LOW_PD: 0x3000,
  HIGH_PDPT: 0x4000,
  HIGH_PD: 0x5000,
  BANNER: 0x8000,
  MODULES: 0x9000,
  MODULE: 0xa000,
  IDLE: 0xb000,
  TASK: 0xb800,
  SECOND_TASK: 0xbc00,
  PER_CPU: 0xc000,
  FORMAT: 0xd000,
  NAME: 0xd100,
  SYMTAB: 0xe000,
  STRTAB: 0xf000,
  BTF: 0x1_0000,
  KALLSYMS: 0x2_0000,
  ORC_IP: 0x3_0000,
  ORC: 0x3_1000,
  MODULE_ORC_IP: 0x3_2000,
  MODULE_ORC: 0x3_3000,
} as const;
const CURRENT = 0x80n;
/** Functions of 128 bytes each, from offset 0x100 on. */
const FUNCTIONS = ['start_kernel', 'do_init_module', 'do_one_initcall', 'panic', '__die', 'start_thread'] as const;
/** Offset of a function in the image. */
export const functionAt = (name: (typeof FUNCTIONS)[number]): number => 0x100 + 0x80 * FUNCTIONS.indexOf(name);

/**
 * What boots a real kernel in miniature: page tables, a module that is loaded, two processes that run the same code, of which only the
 * first has begun a program, and a panic in the end.
 */
const CODE = `
bits 64
org ${TEXT}
default abs
  mov byte [dword 0x1008000], 'L'
  mov rax, ${GPA + BigInt(Place.PML4)}
  mov cr3, rax
  mov ecx, 0xc0000101
  mov rax, ${TEXT + BigInt(Place.PER_CPU)}
  mov rdx, rax
  shr rdx, 32
  wrmsr
  mov rax, ${TEXT + BigInt(functionAt('start_kernel'))}
  jmp rax
times ${functionAt('start_kernel')}-($-$$) db 0
start_kernel:
  mov ecx, 300000
.spin:
  dec ecx
  jnz .spin
  mov rdi, ${TEXT + BigInt(Place.MODULE)}
  lea rax, [rdi + 8]
  mov rbx, ${TEXT + BigInt(Place.MODULES)}
  mov [rbx], rax
  call do_init_module
  call start_thread
  mov eax, ${PROGRAM}
  call rax
  mov rax, ${TEXT + BigInt(Place.SECOND_TASK)}
  mov rbx, ${TEXT + BigInt(Place.PER_CPU) + CURRENT}
  mov [rbx], rax
  mov eax, ${PROGRAM}
  call rax
  mov rdi, ${TEXT + BigInt(Place.FORMAT)}
  mov rsi, ${TEXT + BigInt(Place.NAME)}
  mov edx, 0x700
  call panic
times ${functionAt('do_init_module')}-($-$$) db 0
do_init_module:
  sub rsp, 24
  call do_one_initcall
  add rsp, 24
  ret
times ${functionAt('do_one_initcall')}-($-$$) db 0
do_one_initcall:
  sub rsp, 24
  call ${TEXT + BigInt(MODULE_CODE)}
  add rsp, 24
  ret
times ${functionAt('panic')}-($-$$) db 0
panic:
  cli
  hlt
times ${functionAt('__die')}-($-$$) db 0
die:
  ret
times ${functionAt('start_thread')}-($-$$) db 0
start_thread:
  ret
times ${MODULE_CODE}-($-$$) db 0
init_module:
  sub rsp, 24
  call probe
  add rsp, 24
  ret
times ${MODULE_CODE + 0x40}-($-$$) db 0
probe:
  mov eax, 1
  ret
times ${PROGRAM - GPA}-($-$$) db 0
  call work
  ret
times ${PROGRAM - GPA + 0x40n}-($-$$) db 0
work:
  mov eax, 1
  ret
times ${SIZE}-($-$$) db 0
`;

const TYPES = {
  module: [
    { name: 'list', offset: 8 },
    { name: 'name', offset: 24 },
    {
      name: 'core_layout',
      offset: 96,
      struct: [
        { name: 'base', offset: 0 },
        { name: 'size', offset: 8 },
      ],
    },
    { name: 'kallsyms', offset: 128 },
    {
      name: 'arch',
      offset: 160,
      struct: [
        { name: 'num_orcs', offset: 0 },
        { name: 'orc_unwind_ip', offset: 8 },
        { name: 'orc_unwind', offset: 16 },
      ],
    },
  ],
  mod_kallsyms: [
    { name: 'symtab', offset: 0 },
    { name: 'num_symtab', offset: 8 },
    { name: 'strtab', offset: 16 },
  ],
  task_struct: ['tasks', 'mm', '__state', 'exit_state', 'pid', 'comm'].map((name, index) => ({ name, offset: 16 * index })),
  mm_struct: [
    { name: 'pgd', offset: 0 },
    { name: 'saved_auxv', offset: 16 },
  ],
};

/** The code in its place, assembled once. */
let assembled: Uint8Array | undefined;
function code(): Uint8Array {
  if (assembled) return assembled;
  const source = path.join(mkdtempSync(path.join(tmpdir(), 'hyperscope-toy-')), 'toy.asm');
  writeFileSync(source, CODE);
  const { bytes, diagnostics } = assemble(source, nodeFiles, { format: 'bin' });
  if (!bytes) throw new Error(diagnostics.map(({ line, message }) => `${line}: ${message}`).join('\n'));
  assembled = bytes;
  return bytes;
}

/** The image of a toy that a debugger takes for Linux. `packed`: its banner is only made when it runs, as if it unpacked itself. */
function image(packed: boolean): Uint8Array {
  const out = code().slice();
  const view = new DataView(out.buffer);
  const address = (offset: number) => TEXT + BigInt(offset);
  const u64 = (offset: number, value: bigint) => view.setBigUint64(offset, BigInt.asUintN(64, value), true);
  const text = (offset: number, value: string) => out.set(new TextEncoder().encode(`${value}\0`), offset);
  const table = (offset: number) => GPA + BigInt(offset) + 3n;
  const large = (gpa: bigint) => gpa + 0x83n;
  for (const [entry, value] of [
    [Place.PML4, table(Place.LOW_PDPT)],
    [Place.PML4 + 8 * 511, table(Place.HIGH_PDPT)],
    [Place.LOW_PDPT, table(Place.LOW_PD)],
    [Place.LOW_PD, large(0n)],
    [Place.LOW_PD + 8 * 8, large(GPA)],
    [Place.LOW_PD + 8 * 9, large(GPA + 0x20_0000n)],
    [Place.HIGH_PDPT + 8 * 510, table(Place.HIGH_PD)],
    [Place.HIGH_PD + 8 * 0xd0, large(GPA)],
    [Place.HIGH_PD + 8 * 0xd1, large(GPA + 0x20_0000n)],
    [Place.MODULES, address(Place.MODULES)],
    [Place.MODULE + 8, address(Place.MODULES)],
    [Place.MODULE + 96, address(MODULE_CODE)],
    [Place.MODULE + 104, 0x1000n],
    [Place.MODULE + 128, address(Place.MODULE + 0x200)],
    [Place.MODULE + 0x200, address(Place.SYMTAB)],
    [Place.MODULE + 0x208, 3n],
    [Place.MODULE + 0x210, address(Place.STRTAB)],
    [Place.MODULE + 160, 2n],
    [Place.MODULE + 168, address(Place.MODULE_ORC_IP)],
    [Place.MODULE + 176, address(Place.MODULE_ORC)],
    [Place.IDLE, address(Place.TASK)],
    [Place.TASK, address(Place.SECOND_TASK)],
    [Place.SECOND_TASK, address(Place.IDLE)],
    [Place.TASK + 16, address(Place.TASK + 0x100)],
    [Place.TASK + 0x100, address(Place.PML4)],
    [Place.TASK + 0x110, 9n],
    [Place.TASK + 0x118, PROGRAM],
    [Place.TASK + 64, 7n],
    [Place.SECOND_TASK + 16, address(Place.SECOND_TASK + 0x100)],
    [Place.SECOND_TASK + 0x100, address(Place.LOW_PDPT)],
    [Place.SECOND_TASK + 64, 8n],
    [Place.PER_CPU + Number(CURRENT), address(Place.TASK)],
  ] as const)
    u64(entry, value);
  text(Place.BANNER, `${packed ? 'l' : 'L'}inux version 6.1.0-toy\n`);
  text(Place.MODULE + 24, 'toy_blk');
  text(Place.TASK + 80, 'toyd');
  text(Place.SECOND_TASK + 80, 'other');
  text(Place.FORMAT, 'no %s (%#x)\n');
  text(Place.NAME, 'toys left');
  for (const [index, [name, offset]] of [
    ['init_module', 0],
    ['toy_probe', 0x40],
  ].entries()) {
    const at = Place.SYMTAB + 24 * (index + 1);
    view.setUint32(at, 1 + 16 * index, true);
    out[at + 4] = 2;
    out[at + 6] = 1;
    u64(at + 8, address(MODULE_CODE + Number(offset)));
    u64(at + 16, 0x40n);
    text(Place.STRTAB + 1 + 16 * index, String(name));
  }
  /** `[from, depth]`: the stack's depth from an instruction on; `end` for the outermost function. */
  const orc = (ips: number, entries: number, ranges: readonly (readonly [number, number | 'end'])[]) => {
    for (const [index, [from, depth]] of ranges.entries()) {
      view.setInt32(ips + 4 * index, from - (ips + 4 * index), true);
      view.setInt16(entries + 6 * index, depth === 'end' ? 0 : depth, true);
      view.setUint16(entries + 6 * index + 4, depth === 'end' ? 0x400 : 5, true);
    }
  };
  orc(Place.ORC_IP, Place.ORC, [
    [0, 'end'],
    [functionAt('do_init_module'), 8],
    [functionAt('do_init_module') + 4, 32],
    [functionAt('do_one_initcall'), 8],
    [functionAt('do_one_initcall') + 4, 32],
    [functionAt('panic'), 8],
    [functionAt('start_thread'), 8],
  ]);
  orc(Place.MODULE_ORC_IP, Place.MODULE_ORC, [
    [MODULE_CODE + 4, 32],
    [MODULE_CODE + 0x40, 8],
  ]);
  const types = btf(TYPES);
  out.set(types, Place.BTF);
  const named = (name: string, type: string, offset: number) => ({ name, type, address: address(offset) });
  const symbols = [
    { name: 'current_task', type: 'A', address: CURRENT },
    named('_text', 'T', 0),
    ...FUNCTIONS.map((name) => named(name, 'T', functionAt(name))),
    named('init_top_pgt', 'D', Place.PML4),
    named('linux_banner', 'D', Place.BANNER),
    named('modules', 'D', Place.MODULES),
    named('a_module', 'd', Place.MODULE),
    named('init_task', 'D', Place.IDLE),
    named('a_task', 'd', Place.TASK),
    named('per_cpu', 'd', Place.PER_CPU),
    named('__start_BTF', 'R', Place.BTF),
    named('__stop_BTF', 'R', Place.BTF + types.length),
    named('__start_orc_unwind_ip', 'R', Place.ORC_IP),
    named('__stop_orc_unwind_ip', 'R', Place.ORC_IP + 28),
    named('__start_orc_unwind', 'R', Place.ORC),
    named('_end', 'B', MODULE_CODE),
  ];
  out.set(kallsyms(symbols, LAYOUTS['6.1']).bytes, Place.KALLSYMS);
  return out;
}

/** A launch configuration for the toy, whose program is in a file of its own. */
export function toyKernel(packed: boolean): { readonly program: string; readonly options: object } {
  const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-toy-'));
  const program = path.join(folder, 'toy.bin');
  writeFileSync(program, image(packed));
  return { program, options: { loadAddress: `0x${GPA.toString(16)}`, mode: 64, memory: '64M', stopOnEntry: false } };
}
