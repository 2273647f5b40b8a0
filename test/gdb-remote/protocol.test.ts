import { describe, expect, test } from 'vitest';
import { GdbSession } from '../../src/gdb-remote/gdb-session.ts';
import { bytesOfText, packet } from '../../src/gdb-remote/packet.ts';
import { Random } from '../support/random.ts';
import { guestClient as guest } from './client.ts';

const LOOP = 'bits 64\n_start:\n inc rax\n inc rbx\n inc rcx\n jmp _start\n';
const start = (client: ReturnType<typeof guest>) => client.session.guest.session.evaluate('_start');

describe('what a client asks', () => {
  test('is promised only when it is kept: nothing goes backwards yet', () => {
    const client = guest(LOOP);
    expect(client.ask('qSupported:multiprocess+;swbreak+;ReverseStep+')).not.toMatch(/Reverse|multiprocess|QNonStop/);
    for (const motion of ['bs', 'bc']) expect(client.ask(motion)).toMatch(/^E\..*can not run backwards/);
  });

  test('is answered with nothing when it is unknown', () => {
    const client = guest(LOOP);
    for (const text of [
      'vMustReplyEmpty',
      'QPassSignals:e;10',
      'QNonStop:1',
      'QProgramSignals:0',
      'qOffsets',
      'qTStatus',
      'vFile:open:2f,0,0',
      'vAttach;1',
      'vRun;',
      'vCtrlC',
      'qXfer:memory-map:read::0,100',
      'qXfer:auxv:read::0,100',
      'QStartNoAckModes',
      'b',
      'bx',
      'i',
      't',
    ])
      expect([text, client.ask(text)]).toEqual([text, '']);
    expect(client.ask('qXfer:features:read:other.xml:0,100')).toBe('E00');
  });

  test('is memory as bytes, too, and by physical addresses', () => {
    const client = guest('bits 64\n_start: jmp _start\ndata db "}#$*", 1\n');
    const data = client.session.guest.session.evaluate('data').toString(16);
    expect(client.ask(`x${data},5`)).toBe('b}#$*\x01');
    expect(client.ask(`x${data},0`)).toBe('b');
    expect([client.ask('xffff800000000000,4'), client.ask('x,4'), client.ask('mzz')]).toEqual(['E0e', 'E16', 'E16']);
    expect(client.ask('qqemu.PhyMemMode')).toBe('0');
    expect(client.ask('Qqemu.PhyMemMode:1')).toBe('OK');
    expect([client.ask('qqemu.PhyMemMode'), client.ask(`m${data},2`)]).toEqual(['1', '7d23']);
  });

  test('is told of vCPUs as threads', () => {
    const client = guest(LOOP, { vcpus: 2, platform: 'bare' });
    expect(client.ask('qXfer:threads:read::0,1000')).toBe(
      'l<?xml version="1.0"?><threads><thread id="1" core="0" name="vCPU 0">CPL 0</thread>' +
        '<thread id="2" core="1" name="vCPU 1">CPL 0, waiting for a start-up IPI</thread></threads>',
    );
    expect([client.ask('qfThreadInfo'), client.ask('qsThreadInfo')]).toEqual(['m1,2', 'l']);
    expect(['T1', 'T2', 'T3', 'Hg3', 'Hg2'].map((text) => client.ask(text))).toEqual(['OK', 'OK', 'E01', 'E01', 'OK']);
  });
});

