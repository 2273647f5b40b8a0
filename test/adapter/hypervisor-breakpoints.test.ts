import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Client, lineOf, root } from './client.ts';

const hypercalls = `${root}/samples/kvm/hypercalls.asm`;
const handler = `${root}/src/platforms/kvm/handlers/hypercall.ts`;

function launchedHypercalls(): Client {
  const client = new Client();
  client.launch(hypercalls, { stopOnEntry: false });
  return client;
}

describe('breakpoints on the side of the hypervisor', () => {
  test('stop at a hypercall by its name or number, and at an exit by its reason', () => {
    for (const name of ['hypercall:KVM_HC_KICK_CPU', 'hypercall:kick_cpu', 'hypercall:5', 'hypercall:0x5']) {
      const client = launchedHypercalls();
      const [breakpoint] = client.ask('setFunctionBreakpoints', { breakpoints: [{ name }] }).breakpoints;
      expect(breakpoint).toMatchObject({ verified: true });
      client.ask('configurationDone');
      expect(client.run().body).toMatchObject({ reason: 'breakpoint', hitBreakpointIds: [breakpoint.id] });
      expect(client.evaluate('rax', 'clipboard')).toBe('0x5');
    }
    const client = launchedHypercalls();
    client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'exit:io', condition: 'port == 0x604' }] });
    client.ask('configurationDone');
    expect(client.run().body.reason).toBe('breakpoint');
    expect(client.evaluate('ax', 'clipboard')).toBe('0x2000');
  });

  test('say what is wrong with a name', () => {
    const client = launchedHypercalls();
    const { breakpoints } = client.ask('setFunctionBreakpoints', {
      breakpoints: [{ name: 'exit:cupid' }, { name: 'hypercall:nothing' }, { name: 'prin' }],
    });
    expect(breakpoints.map(({ verified }: { verified: boolean }) => verified)).toEqual([false, false, false]);
    expect(breakpoints[0].message).toMatch(/no exit reason "cupid"; reasons are .*cpuid/);
    expect(breakpoints[1].message).toMatch(/has KVM_HC_/);
    expect(breakpoints[2].message).toBe('The program has no function or label "prin". It has "print".');
  });

  test('stop at the stages in the source of an exit handler', () => {
    const client = launchedHypercalls();
    const check = lineOf(handler, "stage('kvm-hypercall.check'");
    const decode = lineOf(handler, "stage('kvm-hypercall.decode'");
    const { breakpoints } = client.ask('setBreakpoints', {
      source: { path: handler },
      // The line of the function itself has no stage: the next one that has takes the breakpoint.
      breakpoints: [{ line: decode - 1 }, { line: check, condition: 'rax == 5' }],
    });
    expect(breakpoints.map(({ line, verified }: { line: number; verified: boolean }) => [line, verified])).toEqual([
      [decode, true],
      [check, true],
    ]);
    client.ask('configurationDone');
    expect(client.run().body.hitBreakpointIds).toEqual([breakpoints[0].id]);
    expect(client.frames()[0]).toMatchObject({ line: decode, source: { path: handler } });
    client.ask('setBreakpoints', { source: { path: handler }, breakpoints: [{ line: check, condition: 'rax == 5' }] });
    client.move('continue');
    expect(client.frames()[0].line).toBe(check);
    expect(client.evaluate('rax', 'clipboard')).toBe('0x5');
    const { breakpoints: places } = client.ask('breakpointLocations', { source: { path: handler }, line: 1, endLine: 500 });
    const stages = readFileSync(handler, 'utf8').match(/yield stage\(/g) ?? [];
    expect(places).toHaveLength(stages.length);
  });

  test('in a source without stages are not verified, with the reason', () => {
    const client = launchedHypercalls();
    const path = `${root}/src/adapter/errors.ts`;
    const { breakpoints } = client.ask('setBreakpoints', { source: { path }, breakpoints: [{ line: 1 }] });
    expect(breakpoints[0]).toMatchObject({
      verified: false,
      message: expect.stringContaining('No exit handler is in this file'),
    });
  });
});
