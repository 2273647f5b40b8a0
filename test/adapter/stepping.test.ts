import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Client, lineOf, sample } from './client.ts';

const hypercalls = sample('kvm/hypercalls.asm');

/** Stopped on the first vmcall of the sample. */
function atVmcall(options: object = {}): Client {
  const client = new Client();
  client.launch(hypercalls, { stopOnEntry: false, ...options });
  client.ask('setBreakpoints', { source: { path: hypercalls }, breakpoints: [{ line: lineOf(hypercalls, '    vmcall') }] });
  client.ask('configurationDone');
  expect(client.run().body.reason).toBe('breakpoint');
  return client;
}

describe('stepping through a VM exit', () => {
  test('Step Into shows the guest frame, the VM exit and the handler, whose source is the TypeScript that runs', () => {
    const client = atVmcall();
    client.move('stepIn');
    const frames = client.frames();
    expect(frames.map(({ name }) => name)).toEqual(['kvm-intel: handle_vmcall', '── VM exit: VMCALL, reason 18 ──', '_start']);
    const [handler, label, guest] = frames;
    expect(label.presentationHint).toBe('label');
    expect(guest.line).toBe(lineOf(hypercalls, '    vmcall'));
    expect(readFileSync(handler.source.path, 'utf8').split('\n')[handler.line - 1]).toContain('stage(');
  });

  test('Step Into goes from stage to stage and into deeper frames; Step Out is back in the guest, one instruction later', () => {
    const client = atVmcall();
    client.move('stepIn');
    client.move('stepIn');
    expect(client.frames()[0].name).toBe('kvm.ko: kvm_emulate_hypercall');
    expect(client.scope('Stage')).not.toEqual({});
    client.move('stepOut');
    const frames = client.frames();
    expect(frames[0].name).toBe('_start');
    expect(frames[0].line).toBe(lineOf(hypercalls, 'call print_result'));
    expect(client.evaluate('rax')).toBe('0x0');
  });

  test('Step Over runs the whole exit as one instruction', () => {
    const client = atVmcall();
    client.move('next');
    expect(client.frames().map(({ name }) => name)).toEqual(['_start']);
    expect(client.frames()[0].line).toBe(lineOf(hypercalls, 'call print_result'));
  });

  test('on AMD the exit has its SVM code and the handlers are those of kvm-amd', () => {
    const client = atVmcall({ vendor: 'amd' });
    client.move('stepIn');
    const names = client.frames().map(({ name }) => name);
    expect(names[0]).toMatch(/^kvm-amd: /);
    expect(names).toContainEqual(expect.stringMatching(/VM exit: .*code 0x/));
  });

  test('an I/O exit goes down to the device and Step Out completes the instruction', () => {
    const hello = sample('hello/hello.asm');
    const client = new Client();
    client.launch(hello, { stopOnEntry: false });
    client.ask('setBreakpoints', { source: { path: hello }, breakpoints: [{ line: lineOf(hello, 'out dx, al', 2) }] });
    client.ask('configurationDone');
    client.run();
    let deepest = '';
    client.move('stepIn');
    for (let step = 0; step < 12 && client.frames()[0].name !== 'print'; step++) {
      const [top] = client.frames();
      if (client.frames().length > 4) deepest = top.name;
      client.move('stepIn');
    }
    expect(deepest).not.toBe('');
    expect(client.frames()[0].line).toBe(lineOf(hello, 'dec ecx'));
  });
});

describe('stepping in the guest', () => {
  test('Step Over a call stops behind it, Step Into goes in, Step Out comes back', () => {
    const client = new Client();
    client.launch(hypercalls);
    client.ask('configurationDone');
    expect(client.run().body.reason).toBe('entry');
    client.move('next');
    client.move('next');
    expect(client.frames()[0].line).toBe(lineOf(hypercalls, 'call print') + 1);
    expect(client.output).toBe('KVM_HC_SCHED_YIELD: ');
    client.ask('restart');
    client.run();
    client.move('next');
    client.move('stepIn');
    expect(client.frames().map(({ name }) => name)).toEqual(['print', '_start']);
    client.move('stepOut');
    expect(client.frames()[0].name).toBe('_start');
  });

  test('instruction granularity takes single instructions', () => {
    const client = new Client();
    client.launch(hypercalls);
    client.ask('configurationDone');
    client.run();
    const before = BigInt(client.evaluate('rip', 'clipboard'));
    client.move('next', 'instruction');
    expect(BigInt(client.evaluate('rip', 'clipboard')) - before).toBe(10n);
  });
});