describe('motions', () => {
  test('go on at an address, and step by range without a word', () => {
    const client = guest(LOOP);
    const at = start(client);
    expect(client.move(`s${(at + 3n).toString(16)}`)).toEqual(['T05thread:1;']);
    expect([client.register('rax'), client.register('rbx')]).toEqual([0n, 1n]);
    expect(client.move(`vCont;r${at.toString(16)},${(at + 9n).toString(16)}:1`)).toEqual(['T05thread:1;']);
    expect([client.register('rip') - at, client.register('rcx')]).toEqual([9n, 1n]);
    // A breakpoint inside ends it; and so does the client, in a range that is never left.
    client.ask(`Z1,${(at + 3n).toString(16)},1`);
    expect(client.move(`vCont;r${at.toString(16)},${(at + 20n).toString(16)}:1`)).toEqual(['T05hwbreak:;thread:1;']);
    client.ask(`z1,${(at + 3n).toString(16)},1`);
    client.raw(packet(`vCont;r${at.toString(16)},${(at + 20n).toString(16)}:1`));
    for (let slice = 0; slice < 20; slice++) client.session.slice();
    expect(client.take()).toEqual([]);
    client.raw('\x03');
    client.session.slice();
    expect(client.take()).toEqual(['T02thread:1;']);
    expect(client.register('rax')).toBeGreaterThan(2n);
  });

  test('that nobody can make are refused, and nothing moves', () => {
    const client = guest(LOOP, { vcpus: 2, platform: 'bare' });
    for (const text of ['vCont;', 'vCont;x', 'vCont;c:9', 'vCont;r1', 's,', 'Cx', 'C05,1']) expect(client.ask(text)).toBe('E16');
    expect(client.ask('vCont;s:2')).toMatch(/^E\.vCPU 1 waits for a start-up IPI/);
    expect(client.session.guest.session.running).toBe(false);
    expect(client.move('vCont;s:1;c')).toEqual(['T05thread:1;']);
  });

  test('of a vCPU that only locked ones could wake end at once', () => {
    const client = guest('bits 64\n_start:\n sti\n hlt\n', { vcpus: 2, platform: 'bare' });
    for (let step = 0; step < 2; step++) client.move('vCont;s:1');
    const [text = '', stop] = client.move('vCont;s:1');
    expect(Buffer.from(text.slice(1), 'hex').toString()).toMatch(/^vCPU 0 waits for an interrupt/);
    expect(stop).toBe('T05thread:1;');
  });

  test('tell which kind of breakpoint was reached, and where a wide watch was touched', () => {
    const client = guest('bits 64\n_start:\n nop\n mov byte [data + 5], 1\n nop\n jmp _start\ndata dq 0, 0\n');
    const at = (offset: bigint) => (start(client) + offset).toString(16);
    client.ask(`Z1,${at(1n)},1`);
    client.ask(`Z0,${at(1n)},1`);
    expect(client.move('c')).toEqual(['T05swbreak:;thread:1;']);
    // Each kind is removed by itself.
    client.ask(`z0,${at(1n)},1`);
    expect(client.move('c')).toEqual(['T05hwbreak:;thread:1;']);
    client.ask(`z1,${at(1n)},1`);
    const data = client.session.guest.session.evaluate('data');
    client.ask(`Z2,${data.toString(16)},10`);
    expect(client.move('c')).toEqual([`T05watch:${(data + 5n).toString(16)};thread:1;`]);
  });

  test('are told once, however often they are ordered', () => {
    const client = guest(LOOP);
    client.raw(packet('c') + packet('c'));
    for (let slice = 0; slice < 3; slice++) client.session.slice();
    client.raw('\x03\x03');
    for (let slice = 0; slice < 3; slice++) client.session.slice();
    expect(client.take()).toEqual(['T02thread:1;']);
  });
});

