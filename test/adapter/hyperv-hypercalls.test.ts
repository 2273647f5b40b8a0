import { expect, test } from 'vitest';
import { Client, sample } from './client.ts';

const PROGRAM = sample('hyperv/hypercalls.asm');

function launched(): Client {
  const client = new Client();
  client.launch(PROGRAM, { platform: 'hyperv', stopOnEntry: false });
  return client;
}

test('a breakpoint stops at a hypercall of Hyper-V by its name or code, which the control word has', () => {
  for (const name of ['hypercall:HvCallTranslateVirtualAddress', 'hypercall:translatevirtualaddress', 'hypercall:0x52']) {
    const client = launched();
    const [breakpoint] = client.ask('setFunctionBreakpoints', { breakpoints: [{ name }] }).breakpoints;
    expect(breakpoint).toMatchObject({ verified: true });
    client.ask('configurationDone');
    expect(client.run().body).toMatchObject({ reason: 'breakpoint', hitBreakpointIds: [breakpoint.id] });
    expect(client.evaluate('rcx', 'clipboard')).toBe('0x52');
  }
});

test('Step Into at a hypercall comes to its handlers, with its arguments by name', () => {
  const client = launched();
  client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'hypercall:GetVpRegisters' }] });
  client.ask('configurationDone');
  client.run();
  const seen = new Set<string>();
  for (let step = 0; step < 8; step++) {
    client.move('stepIn');
    seen.add(client.frames()[0].name);
  }
  const names = [...seen].join('\n');
  for (const part of ['hypercall', 'HvCallGetVpRegisters']) expect(names).toContain(part);
});

test('exits say what the call was asked for, what came of it, and what it is for', () => {
  const client = launched();
  client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'finish' }] });
  client.ask('configurationDone');
  client.run();
  const { records: exits } = client.ask('hyperscope/exits', { filter: 'reason=hypercall', count: 10 });
  expect(exits[0]).toMatchObject({
    request: 'vmcall HvCallSignalEvent(connection 0x99, flag 0)',
    result: 'HV_STATUS_INVALID_CONNECTION_ID: the partition has no connection 0x99',
    meaning: 'sets an event flag at the other end of a connection',
    breakpoint: { name: 'hypercall:HvCallSignalEvent' },
  });
});
