// The requests that memory editors make, one by one: VS Code's own memory files with the Hex Editor extension on them, and the Memory
// Inspector extension. test/ui/memory-extensions.ui.mjs runs the extensions themselves, where there is a build of them.
import { beforeEach, expect, test } from 'vitest';
import type { Client } from './client.ts';
import { atEntry } from './guests.ts';

const PROGRAM = `bits 64
_start:
    mov rdi, data
    mov byte [rdi + 1], 0xaa
    mov bl, [rdi]
    nop
    hlt
section .data
align 4096
data: db 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17
`;

let client: Client;
/** The memory reference of a variable, as the view's menu has it. */
let reference: string;

beforeEach(() => {
  ({ client } = atEntry(PROGRAM));
  client.move('stepIn', 'instruction');
  const [registers] = client.ask('scopes', { frameId: client.frames()[0].id }).scopes;
  const { variables } = client.ask('variables', { variablesReference: registers.variablesReference });
  reference = variables.find(({ name }: { name: string }) => name === 'rdi').memoryReference;
  client.events.splice(0);
});

const bytesOf = ({ data }: { data: string }) => [...Buffer.from(data, 'base64')];
const base64 = (...bytes: number[]) => Buffer.from(bytes).toString('base64');
const memoryEvents = () => client.events.splice(0).filter(({ event }) => event === 'memory');

/** VS Code's region of memory: what it makes of an answer (`readMemory` with an offset, filled up with zeroes). */
function region(from: number, to: number): readonly number[] {
  const body = client.ask('readMemory', { memoryReference: reference, offset: from, count: to - from });
  const readable = to - from - (body.unreadableBytes || 0);
  const bytes = bytesOf(body).slice(0, readable);
  return [...bytes, ...Array.from({ length: readable - bytes.length }, () => 0)];
}

test('the editor is let read and write', () => {
  expect(client.ask('initialize', { adapterID: 'hyperscope' })).toMatchObject({
    supportsReadMemoryRequest: true,
    supportsWriteMemoryRequest: true,
  });
});

test('the Hex Editor reads pages of 4 KiB from the variable on', () => {
  expect(region(0, 4096).slice(0, 9)).toEqual([0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0]);
  expect(region(0, 4096)).toHaveLength(4096);
  expect(region(4096, 8192)).toHaveLength(4096);
});

test('a saved byte reaches the guest, and the editor is told by its own reference', () => {
  region(0, 4096);
  const body = client.ask('writeMemory', { memoryReference: reference, offset: 0, data: base64(0xff), allowPartial: true });
  expect(body.bytesWritten).toBe(1);
  expect(memoryEvents()).toEqual([expect.objectContaining({ body: { memoryReference: reference, offset: 0, count: 1 } })]);
  client.move('stepIn', 'instruction');
  client.move('stepIn', 'instruction');
  expect(client.evaluate('bl', 'clipboard')).toBe('0xff');
});

test('the editor is told at the next stop what the guest has written on its page', () => {
  region(0, 4096);
  client.move('stepIn', 'instruction');
  expect(memoryEvents()).toEqual([expect.objectContaining({ body: { memoryReference: reference, offset: 1, count: 1 } })]);
  expect(region(0, 2)).toEqual([0x10, 0xaa]);
});

test('the Memory Inspector computes with the address of an answer, in each space', () => {
  const cr3 = client.ask('evaluate', { expression: 'cr3', context: 'watch' }).memoryReference;
  for (const memoryReference of [reference, cr3]) {
    const first = client.ask('readMemory', { memoryReference, offset: 0, count: 256 });
    expect(BigInt(first.address)).toBe(BigInt(memoryReference));
    expect(bytesOf(first)).toHaveLength(256);
    // "Load 128 more bytes above", then the same from the address of the answer.
    const above = client.ask('readMemory', { memoryReference, offset: -128, count: 384 });
    expect(BigInt(above.address)).toBe(BigInt(memoryReference) - 128n);
    expect(bytesOf(above).slice(128)).toEqual(bytesOf(first));
    const again = client.ask('readMemory', { memoryReference: above.address, offset: 128, count: 256 });
    expect(bytesOf(again)).toEqual(bytesOf(first));
  }
});

test('an edit of the Memory Inspector is told last by the address that was written', () => {
  client.ask('readMemory', { memoryReference: reference, offset: 0, count: 256 });
  const written = `0x${(BigInt(reference) + 3n).toString(16)}`;
  expect(client.ask('writeMemory', { memoryReference: written, data: base64(0x77) })).toMatchObject({ bytesWritten: 1 });
  // It waits for the events to end and looks at the last: whether what was written overlaps what it shows.
  expect(memoryEvents().map(({ body }) => body)).toEqual([
    { memoryReference: reference, offset: 3, count: 1 },
    { memoryReference: written, offset: 0, count: 1 },
  ]);
});

test('a breakpoint on a byte that is set in the Memory Inspector stops there', () => {
  const dataId = `0x${(BigInt(reference) + 1n).toString(16)}`;
  const { breakpoints } = client.ask('setDataBreakpoints', { breakpoints: [{ dataId, accessType: 'write' }] });
  expect(breakpoints).toMatchObject([{ verified: true }]);
  expect(client.move('continue').body).toMatchObject({ reason: 'data breakpoint', hitBreakpointIds: [breakpoints[0].id] });
  const nonsense = client.ask('setDataBreakpoints', {
    breakpoints: [{ dataId: 'rdi' }, { dataId: '0xfffffffffffffffffffffffff' }],
  });
  expect(nonsense.breakpoints).toMatchObject([{ verified: false }, { verified: false }]);
});

test('memory is stored to a file and applied from it in large pieces', () => {
  const all = client.ask('readMemory', { memoryReference: reference, offset: 0, count: 0x20_0000 });
  expect(bytesOf(all)).toHaveLength(0x20_0000);
  const { data } = client.ask('readMemory', { memoryReference: reference, count: 0x1_0000 });
  const target = `0x${(BigInt(reference) + 0x10_0000n).toString(16)}`;
  expect(client.ask('writeMemory', { memoryReference: target, data })).toMatchObject({ bytesWritten: 0x1_0000 });
  expect(client.ask('readMemory', { memoryReference: target, count: 0x1_0000 }).data).toBe(data);
});
