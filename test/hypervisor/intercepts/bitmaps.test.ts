import { describe, expect, test } from 'vitest';
import { IoBitmap } from '../../../src/hypervisor/intercepts/io-bitmap.ts';
import { MsrBitmap } from '../../../src/hypervisor/intercepts/msr-bitmap.ts';
import { type InterceptSettings, interceptSettings } from '../../../src/hypervisor/intercepts/settings.ts';
import type { GuestPartition } from '../../../src/hypervisor/partition/guest-partition.ts';
import { guest, ROUTINES, runToEnd } from '../../platforms/run-guest.ts';
import { InterceptedGuest, VENDORS } from './guest.ts';

/** A guest of KVM with other settings for ports and MSRs than KVM's. */
function kvmGuest(source: string, vendor: 'intel' | 'amd', values: Partial<Omit<InterceptSettings, 'on'>>, translator?: number) {
  const partition: GuestPartition = guest(`bits 64\n_start:\n${source}\n${ROUTINES}`, { vendor, translator });
  const settings = partition.vcpus[0]?.settings;
  if (settings === undefined) throw new Error('KVM has set nothing up');
  partition.intercept(0, { ...settings, ...values });
  return partition;
}

describe.each(VENDORS)('ports on %s', (vendor) => {
  const LETTERS = 3000;
  const PRINT = `mov ecx, ${LETTERS}\nmov dx, 0x3f8\nmov al, 'x'\n.next: out dx, al\nloop .next\njmp off`;

  test.each([
    ['interpreter', 0],
    ['translator', undefined],
  ])('that are not intercepted reach the devices without an exit (%s)', (_tier, translator) => {
    const io = IoBitmap.filled(true);
    io.set(0x3f8, 0x3ff, false);
    const partition = kvmGuest(PRINT, vendor, { io }, translator);
    const passed = runToEnd(partition);
    expect([passed.text.length, passed.records.map(({ request }) => request)]).toEqual([LETTERS, ['out 0x604, 0x2000']]);
    const intercepted = runToEnd(kvmGuest(PRINT, vendor, { io: 'all' }, translator));
    expect([intercepted.text.length, intercepted.records.length]).toEqual([LETTERS, LETTERS + 1]);
    expect((partition.processors[0]?.translations.made ?? 0) > 0).toBe(translator === undefined);
    expect([passed.instructions, passed.hash]).toEqual([intercepted.instructions, intercepted.hash]);
  });

  test('leave when an access touches one that is intercepted', () => {
    const io = IoBitmap.filled(false);
    io.set(0x82, 0x82, true);
    io.set(0x604, 0x605, true);
    const source = ['0x80', '0x81', '0x7f', '0x82', '0x83'].flatMap((port) => [
      `mov dx, ${port}`,
      'in al, dx',
      'in ax, dx',
      'in eax, dx',
    ]);
    const { records } = runToEnd(kvmGuest(`${source.join('\n')}\njmp off`, vendor, { io }));
    expect(records.map(({ request }) => request)).toEqual([
      'in 0x80 (4 bytes)',
      'in 0x81 (2 bytes)',
      'in 0x81 (4 bytes)',
      'in 0x7f (4 bytes)',
      'in 0x82 (1 byte)',
      'in 0x82 (2 bytes)',
      'in 0x82 (4 bytes)',
      'out 0x604, 0x2000',
    ]);
  });

  test('of string instructions leave or pass element by element', () => {
    const io = IoBitmap.filled(true);
    io.set(0x3f8, 0x3f8, false);
    const source = 'mov dx, 0x3f8\nlea rsi, [rel text]\nmov ecx, 5\nrep outsb\njmp off\ntext: db "abcde"';
    const { text, records } = runToEnd(kvmGuest(source, vendor, { io }));
    expect([text, records.length]).toEqual(['abcde', 1]);
  });
});

describe.each(VENDORS)('MSRs on %s', (vendor) => {
  const exits = (source: string, msrs: InterceptSettings['msrs']) => {
    const machine = new InterceptedGuest(vendor, `${source}\nhlt`);
    machine.intercept(interceptSettings(['hlt'], { msrs, exceptions: 1 << 13 }));
    const exit = machine.exit();
    return exit.reason === 'exception' ? '#GP' : exit.reason;
  };
  const read = (msr: number) => `mov ecx, ${msr}\nrdmsr`;
  const write = (msr: number) => `mov ecx, ${msr}\nxor eax, eax\nxor edx, edx\nwrmsr`;

  test('leave by their bits for reads and for writes', () => {
    const msrs = MsrBitmap.filled(false);
    msrs.set(0xc000_0082, { write: true });
    msrs.set(0x277, { read: true });
    expect([read(0xc000_0082), write(0xc000_0082), read(0x277), write(0x277)].map((source) => exits(source, msrs))).toEqual([
      'hlt',
      'msr-write',
      'msr-read',
      'hlt',
    ]);
    expect([exits(read(0x277), 'none'), exits(read(0x277), 'all')]).toEqual(['hlt', 'msr-read']);
  });

  test('outside the ranges leave always', () => {
    expect(exits(read(0x4000_0000), MsrBitmap.filled(false))).toBe('msr-read');
  });

  test('that are not intercepted and not there fault without an exit', () => {
    const source = 'mov ecx, 0x1ff0\nrdmsr';
    const partition = kvmGuest(source, vendor, { msrs: MsrBitmap.filled(false) });
    const { end, records } = runToEnd(partition);
    expect([end.kind, records.filter(({ reason }) => reason === 'msr-read')]).toEqual(['crash', []]);
    expect(end.message).toContain('#GP(0)');
  });
});
