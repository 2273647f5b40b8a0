import { describe, expect, test } from 'vitest';
import { bytesOfText, PACKET_SIZE, PacketReader, packet } from '../../src/gdb-remote/packet.ts';
import { Random } from '../support/random.ts';
import { guestClient as guest, type RemoteClient } from './client.ts';

const PROGRAM = `bits 64
_start:
    mov rbx, 0x1122334455667788
    mov rdi, data
    call work
    mov dx, 0xf4
    mov al, 3
    out dx, al
work:
    mov dword [rdi], 7
    mov eax, [rdi]
    vmcall
    inc eax
    ret
align 8
data: dd 1, 2, 3, 4
`;

describe('packets', () => {
  test('are taken out of a stream in any pieces, with their escapes; what is damaged is asked for again', () => {
    const stream = bytesOfText(`+${packet('m1000,4')}\x03${packet('X1000,2:#}$*')}-$bad#00`);
    for (const size of [1, 3, 1000]) {
      const reader = new PacketReader();
      const found = [];
      for (let at = 0; at < stream.length; at += size) found.push(...reader.push(stream.subarray(at, at + size)));
      expect(found).toEqual([
        { kind: 'ack' },
        { kind: 'packet', text: 'm1000,4' },
        { kind: 'interrupt' },
        { kind: 'packet', text: 'X1000,2:#}$*' },
        { kind: 'nack' },
        { kind: 'damaged' },
      ]);
    }
  });

  test('that never end are given up, and the next one is taken', () => {
    const reader = new PacketReader();
    expect(reader.push(bytesOfText(`$${'a'.repeat(PACKET_SIZE + 10)}`))).toEqual([{ kind: 'damaged' }]);
    expect(reader.push(bytesOfText(packet('g')))).toEqual([{ kind: 'packet', text: 'g' }]);
  });
});

