import { describe, expect, test } from 'vitest';
import { Client, lineOf, sample } from './client.ts';
import { atEntry } from './guests.ts';

const top = (client: Client) => client.frames()[0];

/** A line of several instructions: a macro that calls twice and asks CPUID. */
const SEVERAL = `bits 64
%macro several 0
    call first
    mov rbx, second
    call rbx
    xor eax, eax
    cpuid
%endmacro
_start:
    several         ; @several
    nop             ; @after
    hlt
first:
    mov rcx, 1      ; @first
    ret
second:
    mov rdx, 2      ; @second
    ret
`;

describe('the targets of a step', () => {
  const targets = (client: Client) => client.ask('stepInTargets', { frameId: top(client).id }).targets;
  const into = (client: Client, label: RegExp) => {
    const target = targets(client).find((candidate: { label: string }) => label.test(candidate.label));
    client.ask('stepIn', { threadId: 1, targetId: target.id });
    return client.run();
  };

  test('are the calls and VM exits of the line', () => {
    const { client } = atEntry(SEVERAL);
    expect(targets(client).map(({ label }: { label: string }) => label)).toEqual(['first', 'call rbx', 'VM exit: cpuid']);
  });

  test('are gone into alone: the calls before are stepped over', () => {
    const { client, file } = atEntry(SEVERAL);
    into(client, /rbx/);
    expect(top(client).line).toBe(lineOf(file, '@second'));
    expect(client.evaluate('rcx', 'clipboard')).toBe('0x1');
    client.move('stepOut');
    into(client, /VM exit/);
    expect(client.frames().map(({ name }) => name)).toEqual([
      expect.stringContaining('kvm-intel: '),
      '── VM exit: CPUID, reason 10 ──',
      '_start',
    ]);
    expect(targets(client)).toEqual([]);
    client.move('stepOut');
    expect(top(client).line).toBe(lineOf(file, '@after'));
  });

  test('have no exits where the guest owns the machine', () => {
    const { client } = atEntry(SEVERAL, { platform: 'bare' });
    expect(targets(client).map(({ label }: { label: string }) => label)).toEqual(['first', 'call rbx']);
  });

  test('are asked for again once the guest has moved', () => {
    const { client } = atEntry(SEVERAL);
    const [target] = targets(client);
    client.move('next', 'instruction');
    expect(client.request('stepIn', { threadId: 1, targetId: target.id }).message).toMatch(/no jump target/);
    expect(client.request('stepInTargets', { frameId: 999 }).message).toMatch(/no stack frame/);
  });
});

describe('a value that leads to code', () => {
  test('has a location: in registers, in Watch, not in data', () => {
    const { client, file } = atEntry(`bits 64
_start:
    mov rbx, handler
    nop
    hlt
handler:
    ret             ; @handler
`);
    client.move('next');
    const { scopes } = client.ask('scopes', { frameId: top(client).id });
    const { variables } = client.ask('variables', { variablesReference: scopes[0].variablesReference });
    const find = (name: string) => variables.find((variable: { name: string }) => variable.name === name);
    const location = client.ask('locations', { locationReference: find('rbx').valueLocationReference });
    expect(location).toMatchObject({ source: { path: file }, line: lineOf(file, '@handler') });
    expect(find('rax').valueLocationReference).toBeUndefined();
    const watched = client.ask('evaluate', { expression: 'handler', context: 'watch' });
    expect(client.ask('locations', { locationReference: watched.valueLocationReference }).line).toBe(lineOf(file, '@handler'));
    client.move('next');
    expect(client.request('locations', { locationReference: watched.valueLocationReference }).message).toMatch(/no location/);
  });
});

