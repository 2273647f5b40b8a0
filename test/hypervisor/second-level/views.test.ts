import { describe, expect, test } from 'vitest';
import type { InspectNode } from '../../../src/devices/inspect.ts';
import { eptPointer, eptWalk } from '../../../src/hypervisor/second-level/ept.ts';
import { nestedCr3 } from '../../../src/hypervisor/second-level/npt.ts';
import { vmcbView } from '../../../src/hypervisor/views/vmcb.ts';
import { vmcsView } from '../../../src/hypervisor/views/vmcs.ts';
import { ROUTINES } from '../../platforms/run-guest.ts';
import { guest, processorOf, READ_ONLY, stopAt } from './stop-at.ts';

const WRITES = `bits 64
_start:
    mov dword [0x600000], 1
    out 0x80, al
    jmp off
${ROUTINES}`;

describe('what the control structures show', () => {
  /** Value and detail of a field, wherever it is in a view. */
  const find = (node: InspectNode, name: string): string | undefined => {
    if (node.name === name) return `${node.value} ${node.detail}`;
    for (const child of node.children ?? []) {
      const found = find(child, name);
      if (found !== undefined) return found;
    }
    return undefined;
  };

  test('is the EPT pointer and, while it is used, the page-modification log', () => {
    const partition = guest(WRITES);
    const vmcs = () => vmcsView(processorOf(partition), undefined, partition.vcpus[0]?.settings, partition);
    const root = eptPointer(partition.secondLevel).toString(16);
    expect(find(vmcs(), 'EPT pointer')).toBe(`0x${root} 0x201a, WB, 4 levels, accessed and dirty flags`);
    expect(find(vmcs(), 'PML index')).toBeUndefined();
    partition.dirtyLog.start('pml');
    expect(find(vmcs(), 'PML index')).toBe('0x1ff 0x0812');
    expect(find(vmcs(), 'secondary')).toContain('Enable PML');
    stopAt(partition, 'io');
    expect(find(vmcs(), 'PML index')).toBe(`0x${(511 - partition.dirtyLog.pending(0)).toString(16)} 0x0812`);
  });

  test('is nCR3 with AMD, where walks have its format', () => {
    const partition = guest(WRITES, { vendor: 'amd' });
    const root = nestedCr3(partition.secondLevel);
    expect(partition.walkSecondLevel(0n)).toMatchObject({ format: 'NPT', root });
    expect(find(vmcbView(processorOf(partition), undefined, undefined, partition), 'nCR3')).toBe(`0x${root.toString(16)} 0x00b0`);
  });
});

describe('what a partition shows of its map', () => {
  test('is its RAM in ranges of like pages', () => {
    const partition = guest(WRITES);
    const { secondLevel } = partition;
    secondLevel.setPermissions(0x20_3000n, 0x2000n, READ_ONLY);
    secondLevel.balloon(0x60_0000n, 0x40_0000n);
    const node = partition.inspect().children?.find(({ name }) => name === 'second level');
    expect(node?.value).toBe(`0x${eptPointer(secondLevel).toString(16)}`);
    expect(node?.children?.map(({ name, value, detail }) => `${name} ${value} ${detail}`)).toEqual([
      '0x0–0x9ffff RWX 160 pages of 4 KiB, WB',
      '0xc0000–0x202fff RWX 323 pages of 4 KiB, WB',
      '0x203000–0x204fff R-- 2 pages of 4 KiB, WB',
      '0x205000–0x3fffff RWX 507 pages of 4 KiB, WB',
      '0x400000–0x5fffff RWX 1 page of 2 MiB, WB',
      '0x600000–0x9fffff ballooned 2 pages of 2 MiB',
      '0xa00000–0xffffff RWX 3 pages of 2 MiB, WB',
    ]);
  });

  test('has the misconfigured entries by which KVM finds device memory, on Intel', () => {
    const entry = (configuration: Parameters<typeof guest>[1], gpa: bigint) =>
      eptWalk(guest(WRITES, configuration).secondLevel, gpa).entries.at(-1);
    expect(entry({}, 0xfee0_00b0n)).toMatchObject({ level: 'PTE', value: 0xfee0_0006n });
    expect(entry({ vendor: 'amd' }, 0xfee0_00b0n)).toMatchObject({ level: 'PDPTE', value: 0n });
    expect(entry({ platform: 'bare' }, 0xfee0_00b0n)).toMatchObject({ level: 'PDPTE', value: 0n });
  });
});
