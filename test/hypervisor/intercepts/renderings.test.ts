import { describe, expect, test } from 'vitest';
import { conform } from '../../../src/hypervisor/intercepts/conform.ts';
import { IoBitmap } from '../../../src/hypervisor/intercepts/io-bitmap.ts';
import { MsrBitmap } from '../../../src/hypervisor/intercepts/msr-bitmap.ts';
import { SVM_OFFSETS, type SvmOffset, VMX_FIELDS, type VmxField } from '../../../src/hypervisor/intercepts/places.ts';
import { type InterceptSettings, interceptSettings, missingOn } from '../../../src/hypervisor/intercepts/settings.ts';
import {
  DERIVED_SVM,
  DERIVED_VMX,
  SETTING_ROWS,
  type SettingName,
  VMX_RESERVED_ONES,
} from '../../../src/hypervisor/intercepts/table.ts';
import { fromVmcb, svmBitNames, toVmcb } from '../../../src/hypervisor/intercepts/vmcb-controls.ts';
import { fromVmcs, toVmcs, vmxBitNames } from '../../../src/hypervisor/intercepts/vmcs-controls.ts';

/** Numbers that look random and are the same in each run. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state;
  };
}

function anySettings(seed: number): InterceptSettings {
  const next = numbers(seed);
  const coin = () => next() >>> 31 === 1;
  const io = IoBitmap.filled(coin());
  const msrs = MsrBitmap.filled(coin());
  for (let count = 0; count < 50; count++) {
    const first = next() >>> 16;
    io.set(first, Math.min(0xffff, first + (next() >>> 28)), coin());
    const range = [0, 0xc000_0000, 0xc001_0000][count % 3] ?? 0;
    msrs.set(range + (next() >>> 19), { read: coin(), write: coin() });
  }
  const owned = () => ({ mask: coin() ? BigInt(next()) : 0n, shadow: coin() ? BigInt(next()) : undefined });
  return interceptSettings(SETTING_ROWS.map(([name]) => name).filter(coin), {
    exceptions: next(),
    pageFaults: coin() ? { mask: next() & 0x1f, match: next() & 0x1f } : { mask: 0, match: 0 },
    cr: { reads: next() & 0xffff, writes: next() & 0xffff },
    crTraps: next() & 0xffff,
    cr0: owned(),
    cr4: owned(),
    cr3Targets: coin() ? [BigInt(next()), 0x1000n] : [],
    dr: { reads: next() & 0xffff, writes: next() & 0xffff },
    io: (['none', 'all', io] as const)[next() % 3] ?? 'none',
    msrs: (['none', 'all', msrs] as const)[next() % 3] ?? 'none',
    pauseLoop: coin() ? { gap: next() & 0xffff, window: next(), count: (next() & 0xffff) | 1 } : undefined,
    preemptionTimer: next(),
    tprThreshold: next() & 15,
    virtualInterrupt: coin() ? { vector: next() & 0xff, priority: next() & 15, ignoresTpr: coin() } : undefined,
    virtualNmi: coin(),
  });
}

/** As text, which is compared faster than thousands of bytes. */
function plain(controls: object): string {
  return JSON.stringify(controls, (_key, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value).toString('hex') : typeof value === 'bigint' ? value.toString() : value,
  );
}

const SEEDS = Array.from({ length: 40 }, (_, index) => index + 1);

