import { expect, test } from 'vitest';
import { type MemoryRange, MemoryViews } from '../../src/adapter/memory-views.ts';
import { parseReference, writeReference } from '../../src/adapter/references.ts';
import type { Client } from './client.ts';
import { atEntry } from './guests.ts';

const SPIN = 'bits 64\nhlt\n';
const LAST_RAM = 0x400_0000;
const base64 = (...bytes: number[]) => Buffer.from(bytes).toString('base64');
const read = (client: Client, memoryReference: string, count: number, offset = 0) => {
  const { address, data, unreadableBytes } = client.ask('readMemory', { memoryReference, count, offset });
  return { address, bytes: [...Buffer.from(data, 'base64')], unreadableBytes };
};
const memoryEvents = (client: Client): MemoryRange[] =>
  client.events.splice(0).flatMap(({ event, body }) => (event === 'memory' ? [body] : []));

test('a reference is one number that has its space above the address', () => {
  for (const place of [
    { space: 'gva', address: 0n },
    { space: 'gva', address: 0xffff_ffff_ffff_ffffn },
    { space: 'gpa', address: 0n },
    { space: 'gpa', address: 0xf_ffff_ffff_f000n },
    { guest: 3, space: 'gpa', address: 0x1000n },
  ] as const) {
    const text = writeReference(place);
    expect(text).toMatch(/^0x[0-9a-f]+$/);
    expect(BigInt.asUintN(64, BigInt(text))).toBe(place.address);
    expect(parseReference(text)).toEqual({ guest: 0, ...place });
    expect(parseReference(BigInt(text).toString())).toEqual({ guest: 0, ...place });
  }
  expect(parseReference('gpa:0x1000')).toEqual({ guest: 0, space: 'gpa', address: 0x1000n });
  expect(parseReference('GVA:4096')).toEqual({ guest: 0, space: 'gva', address: 0x1000n });
});

test.each([
  ['a space that no guest has', '0x2_0000_0000_0000_0000'],
  ['two spaces', 'gva:0x10000000000000000'],
  ['no number', 'rsp'],
  ['a segment with its offset', 'f000:fff0'],
])('a reference with %s is refused', (_, text) => {
  expect(() => parseReference(text.replaceAll('_', ''))).toThrow(/is not a memory reference/);
});

test('physical memory is read, disassembled and written where its reference says, paging or not', () => {
  const { client } = atEntry('bits 64\nmov rax, cr3\nand qword [rax], -3\nhlt\n');
  const cr3 = client.ask('evaluate', { expression: 'cr3', context: 'watch' });
  const { memoryReference } = cr3;
  expect(BigInt(memoryReference) >> 64n).toBe(1n);
  const entry = read(client, memoryReference, 8);
  expect(entry.address).toBe(memoryReference);
  expect(entry.bytes[0]).toBe(Number(BigInt(client.evaluate('byte gpa:[cr3]', 'clipboard'))));
  client.ask('writeMemory', { memoryReference, offset: 0x800, data: base64(0x90, 0xf4) });
  const { instructions } = client.ask('disassemble', { memoryReference, offset: 0x800, instructionCount: 2 });
  expect(instructions.map(({ instruction }: { instruction: string }) => instruction)).toEqual(['nop', 'hlt']);
  expect(BigInt(instructions[1].address)).toBe(BigInt(memoryReference) + 0x801n);
});

test('what can not be read is counted to the end of the range', () => {
  const { client } = atEntry(SPIN);
  const end = writeReference({ space: 'gpa', address: BigInt(LAST_RAM) });
  expect(read(client, end, 16, -8)).toEqual({
    address: writeReference({ space: 'gpa', address: BigInt(LAST_RAM - 8) }),
    bytes: [0, 0, 0, 0, 0, 0, 0, 0],
    unreadableBytes: 8,
  });
  expect(read(client, end, 16)).toMatchObject({ bytes: [], unreadableBytes: 16 });
  expect(read(client, '0x100000', 0)).toMatchObject({ bytes: [], unreadableBytes: 0 });
  expect(read(client, '0x100000', -4096)).toMatchObject({ bytes: [], unreadableBytes: 0 });
});

