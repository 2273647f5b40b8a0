import { describe, expect, test } from 'vitest';
import { Client, lineOf, sample } from './client.ts';

const hypercalls = sample('hyperv/hypercalls.asm');
const call = lineOf(hypercalls, '    call hypercall_page');

/** Stopped before the sample's first call. */
function beforeTheCall(options: object = {}): Client {
  const client = new Client();
  client.launch(hypercalls, { platform: 'hyperv', stopOnEntry: false, ...options });
  client.ask('setBreakpoints', { source: { path: hypercalls }, breakpoints: [{ line: call }] });
  client.ask('configurationDone');
  client.run();
  return client;
}

const names = (client: Client): string[] => client.frames().map(({ name }) => name);

describe('a hypercall through the hypercall page', () => {
  test.each([
    ['intel', 'VMCALL, reason 18', 'hvix64'],
    ['amd', 'VMMCALL, code 0x81', 'hvax64'],
  ])('is stepped into from its caller, and out of to behind the call (%s)', (vendor, exit, image) => {
    const client = beforeTheCall({ vendor });
    client.move('stepIn');
    const frames = names(client);
    expect(frames[0]).toMatch(new RegExp(`^${image}: `));
    expect(frames.slice(frames.indexOf(`── VM exit: ${exit} ──`))).toEqual([
      `── VM exit: ${exit} ──`,
      'hypercall page',
      '_start',
    ]);
    expect(client.frames().at(-1)).toMatchObject({ line: call, source: { path: hypercalls } });
    client.move('stepOut');
    expect(names(client)).toEqual(['_start']);
    expect(client.frames()[0].line).toBe(call + 1);
  });

  test('is one step for who steps over it', () => {
    const client = beforeTheCall();
    client.move('next');
    expect(client.frames()[0]).toMatchObject({ name: '_start', line: call + 1 });
  });

  test('is left by instructions where the guest is stepped by instructions', () => {
    const client = beforeTheCall();
    client.move('stepIn', 'instruction');
    expect(names(client)).toEqual(['hypercall page', '_start']);
    client.move('stepIn', 'instruction');
    expect(names(client)).toContain('── VM exit: VMCALL, reason 18 ──');
  });
});
