import { describe, expect, test } from 'vitest';
import { USUAL_PRIVILEGES } from '../../../../src/hypervisor/privileges/privileges.ts';
import { call, data, EVENTS, fastCall, MACHINES, MESSAGES, print, run, synicGuest, wrmsr } from './synic-guest.ts';

const SLOT2 = MESSAGES + 2 * 256;
const SINT = (source: number) => 0x4000_0090 + source;
const STIMER_CONFIG = (timer: number) => 0x4000_00b0 + 2 * timer;
const STIMER_COUNT = (timer: number) => 0x4000_00b1 + 2 * timer;
const EOM = 0x4000_0084;

/** Waits until handlers have counted so far. */
const waitFor = (label: string, count: number) => `
  ${label}:
    cmp r12, ${count}
    jae ${label}_done
    sti
    hlt
    cli
    jmp ${label}
  ${label}_done:
`;

describe.each(MACHINES)('on %s', (_name, configuration) => {
  test('timers send a message, and interrupt directly', () => {
    const source = synicGuest(
      `
      ${wrmsr(SINT(2), 0x50)}
      ${wrmsr(STIMER_COUNT(0), 5000)}
      ${wrmsr(STIMER_CONFIG(0), 0x2_0001)}
      ${waitFor('first', 1)}
      mov rbx, ${SLOT2}
      ${print('[rbx]')}
      ${print('[rbx + 8]')}
      ${print('[rbx + 16]')}
      ${print('[rbx + 24]')}
      mov ecx, ${STIMER_CONFIG(0)}
      rdmsr
      ${print('rax')}
      ${wrmsr(STIMER_CONFIG(3), 0x151b)}
      ${wrmsr(STIMER_COUNT(3), 100)}
      ${waitFor('others', 4)}
      ${wrmsr(STIMER_COUNT(3), 0)}
      mov ecx, ${STIMER_CONFIG(3)}
      rdmsr
      ${print('rax')}
      `,
      { 80: 'call eoi', 81: 'call eoi' },
    );
    const { lines, records } = run(source, configuration);
    expect(lines).toEqual(['1880000010', '0', '0', '1388', '20000', '151a']);
    expect(records.filter(({ reason }) => reason === 'hlt').length).toBe(4);
  });

  test('interrupts of a source with AutoEOI need no EOI, those of another one wait for it', () => {
    const raise = (source: number) => `mov dx, 0x3000\nmov eax, 0x30000 | ${source}\nout dx, eax\nnop\nnop\n`;
    const route = (source: number) => `mov dx, 0x3000\nmov eax, 0x10000 | ${source}\nout dx, eax\n`;
    const source = synicGuest(
      `
      ${wrmsr(SINT(3), 0x2_0052)}
      ${wrmsr(SINT(4), 0x42)}
      ${route(3)}
      ${route(4)}
      sti
      ${raise(3)}
      ${raise(3)}
      ${print('r12')}
      ${raise(4)}
      ${print('r12')}
      ${raise(4)}
      ${print('r12')}
      call eoi
      nop
      ${print('r12')}
      ${raise(5)}
      ${print('r12')}
      `,
      { 82: '', 66: '' },
    );
    expect(run(source, { ...configuration, testDevice: true }).lines).toEqual(['2', '3', '3', '4', '4']);
  });

  test('a partition posts messages and signals events to itself, by ports and connections', () => {
    const source = synicGuest(
      `
      ${wrmsr(SINT(2), 0x50)}
      ${wrmsr(SINT(3), 0x51)}
      ${call(0x95, 'message_port')}
      ${call(0x96, 'to_message_port')}
      ${call(0x95, 'event_port')}
      ${call(0x96, 'to_event_port')}
      sti
      ${call(0x5c, 'message')}
      ${call(0x5c, 'message')}
      ${print('r12')}
      mov rbx, ${SLOT2}
      ${print('[rbx]')}
      ${print('[rbx + 8]')}
      ${print('[rbx + 16]')}
      mov rbx, ${SLOT2}
      mov dword [rbx], 0
      ${wrmsr(EOM, 0)}
      mov rbx, ${SLOT2}
      ${print('[rbx]')}
      ${print('r12')}
      ${fastCall(0x5d, 0x5_0000_0020n)}
      ${fastCall(0x5d, 0x5_0000_0020n)}
      ${fastCall(0x5d, 0x8_0000_0020n)}
      ${print('r12')}
      mov rbx, ${EVENTS + 3 * 256}
      ${print('[rbx + 8]')}
      `,
      { 80: 'call eoi', 81: 'call eoi' },
      [
        data('message_port', [-1, 8], [7, 4], [0, 4], [0, 8], [1, 8], [2, 4], [0, 4], [0, 8], [0, 8]),
        data('to_message_port', [-1, 8], [0x10, 4], [0, 4], [-1, 8], [7, 8], [1, 8], [0, 24], [0, 8]),
        data('event_port', [-1, 8], [8, 4], [0, 4], [-1, 8], [2, 8], [3, 4], [-1, 4], [64, 2], [8, 2], [0, 4], [0, 8]),
        data('to_event_port', [-1, 8], [0x20, 4], [0, 4], [-1, 8], [8, 8], [2, 8], [0, 24], [0, 8]),
        data('message', [0x10, 8], [0x12_3456, 4], [4, 4], [0xdead_beef_cafe_f00dn, 8], [0, 232]),
      ].join(''),
    );
    const { lines, records } = run(source, { ...configuration, privileges: [...USUAL_PRIVILEGES, 'create-partitions'] });
    expect(lines).toEqual([
      ...['0', '0', '0', '0'],
      // Two messages: one is in the slot, which says that another one waits.
      ...['0', '0', '1', '10400123456', '7', 'cafef00d'],
      ...['400123456', '2'],
      // Flag 5 is set once more in vain, flag 8 is beyond the port's.
      ...['0', '0', '5', '3', '20'],
    ]);
    expect(records.filter(({ reason }) => reason === 'hypercall').map(({ request }) => request)[4]).toContain(
      'HvCallPostMessage',
    );
  });
});

test('timers and interrupts come at the same instructions however the run is cut', () => {
  const source = synicGuest(
    `
    ${wrmsr(SINT(2), 0x50)}
    ${wrmsr(STIMER_COUNT(0), 3)}
    ${wrmsr(STIMER_CONFIG(0), 0x2_0003)}
    sti
    mov ecx, 12000
    busy:
    loop busy
    cli
    ${print('r12')}
    ${print('r13')}
    `,
    { 80: `add r13, [rsp + 40]\nmov dword [${SLOT2}], 0\ncall eoi` },
  );
  const whole = run(source, { vendor: 'intel' });
  expect(Number.parseInt(whole.lines[0] ?? '', 16)).toBeGreaterThan(5);
  for (const slice of [7, 1000]) expect(run(source, { vendor: 'intel' }, slice).hash).toBe(whole.hash);
});
