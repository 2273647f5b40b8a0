import { describe, expect, test } from 'vitest';
import { Client, sample } from './client.ts';
import { atEntry } from './guests.ts';

function stopped(program = 'hello/hello.asm', options: object = {}): Client {
  const client = new Client();
  client.launch(sample(program), options);
  client.ask('configurationDone');
  client.run();
  return client;
}

/** Reference of a scope, or of a variable in it. */
function reference(client: Client, scope: string, variable?: string): number {
  const { scopes } = client.ask('scopes', { frameId: client.frames()[0].id });
  const found = scopes.find(({ name }: { name: string }) => name === scope).variablesReference;
  if (variable === undefined) return found;
  const { variables } = client.ask('variables', { variablesReference: found });
  return variables.find(({ name }: { name: string }) => name === variable).variablesReference;
}

/** Sets a variable; gives its new value, or the sentence that refuses it. */
function set(client: Client, scope: string, name: string, value: string, within?: string): string {
  const response = client.request('setVariable', { variablesReference: reference(client, scope, within), name, value });
  return response.success ? response.body.value : (response.message ?? '');
}

describe('a variable of the registers', () => {
  test.each<[string, string, string, string | RegExp]>([
    ['Registers', 'rbx', '0x10 + 1', /^0x0{14}11$/],
    ['Registers', 'rax', '-1', '0xffffffffffffffff'],
    ['Registers', 'rflags', '0xffffffff', /^0x003f7fd7 {2}CF PF/],
    ['Flags', 'zf', '1', '1'],
    ['Flags', 'cf', '2', /doesn't fit into cf, which has 1 bit\./],
    ['Flags', 'iopl', '3', /3/],
    ['Control registers', 'cr2', '0x1234', /0x0*1234/],
    ['Control registers', 'cr0', '0x10', /^cr0 can't be 0x10: the guest's own write would raise #GP\(0\)\.$/],
    ['Control registers', 'cr4', '1 << 63', /#GP\(0\)/],
    ['Control registers', 'cr4', 'cr4 | 4', /TSD/],
    ['Control registers', 'efer', '0', /#GP\(0\)/],
    ['Control registers', 'xcr0', '0', /#GP\(0\)/],
    ['Control registers', 'cpl', '3', /^The CPL follows from the code/],
    ['x87', 'st0', '1.5', /^0x3fffc0{15} {2}1\.5$/],
    ['x87', 'st1', '-0.1', /^0xbffbcccccccccccccccd {2}-0\.10{15}/],
    ['x87', 'st7', '-inf', /^0xffff80{15} {2}-inf$/],
    ['x87', 'st2', '0x10 + 1', /^0x0{18}11 {2}6\.\d+e-4950$/],
    ['x87', 'fctrl', '0x27b', '0x027b  53 bits, rounded to nearest, ZE not masked'],
    ['x87', 'fstat', '0x3804', '0xb884  TOP 7 ZE ES'],
    ['x87', 'ftag', '0x3fff', '0x7fff  in use: R7'],
    ['Debug registers', 'dr0', '0x100000', /0x0*100000/],
    ['Debug registers', 'dr7', '0', /0x0*400$/],
    ['Debug registers', 'dr7', '1 << 32', /#GP\(0\)/],
    ['MSRs', 'LSTAR', '0xffff800000000000', '0xffff800000000000'],
    ['MSRs', 'LSTAR', '1 << 47', /^LSTAR can't be 0x800000000000: .*#GP\(0\)/],
    ['MSRs', 'EFER', '1 << 40', /#GP\(0\)/],
    ['Segments', 'gs', '0x18', /^0x0018 base 0x0 limit 0xffffffff data/],
    ['Segments', 'gs', '0x7ff8', /#GP\(0x7ff8\)/],
    ['Segments', 'cs', '0x20', /^cs is loaded by far jumps alone/],
    ['Segments', 'gdtr', '0', /^Set gdtr\.base or gdtr\.limit\.$/],
    ['Local APIC', 'TPR', '0x20', /^0x20/],
    ['Local APIC', 'SVR', '0x1ff', /^0x1ff/],
    ['Local APIC', 'IRR', '1', /^This part of the local APIC follows/],
    ['Local APIC', 'TPR', '1 << 40', /can't be 0x10000000000/],
    ['VMCS', 'guest state', '0', /VMCS is shown as the vCPU is now|can't be changed/],
    ['Last VM exit', 'none', '1', /^The last VM exit is over/],
    ['Devices', 'vCPUs', '1', /^A device is only shown/],
  ])('%s: %s = %s', (scope, name, value, result) => {
    expect(set(stopped(), scope, name, value)).toMatch(result);
  });

  test('takes what was shown with a changed value', () => {
    const client = stopped();
    expect(set(client, 'Registers', 'rip', '0x0000000000100005  <_start>')).toMatch(/^0x0000000000100005 {2}<_start\+/);
    expect(
      set(client, 'Control registers', 'cr4', (client.scope('Control registers').cr4 ?? '').replace(/^0x0*/, '0x4 | 0x')),
    ).toMatch(/TSD/);
    expect(set(client, 'Segments', 'ds', (client.scope('Segments').ds ?? '').replace(/^0x\w+/, '0'))).toContain('unusable');
  });

  test('in a segment are selector, base, limit and rights', () => {
    const client = stopped();
    expect(set(client, 'Segments', 'base', '0xffff800000000000', 'gs')).toBe('0xffff800000000000');
    expect(set(client, 'Segments', 'base', '1 << 60', 'gs')).toMatch(/not canonical/);
    expect(set(client, 'Segments', 'limit', '0xfff', 'ds')).toBe('0x00000fff');
    expect(set(client, 'Segments', 'rights', '0x1ffff', 'es')).toBe('0x1ffff');
    expect(set(client, 'Segments', 'limit', '0x10', 'gdtr')).toBe('0x0010');
    expect(client.scope('Segments')).toMatchObject({
      gs: expect.stringContaining('base 0xffff800000000000'),
      es: expect.stringContaining('unusable'),
      gdtr: 'base 0x1000 limit 0x10',
    });
  });

  test('that is set is what the guest goes on with', () => {
    const { client } = atEntry(`bits 64
_start:
    mov rax, [gs:8]
    mov ecx, 0xc0000082
    rdmsr
    hlt
value: dq 0x1122334455667788
`);
    const place = BigInt(client.evaluate('value', 'clipboard')) - 8n;
    set(client, 'Segments', 'base', `0x${place.toString(16)}`, 'gs');
    set(client, 'MSRs', 'LSTAR', '0x99');
    client.move('next');
    expect(client.evaluate('rax', 'clipboard')).toBe('0x1122334455667788');
    client.move('next');
    client.move('next');
    expect(client.evaluate('eax', 'clipboard')).toBe('0x99');
  });

  test('of the task register and the LDT are loaded from system descriptors, with what loading them does', () => {
    const { client } = atEntry(`bits 64
_start:
    lgdt [register]
    hlt
register: dw table.end - table - 1
    dq table
table: dq 0
    dq 0x00209a0000000000
tss: dq 0x0000893400000067, 0xffff8000
ldt: dq 0x0000820000001fff, 0
table.end:
`);
    client.move('next');
    expect(set(client, 'Segments', 'tr', '0x10')).toMatch(/^0x0010 base 0xffff800000340000 limit 0x67 system/);
    expect(client.evaluate('byte [tss + 5]', 'clipboard')).toBe('0x8b');
    expect(set(client, 'Segments', 'tr', '0x10')).toMatch(/#GP\(0x10\)/);
    expect(set(client, 'Segments', 'ldtr', '0x20')).toMatch(/^0x0020 base 0x0 limit 0x1fff system/);
    expect(set(client, 'Segments', 'ldtr', '0x8')).toMatch(/#GP\(0x8\)/);
  });

  test('that turn paging off and on take what follows from it', () => {
    const { client } = atEntry('bits 32\n_start: nop\n    nop\n    hlt\n');
    expect(set(client, 'Control registers', 'cr0', 'cr0 | (1 << 31)')).toMatch(/PG/);
    expect(client.evaluate('walk 0x100000', 'repl')).toMatch(/^PD .*not mapped/s);
    expect(set(client, 'Control registers', 'cr0', 'cr0 & ~(1 << 31)')).not.toMatch(/PG/);
    expect(set(client, 'Control registers', 'cr4', 'cr4 | 0x20')).toMatch(/PAE/);
    // Page-directory pointers with reserved bits are refused when PAE paging would load them.
    const pointers = Buffer.alloc(32, 0xff);
    client.ask('writeMemory', { memoryReference: 'gpa:0x5000', data: pointers.toString('base64') });
    expect(set(client, 'Control registers', 'cr3', '0x5000')).toMatch(/0x0*5000/);
    expect(set(client, 'Control registers', 'cr0', 'cr0 | (1 << 31)')).toMatch(/#GP\(0\)/);
    client.move('next');
    expect(client.evaluate('walk 0x100000', 'repl')).toMatch(/paging is off/);
  });

  test('in real mode takes a selector as the processor does', () => {
    const client = stopped('bare/boot-sector.asm', { platform: 'bare' });
    expect(set(client, 'Segments', 'es', '0xb800')).toMatch(/^0xb800 base 0xb8000 /);
  });

  test('says that it is read-only where it is', () => {
    const client = stopped();
    for (const scope of ['VMCS', 'Last VM exit', 'Devices']) {
      const { variables } = client.ask('variables', { variablesReference: reference(client, scope) });
      for (const { variablesReference, presentationHint } of variables)
        if (variablesReference === 0) expect(presentationHint.attributes).toContain('readOnly');
    }
  });
});

describe('an expression', () => {
  const assigned = (client: Client, expression: string, value: string): string => {
    const response = client.request('setExpression', { expression, value });
    return response.success ? response.body.value : (response.message ?? '');
  };

  test.each<[string, string, RegExp]>([
    ['rax', '0x12', /^0x12/],
    ['$rax', '7', /^0x7$/],
    ['al', '0x1ff', /doesn't fit into al, which has 8 bits/],
    ['zf', '1', /^1$/],
    ['gs.base', '0x5000', /^0x5000/],
    ['msr:LSTAR', '0x77', /^0x77/],
    ['msr:0x12345', '1', /has no MSR "0x12345"/],
    ['dword [0x5000]', '0xdeadbeef', /^0xdeadbeef/],
    ['byte gpa:[0x5000]', '-1', /^0xff /],
    ['word [0x5000 + 2 * 4]', '0x12345', /doesn't fit into word .* 16 bits/],
    ['byte [0x8000000000]', '1', /can't be read: the PML4 entry is not present/],
    ['message', '1', /^"message" is an address; to change what lies there, write dword \[message\] = 1\.$/],
    ['rax + 1', '1', /can't be set; registers, flags/],
    ['[rax] + [rbx]', '1', /can't be set/],
    ['rax', 'nobody', /"nobody" is not a register/],
    ['rax', '', /empty/],
  ])('%s is set to %s or refused with a sentence', (expression, value, result) => {
    expect(assigned(stopped(), expression, value)).toMatch(result);
  });

  test('that is read through a segment is written through it', () => {
    const client = stopped();
    assigned(client, 'gs.base', '0x5000');
    expect(assigned(client, 'word gs:[0x10]', '0xabcd')).toMatch(/^0xabcd/);
    expect(client.evaluate('word [0x5010]', 'clipboard')).toBe('0xabcd');
  });

  test('with = sets in the console and tells the views, and is refused by hover, watch and clipboard', () => {
    const client = stopped();
    for (const context of ['hover', 'watch', 'clipboard', 'variables'])
      expect(client.request('evaluate', { expression: 'rax = 5', context }).message).toMatch(/done in the debug console/);
    expect(client.evaluate('rax', 'clipboard')).toBe('0x0');
    client.events.length = 0;
    expect(client.evaluate('dword [0x5000] = 0x10', 'repl')).toMatch(/^0x10/);
    expect(client.events.map(({ event, body }) => [event, body])).toEqual([
      ['memory', { memoryReference: '0x5000', offset: 0, count: 4 }],
      ['invalidated', { areas: ['variables', 'stacks'] }],
    ]);
    expect(client.evaluate('rax == 0', 'hover')).toBe('0x1');
    client.evaluate('dword [0x5000] += 1', 'repl');
    expect(client.evaluate('dword [0x5000]', 'clipboard')).toBe('0x11');
    const other = new Client();
    other.ask('initialize');
    other.ask('launch', { program: sample('hello/hello.asm') });
    other.ask('configurationDone');
    other.run();
    other.events.length = 0;
    other.evaluate('rax = 5', 'repl');
    expect(other.events, 'a client that does not take these events').toEqual([]);
  });

  test('is shown bare for the clipboard and with decimal and symbol elsewhere', () => {
    const client = stopped();
    expect(client.evaluate('rip', 'clipboard')).toMatch(/^0x[0-9a-f]+$/);
    expect(client.evaluate('rip', 'hover')).toMatch(/^0x[0-9a-f]+ \(\d+\) <_start>$/);
    expect(client.evaluate('0 - 16')).toBe('0xfffffffffffffff0 (-16)');
  });
});
