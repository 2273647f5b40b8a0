import { describe, expect, test } from 'vitest';
import { USUAL_PRIVILEGES } from '../../../src/hypervisor/privileges/privileges.ts';
import { bitsOf, Feature } from '../../../src/platforms/hyperv/abi/cpuid.ts';
import { Msr } from '../../../src/platforms/hyperv/abi/msrs.ts';
import { Privilege, privilegeMask } from '../../../src/platforms/hyperv/abi/privileges.ts';
import { HvStatus } from '../../../src/platforms/hyperv/abi/status.ts';
import { guest } from '../run-guest.ts';
import { bytesOf, Caller, control, INPUT, OUTPUT } from './hypercalls/caller.ts';
import { printed, read, runMsrs, withMsrs, write } from './msr-guest.ts';

const privileges = [...USUAL_PRIVILEGES, 'debugging'] as const;
const SEND = 1n;
const RECEIVE = 2n;
const sized = (bytes: number) => BigInt(bytes) << 16n;
/** Prints a register of a leaf. */
const leaf = (number: number, register: string) =>
  `mov eax, 0x${number.toString(16)}\nxor ecx, ecx\ncpuid\nmov eax, ${register}\ncall hex\n`;

const shown = (inspected: unknown) =>
  JSON.stringify(inspected, (_key, value: unknown) => (typeof value === 'bigint' ? `${value}` : value));

describe('the synthetic debugger', () => {
  test.each(['intel', 'amd'] as const)('takes packets and has none on %s', (vendor) => {
    const code = [
      write(Msr.SYNDBG_SEND_BUFFER, 0x20_0ff0n),
      write(Msr.SYNDBG_RECEIVE_BUFFER, 0x20_2000n),
      write(Msr.SYNDBG_PENDING_BUFFER, 0x20_3000n),
      read(Msr.SYNDBG_STATUS),
      write(Msr.SYNDBG_CONTROL, sized(40) | SEND),
      read(Msr.SYNDBG_STATUS),
      write(Msr.SYNDBG_CONTROL, RECEIVE),
      read(Msr.SYNDBG_STATUS),
      write(Msr.SYNDBG_STATUS, 1n),
      read(Msr.SYNDBG_PENDING_BUFFER),
      read(Msr.SYNDBG_OPTIONS),
    ].join('');
    expect(runMsrs(code, { vendor, privileges }).lines).toEqual([
      'ok',
      'ok',
      'ok',
      printed(0n),
      'ok',
      printed(1n),
      'ok',
      printed(0n),
      '#GP',
      printed(0x20_3000n),
      printed(0n),
    ]);
  });

  test.each([
    ['where the guest has no memory', 0xf000_0000n, 16],
    ['where its memory ends before the packet', 0xff_fff0n, 17],
    ['beyond all addresses', (1n << 64n) - 8n, 16],
  ])('sends nothing from %s', (_name, gpa, bytes) => {
    const code = [
      write(Msr.SYNDBG_SEND_BUFFER, gpa),
      write(Msr.SYNDBG_CONTROL, sized(bytes) | SEND),
      read(Msr.SYNDBG_STATUS),
    ].join('');
    expect(runMsrs(code, { memory: 16 << 20, privileges }).lines.at(-1)).toBe(printed(0n));
  });

  test('is there for who has the privilege alone', () => {
    const code = [
      leaf(0x4000_0003, 'ebx'),
      leaf(0x4000_0003, 'edx'),
      leaf(0x4000_0082, 'eax'),
      read(Msr.SYNDBG_CONTROL),
      write(Msr.SYNDBG_OPTIONS, 0n),
    ].join('');
    const bit = privilegeMask(Privilege.DEBUGGING) >> 32n;
    const features = BigInt(bitsOf(Feature.GUEST_DEBUGGING, Feature.DEBUG_MSRS));
    const bits = (configuration: Parameters<typeof runMsrs>[1]) => {
      const [ebx, edx, stack, ...rest] = runMsrs(code, configuration).lines;
      return [BigInt(`0x${ebx}`) & bit, BigInt(`0x${edx}`) & features, stack, ...rest];
    };
    expect(bits({ privileges })).toEqual([bit, features, printed(2n), printed(0n), 'ok']);
    expect(bits({})).toEqual([0n, 0n, printed(0n), '#GP', '#GP']);
  });

  test('counts packets, whichever way they come', () => {
    const code = `mov dword [0x200000], 0x44434241\n${write(Msr.SYNDBG_SEND_BUFFER, 0x20_0000n)}${write(Msr.SYNDBG_CONTROL, sized(4) | SEND)}hang:\njmp hang\n`;
    const partition = guest(withMsrs(code), { platform: 'hyperv', privileges });
    partition.run({ instructions: 5000 });
    expect(shown(partition.inspect())).toContain(
      '"1 packets sent, 4 bytes","detail":"none is connected; the last one begins with 41 42 43 44"',
    );
    const caller = new Caller('intel', 64, { privileges });
    caller.write(INPUT, bytesOf([3, 4], [0, 4], [0x030201, 3]));
    caller.write(OUTPUT, bytesOf([0xffff, 4]));
    expect(caller.call(control(0x69)).status).toBe(HvStatus.SUCCESS);
    expect(caller.read(OUTPUT, 4).getUint32(0, true)).toBe(0);
    expect(shown(caller.partition.inspect())).toContain('"1 packets sent, 3 bytes"');
  });
});

describe('calls for a debugger', () => {
  test('say that none is connected', () => {
    const caller = new Caller('intel', 64, { privileges });
    caller.write(INPUT, bytesOf([4089, 4], [0, 4]));
    expect(caller.call(control(0x69)).status).toBe(HvStatus.INVALID_PARAMETER);
    caller.write(INPUT, bytesOf([64, 4], [0, 4], [0, 8]));
    expect(caller.call(control(0x6a)).status).toBe(HvStatus.NO_DATA);
    caller.write(INPUT, bytesOf([3, 4], [0, 4]));
    caller.write(OUTPUT, new Uint8Array(24).fill(0xff));
    expect(caller.call(control(0x6b)).status).toBe(HvStatus.SUCCESS);
    expect(new Uint8Array(caller.read(OUTPUT, 24).buffer)).toEqual(new Uint8Array(24));
  });
});
