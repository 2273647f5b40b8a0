import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { PartitionNode } from '../../src/adapter/requests/partitions.ts';
import { Client, sample } from './client.ts';
import { assembly } from './guests.ts';

/** Makes two hypercalls, reads a port, then switches itself off in vain or not. */
const ASKING = `bits 64
_start:
    mov eax, 11
    vmcall
    mov eax, 11
    vmcall
    in al, 0x71
    mov dx, 0x604
    mov ax, 0x2000
    out dx, ax
    cli
    hlt
`;

/** Two partitions that have run to their ends. */
function ended(front: object, more: object = {}): Client {
  const client = new Client();
  client.ask('initialize', { adapterID: 'hyperscope' });
  const partitions = [{ name: 'front', ...front }, { name: 'back' }];
  client.ask('launch', { program: assembly(ASKING), partitions, stopOnEntry: false, ...more });
  client.ask('configurationDone');
  expect(client.run().event).toBe('terminated');
  return client;
}

const warnings = (client: Client) =>
  client.events.filter(({ body }) => body?.category === 'stderr').map(({ body }) => body.output);

function rights(client: Client, partition: number) {
  const [privileges, refused] = client.ask('hyperscope/partitions').partitions[partition].children.slice(-2);
  const value = (name: string) => privileges.children.find((one: PartitionNode) => one.name === name)?.value;
  return { privileges, refused, value };
}

describe('what a partition may not do', () => {
  test('is told once of each kind, by the name of the partition', () => {
    const client = ended({ privileges: ['-hypercalls', '-power'], ports: ['0x604..0x605'] });
    expect(warnings(client)).toEqual([
      expect.stringMatching(
        /^front: vCPU 0 of partition 1 was refused to make vmcall KVM_HC_SCHED_YIELD: it needs the privilege hypercalls, to call the hypervisor\. The launch attribute "privileges" /,
      ),
      expect.stringMatching(/^front: .* was refused to read port 0x71: .* The launch attribute "ports" says/),
      expect.stringMatching(
        /^front: .* was refused to be switched off: it needs the privilege power, .* `privileges` shows it\.\n$/,
      ),
    ]);
    const said = client.events.filter(({ body }) => body?.category === 'console').map(({ body }) => body.output);
    expect(said.sort()).toEqual(['back: The guest powered off.\n', expect.stringMatching(/^front: .*halt/)]);
  });

  test('is in the tree of partitions, with what it may do', () => {
    const client = ended({ privileges: ['-hypercalls'], ports: ['0x3f8..0x3ff', '0x604'], timeShare: 40 });
    const front = rights(client, 0);
    expect(front.privileges).toMatchObject({ name: 'privileges', value: '7 of 10' });
    expect(['hypercalls', 'power', 'I/O ports', 'time share'].map(front.value)).toEqual([
      'no',
      'yes',
      '0x3f8..0x3ff, 0x604',
      '40 %',
    ]);
    expect(front.refused).toMatchObject({
      value: '4',
      children: [
        { name: 'hypercalls', value: '2', detail: expect.stringContaining('KVM_HC_SCHED_YIELD') },
        {
          name: 'ports',
          value: '2',
          detail: expect.stringMatching(/to write port 0x604: its 2 bytes touch port 0x605, which is not/),
        },
      ],
    });
    const back = rights(client, 1);
    expect([back.privileges.value, back.refused.value, back.value('I/O ports')]).toEqual(['usual', 'none', 'all']);
  });

  test('is said by a command, of the partition that is looked at', () => {
    const client = new Client();
    client.ask('initialize', { adapterID: 'hyperscope' });
    const partitions = [{ name: 'front' }, { name: 'back', privileges: ['-hypercalls'] }];
    client.ask('launch', { program: assembly(ASKING), partitions });
    client.ask('configurationDone');
    client.run();
    const said = (threadId: number) => {
      const [{ id: frameId }] = client.ask('stackTrace', { threadId }).stackFrames;
      return client.ask('evaluate', { expression: 'privileges', context: 'repl', frameId }).result;
    };
    expect(said(1)).toMatch(/^serial-console +yes +to print[\s\S]*\nhypercalls +yes .*\n[\s\S]*\nrefused requests: none\n?$/);
    client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'back!exit:io' }] });
    client.ask('continue', { threadId: 1 });
    client.run();
    expect(said(2)).toMatch(
      /\nhypercalls +no .*\n[\s\S]*\nrefused requests: 2\n {2}hypercalls +2 +vCPU 0: to make vmcall KVM_HC_SCHED/,
    );
  });

  test('is in the journal of the host, which a command shows, with what became of the partitions', () => {
    const client = ended({ privileges: ['-hypercalls'] });
    const lines = client.ask('evaluate', { expression: 'host', context: 'repl' }).result.split('\n');
    expect(lines.map((line: string) => line.replace(/^\d+ ns +/, '').split(/ {2,}/))).toEqual([
      ['created', expect.stringMatching(/^Partition 1 was made: .*\.asm, 1 vCPU\.$/)],
      ['created', expect.stringMatching(/^Partition 2 was made: /)],
      [
        'refused',
        expect.stringMatching(/^vCPU 0 of partition 1 was refused to make vmcall .* 2 times in all, the last at \d+ ns\.$/),
      ],
      ['ended', expect.stringContaining('powered off')],
      ['ended', expect.stringContaining('powered off')],
    ]);
  });

  test('is the result of the exit', () => {
    const client = ended({ privileges: ['-hypercalls'] });
    const results = (partition: number) =>
      client
        .ask('hyperscope/exits', { partition, filter: 'reason=hypercall' })
        .records.map(({ result }: { result: string }) => result);
    expect(results(1)).toEqual(Array(2).fill('refused: it needs the privilege hypercalls, to call the hypervisor'));
    expect(results(2)).not.toContain(expect.stringContaining('refused'));
  });

  test('can be said for all partitions, and otherwise for one', () => {
    const client = ended({ privileges: ['usual'] }, { privileges: ['-power'] });
    expect(rights(client, 0).value('power')).toBe('yes');
    expect(rights(client, 1).value('power')).toBe('no');
    expect(warnings(client)).toEqual([expect.stringMatching(/^back: vCPU 0 of partition 2 was refused to be switched off/)]);
  });
});

