import { describe, expect, test } from 'vitest';
import { KallsymsError, readKallsyms } from '../../../src/symbols/linux/kallsyms.ts';
import { Random } from '../../support/random.ts';
import { kallsyms, LAYOUTS, type TestSymbol } from './tables.ts';

const TEXT = 0xffff_ffff_9a00_0000n;

/** More than two markers; data of each processor where the layout has it apart; two names of one address. */
function symbolsFor(addresses: string): TestSymbol[] {
  const perCpu = [
    { name: 'fixed_percpu_data', type: 'A', address: 0n },
    { name: 'current_task', type: 'A', address: 0x1fb80n },
  ];
  const code = Array.from(
    { length: 600 },
    (_, index): TestSymbol => ({
      name: index === 0 ? '_text' : `virtblk_probe_${index}`,
      type: index % 3 === 0 ? 'T' : 't',
      address: TEXT + BigInt(index - (index % 2)) * 64n,
    }),
  );
  return addresses === 'relative' ? code : [...perCpu, ...code];
}

describe('symbol tables of a kernel', () => {
  for (const [version, layout] of Object.entries(LAYOUTS))
    test(`are read as ${version} has them`, () => {
      const symbols = symbolsFor(layout.addresses);
      expect(readKallsyms(kallsyms(symbols, layout).bytes)).toEqual(symbols);
    });

  test('may have names of more than 127 tokens', () => {
    const long = { name: `_ZN${'abcdefgh0123'.repeat(25)}`, type: 't', address: TEXT + 0x100_0000n };
    const symbols = [...symbolsFor('per-cpu'), long];
    expect(readKallsyms(kallsyms(symbols, LAYOUTS['6.1']).bytes)?.at(-1)).toEqual(long);
  });

  test('are found behind other digits, and not where there are none', () => {
    const { bytes } = kallsyms(symbolsFor('per-cpu'), LAYOUTS['6.1']);
    const digits = [...'0123456789'].flatMap((digit) => [digit.charCodeAt(0), 0]);
    const decoy = Uint8Array.from([...digits, 0x30, 0, 0, 0]);
    const image = new Uint8Array(0x1000 + bytes.length);
    image.set(decoy, 8);
    image.set(bytes, 0x1000);
    expect(readKallsyms(image)?.[3]?.name).toBe('virtblk_probe_1');
    expect(readKallsyms(image.subarray(0, 0x1000))).toBeUndefined();
    expect(readKallsyms(new Uint8Array(0))).toBeUndefined();
  });

  test('say what is wrong with them', () => {
    const layout = LAYOUTS['6.4'];
    const { bytes, places } = kallsyms(symbolsFor('per-cpu'), layout);
    const damaged = (at: number, value: number) => {
      const copy = bytes.slice();
      copy[at] = value;
      return () => readKallsyms(copy);
    };
    expect(damaged(places.count + 1, 77)).toThrow("The kernel's symbol names can't be found in front of their tokens.");
    expect(damaged(places.markers + 4, 1)).toThrow(KallsymsError);
    expect(damaged(places.addresses + 0x21, 0x7f)).toThrow('have no addresses in front of them or behind them');
    expect(() => readKallsyms(bytes.subarray(0, places.addresses + 64))).toThrow(KallsymsError);
  });

  test('never harm the reader, however damaged they are', () => {
    const random = new Random(1);
    const { bytes } = kallsyms(symbolsFor('per-cpu'), LAYOUTS['6.2']);
    for (let round = 0; round < 300; round++) {
      const copy = bytes.slice(0, round % 3 === 0 ? random.below(bytes.length) : bytes.length);
      for (let change = 0; change < 4; change++) copy[random.below(copy.length || 1)] = random.below(256);
      try {
        readKallsyms(copy);
      } catch (error) {
        expect(error).toBeInstanceOf(KallsymsError);
      }
    }
  });
});
