import { describe, expect, test } from 'vitest';
import { Client, lineOf, sample } from './client.ts';

const hello = sample('hello/hello.asm');
const paging = sample('bare/paging.asm');
const message = 'Hello from a guest\n';

function launched(program = hello, options: object = {}): Client {
  const client = new Client();
  client.launch(program, { stopOnEntry: false, ...options });
  return client;
}

describe('breakpoints', () => {
  test('a condition, a hit count and a logpoint decide in the engine', () => {
    const client = launched();
    const line = lineOf(hello, 'out dx, al', 2);
    client.ask('setBreakpoints', { source: { path: hello }, breakpoints: [{ line, condition: 'al == 0x67' }] });
    client.ask('configurationDone');
    client.run();
    expect(client.evaluate('al', 'clipboard')).toBe('0x67');
    client.ask('setBreakpoints', { source: { path: hello }, breakpoints: [{ line, hitCondition: '3' }] });
    client.move('continue');
    client.ask('setBreakpoints', { source: { path: hello }, breakpoints: [{ line, logMessage: 'char {al}' }] });
    const end = client.move('continue');
    expect(end.event).toBe('terminated');
    const logs = client.events.filter(({ event, body }) => event === 'output' && body.output.startsWith('char'));
    expect(logs.length).toBeGreaterThan(0);
    expect(client.output).toBe(message);
  });

  test('a line without code slides to the next that has some; a file without code is not verified', () => {
    const client = launched();
    const [moved] = client.ask('setBreakpoints', { source: { path: hello }, breakpoints: [{ line: 1 }] }).breakpoints;
    expect(moved).toMatchObject({ verified: true, line: lineOf(hello, 'mov rsi, message') });
    const [missing] = client.ask('setBreakpoints', {
      source: { path: '/nowhere/else.c' },
      breakpoints: [{ line: 1 }],
    }).breakpoints;
    expect(missing.verified).toBe(false);
    expect(missing.message).toMatch(/No code/);
  });

  test('function and instruction breakpoints stop', () => {
    const client = launched();
    expect(
      client
        .ask('setFunctionBreakpoints', { breakpoints: [{ name: 'print' }, { name: 'nothing' }] })
        .breakpoints.map((b: { verified: boolean }) => b.verified),
    ).toEqual([true, false]);
    client.ask('configurationDone');
    client.run();
    expect(client.frames()[0].name).toBe('print');
    client.ask('setFunctionBreakpoints', { breakpoints: [] });
    client.ask('setInstructionBreakpoints', {
      breakpoints: [{ instructionReference: client.frames()[0].instructionPointerReference, offset: 4 }],
    });
    client.move('continue');
    expect(client.frames()[0].line).toBe(lineOf(hello, 'lodsb'));
  });

  test('a data breakpoint of any size stops before the access, by virtual and by physical address', () => {
    for (const space of ['', 'gpa:']) {
      const client = launched(paging);
      const info = client.ask('dataBreakpointInfo', { name: `${space}0x601000 - 0x1000`, bytes: 5 });
      client.ask('setDataBreakpoints', { breakpoints: [{ dataId: info.dataId, accessType: 'write' }] });
      client.ask('configurationDone');
      const stop = client.run();
      expect(stop.body).toMatchObject({ reason: 'data breakpoint' });
      expect(client.frames()[0].line).toBe(lineOf(paging, 'mov dword [TARGET], 42'));
      client.ask('setDataBreakpoints', { breakpoints: [] });
      expect(client.move('continue').event).toBe('terminated');
    }
  });
});

test('data breakpoints on the same bytes are each asked, whatever space they are in', () => {
  const client = launched(paging);
  const ids = ['0x600000', '0x600000', 'gpa:0x600000'].map(
    (name) => client.ask('dataBreakpointInfo', { name, bytes: 4 }).dataId as string,
  );
  const rules = [{ condition: 'rax == 0x123456789' }, { hitCondition: '1' }, { condition: '1 == 0' }];
  const { breakpoints } = client.ask('setDataBreakpoints', {
    breakpoints: ids.map((dataId, index) => ({ dataId, accessType: 'write', ...rules[index] })),
  });
  client.ask('configurationDone');
  expect(client.run().body).toMatchObject({ reason: 'data breakpoint', hitBreakpointIds: [breakpoints[1].id] });
  expect(client.frames()[0].line).toBe(lineOf(paging, 'mov dword [TARGET], 42'));
});