describe('a session of the remote protocol', () => {
  test('reads and writes registers and memory, one by one and all together', () => {
    const client = guest(PROGRAM);
    expect(client.ask('?')).toBe('T05thread:1;');
    client.move('vCont;s:1');
    expect(client.register('rbx')).toBe(0x1122334455667788n);
    expect(client.ask(`P1=${'00'.repeat(8)}`)).toBe('OK');
    expect(client.register('rbx')).toBe(0n);
    const all = client.ask('g');
    expect(all).toHaveLength(client.session.target.registers.reduce((sum, { bits }) => sum + bits / 4, 0));
    expect(client.ask(`G${all.replace(/^.{16}/, 'ff00000000000000')}`)).toBe('OK');
    expect(client.register('rax')).toBe(0xffn);
    const address = client.register('rip').toString(16);
    const code = client.ask(`m${address},4`);
    expect(code).toMatch(/^[0-9a-f]{8}$/);
    expect(client.ask(`M${address},4:${code}`)).toBe('OK');
    expect(client.ask('mffff800000000000,8')).toBe('E0e');
    expect(client.ask('Mffff800000000000,1:00')).toBe('E0e');
  });

  test('shows the x87 unit', () => {
    const client = guest('bits 64\n_start: fninit\n fldpi\n fld1\n mov dx, 0xf4\n out dx, al\n');
    for (let step = 0; step < 3; step++) client.move('vCont;s:1');
    expect(client.register('st0')).toBe(0x3fff_8000_0000_0000_0000n);
    expect(client.register('st1')).toBe(0x4000_c90f_daa2_2168_c235n);
    expect(['fctrl', 'fstat', 'ftag', 'fop'].map((name) => client.register(name))).toEqual([0x37fn, 0x3000n, 0x0fffn, 0x1e8n]);
    const number = client.session.target.registers.findIndex(({ name }) => name === 'st1').toString(16);
    expect(client.ask(`P${number}=0000000000000080ff3f`)).toBe('OK');
    expect(client.register('st1')).toBe(0x3fff_8000_0000_0000_0000n);
  });

  test('shows vectors as the processor has them', () => {
    const names = (client: RemoteClient) => client.session.target.registers.map(({ name }) => name);
    expect(names(guest(PROGRAM, { cpu: 'nehalem,-sse,-lm' }))).not.toContain('xmm0');
    const client = guest(PROGRAM, { cpu: 'max' });
    expect(client.session.target.xml).toMatch(/<feature name="org\.gnu\.gdb\.i386\.avx">/);
    const set = (name: string, value: string) => client.ask(`P${names(client).indexOf(name).toString(16)}=${value}`);
    expect([set('xmm3', '11'.repeat(16)), set('ymm3h', '22'.repeat(16))]).toEqual(['OK', 'OK']);
    expect(client.register('ymm3h')).toBe(BigInt(`0x${'22'.repeat(16)}`));
    expect([client.register('xmm3'), client.register('mxcsr')]).toEqual([BigInt(`0x${'11'.repeat(16)}`), 0x1f80n]);
  });

  test('stops at breakpoints, steps into calls and over VM exits, and ends with the guest', () => {
    const client = guest(PROGRAM);
    const work = client.session.guest.session.evaluate('work').toString(16);
    expect(client.ask(`Z0,${work},1`)).toBe('OK');
    expect(client.move('c')).toEqual(['T05swbreak:;thread:1;']);
    expect(client.register('rip').toString(16)).toBe(work);
    const places: bigint[] = [];
    for (let step = 0; step < 5; step++) {
      expect(client.move('s')).toEqual(['T05thread:1;']);
      places.push(client.register('rip'));
    }
    // mov, mov, vmcall (its handler is no place for gdb), inc, ret: back behind the call.
    const offsets = places.map((place) => place - BigInt(`0x${work}`));
    expect(offsets.slice(0, 4)).toEqual([6n, 8n, 11n, 13n]);
    expect(offsets[4]).toBeLessThan(0n);
    expect(client.register('rax')).toBe(0xffff_ffff_ffff_fc19n & 0xffff_ffffn);
    expect(client.move('c').at(-1)).toBe('W07');
    expect(client.ask('?')).toBe('W07');
  });

  test('tells of a watched access behind the instruction that made it', () => {
    const client = guest(PROGRAM);
    const data = client.session.guest.session.evaluate('data').toString(16);
    expect(client.ask(`Z2,${data},4`)).toBe('OK');
    expect(client.move('c')).toEqual([`T05watch:${data};thread:1;`]);
    expect(client.ask(`m${data},4`)).toBe('07000000');
    expect(client.ask(`z2,${data},4`)).toBe('OK');
    expect(client.ask(`Z3,${data},4`)).toBe('OK');
    expect(client.move('c')).toEqual([`T05rwatch:${data};thread:1;`]);
    expect(client.register('rax')).toBe(7n);
  });

  test('is interrupted while the guest runs, and left with the guest going on', () => {
    const client = guest('bits 64\n_start:\n.again: jmp .again\n');
    client.raw(packet('c'));
    for (let slice = 0; slice < 5; slice++) client.session.slice();
    expect(client.take()).toEqual([]);
    client.raw('\x03');
    client.session.slice();
    expect(client.take()).toEqual(['T02thread:1;']);
    expect(client.ask('D')).toBe('OK');
    expect(client.session.end).toBe('detached');
  });

  test('reports guest exceptions that nothing handles, with the state before them', () => {
    const client = guest('bits 64\n_start:\n    lidt [none]\n.bad: ud2\nnone: dw 0\n dq 0\n');
    const said = client.move('c');
    expect(said.at(-1)).toMatch(/^T0b/);
    expect(Buffer.from(said[0]?.slice(1) ?? '', 'hex').toString()).toMatch(/#UD/);
    expect(client.register('rip')).toBe(client.session.guest.session.evaluate('_start.bad'));
  });

  test('answers `monitor` with the commands of the debug console', () => {
    const client = guest(PROGRAM);
    const hex = (text: string) => Buffer.from(text).toString('hex');
    expect(Buffer.from(client.ask(`qRcmd,${hex('walk _start')}`), 'hex').toString()).toMatch(/PML4[\s\S]*PD/);
    expect(Buffer.from(client.ask(`qRcmd,${hex('nonsense')}`), 'hex').toString()).toMatch(/no command "nonsense"/);
    const entry = client.session.guest.session.evaluate('_start').toString(16);
    expect(Buffer.from(client.ask(`qRcmd,${hex('_start + 1 - 1')}`), 'hex').toString()).toContain(entry);
  });

  test('describes the target for the mode that the guest starts in', () => {
    for (const [bits, architecture, pc] of [
      [16, 'i8086', 'eip'],
      [32, 'i386', 'eip'],
      [64, 'i386:x86-64', 'rip'],
    ] as const) {
      const client = guest(`bits ${bits}\n_start:\n    nop\n    hlt\n`);
      const first = client.ask('qXfer:features:read:target.xml:0,10');
      expect(first.startsWith('m<?xml')).toBe(true);
      expect(client.session.target.xml).toContain(`<architecture>${architecture}</architecture>`);
      expect(client.session.target.registers.map(({ name }) => name)).toContain(pc);
      client.move('s');
      expect(client.register(pc)).toBe(client.session.guest.session.evaluate('_start') + 1n);
    }
  });

  test('3,000 packets of nonsense crash and hang nothing', () => {
    const client = guest(PROGRAM);
    const kinds = [
      'g',
      'G',
      'p',
      'P',
      'm',
      'M',
      'X',
      'Z0,',
      'Z9',
      'z2,',
      'H',
      'T',
      'vCont;',
      'v',
      'q',
      'Q',
      'qXfer:',
      'qRcmd,',
      '?',
      'c',
      's',
      'R',
      '!',
    ];
    for (let seed = 0; seed < 3000; seed++) {
      const random = new Random(seed);
      const tail = Array.from({ length: random.below(24) }, () =>
        random.pick([
          '0',
          'f',
          '7',
          ',',
          ':',
          ';',
          '=',
          '-',
          'x',
          '#',
          '}',
          '\0',
          '\xff',
          'target.xml',
          'ffffffffffffffff',
          '1000',
        ]),
      ).join('');
      client.raw(random.chance(0.9) ? packet(random.pick(kinds) + tail) : tail);
      for (let slice = 0; slice < 3; slice++) client.session.slice();
      if (random.chance(0.2)) client.raw('\x03');
      client.take();
    }
    expect(client.session.end).toBeUndefined();
  });
});