test('a range does not go round at either end of the address space', () => {
  const { client } = atEntry(SPIN);
  expect(read(client, '0x8', 32, -16)).toEqual({ address: '0xfffffffffffffff8', bytes: [], unreadableBytes: 32 });
  expect(read(client, '0xffffffffffffffff', 4096, 4096)).toMatchObject({ address: '0xfff', bytes: [], unreadableBytes: 4096 });
  const { client: protectedMode } = atEntry('bits 32\nhlt\n', { platform: 'bare' });
  expect(read(protectedMode, '0x100000000', 16)).toMatchObject({ bytes: [], unreadableBytes: 16 });
});

test("the kernel's half of the address space is read from 32-bit code of a 64-bit system, too", () => {
  const { client } = atEntry(SPIN);
  // Another PDPT, whose second GiB is the first one; the lower half has no RAM there.
  client.evaluate('qword gpa:[0x20008] = qword gpa:[qword gpa:[cr3] & -0x1000]', 'repl');
  client.evaluate('qword gpa:[cr3 + 256 * 8] = 0x20003', 'repl');
  const expected = read(client, '0x100000', 16).bytes;
  const high = '0xffff800040100000';
  expect(read(client, high, 16).bytes).toEqual(expected);
  // Compatibility mode: CS.L is 0, CS.D is 1.
  client.evaluate('cs.rights = (cs.rights & ~0x2000) | 0x4000', 'repl');
  expect(Object.keys(client.scope('Registers'))).toContain('eip');
  expect(read(client, high, 16).bytes).toEqual(expected);
});

test('megabytes are read at once', () => {
  const { client } = atEntry(SPIN);
  const { data, unreadableBytes } = client.ask('readMemory', { memoryReference: '0x100000', count: 0x80_0000 });
  expect(Buffer.from(data, 'base64')).toHaveLength(0x80_0000);
  expect(unreadableBytes).toBe(0);
});

test('a write that does not fit is refused whole, or done in part for those who ask', () => {
  const { client } = atEntry(SPIN);
  const end = { memoryReference: writeReference({ space: 'gpa', address: BigInt(LAST_RAM - 2) }), data: base64(1, 2, 3, 4) };
  expect(client.request('writeMemory', end)).toMatchObject({ success: false, message: expect.stringMatching(/first 2 of 4/) });
  expect(read(client, end.memoryReference, 2).bytes).toEqual([0, 0]);
  expect(client.ask('writeMemory', { ...end, allowPartial: true })).toMatchObject({ bytesWritten: 2 });
  expect(read(client, end.memoryReference, 2).bytes).toEqual([1, 2]);
  expect(client.request('writeMemory', { ...end, offset: 2, allowPartial: true })).toMatchObject({
    success: false,
    message: expect.stringMatching(/No memory that can be written/),
  });
});

test('views follow a write by the names that they know their memory by', () => {
  const { client } = atEntry(SPIN);
  const linear = '0x5000';
  const physical = writeReference({ space: 'gpa', address: 0x5000n });
  read(client, linear, 4096);
  read(client, physical, 4096);
  read(client, '0x4ff0', 64);
  read(client, '0x9000', 4096);
  client.events.splice(0);
  client.ask('writeMemory', { memoryReference: linear, offset: 4, data: base64(1, 2) });
  expect(memoryEvents(client)).toEqual([
    { memoryReference: physical, offset: 4, count: 2 },
    { memoryReference: '0x4ff0', offset: 0x14, count: 2 },
    { memoryReference: linear, offset: 4, count: 2 },
    { memoryReference: '0x5004', offset: 0, count: 2 },
  ]);
  client.evaluate('byte [0x9010] = 7', 'repl');
  expect(memoryEvents(client)).toEqual([
    { memoryReference: '0x9000', offset: 16, count: 1 },
    { memoryReference: '0x9010', offset: 0, count: 1 },
  ]);
});