describe('settings', () => {
  test('come back from a VMCS as what a processor with VMX does with them', () => {
    for (const seed of SEEDS) {
      const controls = toVmcs(anySettings(seed));
      expect(plain(toVmcs(fromVmcs(controls))), `seed ${seed}`).toBe(plain(controls));
    }
  });

  test('come back from a VMCB as what a processor with SVM does with them', () => {
    for (const seed of SEEDS) {
      const controls = toVmcb(anySettings(seed));
      expect(plain(toVmcb(fromVmcb(controls))), `seed ${seed}`).toBe(plain(controls));
    }
  });

  test.each(['intel', 'amd'] as const)('lose nothing on %s but what it does not have', (vendor) => {
    for (const seed of SEEDS) {
      const settings = anySettings(seed);
      const { on } = conform(settings, vendor);
      const missing = missingOn(vendor, settings);
      for (const name of settings.on) {
        // A pause filter and PAUSE share an intercept; masks take the place of the selective write.
        if (name === 'pause' || name === 'cr0-selective-write' || missing.includes(name)) continue;
        expect(on.has(name), `seed ${seed}: ${name}`).toBe(true);
      }
    }
  });

  test('that are always on are on even when nobody asks', () => {
    const nothing = interceptSettings();
    const of = (vendor: 'intel' | 'amd') => {
      const { on } = conform(nothing, vendor);
      return (['cpuid', 'invd', 'xsetbv', 'hypercall', 'task-switch', 'triple-fault', 'hlt'] as const).filter((name) =>
        on.has(name),
      );
    };
    expect(of('intel')).toEqual(['cpuid', 'invd', 'xsetbv', 'hypercall', 'task-switch', 'triple-fault']);
    expect(of('amd')).toEqual([]);
  });

  test('that VMX asks for with one bit come together', () => {
    const on = (names: readonly SettingName[], vendor: 'intel' | 'amd') =>
      [...conform(interceptSettings(names), vendor).on].filter((name) => /^(rdtsc|[sl][gil]dt|str|ltr)/.test(name)).sort();
    expect(on(['rdtsc'], 'intel')).toEqual(['rdtsc', 'rdtscp']);
    expect(on(['rdtsc'], 'amd')).toEqual(['rdtsc']);
    expect(on(['lidt'], 'intel')).toEqual(['lgdt', 'lidt', 'lldt', 'ltr', 'sgdt', 'sidt', 'sldt', 'str']);
    expect(on(['lidt'], 'amd')).toEqual(['lidt']);
  });

  test('of control registers become masks on Intel and intercepts on AMD', () => {
    const owned = interceptSettings([], { cr0: { mask: 0x8000_0021n, shadow: undefined }, cr4: { mask: 0x2000n, shadow: 0n } });
    expect(toVmcb(owned).words[0x00]).toBe(0x0010_0010);
    expect(toVmcb(owned).words[0x0c]).toBe(1 << 5);
    const masksTs = interceptSettings([], { cr0: { mask: 8n, shadow: 8n } });
    expect([toVmcb(masksTs).words[0x00], toVmcb(masksTs).words[0x0c]]).toEqual([0x0001_0001, 0]);
    const writes = interceptSettings(['cr0-selective-write'], { cr: { reads: 0, writes: 0x108 } });
    expect(toVmcs(writes)).toMatchObject({ cr0: { mask: 0xffff_ffff_ffff_fff5n }, cr4: { mask: 0n } });
    expect(toVmcs(writes).words.primary & 0x0198_8000).toBe(0x0008_8000);
  });
});

describe('the table', () => {
  test('names no bit twice, and no name for two bits', () => {
    for (const field of Object.keys(VMX_FIELDS) as VmxField[]) {
      const places = [...SETTING_ROWS.map(([, { vmx }]) => vmx), ...Object.values(DERIVED_VMX)];
      const names = new Map<number, string>();
      for (const place of places) {
        if (typeof place !== 'object' || place.field !== field) continue;
        expect(names.get(place.bit) ?? place.name).toBe(place.name);
        names.set(place.bit, place.name);
      }
      expect(new Set(names.values()).size).toBe(names.size);
      for (const bit of names.keys()) expect((VMX_RESERVED_ONES[field] >>> bit) & 1, `${field} ${bit}`).toBe(0);
      expect(vmxBitNames(field).map(({ bit, name }) => [bit, name])).toEqual([...names].sort(([a], [b]) => a - b));
    }
    for (const offset of SVM_OFFSETS) {
      const bits = svmBitNames(offset);
      expect(new Set(bits.map(({ bit }) => bit)).size).toBe(bits.length);
      expect(new Set(bits.map(({ name }) => name)).size).toBe(bits.length);
    }
  });

  test.each<[SvmOffset, number]>([
    [0x0c, 0xffff_ffff],
    [0x10, 0xffff_ffff],
    [0x14, 0x0000_007f],
  ])('names the bits of the intercept vector at %i', (offset, all) => {
    expect(svmBitNames(offset).reduce((sum, { bit }) => (sum | (1 << bit)) >>> 0, 0)).toBe(all);
  });

  test('has no setting that neither vendor has', () => {
    for (const [name, { vmx, svm }] of SETTING_ROWS) expect([name, vmx, svm]).not.toEqual([name, 'none', 'none']);
    expect(Object.keys(DERIVED_SVM)).toEqual(['io', 'msr', 'virtualInterrupt', 'virtualNmi', 'nmiMask', 'ignoresTpr']);
  });
});

