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

test('a physical address is shown as one, with its second level where there is one', () => {
  const bare = atEntry('bits 64\n_start: hlt\n', { platform: 'bare' }).client;
  const address = 'gpa:0x2000';
  expect(row(pageWalkNode(address, bare.ask('hyperscope/pageWalk', { address })))).toBe('gpa:0x2000: is physical already');
  const amd = atEntry('bits 64\n_start: hlt\n', { vendor: 'amd' }).client;
  const shown = pageWalkNode(address, amd.ask('hyperscope/pageWalk', { address }));
  expect(row(shown)).toMatch(/^gpa:0x2000: → spa 0x[0-9a-f]+2000$/);
  const [second] = shown.children ?? [];
  const rows = second?.children?.map(row) ?? [];
  expect(rows[0]).toMatch(/^nCR3: 0x/);
  expect(rows.at(-1)).toMatch(/^P[DT]E: 0x[0-9a-f]{16} {2}P RW US.* → spa 0x/);
  expect(all(node('rip')).filter(({ label }) => label === 'EPT')).toHaveLength(4);
});
