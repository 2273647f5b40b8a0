import { describe, expect, test } from 'vitest';
import { Client, sample } from '../adapter/client.ts';
import { atEntry } from '../adapter/guests.ts';
import { cpuTime } from '../support/cpu-time.ts';

function stopped(program: string, options: object = {}): Client {
  const client = new Client();
  client.launch(sample(program), options);
  client.ask('configurationDone');
  client.run();
  return client;
}

const hello = () => stopped('hello/hello.asm');
const run = (client: Client, text: string): string => client.evaluate(text, 'repl');
const problem = (client: Client, text: string): string | undefined =>
  client.request('evaluate', { expression: text, context: 'repl' }).message;

describe('a console command', () => {
  test('lists all commands in columns with help, and says more of one', () => {
    const client = hello();
    const lines = run(client, 'help').split('\n').slice(0, -1);
    expect(lines.map((line) => line.split(/\W/)[0])).toEqual([
      'regs',
      'cpuid',
      'exits',
      'walk',
      'map',
      'pageout',
      'mem',
      'find',
      'symbols',
      'idt',
      'gdt',
      'report',
      'input',
      'channel',
      'resize',
      'balloon',
      'network',
      'integration',
      'shutdown',
      'timesync',
      'kvp',
      'backup',
      'type',
      'keys',
      'partitions',
      'privileges',
      'host',
      'moves',
      'processes',
      'virtqueues',
      'virtqueue',
      'vmbus',
      'help',
    ]);
    const starts = lines.map((line) => line.search(/ {2}\S/));
    for (const [index, line] of lines.entries())
      expect(line.slice(Math.max(...starts), Math.max(...starts) + 2), lines[index]).toBe('  ');
    expect(run(client, 'help mem')).toMatch(/^mem ADDRESS \[BYTES\]: .*\n[\s\S]*For example: mem rsp/);
  });

  test.each<[string, RegExp]>([
    ['help nonsense', /^There is no command "nonsense"; they are regs, /],
    ['regs all', /^regs takes no "all"/],
    ['exits many', /^"many" is no count; the command is exits \[N\] \[by FIELD\] \[where FILTER\]\.$/],
    ['exits by colour', /^Exits have no "colour" to be counted by; they have reason, subject, port, /],
    ['exits where prot=1', /^"prot=1" names no field of an exit; did you mean port\?/],
    ['exits 0', /is no count/],
    ['walk', /^An address is missing; the command is walk ADDRESS\.$/],
    ['walk nowhere', /"nowhere" is not a register/],
    ['mem', /^An address is missing; the command is mem ADDRESS \[BYTES\]\.$/],
    ['mem rsp 0', /is no count/],
    ['symbols', /^What names have in them is missing; the command is symbols/],
    ['find', /^What to look for is missing; the command is find/],
    [`find "${'x'.repeat(2000)}"`, /1024 characters at most/],
    ['find "x" nowhere', /"nowhere" is not a register/],
    ['idt 256', /^There is no vector 0x100; they go from 0 to 0xff\.$/],
    ['gdt 1', /^gdt takes no "1"/],
    ['cpuid nobody', /"nobody" is not a register/],
  ])('%s is refused with a sentence', (text, sentence) => {
    expect(problem(hello(), text)).toMatch(sentence);
  });

  test('regs shows the registers of the mode, the flags by name and the place', () => {
    const long = run(hello(), 'regs');
    expect(long).toMatch(/rax +0x[0-9a-f]{16} +rbx/);
    expect(long).toMatch(/cr0 +0x[0-9a-f]+ +PE .*PG/);
    expect(long).toMatch(/64-bit code, CPL 0, 0 instructions retired, at _start/);
    const real = run(stopped('bare/boot-sector.asm', { platform: 'bare' }), 'regs');
    expect(real).toMatch(/^ax +0x[0-9a-f]{4} /);
    expect(real).toContain('16-bit code');
  });

  test('exits counts by reason and shows the newest with what came of them', () => {
    const client = hello();
    expect(run(client, 'exits')).toBe('No VM exit yet.');
    client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'exit:io', hitCondition: '12' }] });
    client.move('continue');
    const text = run(client, 'exits 3');
    expect(text).toMatch(/^11 {2}io\n11 {2}in all; the last 3:\n#\s*\d+ {2}0x\w+ {2}io {2}/);
    expect(text.split('\n')).toHaveLength(5);
    expect(run(client, 'exits by port')).toMatch(/^port .*\n0x3f8 +11 +100\.0% .*out 0x3f8, 0x48\nall +11$/);
    expect(run(client, 'exits 1 by rip where port=0x3f8').split('\n')[0]).toMatch(/^rip /);
    expect(run(client, 'exits by msr')).toBe('No exit so far has a msr.');
    expect(run(client, 'exits 2 where reason=io').split('\n')).toHaveLength(2);
    expect(run(client, 'exits where reason=hlt')).toBe('No exit that is kept in memory is one of these.');
  });

  test('walk shows the entries and where they lead', () => {
    const client = hello();
    expect(run(client, 'walk rip')).toMatch(
      /^PML4 .*\nPDPT .*\nPD .*\n0x100000 → gpa 0x100000, page of 2 MiB, writable, supervisor, executable\nRefused: user read #PF\(0x5\), user write #PF\(0x7\), user fetch #PF\(0x5\)\nEPT PML4E (.*\n)*gpa 0x100000 → spa 0x[0-9a-f]+$/,
    );
    expect(run(client, 'walk 0x8000000000')).toMatch(/0x8000000000 is not mapped\. The PML4 entry is not present\.$/);
    expect(run(client, 'walk 1 << 63')).toMatch(/not canonical/);
    expect(run(stopped('bare/boot-sector.asm', { platform: 'bare' }), 'walk 0x7c00')).toBe('0x7c00 → gpa 0x7c00, paging is off');
  });

  test('map shows what is mapped with the same rights, as far as it is asked for', () => {
    const client = hello();
    expect(run(client, 'map')).toBe('0x0000000000000000-0x00000000ffffffff      4 GiB  rwx s  2 MiB  → gpa 0x0');
    expect(run(client, 'map 0x80000000')).toMatch(/^0x0000000080000000-0x00000000ffffffff {6}2 GiB .* → gpa 0x80000000$/);
    expect(run(client, 'map 0x100000000')).toBe('Nothing is mapped from 0x100000000 on.');
    // A table of pages that are writable by turns: each is a range of its own.
    const table = Buffer.alloc(4096);
    for (let index = 0n; index < 512n; index++)
      table.writeBigUInt64LE((index << 12n) | (index % 2n === 0n ? 3n : 1n), Number(index) * 8);
    client.ask('writeMemory', { memoryReference: 'gpa:0x80000', data: table.toString('base64') });
    const directory = client.evaluate('qword gpa:[qword gpa:[cr3] & -0x1000] & -0x1000', 'clipboard');
    client.evaluate(`qword gpa:[${directory}] = 0x80003`, 'repl');
    const rows = run(client, 'map').split('\n');
    expect(rows).toHaveLength(65);
    expect(rows[1]).toBe('0x0000000000001000-0x0000000000001fff      4 KiB  r-x s  4 KiB  → gpa 0x1000');
    expect(rows[64]).toBe('To go on: map 0x40000');
    expect(run(client, 'map 0x40000').split('\n')[0]).toMatch(/^0x0000000000040000-/);
    expect(run(stopped('bare/boot-sector.asm', { platform: 'bare' }), 'map')).toMatch(
      /^0x00000000-0xffffffff {6}4 GiB {2}.* paging is off/,
    );
    expect(() => run(client, 'map gpa:0')).toThrow(/without gpa:/);
  });

  test('mem shows bytes and text, takes an expression and a count, and says where memory ends', () => {
    const client = hello();
    expect(run(client, 'mem message 16')).toMatch(/^0x0000000000[0-9a-f]{6} {2}48 65 6c 6c 6f .* Hello from a gue$/);
    expect(run(client, 'mem message + 16').split('\n')).toHaveLength(4);
    expect(run(client, 'mem gpa:0x100000 1')).toMatch(/^gpa:0x0000000000100000 {2}[0-9a-f]{2} /);
    expect(run(client, 'mem 0x8000000000')).toBe("The memory at gva 0x8000000000 can't be read. The PML4 entry is not present.");
    expect(run(client, 'mem gpa:0x3fffff0 32')).toMatch(/\nThe memory at gpa 0x4000000 can't be read\. No RAM is there\.$/);
  });

  test('find shows where a text or a number lies, in all RAM or from an address on, a page of them at once', () => {
    const client = hello();
    const message = BigInt(client.evaluate('message', 'clipboard'));
    const place = `0x${message.toString(16).padStart(16, '0')}`;
    expect(run(client, 'find "Hello from"')).toMatch(new RegExp(`^gpa:${place} {2}48 65 6c .* Hello from a gue$`));
    expect(run(client, 'find 0x6c6c6548')).toMatch(new RegExp(`^gpa:${place} `));
    expect(run(client, "find 'from' message 32")).toMatch(/^0x0000000000[0-9a-f]+ {2}66 72 6f 6d /);
    expect(run(client, 'find "Hello" message + 1 32')).toBe('Not found.');
    expect(run(client, 'find "no such text anywhere"')).toBe('Not found.');
    const rows = run(client, 'find 0x00 gpa:0x200000').split('\n');
    expect(rows).toHaveLength(21);
    expect(rows[20]).toBe('To go on: find 0x00 gpa:0x200014');
    // Across the border of two chunks, and to the last byte of RAM.
    for (const address of ['0x2ffffe', '0x3fffffc']) {
      client.ask('writeMemory', { memoryReference: `gpa:${address}`, data: Buffer.from('edge').toString('base64') });
      expect(run(client, `find "edge" gpa:${address} - 0x1000`)).toContain(`gpa:0x${address.slice(2).padStart(16, '0')}`);
    }
    expect(run(client, 'find "edge"').split('\n')).toHaveLength(2);
    // Overlapping places, and a pattern that nearly fits everywhere.
    client.ask('writeMemory', { memoryReference: 'gpa:0x280000', data: Buffer.from('ababab').toString('base64') });
    expect(run(client, 'find "abab" gpa:0x280000 16').split('\n')).toHaveLength(2);
    const begin = cpuTime();
    expect(run(client, `find "${'\0'.repeat(1000)}x"`)).toBe('Not found.');
    expect(cpuTime() - begin).toBeLessThan(5000);
  });

  test('idt shows gates with names and places, in real mode the vectors', () => {
    const client = hello();
    expect(run(client, 'idt')).toMatch(/^IDT at 0x\w+, limit 0x\w+\n0x00 .*interrupt .*DPL 0/);
    // The stubs of the vectors without names are one row, and a single one can still be asked for.
    expect(run(client, 'idt')).toMatch(/\n0x20-0xff +interrupt {2}0x0020:0x\w+ \+ 0x10 each {2}DPL 0$/);
    expect(run(client, 'idt 0x80')).toMatch(/\n0x80 .*0x0020:0x\w+ {2}DPL 0$/);
    expect(run(client, 'idt 14')).toMatch(/\n0x0e {2}#PF {2}interrupt {2}0x0020:0x/);
    const real = run(stopped('bare/boot-sector.asm', { platform: 'bare' }), 'idt');
    expect(real).toMatch(/^Interrupt vectors at 0x0, limit 0x3ff\n0x00.*0xf000:0x/);
    expect(real.split('\n').length).toBeLessThan(20);
  });

  test('gdt shows descriptors by selector, a 16-byte one of long mode as one', () => {
    expect(run(hello(), 'gdt')).toMatch(/\n0x0020 {2}base 0x00000000 {2}limit 0xffffffff {2}code 64-bit +read +DPL 0/);
    const { client } = atEntry(`bits 64
_start:
    lgdt [register]
    nop
    hlt
register: dw table.end - table - 1
    dq table
table: dq 0
    dq 0x00209a0000000000
    dq 0x4500893400000067
    dq 0xffff8000
.end:
`);
    expect(run(stopped('bare/boot-sector.asm', { platform: 'bare' }), 'gdt')).toMatch(/the guest has loaded none yet\.$/);
    client.move('next');
    expect(run(client, 'gdt')).toMatch(/\n0x0010 {2}base 0xffff800045340000 {2}limit 0x00000067 {2}TSS +DPL 0$/);
  });

  test('cpuid shows leaves with the texts that they hold', () => {
    const client = hello();
    expect(run(client, 'cpuid')).toMatch(/\nleaf +eax +ebx +ecx +edx\n0x00000000 {2}0x\w{8} .*"GenuineIntel"/);
    expect(run(client, 'cpuid 4 1')).toMatch(/\n0x00000004\.0x1 {2}0x/);
    expect(run(client, 'cpuid 0x80000000 + 2').split('\n')).toHaveLength(3);
  });
});
