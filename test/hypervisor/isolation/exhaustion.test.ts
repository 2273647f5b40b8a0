import { describe, expect, test } from 'vitest';
import { Host } from '../../../src/hypervisor/host/host.ts';
import { HostRefusal } from '../../../src/hypervisor/host/host-memory.ts';
import { ConfigurationError } from '../../../src/platforms/configuration.ts';
import { guest } from '../../platforms/run-guest.ts';
import { ATTACKERS, RAM } from './attackers.ts';

const HALT = 'bits 64\ncli\nhlt\n';
const MIB = 1 << 20;

describe('a host with limits', () => {
  test('makes no partition beyond their number, and one again when one was destroyed', () => {
    const host = new Host({ memory: 2 ** 32, partitions: 3, vcpus: 100 });
    const make = () => guest(HALT, { memory: 2 * MIB }, host);
    const [first] = [make(), make(), make()];
    for (let tries = 0; tries < 50; tries++) expect(make).toThrow('The host has room for 3 partitions; destroy one first.');
    expect(host.journal.refusalsOf(0)).toMatchObject([
      { subject: 'host', count: 50, text: 'No partition was made. The host has room for 3 partitions; destroy one first.' },
    ]);
    if (first) host.destroy(first);
    expect(make().id).toBeGreaterThan(3);
    expect(make).toThrow(ConfigurationError);
  });

  test('makes none beyond its vCPUs and its memory, and says what is left', () => {
    const host = new Host({ memory: 200 * MIB, partitions: 10, vcpus: 9 });
    guest(HALT, { memory: 64 * MIB, vcpus: 1 }, host);
    expect(() => guest(HALT, { memory: 2 * MIB, vcpus: 9 }, host)).toThrow('8 of its 9 vCPUs left; 9 were asked for');
    // The blocks of vCPUs, 16 MiB each, count too.
    expect(() => guest(HALT, { memory: 64 * MIB, vcpus: 4 }, host)).toThrow(
      /The host has 1\d\dM of memory left; 1\d\dM with its vCPUs was asked for/,
    );
    expect(guest(HALT, { memory: 64 * MIB, vcpus: 3 }, host).vcpus).toHaveLength(3);
  });

  test('loses no room to partitions that could not be made after all', () => {
    const host = new Host({ memory: 40 * MIB, partitions: 1, vcpus: 1 });
    const far = 'org 0x8000000\nbits 64\nhlt\n';
    for (let tries = 0; tries < 10; tries++) {
      expect(() => guest(far, { memory: 8 * MIB }, host)).toThrow('has none');
      expect(() => guest(HALT, { memory: 8 * MIB, cpu: 'nonsense' }, host)).toThrow(ConfigurationError);
    }
    expect(guest(HALT, { memory: 8 * MIB }, host).end).toBeUndefined();
  });

  test('makes and destroys partitions again and again in the same room', () => {
    const host = new Host({ memory: 100 * MIB, partitions: 2, vcpus: 8 });
    for (let times = 0; times < 15; times++) {
      const partition = guest(HALT, { memory: (2 + (times % 8)) * MIB, vcpus: 1 + (times % 3) }, host);
      host.run({ instructions: 1000 });
      host.destroy(partition);
    }
    expect(host.partitions).toEqual([]);
    expect(host.journal.latest.length).toBeLessThanOrEqual(1000);
  });

  test('refuses by an error of its own', () => {
    const host = new Host({ memory: 0, partitions: 1, vcpus: 1 });
    expect(() => host.takeMemory([{ gpa: 0n, length: 4096 }], 1)).toThrow(HostRefusal);
  });
});

describe('the journals', () => {
  test('of a guest that leaves without end keep as much as was said, and count all', () => {
    const host = new Host();
    const source = ATTACKERS.find(({ name }) => name === 'leaves at every instruction')?.source ?? '';
    const partition = guest(source, { memory: RAM, exitsKept: 100 }, host);
    while (partition.icount < 60_000n) host.run({ instructions: 20_000 });
    expect(partition.journal.total).toBeGreaterThan(30_000);
    expect(partition.journal.latest(1_000_000)).toHaveLength(100);
  });

  test('of the host keep what they say of others, however much one guest is refused', () => {
    const host = new Host();
    const other = guest(
      'bits 64\nmov esi, 0xfee01000\nmov byte [rsi], 1\ncli\nhlt\n',
      { memory: MIB * 2, platform: 'bare' },
      host,
    );
    const busy = guest(
      'bits 64\nmov esi, 0xfee00000\n.more:\nmov eax, [rsi + 0x1000]\nmov dword [rsi + 0x310], 0x9000000\nmov dword [rsi + 0x300], 0x4040\njmp .more\n',
      { memory: 2 * MIB, platform: 'bare' },
      host,
    );
    while (busy.icount < 40_000n) host.run({ instructions: 20_000 });
    expect(host.journal.refusalsOf(other.id)).toMatchObject([{ subject: 'memory', count: 1 }]);
    const [memory, vcpus] = host.journal.refusalsOf(busy.id);
    expect(memory).toMatchObject({
      subject: 'memory',
      lastText: `vCPU 0 of partition ${busy.id} was refused to read physical address 0xfee01000: the partition has neither RAM nor a device there.`,
    });
    expect(vcpus).toMatchObject({
      subject: 'vcpus',
      text: `vCPU 0 of partition ${busy.id} was refused an interrupt, fixed, vector 0x40, to APIC id 0x9: no vCPU of the partition is named by that.`,
    });
    expect(memory?.count).toBeGreaterThan(9000);
    expect(host.journal.latest.length).toBeLessThan(10);
  });
});

describe('a guest that never lets an instruction retire', () => {
  test('pays with its time, so that the host is not its own', () => {
    const host = new Host();
    const source = ATTACKERS.find(({ name }) => name === 'meets faults without an instruction between them')?.source ?? '';
    const storm = guest(source, { memory: MIB, platform: 'bare' }, host);
    const other = guest(
      'bits 64\nmov ecx, 1000\n.more:\ndec ecx\njnz .more\nmov dx, 0x604\nmov ax, 0x2000\nout dx, ax\n',
      { memory: MIB * 2 },
      host,
    );
    for (let calls = 0; calls < 100 && !other.end; calls++) host.run({ instructions: 10_000 });
    expect(other.end?.kind).toBe('power-off');
    expect(storm.icount).toBeLessThan(20n);
    expect(storm.now()).toBeGreaterThanOrEqual(100_000n);
  });
});
