import { describe, expect, test } from 'vitest';
import type { PartitionConfiguration } from '../../../src/platforms/configuration.ts';
import { Msr } from '../../../src/platforms/hyperv/abi/msrs.ts';
import { guest, runToEnd } from '../run-guest.ts';
import { printed, read, runMsrs, withMsrs, write } from './msr-guest.ts';

const ASSIST = 0x20_0000n;
const ENABLED = 0x100n;
const NMI = 2n;
const VECTOR = 0x50n;
const CONFIG = Msr.STIME_UNHALTED_TIMER_CONFIG;
const COUNT = Msr.STIME_UNHALTED_TIMER_COUNT;

/** Counts interrupts in R13, and those that find the mark in the assist page in R14, in vectors 2 and 0x50. */
const HANDLERS = `
    on_nmi:
      inc r13
      call take_mark
      iretq
    on_interrupt:
      inc r13
      call take_mark
      call end
      iretq
    end:
      push rbx
      mov ebx, 0xfee00000
      mov dword [rbx + 0xb0], 0
      pop rbx
      ret
    take_mark:
      cmp byte [abs 0x200038], 1
      jne unmarked
      inc r14
      mov byte [abs 0x200038], 0
    unmarked:
      ret
    `;

const SETUP = `
  mov ecx, 2
  lea rax, [rel on_nmi]
  call gate
  mov ecx, 0x50
  lea rax, [rel on_interrupt]
  call gate
  mov ebx, 0xfee00000
  mov dword [rbx + 0xf0], 0x1ff
  xor r13d, r13d
  xor r14d, r14d
  ${write(Msr.VP_ASSIST_PAGE, ASSIST | 1n)}
`;

/** Some instructions, two for each round. */
const spin = (rounds: number, label: string) => `mov ecx, ${rounds}\n${label}:\ndec ecx\njnz ${label}\n`;
const SHOW = 'mov rax, r13\ncall hex\nmov rax, r14\ncall hex\n';

const run = (code: string, configuration: Partial<PartitionConfiguration> = {}) =>
  runMsrs(`${SETUP}${code}`, configuration, HANDLERS).lines.slice(1);

describe.each(['intel', 'amd'] as const)('the unhalted timer on %s', (vendor) => {
  test.each([
    ['an NMI', NMI, ''],
    ['an interrupt', VECTOR, 'sti\n'],
  ] as const)('expires with %s once in each period, and marks the assist page', (_name, vector, before) => {
    // 100 µs are 100,000 instructions.
    const code = `${write(COUNT, 1000n)}${write(CONFIG, ENABLED | vector)}${before}${spin(530_000, 'busy')}${write(CONFIG, vector)}cli\n${SHOW}`;
    expect(run(code, { vendor })).toEqual(['ok', 'ok', 'ok', printed(10n), printed(10n)]);
  });

  test('counts only what its virtual processor runs', () => {
    // A synthetic timer wakes it after a second, of which it has run next to nothing.
    const code = `
      mov ecx, 0x60
      lea rax, [rel on_alarm]
      call gate
      ${write(COUNT, 10_000n)}${write(CONFIG, ENABLED | NMI)}
      ${write(Msr.STIMER0_COUNT, 10_000_000n)}
      ${write(Msr.STIMER0_CONFIG, (1n << 12n) | (0x60n << 4n) | 1n)}
      sti
      hlt
      cli
      ${SHOW}
      ${spin(600_000, 'busy')}
      ${SHOW}
    `;
    const handlers = `${HANDLERS}
      on_alarm:
        call end
        iretq
    `;
    const { lines } = runMsrs(`${SETUP}${code}`, { vendor }, handlers);
    expect(lines.slice(-4)).toEqual([0n, 0n, 1n, 1n].map(printed));
  });

  test('takes the values that the TLFS has', () => {
    const code = [
      write(CONFIG, 0x200n | VECTOR),
      write(CONFIG, ENABLED | 3n),
      write(CONFIG, ENABLED),
      write(CONFIG, ENABLED | 0x10n),
      read(CONFIG),
      write(COUNT, (1n << 64n) - 1n),
      read(COUNT),
      write(CONFIG, 0n),
    ].join('');
    const { lines } = runMsrs(code, { vendor });
    expect(lines).toEqual(['#GP', '#GP', '#GP', 'ok', printed(0x110n), 'ok', printed((1n << 64n) - 1n), 'ok']);
  });
});

