import { expect, test } from 'vitest';
import { failedNode, type PageWalkNode, pageWalkNode } from '../../src/extension/views/page-walk-nodes.ts';
import { atEntry } from '../adapter/guests.ts';

const { client } = atEntry('bits 64\n_start: hlt\n');
const node = (address: string) => pageWalkNode(address, client.ask('hyperscope/pageWalk', { address }));
const row = ({ label, description }: PageWalkNode) => `${label}: ${description}`;
const all = (from: PageWalkNode): PageWalkNode[] => [from, ...(from.children ?? []).flatMap(all)];

test('an address has its translation below it, entry by entry', () => {
  const shown = node('rip');
  expect(row(shown)).toBe('rip: 0x100000 → gpa 0x100000  rwx s  2 MiB');
  const [root, pml4e, pdpte, pde, page, accesses] = shown.children ?? [];
  expect(root && row(root)).toMatch(/^CR3: 0x[0-9a-f]+ {2}4-level paging$/);
  expect(pml4e && row(pml4e)).toMatch(/^PML4E 0: 0x[0-9a-f]+ {2}P R\/W( A)? {2}→ PDPT 0x[0-9a-f]+$/);
  expect(pdpte && row(pdpte)).toMatch(/→ page directory/);
  expect(pde && row(pde)).toMatch(/P R\/W.* PS.* {2}→ page of 2 MiB 0x0$/);
  expect(pde?.children?.map(row)).toContain('U/S: 0  supervisor only');
  expect(page && row(page)).toBe('Page: gpa 0x100000  2 MiB');
  expect(accesses && row(accesses)).toBe('Accesses: supervisor: everything; user: nothing');
  expect(accesses?.children?.map(row)).toContain("User write: #PF(0x7)  The page is the supervisor's alone (U/S is 0).");
});

test('rows keep their names from stop to stop, and each is there once', () => {
  const ids = all(node('rip')).map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(all(node('rip')).map(({ id }) => id)).toEqual(ids);
});

test('rows with a place in memory lead to it', () => {
  const leading = all(node('rip')).filter(({ memoryReference }) => memoryReference !== undefined);
  expect(leading.map(({ label }) => label.replace(/ \d+$/, ''))).toEqual([
    'rip',
    'CR3',
    'PML4E',
    'PDPT',
    'PDPTE',
    'Page directory',
    'PDE',
    'Page of 2 MiB',
    'Page',
  ]);
  for (const { memoryReference } of leading)
    expect(client.ask('readMemory', { memoryReference, count: 8 })).toMatchObject({ unreadableBytes: 0 });
});

test('an address that is not mapped says why, and where its walk ends', () => {
  const shown = node('0x8000000000');
  expect(row(shown)).toBe('0x8000000000: The PML4 entry is not present.');
  expect(shown.children?.map(row).at(-1)).toBe('PML4E 1: 0x0  not present');
  expect(shown.children?.some(({ label }) => label === 'Accesses')).toBe(false);
  expect(row(failedNode('nowhere', 'No such thing.'))).toBe('nowhere: No such thing.');
});

test('a physical address is shown with its second level, and so is each table on the way to another one', () => {
  const shown = node('gpa:0x102000');
  expect(row(shown)).toMatch(/^gpa:0x102000: → spa 0x[0-9a-f]+$/);
  const [ept] = shown.children ?? [];
  expect(ept && row(ept)).toMatch(/^EPT: → spa 0x/);
  expect(ept?.children?.map(({ label }) => label)).toEqual(expect.arrayContaining(['EPTP', 'PML4E', 'PDPTE', 'PDE']));
  expect(ept?.children?.at(-1)?.description).toMatch(/^0x[0-9a-f]{16} {2}R W X WB .* → spa 0x[0-9a-f]+$/);
  for (const vendor of ['intel', 'amd']) {
    const guest = atEntry('bits 64\nhlt\n', { vendor }).client;
    const rip = pageWalkNode('rip', guest.ask('hyperscope/pageWalk', { address: 'rip' }));
    const levels = all(rip).filter(({ label }) => label === (vendor === 'intel' ? 'EPT' : 'NPT'));
    expect(levels).toHaveLength(4);
    const bits = levels.flatMap(({ children = [] }) => children.flatMap((entry) => entry.children ?? []));
    expect(bits.length).toBeGreaterThan(40);
    expect(bits.filter(({ description }) => description === undefined)).toEqual([]);
  }
  expect(row(node('gpa:0xf0000000'))).toMatch(/devices answer/);
});

test('without a hypervisor a physical address is all that there is', () => {
  const bare = atEntry('bits 64\nhlt\n', { platform: 'bare' }).client;
  const shown = pageWalkNode('gpa:0x2000', bare.ask('hyperscope/pageWalk', { address: 'gpa:0x2000' }));
  expect(row(shown)).toBe('gpa:0x2000: is physical already');
  expect(shown.children).toEqual([]);
});