describe('I/O bitmaps', () => {
  test('have the ports in two pages, and in a map with a third one', () => {
    const map = IoBitmap.filled(false);
    map.set(0x3f8, 0x3f9, true);
    map.set(0x8000, 0x8000, true);
    const [a, b] = map.toPages();
    expect([a.length, b.length, a[0x7f], b[0]]).toEqual([0x1000, 0x1000, 3, 1]);
    const permissions = map.toPermissionMap();
    expect([permissions.length, permissions[0x7f], permissions[0x1000], permissions[0x2000]]).toEqual([0x3000, 3, 1, 0xff]);
    expect(IoBitmap.fromPages(a, b).toPermissionMap()).toEqual(permissions);
    expect(IoBitmap.fromPermissionMap(permissions).toPages()).toEqual([a, b]);
  });

  test('make an access leave that touches any port of theirs, or wraps around', () => {
    const map = IoBitmap.filled(false);
    map.set(0x3f8, 0x3f8, true);
    const of = (port: number, size: number) => map.intercepts(port, size);
    expect([of(0x3f7, 1), of(0x3f7, 2), of(0x3f5, 2), of(0x3f5, 4), of(0x3f8, 1), of(0x3f9, 4)]).toEqual([
      false,
      true,
      false,
      true,
      true,
      false,
    ]);
    expect([of(0xffff, 1), of(0xffff, 2), of(0xfffd, 2), of(0xfffd, 4)]).toEqual([false, true, false, true]);
  });
});

describe('MSR bitmaps', () => {
  const map = MsrBitmap.filled(false);
  map.set(0x1a0, { read: true });
  map.set(0xc000_0081, { write: true });
  map.set(0xc001_0114, { read: true, write: true });

  test('have reads and writes, low and high, in a page', () => {
    const page = map.toPage();
    const set = [...page].flatMap((byte, at) => (byte === 0 ? [] : [[at, byte]]));
    expect([page.length, set]).toEqual([
      0x1000,
      [
        [0x34, 1],
        [0xc10, 2],
      ],
    ]);
  });

  test('have two bits an MSR in three ranges of a map', () => {
    const permissions = map.toPermissionMap();
    const set = [...permissions.subarray(0, 0x1800)].flatMap((byte, at) => (byte === 0 ? [] : [[at, byte]]));
    expect([permissions.length, set]).toEqual([
      0x2000,
      [
        [0x68, 1],
        [0x820, 8],
        [0x1045, 3],
      ],
    ]);
    expect(MsrBitmap.fromPermissionMap(permissions).toPermissionMap()).toEqual(permissions);
  });

  test('make an MSR outside the ranges leave always', () => {
    expect([map.intercepts(0x1a0, false), map.intercepts(0x1a0, true), map.intercepts(0xc000_0081, true)]).toEqual([
      true,
      false,
      true,
    ]);
    expect([map.intercepts(0x4000_0000, false), map.set(0x4000_0000, { read: false })]).toEqual([true, false]);
    const onVmx = MsrBitmap.fromPage(map.toPage());
    expect([onVmx.intercepts(0xc001_0015, false), onVmx.intercepts(0xc000_0082, true)]).toEqual([true, false]);
  });
});