describe('a jump', () => {
  const GUEST = `bits 64
_start:
    mov rbx, 1      ; @one
    mov rcx, 2      ; @two
    mov rdx, 3      ; @three
    hlt
`;

  test('goes to a line without running what lies between', () => {
    const { client, file } = atEntry(GUEST);
    const [target] = client.ask('gotoTargets', { source: { path: file }, line: lineOf(file, '@three') }).targets;
    client.ask('goto', { threadId: 1, targetId: target.id });
    expect(client.run().body.reason).toBe('goto');
    expect(top(client).line).toBe(lineOf(file, '@three'));
    client.move('next');
    expect(client.evaluate('rbx + rcx + rdx', 'clipboard')).toBe('0x3');
  });

  test('goes to an instruction', () => {
    const { client, file } = atEntry(GUEST);
    const { instructions } = client.ask('disassemble', {
      memoryReference: top(client).instructionPointerReference,
      instructionOffset: 1,
      instructionCount: 1,
    });
    const [target] = client.ask('gotoTargets', { instructionReference: instructions[0].address, source: {}, line: 0 }).targets;
    expect(target).toMatchObject({ instructionPointerReference: instructions[0].address, line: lineOf(file, '@two') });
    client.ask('goto', { threadId: 1, targetId: target.id });
    client.run();
    expect(top(client).line).toBe(lineOf(file, '@two'));
  });

  test('is refused while an exit is served', () => {
    const { client, file } = atEntry(`bits 64
_start:
    cpuid
    nop             ; @after
    hlt
`);
    client.move('stepIn');
    const [target] = client.ask('gotoTargets', { source: { path: file }, line: lineOf(file, '@after') }).targets;
    expect(client.request('goto', { threadId: 1, targetId: target.id }).message).toMatch(/^A VM exit is being served; step out/);
  });

  test('to a line without code is refused with a sentence', () => {
    const { client } = atEntry(GUEST);
    expect(client.request('gotoTargets', { source: { path: '/none.asm' }, line: 3 }).message).toBe('Line 3 has no code.');
  });
});

describe('running to the cursor', () => {
  test('is a breakpoint for the time being: it stops there, and is forgotten', () => {
    const program = sample('hello/hello.asm');
    const client = new Client();
    client.launch(program);
    const kept = { line: lineOf(program, 'out dx, al', 2), hitCondition: '>= 100' };
    const cursor = { line: lineOf(program, 'lodsb') };
    const source = { path: program };
    client.ask('setBreakpoints', { source, breakpoints: [kept] });
    client.ask('configurationDone');
    client.run();
    // What an editor does: the breakpoint is added, the guest goes on, and the breakpoint goes when it has stopped.
    const { breakpoints } = client.ask('setBreakpoints', { source, breakpoints: [kept, cursor] });
    const stop = client.move('continue');
    expect(stop.body).toMatchObject({ reason: 'breakpoint', hitBreakpointIds: [breakpoints[1].id] });
    expect(top(client).line).toBe(cursor.line);
    client.ask('setBreakpoints', { source, breakpoints: [kept] });
    expect(client.move('continue').event).toBe('terminated');
  });
});

test('calls in a code segment with a base are named and stepped over, the one to the next instruction too', () => {
  const { client } = atEntry(
    `bits 16
org 0x7c00
_start:
    mov sp, 0x7000
    jmp 0x2000:0
times 510-($-$$) db 0
dw 0xaa55
`,
    { platform: 'bare' },
  );
  const code = Buffer.from([0xe8, 0x00, 0x00, 0x58, 0xe8, 0x02, 0x00, 0xeb, 0xfe, 0x43, 0xc3]);
  client.ask('writeMemory', { memoryReference: '0x20000', data: code.toString('base64') });
  client.move('next', 'instruction');
  client.move('next', 'instruction');
  expect(client.evaluate('cs', 'clipboard')).toBe('0x2000');
  const targets = client.ask('stepInTargets', { frameId: top(client).id }).targets;
  expect(targets.map(({ label }: { label: string }) => label)).toEqual(['0x20003']);
  client.move('next', 'instruction');
  expect(client.evaluate('ip', 'clipboard')).toBe('0x3');
  client.move('next', 'instruction');
  expect(client.evaluate('ax', 'clipboard')).toBe('0x3');
  client.move('next', 'instruction');
  expect([client.evaluate('ip', 'clipboard'), client.evaluate('bx', 'clipboard')]).toEqual(['0x7', '0x1']);
});