describe('a session', () => {
  test('starts the guest anew in the extended protocol', () => {
    const client = guest(LOOP);
    const at = start(client).toString(16);
    expect(client.ask('!')).toBe('OK');
    client.move('s');
    expect(client.ask('vRun;')).toBe('T05thread:1;');
    expect(client.register('rip').toString(16)).toBe(at);
    client.move('s');
    expect(client.ask('R00')).toBe('');
    expect([client.ask('?'), client.register('rip').toString(16)]).toEqual(['T05thread:1;', at]);
    client.move('s');
    expect([client.ask('vKill;1'), client.session.end, client.register('rax')]).toEqual(['OK', undefined, 0n]);
  });

  test('that comes to a running guest stops it, and finds no breakpoint of the one before', () => {
    const client = guest(LOOP);
    client.ask(`Z0,${(start(client) + 3n).toString(16)},1`);
    client.ask('D');
    const { guest: left } = client.session;
    left.session.forgetStops();
    left.session.continue();
    for (let slice = 0; slice < 3; slice++) left.session.slice();
    let sent = '';
    const second = new GdbSession(left, (text) => {
      sent += text;
    });
    second.receive(bytesOfText(packet('?') + packet('vCont;c')));
    for (let slice = 0; slice < 3; slice++) second.slice();
    second.receive(bytesOfText('\x03'));
    second.slice();
    expect(sent).toBe(`+${packet('T02thread:1;')}+${packet('T02thread:1;')}`);
  });

  test('of a guest that has ended has no threads', () => {
    const client = guest('bits 64\n_start:\n mov dx, 0xf4\n mov al, 1\n out dx, al\n');
    expect(client.move('c').at(-1)).toBe('W03');
    expect([client.ask('?'), client.ask('qfThreadInfo'), client.move('c')]).toEqual(['W03', 'l', ['W03']]);
    expect(client.ask('qXfer:threads:read::0,100')).toContain('<threads></threads>');
  });

  test('says when the guest has changed its mode, and describes the registers of that mode when it is asked again', () => {
    const client = guest(
      'bits 64\n_start:\n lgdt [gdtr]\n mov rsp, stack\n push 8\n push there\n retfq\nbits 32\nthere: nop\n nop\n' +
        'gdt dq 0, 0x00cf9b000000ffff\ngdtr dw 15\n dq gdt\n times 64 db 0\nstack:\n',
    );
    const names = () => client.session.target.registers.map(({ name }) => name);
    for (let step = 0; step < 4; step++) client.move('s');
    const [text = '', stop] = client.move('s');
    expect(Buffer.from(text.slice(1), 'hex').toString()).toMatch(/^vCPU 0 runs 32-bit code now; `unset tdesc filename`/);
    expect([stop, names().includes('rip')]).toEqual(['T05thread:1;', true]);
    // It is said once, and pieces of one description fit together.
    expect(client.move('s')).toEqual(['T05thread:1;']);
    let xml = '';
    for (let more = true; more; ) {
      const piece = client.ask(`qXfer:features:read:target.xml:${xml.length.toString(16)},200`);
      xml += piece.slice(1);
      more = piece.startsWith('m');
    }
    expect(xml).toMatch(/<architecture>i386<[\s\S]*<\/target>$/);
    expect(names()).toContain('eip');
  });

  test('survives packets that were damaged on their way', () => {
    const client = guest(LOOP);
    const whole = ['g', 'm100000,20', 'vCont;s:1', 'Z0,100003,1', 'z0,100003,1', 'qSupported', 'p0', 'X100100,2:ab', '?', 'Hg1'];
    let answers = 0;
    for (let seed = 0; seed < 2000; seed++) {
      const random = new Random(seed);
      const bytes = bytesOfText(packet(random.pick(whole)));
      for (let flips = random.below(3); flips > 0; flips--) bytes[random.below(bytes.length)] = random.below(256);
      client.session.receive(random.chance(0.2) ? bytes.subarray(0, random.below(bytes.length)) : bytes);
      for (let slice = 0; slice < 3; slice++) client.session.slice();
      if (random.chance(0.3)) client.raw('\x03');
      answers += client.take().length;
    }
    expect(answers).toBeGreaterThan(450);
    expect(client.session.end).toBeUndefined();
    // The next whole packet is understood, whatever was left open before it.
    client.raw('$vCont;');
    expect(client.ask('qC')).toBe('QC1');
  });
});