test('a period of nothing is none, and the shortest is one of a microsecond', () => {
  const code = `${write(COUNT, 0n)}${write(CONFIG, ENABLED | NMI)}${spin(100_000, 'busy')}${SHOW}${write(COUNT, 1n)}${spin(5000, 'storm')}${write(COUNT, 0n)}${SHOW}`;
  const [, , none, , , , count] = run(code);
  expect(none).toBe(printed(0n));
  const storms = Number(`0x${count}`);
  expect(storms).toBeGreaterThan(8);
  expect(storms).toBeLessThan(20);
});

test('a guest that halts for good has ended, whatever its unhalted timer says', () => {
  const code = `${SETUP}${write(COUNT, (1n << 64n) - 1n)}${write(CONFIG, ENABLED | NMI)}sti\nhlt\n`;
  for (const intercepts of [[], ['-hlt']]) {
    const partition = guest(withMsrs(code, HANDLERS), { platform: 'hyperv', intercepts });
    expect(runToEnd(partition).end.kind).toBe('halted');
    expect(partition.now()).toBeLessThan(1_000_000n);
  }
});

test('is the same in slices of any size, on several virtual processors', () => {
  // Each spins in its own stretch of the same code, with its own timer.
  const code = `${SETUP}
    mov word [0x8000], 0xfeeb
    mov dword [rbx + 0x310], 0x01000000
    mov dword [rbx + 0x300], 0x4500
    mov dword [rbx + 0x300], 0x4608
    ${write(COUNT, 77n)}${write(CONFIG, ENABLED | NMI)}${spin(100_000, 'busy')}${write(CONFIG, NMI)}${SHOW}`;
  const outcomes = [1_000_000, 977, 13].map((slice) => {
    const { text, hash, instructions } = runToEnd(guest(withMsrs(code, HANDLERS), { platform: 'hyperv', vcpus: 2 }), slice);
    return { text, hash, instructions };
  });
  expect(outcomes[1]).toEqual(outcomes[0]);
  expect(outcomes[2]).toEqual(outcomes[0]);
  // About 200,000 instructions of its own, 7,700 in each period.
  const count = Number(`0x${outcomes[0]?.text.split('\n')[4]}`);
  expect(count).toBeGreaterThan(25);
  expect(count).toBeLessThan(30);
});

test.each([[[]], [['-hlt']]])('is the same in slices of any size where the guest halts between (%j)', (intercepts) => {
  // Woken every 30 µs, runs a little, and says what time it is in the end.
  const code = `${SETUP}
    mov ecx, 0x60
    lea rax, [rel on_alarm]
    call gate
    ${write(COUNT, 77n)}${write(CONFIG, ENABLED | NMI)}
    ${write(Msr.STIMER0_COUNT, 300n)}
    ${write(Msr.STIMER0_CONFIG, (1n << 12n) | (0x60n << 4n) | 3n)}
    mov r12d, 100
  again:
    sti
    hlt
    cli
    ${spin(500, 'busy')}
    dec r12d
    jnz again
    ${SHOW}${read(Msr.TIME_REF_COUNT)}`;
  const handlers = `${HANDLERS}
    on_alarm:
      call end
      iretq
  `;
  const outcomes = [1_000_000, 977, 13].map((slice) => {
    const { text, hash, instructions } = runToEnd(guest(withMsrs(code, handlers), { platform: 'hyperv', intercepts }), slice);
    return { text, hash, instructions };
  });
  expect(outcomes[1]).toEqual(outcomes[0]);
  expect(outcomes[2]).toEqual(outcomes[0]);
  // About 102,000 instructions in about 3 ms.
  const [count, , time] = outcomes[0]?.text.split('\n').slice(-4) ?? [];
  expect(Number(`0x${count}`)).toBe(13);
  expect(Number(`0x${time}`)).toBeGreaterThan(29_000);
});

test('is shown', () => {
  const code = `${SETUP}${write(COUNT, 1000n)}${write(CONFIG, ENABLED | NMI)}hang:\njmp hang\n`;
  const partition = guest(withMsrs(code, HANDLERS), { platform: 'hyperv' });
  partition.run({ instructions: 50_000 });
  expect(JSON.stringify(partition.inspect(), (_key, value: unknown) => (typeof value === 'bigint' ? `${value}` : value))).toMatch(
    /"unhalted timer of VP 0","value":"every 1000 × 100 ns of run time","detail":"in \d+ ns, NMI"/,
  );
});