describe('breakpoints that a client asks for', () => {
  test('before it launches are set when the guest is there', () => {
    const client = new Client();
    client.ask('initialize');
    expect(client.ask('setExceptionBreakpoints', { filters: ['io'] }).breakpoints[0].verified).toBe(false);
    client.ask('launch', { program: hello, stopOnEntry: false });
    expect(client.events.find(({ event }) => event === 'breakpoint')?.body.breakpoint).toMatchObject({ verified: true });
    client.ask('configurationDone');
    expect(client.run().body).toMatchObject({ reason: 'exception', description: 'VM exit: io' });
  });

  test('with a condition that sets something are refused before it can do harm', () => {
    const client = launched();
    const line = lineOf(hello, 'out dx, al', 2);
    const condition = 'al = 0x67';
    const refused = { verified: false, message: '"al = 0x67" sets something; a condition compares with ==.' };
    const source = { path: hello };
    expect(client.ask('setBreakpoints', { source, breakpoints: [{ line, condition }] }).breakpoints).toMatchObject([refused]);
    expect(client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'exit:io', condition }] }).breakpoints).toMatchObject([
      refused,
    ]);
    const options = { filters: [], filterOptions: [{ filterId: 'io', condition }] };
    expect(client.ask('setExceptionBreakpoints', options).breakpoints).toMatchObject([refused]);
    client.ask('configurationDone');
    expect(client.run().event).toBe('terminated');
    expect(client.output).toBe(message);
  });

  test('with an address that is none leave the others in force', () => {
    const client = launched();
    const { breakpoints } = client.ask('setInstructionBreakpoints', {
      breakpoints: [{ instructionReference: 'f000:fff0' }, { instructionReference: '0x100000' }],
    });
    expect(breakpoints).toMatchObject([
      { verified: false, message: expect.stringMatching(/not a memory reference/) },
      { verified: true },
    ]);
    client.ask('configurationDone');
    expect(client.run().body).toMatchObject({ reason: 'breakpoint', hitBreakpointIds: [breakpoints[1].id] });
    client.ask('restart');
    expect(client.run().body.reason).toBe('breakpoint');
  });
});

describe('VM exit filters', () => {
  test('stop at the exits that their condition picks', () => {
    const client = launched();
    client.ask('setExceptionBreakpoints', {
      filters: [],
      filterOptions: [{ filterId: 'io', condition: 'port == 0x604 && write' }],
    });
    client.ask('configurationDone');
    expect(client.run().body).toMatchObject({ reason: 'exception' });
    expect(client.frames()[0].name).toBe('── VM exit: IO, reason 30 ──');
    expect(client.output).toBe(message);
    expect(client.ask('exceptionInfo', { threadId: 1 }).description).toContain('0x604');
  });

  test('a guest exception stops before it is delivered, and its details show the page walk', () => {
    const client = launched(paging);
    client.ask('setExceptionBreakpoints', { filters: [], filterOptions: [{ filterId: 'exception', condition: 'vector == 14' }] });
    client.ask('configurationDone');
    client.run();
    expect(client.frames()[0].line).toBe(lineOf(paging, 'mov dword [TARGET], 42'));
    expect(client.evaluate('cr2', 'clipboard')).toBe('0x0');
    expect(client.ask('exceptionInfo', { threadId: 1 }).description).toMatch(/Page walk of 0x600000[\s\S]*not present/);
    expect(client.move('continue').event).toBe('terminated');
    expect(client.output).toContain('the write was done again and held');
  });

  test('a condition that is wrong says so instead of passing in silence', () => {
    const client = launched();
    client.ask('setExceptionBreakpoints', { filters: [], filterOptions: [{ filterId: 'any', condition: 'nonsense > 1' }] });
    client.ask('configurationDone');
    expect(client.run().body.text).toMatch(/"nonsense" is not a register/);
  });
});

test('a run without debugging stops at nothing', () => {
  const client = launched(hello, { noDebug: true, stopOnEntry: true });
  client.ask('setBreakpoints', { source: { path: hello }, breakpoints: [{ line: lineOf(hello, 'lodsb') }] });
  client.ask('configurationDone');
  expect(client.run().event).toBe('terminated');
  expect(client.output).toBe(message);
});
