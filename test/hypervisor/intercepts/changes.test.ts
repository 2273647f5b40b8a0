import { describe, expect, test } from 'vitest';
import { CHANGEABLE, changeIntercepts } from '../../../src/hypervisor/intercepts/changes.ts';
import { interceptSettings } from '../../../src/hypervisor/intercepts/settings.ts';

const changed = (changes: readonly string[], vendor: 'intel' | 'amd' = 'intel') =>
  changeIntercepts(interceptSettings(['hlt']), changes, vendor);

describe('changes that a user asks for', () => {
  test('switch settings on and off', () => {
    expect([...changed(['rdtsc', 'monitor-trap', '-hlt']).on]).toEqual(['rdtsc', 'monitor-trap']);
    expect([...changed([]).on]).toEqual(['hlt']);
    expect([...changed(['-rdtsc']).on]).toEqual(['hlt']);
  });

  test('set the preemption timer', () => {
    const settings = changed(['preemption-timer=5000']);
    expect([settings.on.has('preemption-timer'), settings.preemptionTimer]).toEqual([true, 5000]);
    expect(changed(['preemption-timer=7', '-preemption-timer']).on.has('preemption-timer')).toBe(false);
  });

  test('name accesses to control registers', () => {
    expect(changed(['cr3-read', 'cr3-write', 'cr8-write']).cr).toEqual({ reads: 8, writes: 0x108 });
    expect(changed(['cr0-write', 'cr4-write']).cr.writes).toBe(0x11);
    expect(changed(['cr0-read', 'cr8-write-trap'], 'amd')).toMatchObject({ cr: { reads: 1 }, crTraps: 0x100 });
  });

  test.each<[string, 'intel' | 'amd', string]>([
    ['rdtcs', 'intel', '"rdtcs" is no intercept; choose a name of docs/intercepts.md, such as rdtsc, rdtscp.'],
    ['-nothing', 'intel', '"-nothing" is no intercept; choose a name of docs/intercepts.md, such as cpuid, rdtsc, pause'],
    ['encls', 'intel', '"encls" is no intercept'],
    ['interrupt-window', 'intel', '"interrupt-window" is no intercept'],
    ['monitor-trap', 'amd', '"monitor-trap" is nothing that SVM intercepts; leave it out, or choose the vendor intel.'],
    ['preemption-timer=9', 'amd', '"preemption-timer" is nothing that SVM intercepts'],
    ['iret', 'intel', '"iret" is nothing that VMX intercepts; leave it out, or choose the vendor amd.'],
    ['cr3-write-trap', 'intel', '"cr3-write-trap" is nothing that VMX intercepts'],
    ['cr0-read', 'intel', '"cr0-read" is nothing that VMX intercepts'],
    ['cr5-read', 'amd', '"cr5-read" names no control register; there are CR0, CR2, CR3, CR4 and CR8.'],
    ['preemption-timer', 'intel', '"preemption-timer" needs its ticks; write for example preemption-timer=10000.'],
    ['preemption-timer=0', 'intel', 'A preemption timer counts 1 to 4294967295 ticks, not "0".'],
    ['preemption-timer=4294967296', 'intel', 'A preemption timer counts 1 to'],
    ['preemption-timer=soon', 'intel', 'A preemption timer counts 1 to 4294967295 ticks, not "soon".'],
  ])('%s on %s is refused with a sentence', (change, vendor, message) => {
    expect(() => changed([change], vendor)).toThrow(message);
  });

  test('are all that makes an exit of the guest by itself', () => {
    expect(CHANGEABLE).toContain('monitor-trap');
    expect(CHANGEABLE).not.toContain('nmi-window');
    expect(CHANGEABLE.length).toBeGreaterThan(40);
  });
});