test('views hear at a stop what the guest has written since, and nothing else', () => {
  const { client } = atEntry('bits 64\nmov byte [0x6003], 5\nnop\nhlt\n');
  read(client, '0x6000', 16);
  read(client, '0x7000', 16);
  client.events.splice(0);
  client.move('next', 'instruction');
  expect(memoryEvents(client)).toEqual([{ memoryReference: '0x6000', offset: 3, count: 1 }]);
  client.move('next', 'instruction');
  expect(memoryEvents(client)).toEqual([]);
});

test('a change of the page tables changes what views of linear memory show', () => {
  const { client } = atEntry(SPIN);
  read(client, '0x5000', 16);
  client.events.splice(0);
  client.evaluate('cr3 = 0x8000', 'repl');
  expect(memoryEvents(client)).toEqual([{ memoryReference: '0x5000', offset: 0, count: 16 }]);
});

test('the views that were looked at last are kept', () => {
  const { client } = atEntry(SPIN);
  const { processor } = client.session.launched.first.session.vcpu();
  const views = new MemoryViews();
  for (let index = 0; index < 5; index++)
    views.shown({ memoryReference: `0x${index}`, offset: 0, count: 0x1_0000 }, { space: 'gva', address: 0n }, Uint8Array.of(1));
  const changed = views.changes(() => processor).map(({ memoryReference }) => memoryReference);
  expect(changed).toEqual(['0x1', '0x2', '0x3', '0x4']);
});

test('every value that holds an address leads to its memory, in its space', () => {
  const kvmclock = 'mov ecx, 0x4b564d01\nmov eax, 0x6001\nxor edx, edx\nwrmsr\n';
  const { client } = atEntry(`bits 64\n${kvmclock}mov ebx, 0xfee00020\nmov eax, [rbx]\nhlt\n`);
  client.ask('setExceptionBreakpoints', { filters: ['mmio'] });
  client.move('continue');
  const linear = (address: bigint) => writeReference({ space: 'gva', address });
  const physical = (address: bigint) => writeReference({ space: 'gpa', address });
  const all = references(client);
  const value = (text: string) => BigInt(client.evaluate(text, 'clipboard'));
  expect(all).toMatchObject({
    'Registers/rip': linear(value('rip')),
    'Registers/rsp': linear(value('rsp')),
    'Registers/r15': linear(value('r15')),
    'Segments/gs': linear(0n),
    'Segments/gs/base': linear(0n),
    'Segments/gdtr': linear(value('gdtr.base')),
    'Segments/idtr/base': linear(value('idtr.base')),
    'Control registers/cr2': linear(value('cr2')),
    'Control registers/cr3': physical(value('cr3') & ~0xfffn),
    'Debug registers/dr3': linear(0n),
    'MSRs/LSTAR': linear(0n),
    'MSRs/APIC_BASE': physical(0xfee0_0000n),
    'VMCS/guest state/RIP': linear(value('rip')),
    'VMCS/guest state/CR3': physical(value('cr3') & ~0xfffn),
    'VMCS/guest state/CS/base': linear(0n),
    'VMCS/exit information/guest physical address': physical(0xfee0_0020n),
    'Last VM exit/gpa': physical(0xfee0_0020n),
    'Last VM exit/gva': linear(0xfee0_0020n),
    'Devices/memory map/RAM': physical(0n),
    'Devices/platform/vCPU 0/system time (kvmclock)': physical(0x6000n),
  });
  for (const none of [
    'Registers/rflags',
    'Flags/zf',
    'Control registers/cr0',
    'Segments/gs/limit',
    'MSRs/EFER',
    'VMCS/guest state/CR0',
    'Devices/platform/vCPU 0/steal time',
  ])
    expect(all, none).toHaveProperty([none], undefined);
});

test('the stages of a handler lead to the addresses that they name', () => {
  const { client } = atEntry('bits 64\nmov ebx, 0xd0000000\nmov eax, [rbx]\nhlt\n');
  client.move('next', 'instruction');
  client.move('stepIn', 'instruction');
  expect(references(client)['Stage/gpa']).toBe(writeReference({ space: 'gpa', address: 0xd000_0000n }));
  expect(client.ask('evaluate', { expression: 'gpa', context: 'watch', frameId: client.frames()[0].id }).memoryReference).toBe(
    writeReference({ space: 'gpa', address: 0xd000_0000n }),
  );
});

