import { describe, expect, test } from 'vitest';
import { Client, sample } from './client.ts';

const PROGRAM = sample('hyperv/vmbus.asm');
const VMBUS = 'hyperscope/vmbus';

/** The sample, with function breakpoints set, at the first stop. */
function stoppedAt(...names: readonly string[]): Client {
  const client = new Client();
  client.launch(PROGRAM, { platform: 'hyperv', net: 'user', memory: '16M' });
  const { breakpoints } = client.ask('setFunctionBreakpoints', { breakpoints: names.map((name) => ({ name })) });
  expect(breakpoints.map(({ verified, message }: { verified: boolean; message?: string }) => message ?? verified)).toEqual(
    names.map(() => true),
  );
  client.ask('configurationDone');
  client.run();
  client.move('continue');
  return client;
}

const command = (client: Client, text: string): string => client.evaluate(text, 'repl');
const top = (client: Client): string => client.frames()[0].name;
const names = (client: Client): readonly string[] => client.frames().map(({ name }: { name: string }) => name);

/** The channel of the network card. */
function card(client: Client, more: object = {}) {
  const [{ id, bus }] = client.ask(VMBUS).partitions;
  const { id: channel } = bus.channels.find(({ kind }: { kind: string }) => kind === 'network card');
  return client.ask(VMBUS, { partition: id, channel, ...more }).channel;
}

describe('hyperscope/vmbus', () => {
  test('shows the bus, its channels and the packets in the rings of one', () => {
    const client = stoppedAt('send_packet');
    const { partitions, channel: none } = client.ask(VMBUS);
    expect(none).toBeUndefined();
    const [{ bus }] = partitions;
    expect(bus).toMatchObject({ version: '5.3', vcpu: 0, source: 2, wrong: 0, fromGuest: 5 });
    expect(bus.lastFromGuest).toMatch(/^GPADL_HEADER channel \d, gpadl 0x2, range_bytes 136/);
    const channel = card(client);
    expect(channel).toMatchObject({ name: 'netvsp', state: 'open', gpadl: '0x1', vcpu: 0 });
    const [fromGuest, toGuest] = channel.rings;
    expect(fromGuest).toMatchObject({ name: 'guest to host', size: 4096, used: 0, packetsInAll: 9, signals: 9 });
    expect(toGuest.packets[0]).toMatchObject({ type: 'completion', isWaiting: false });
    expect(fromGuest.packets[0]).toMatchObject({
      type: 'in-band',
      at: 0,
      length: 40,
      wantsCompletion: true,
      fields: [
        { name: 'message', value: 'NVSP_MSG_TYPE_INIT' },
        { name: 'version', value: '6.1' },
      ],
    });
    expect(fromGuest.packets[0].dump).toBeUndefined();
    const [unfolded] = card(client, { unfold: ['from:0'] }).rings[0].packets;
    expect(unfolded.dump).toHaveLength(3);
    const { data } = client.ask('readMemory', { memoryReference: unfolded.memoryReference, count: 2 });
    expect(Buffer.from(data, 'base64')[0]).toBe(6);
  });

  test.each([
    [{ channel: 99 }, /the number of a channel of that bus as "channel"/],
    [{ channel: 1, partition: 9 }, /the number of a partition of this session/],
  ])('refuses %j in a sentence', (parameters, sentence) => {
    expect(stoppedAt('find_card').request(VMBUS, parameters).message).toMatch(sentence);
  });
});

test('the exit journal says who in the parent partition has served a message or a signal', () => {
  const client = stoppedAt('send_packet');
  const { records } = client.ask('hyperscope/exits', { filter: 'reason=hypercall', count: 100 });
  const served = new Set(records.map(({ handler, to }: { handler: string; to: string }) => `${to}: ${handler}`));
  expect(served).toEqual(new Set(['parent: vmbusr.sys', 'parent: vmswitch.sys netvsp']));
});

describe('the console', () => {
  test('shows the bus, and a channel by number or name', () => {
    const client = stoppedAt('send_packet');
    expect(command(client, 'vmbus')).toMatch(/^version 5\.3, messages to vCPU 0, source 2\nfrom the guest +5 messages/);
    const text = command(client, 'vmbus netvsp');
    expect(text).toMatch(/^channel \d: netvsp, network card, open\ninterface +f8615163-/);
    expect(text).toMatch(/\n {2}taken 0 +in-band, wants completion +transaction 0x1 +40 bytes +message NVSP_MSG_TYPE_INIT/);
    const refused = client.request('evaluate', { expression: 'vmbus 99', context: 'repl' }).message;
    expect(refused).toMatch(/^There is no channel "99"; they are 1 \(/);
  });

  test('takes a device away and gives it back', () => {
    const client = stoppedAt('send_packet');
    expect(command(client, 'vmbus remove netvsp')).toBe('The device of netvsp is taken away from the guest.');
    expect(command(client, 'vmbus')).toMatch(/netvsp +network card +taken away/);
    expect(command(client, 'vmbus add netvsp')).toBe('The guest is offered the device of netvsp.');
    expect(command(client, 'vmbus')).toMatch(/netvsp +network card +offered/);
    const problem = (text: string) => client.request('evaluate', { expression: text, context: 'repl' }).message;
    expect(problem('vmbus add netvsp')).toBe('The device of netvsp is there already.');
    expect(problem('vmbus remove nothing')).toMatch(/^There is no device of a service "nothing"; there are /);
  });

  test('has nothing to show of a guest without a VMBus', () => {
    const client = new Client();
    client.launch(sample('hello/hello.asm'));
    client.ask('configurationDone');
    client.run();
    expect(command(client, 'vmbus')).toBe('This guest has no VMBus; run it on platform hyperv to have one.');
    expect(client.ask(VMBUS).partitions).toEqual([]);
  });
});

describe('a breakpoint on a message of the VMBus', () => {
  test('stops in the driver of the parent partition that takes it, with its fields', () => {
    const client = stoppedAt('vmbus:OPEN_CHANNEL');
    expect(top(client)).toContain('VMBus: take message');
    expect(names(client).some((name) => name.includes('HvCallPostMessage'))).toBe(true);
    const [scope] = client.ask('scopes', { frameId: client.frames()[0].id }).scopes;
    const { variables } = client.ask('variables', { variablesReference: scope.variablesReference });
    const values = Object.fromEntries(variables.map(({ name, value }: { name: string; value: string }) => [name, value]));
    expect(values.message).toContain('OPEN_CHANNEL');
    expect(Object.keys(values)).toEqual(expect.arrayContaining(['channel', 'gpadl', 'vcpu', 'downstream_page']));
  });

  test('stops where an answer is sent, and at a message by its number', () => {
    const client = stoppedAt('vmbus:version_response', 'vmbus:0x4');
    expect(top(client)).toContain('VMBus: take message');
    client.move('continue');
    expect(command(client, 'vmbus')).toMatch(/from the guest +2 messages +REQUEST_OFFERS/);
  });

  test.each([
    ['vmbus:nothing', 'hyperv', /^The VMBus has no message "nothing"; it has OFFER_CHANNEL, /],
    ['vmbus:OPEN_CHANNEL', 'kvm', /^A guest on platform kvm has no VMBus/],
  ])('%s on %s is refused in a sentence', (name, platform, sentence) => {
    const client = new Client();
    client.launch(sample('hello/hello.asm'), { platform });
    const [{ verified, message }] = client.ask('setFunctionBreakpoints', { breakpoints: [{ name }] }).breakpoints;
    expect(verified).toBe(false);
    expect(message).toMatch(sentence);
  });
});
