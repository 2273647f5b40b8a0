// How fast the processor runs: small guest programs, each timed in turns with a fixed JavaScript loop, whose time says how noisy
// this machine is. Prints millions of guest instructions a second, and microseconds for an exit.
//
//   npm run build && node bench/processor-speed.mjs [--json]
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-bench-'));
const ROUNDS = 3;

const POWER_OFF = ['    mov dx, 0x604', '    mov ax, 0x2000', '    out dx, ax', '    hlt'].join('\n');
const loop = (count, body, setup = '') =>
  `bits 64\n_start:\n${setup}\n    mov rcx, ${count}\n.next:\n${body}\n    dec rcx\n    jnz .next\n${POWER_OFF}\n`;

/** Guest programs that each do one kind of thing for about a second. */
const PROGRAMS = {
  registers: loop(60_000_000, '    add rax, rcx\n    xor rdx, rax\n    lea rbx, [rax+rdx*2+5]'),
  memory: loop(
    30_000_000,
    '    mov rax, [rsi]\n    add [rsi+8], rax\n    mov [rsi+16], rcx\n    inc qword [rsi+24]',
    '    mov rsi, 0x200000',
  ),
  calls: `${loop(15_000_000, '    call work')}work:\n    push rbx\n    mov rbx, rcx\n    pop rbx\n    ret\n`,
  strings: loop(20_000, '    mov rdi, 0x200000\n    mov rdx, rcx\n    mov ecx, 4096\n    rep stosb\n    mov rcx, rdx'),
  'real mode': `bits 16\norg 0x7c00\n    mov ecx, 4000000\n.next:\n    mov ax, [0x500]\n    add ax, 3\n    mov [0x502], ax\n    dec ecx\n    jnz .next\n${POWER_OFF}\ntimes 510-($-$$) db 0\ndw 0xaa55\n`,
  'port exits': loop(150_000, '    out 0x80, al'),
  'cpuid exits': loop(50_000, '    mov r8, rcx\n    mov eax, 1\n    cpuid\n    mov rcx, r8'),
};

/** Seconds that a fixed amount of JavaScript takes. */
function yardstick() {
  const begun = performance.now();
  let sum = 0;
  for (let index = 0; index < 200_000_000; index++) sum = (sum + index) ^ (sum >>> 3);
  return { seconds: (performance.now() - begun) / 1000, sum };
}

function run(file) {
  const { stderr } = spawnSync(process.execPath, [path.join(root, 'dist/cli.js'), 'run', file, '--stats'], { encoding: 'utf8' });
  return JSON.parse(stderr.trim().split('\n').at(-1) ?? '{}');
}

const results = {};
for (let round = 0; round < ROUNDS; round++)
  for (const [name, text] of Object.entries(PROGRAMS)) {
    const file = path.join(folder, `${name.replaceAll(' ', '-')}.asm`);
    writeFileSync(file, text);
    const { seconds: yard } = yardstick();
    const { instructions, exits, seconds } = run(file);
    const mips = instructions / seconds / 1e6;
    const best = results[name];
    if (!best || mips > best.mips)
      results[name] = { mips, microsecondsPerExit: exits > 100 ? (seconds / exits) * 1e6 : undefined, yardstick: yard };
  }
rmSync(folder, { recursive: true });

if (process.argv.includes('--json')) console.log(JSON.stringify(results));
else
  for (const [name, { mips, microsecondsPerExit, yardstick: yard }] of Object.entries(results)) {
    const exit = microsecondsPerExit === undefined ? '' : `, ${microsecondsPerExit.toFixed(1)} µs an exit`;
    console.log(`${name.padEnd(12)} ${mips.toFixed(1).padStart(7)} MIPS${exit}  (yardstick ${yard.toFixed(2)} s)`);
  }