test('in real mode registers are offsets in their segments', () => {
  const { client } = atEntry('bits 16\norg 0x7c00\nmov ax, 0x1000\nmov ds, ax\nmov ss, ax\nmov si, 0x20\nmov sp, 0x40\nhlt\n', {
    platform: 'bare',
  });
  for (let step = 0; step < 5; step++) client.move('stepIn', 'instruction');
  const all = references(client);
  expect(all['Registers/si']).toBe('0x10020');
  expect(all['Registers/sp']).toBe('0x10040');
  expect(all['Segments/ds']).toBe('0x10000');
  expect(client.ask('evaluate', { expression: 'si', context: 'watch' }).memoryReference).toBe('0x10020');
});

test.each([
  ['rsp', (rsp: bigint) => writeReference({ space: 'gva', address: rsp })],
  ['rsp + 8', (rsp: bigint) => writeReference({ space: 'gva', address: rsp + 8n })],
  // As wide as an address: a pointer. Narrower: what lies there is looked at.
  ['[0x5000]', () => '0x1234'],
  ['dword [0x5000]', () => '0x5000'],
  ['byte gpa:[0x5000]', () => writeReference({ space: 'gpa', address: 0x5000n })],
  ['cr3', (_: bigint, cr3: bigint) => writeReference({ space: 'gpa', address: cr3 })],
  ['msr:LSTAR', () => '0x0'],
  ['_start', () => '0x100000'],
  ['zf', () => undefined],
  ['al', () => undefined],
  ['msr:EFER', () => undefined],
  ['xmm0', () => undefined],
] as const)('what the expression %s gives leads to memory', (expression, reference) => {
  const { client } = atEntry('bits 64\n_start: hlt\n');
  client.evaluate('qword [0x5000] = 0x1234', 'repl');
  const rsp = BigInt(client.evaluate('rsp', 'clipboard'));
  const cr3 = BigInt(client.evaluate('cr3', 'clipboard'));
  expect(client.ask('evaluate', { expression, context: 'watch' }).memoryReference).toBe(reference(rsp, cr3));
});

test('setting something tells where it leads to then', () => {
  const client = atEntry(SPIN).client;
  const { scopes } = client.ask('scopes', { frameId: client.frames()[0].id });
  const set = { variablesReference: scopes[0].variablesReference, name: 'rbx', value: '0x5000' };
  expect(client.ask('setVariable', set).memoryReference).toBe('0x5000');
  expect(client.ask('setExpression', { expression: 'rbx', value: '0x6000' }).memoryReference).toBe('0x6000');
  expect(client.ask('evaluate', { expression: 'rbx = 0x7000', context: 'repl' }).memoryReference).toBe('0x7000');
});

test('a data breakpoint at a physical reference watches physical memory', () => {
  const client = atEntry('bits 64\nmov byte [0x5000], 1\nhlt\n').client;
  const name = writeReference({ space: 'gpa', address: 0x5000n });
  const { dataId, description } = client.ask('dataBreakpointInfo', { name, asAddress: true, bytes: 4 });
  expect(description).toBe('4 bytes at gpa:0x5000');
  client.ask('setDataBreakpoints', { breakpoints: [{ dataId, accessType: 'write' }] });
  expect(client.move('continue').body.reason).toBe('data breakpoint');
});

/** The memory reference of each variable of the top frame, two levels deep. */
function references(client: Client): Record<string, string | undefined> {
  const all: Record<string, string | undefined> = {};
  const visit = (path: string, variablesReference: number, depth: number) => {
    for (const variable of client.ask('variables', { variablesReference }).variables) {
      const name = `${path}/${variable.name}`;
      if (!(name in all)) all[name] = variable.memoryReference;
      if (depth > 0 && variable.variablesReference > 0) visit(name, variable.variablesReference, depth - 1);
    }
  };
  for (const { name, variablesReference } of client.ask('scopes', { frameId: client.frames()[0].id }).scopes)
    visit(name, variablesReference, 2);
  return all;
}
