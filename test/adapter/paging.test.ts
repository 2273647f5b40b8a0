import { expect, test } from 'vitest';
import { atEntry } from './guests.ts';

const SPIN = 'bits 64\n_start: hlt\n';
const walk = (expression: string, client = atEntry(SPIN).client) => client.ask('hyperscope/pageWalk', { address: expression });

test('a page walk has each entry decoded, with references to where it lies and to what it names', () => {
  const { client } = atEntry(SPIN);
  const body = walk('rip', client);
  expect(body).toMatchObject({
    space: 'gva',
    address: '0x100000',
    memoryReference: '0x100000',
    mode: '4-level',
    gpa: '0x100000',
  });
  expect(body).toMatchObject({ pageSize: 0x20_0000, rights: 'rwx s', physicalReference: '0x10000000000100000' });
  expect(body.entries.map(({ name }: { name: string }) => name)).toEqual(['PML4E', 'PDPTE', 'PDE']);
  let { memoryReference } = body.root;
  for (const entry of body.entries) {
    expect(entry.memoryReference).toBe(memoryReference);
    const { data } = client.ask('readMemory', { memoryReference, count: 8 });
    expect(BigInt(entry.value)).toBe(Buffer.from(data, 'base64').readBigUInt64LE());
    expect(entry.fields[0]).toEqual({ name: 'P', bits: 'bit 0', value: '0x1', meaning: 'present' });
    memoryReference = entry.next.memoryReference;
  }
  expect(body.entries[2].next).toMatchObject({ what: 'page of 2 MiB', gpa: '0x0' });
  expect(body.accesses).toContainEqual({
    user: true,
    kind: 'write',
    fault: '#PF(0x7)',
    errorCode: 7,
    cause: "The page is the supervisor's alone (U/S is 0).",
  });
  expect(body.accesses[0]).toEqual({ user: false, kind: 'read' });
  expect(JSON.parse(JSON.stringify(body))).toEqual(JSON.parse(JSON.stringify(walk('_start', client))));
});

test.each([
  ['0x8000000000', { gpa: undefined, problem: 'The PML4 entry is not present.' }],
  ['rsp + 8', { space: 'gva' }],
  ['gpa:0x2000', { space: 'gpa', gpa: '0x2000', entries: [] }],
  ['gpa:rip & 0xfff000', { space: 'gpa', gpa: '0x100000' }],
  ['0x10000000000002000', { space: 'gpa', gpa: '0x2000' }],
  ['cr3', { space: 'gpa' }],
])('%s can be looked up', (expression, expected) => {
  expect(walk(expression)).toMatchObject(expected);
});

test('what is no address is refused in a sentence', () => {
  const { client } = atEntry(SPIN);
  for (const address of ['zf', 'nowhere', '', '0x1ffffffffffffffffffffffff'])
    expect(client.request('hyperscope/pageWalk', { address }), address).toMatchObject({
      success: false,
      message: expect.stringMatching(/no address|is not a register|empty|not a memory reference/),
    });
});

test('the map of the address space comes as ranges and as text, up to a count', () => {
  const { client } = atEntry(SPIN);
  expect(client.ask('hyperscope/addressMap')).toEqual({
    mode: '4-level',
    ranges: [{ start: '0x0', last: '0xffffffff', rights: 'rwx s', gpa: '0x0', pageSizes: [0x20_0000] }],
    lines: ['0x0000000000000000-0x00000000ffffffff      4 GiB  rwx s  2 MiB  → gpa 0x0'],
    unfinishedAt: undefined,
  });
  expect(client.ask('hyperscope/addressMap', { address: '0x80000000' }).ranges[0].start).toBe('0x80000000');
  client.evaluate('qword gpa:[qword gpa:[qword gpa:[cr3] & -0x1000] & -0x1000] = 0x81', 'repl');
  expect(client.ask('hyperscope/addressMap', { count: 1 })).toMatchObject({
    ranges: [{ rights: 'r-x s' }],
    unfinishedAt: '0x200000',
  });
  expect(client.request('hyperscope/addressMap', { address: 'gpa:0' })).toMatchObject({ success: false });
});

test('each vCPU has its own translation', () => {
  const { client } = atEntry(SPIN, { vcpus: 2 });
  expect(client.ask('hyperscope/pageWalk', { address: '0x1000', threadId: 1 }).mode).toBe('4-level');
  expect(client.ask('hyperscope/pageWalk', { address: '0x1000', threadId: 2 }).mode).toBe('off');
});

test.each([
  ['intel', 'EPT', ['R', 'W', 'X'], 'WB'],
  ['amd', 'NPT', ['P', 'RW'], 'US'],
] as const)('the tables below those of the guest are shown as those of %s', (vendor, format, rights, flag) => {
  const { client } = atEntry(SPIN, { vendor });
  const { secondLevel } = client.ask('hyperscope/pageWalk', { address: 'gpa:0x10_2010' });
  expect(secondLevel.format).toBe(format);
  expect(secondLevel.entries[0].name).toBe('PML4E');
  expect(secondLevel.entries.at(-1).bits).toEqual(expect.arrayContaining([...rights, flag]));
  const { entries, secondLevel: final } = walk('rip', client);
  expect(entries[0].secondLevel.spa).not.toBe(undefined);
  expect(BigInt(final.spa) & 0xfffn).toBe(BigInt(client.evaluate('rip & 0xfff', 'clipboard')));
  expect(client.evaluate('walk gpa:0x10_2010', 'repl')).toContain(`${format} PML4E entry at spa ${secondLevel.entries[0].spa}`);
  expect(client.ask('hyperscope/pageWalk', { address: 'gpa:0xf000_0000' }).secondLevel.problem).toContain('devices answer');
});

test('a machine without a hypervisor has no tables below those of the guest', () => {
  const { client } = atEntry(SPIN, { platform: 'bare' });
  expect(walk('rip', client).secondLevel).toBe(undefined);
  expect(client.request('evaluate', { expression: 'walk gpa:0', context: 'repl' }).message).toContain(
    'not looked up in page tables',
  );
});