test.each([
  [{ privileges: ['-hypercal'] }, '"privileges" has "hypercal", which is no privilege; did you mean "hypercalls"?'],
  [{ privileges: 'usual' }, '"privileges" must be a list such as ["usual", "-hypercalls"], not "usual".'],
  [{ privileges: [7] }, '"privileges" must be a list such as ["usual", "-hypercalls"], not [7].'],
  [{ ports: ['com1'] }, '"ports" has "com1", which is neither a port from 0 to 0xffff nor a range of them such as 0x3f8..0x3ff.'],
  [{ timeShare: 0 }, '"timeShare" must be at least 1, not 0.'],
  [{ partitions: [{}, { privileges: ['fly'] }] }, '"partitions[1].privileges" has "fly", which is no privilege; there are '],
])('%j is told of', (wrong, sentence) => {
  const client = new Client();
  client.ask('initialize', { adapterID: 'hyperscope' });
  expect(client.request('launch', { program: assembly(ASKING), ...wrong }).message).toContain(sentence);
});

test('the samples’ configuration without hypercalls shows what the guest and its user see', () => {
  const text = readFileSync(sample('.vscode/launch.json'), 'utf8').replaceAll(`\${workspaceFolder}`, sample('.'));
  const isMeant = ({ name }: { name: string }) => name === 'KVM: hypercalls without the privilege';
  const { program, ...options } = JSON.parse(text).configurations.find(isMeant);
  const client = new Client();
  client.launch(program, { ...options, stopOnEntry: false });
  client.ask('configurationDone');
  client.run();
  expect(client.output).toContain('KVM_HC_SCHED_YIELD: -1');
  expect(warnings(client)).toEqual([expect.stringContaining('it needs the privilege hypercalls')]);
});

test('a share of time holds for a partition that is alone, too', () => {
  const instructions = (timeShare: number) => {
    const client = new Client();
    client.launch(assembly('bits 64\nagain: jmp again\n'), { timeShare, stopOnEntry: false });
    client.ask('configurationDone');
    const { partition } = client.session.launched.first;
    while (partition.now() < 10_000_000n) client.session.slice();
    return Number(partition.icount);
  };
  expect(instructions(25) / instructions(100)).toBeCloseTo(0.25, 2);
});
