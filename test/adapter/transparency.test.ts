import { describe, expect, test } from 'vitest';
import { Client, sample } from './client.ts';
import { assembly } from './guests.ts';

interface Outcome {
  readonly hash: string | undefined;
  readonly icount: bigint | undefined;
  readonly output: string;
}

const MOST_STEPS = 20_000;

/** Runs a guest to its end by what `drive` does, from its entry. */
function outcome(program: string, drive: (client: Client) => void, options: object = {}): Outcome {
  const client = new Client();
  client.launch(program, options);
  client.ask('configurationDone');
  client.run();
  drive(client);
  const partition = client.session.group?.first.partition;
  return { hash: partition?.stateHash(), icount: partition?.vcpus[0]?.processor.icount, output: client.output };
}

/** Steps until the guest has ended. */
function stepping(command: string, granularity: 'instruction' | 'line') {
  return (client: Client) => {
    for (let step = 0; step < MOST_STEPS; step++) if (client.move(command, granularity).event === 'terminated') return;
    throw new Error('the guest does not end');
  };
}

describe.each([
  ['hello/hello.asm', {}],
  ['hello/hello.asm', { vendor: 'amd' }],
  ['kvm/hypercalls.asm', {}],
  ['kvm/cpuid-msr.asm', {}],
  ['bare/paging.asm', { platform: 'bare' }],
  ['bare/long-mode.asm', { platform: 'bare' }],
  ['bare/boot-sector.asm', { platform: 'bare' }],
  ['bare/vectors.asm', { platform: 'bare' }],
  ['hyperv/discover.asm', { platform: 'hyperv' }],
  ['hyperv/hypercalls.asm', { platform: 'hyperv' }],
  ['hyperv/hypercalls.asm', { platform: 'hyperv', vendor: 'amd' }],
  ['hyperv/virtual-processor.asm', { platform: 'hyperv' }],
  ['hyperv/interrupts.asm', { platform: 'hyperv', vendor: 'amd' }],
  ['hyperv/vmbus.asm', { platform: 'hyperv', net: 'user' }],
  ['hyperv/parent.asm', { platform: 'hyperv', privileges: ['usual', 'create-partitions'] }],
])('a debugger changes nothing in %s %j', (name, options) => {
  const program = sample(name);
  const free = outcome(program, (client) => client.move('continue'), options);

  test.each<['next' | 'stepIn', 'instruction' | 'line']>([
    ['next', 'line'],
    ['next', 'instruction'],
    ['stepIn', 'line'],
    ['stepIn', 'instruction'],
  ])('by %s, each one %s', (command, granularity) => {
    expect(outcome(program, stepping(command, granularity), options)).toEqual(free);
  });

  test('by stops at every exit and inspection there', () => {
    const drive = (client: Client) => {
      client.ask('setExceptionBreakpoints', { filters: ['any', 'exception'] });
      for (let stops = 0; stops < MOST_STEPS && client.move('continue').event !== 'terminated'; stops++) {
        client.frames();
        client.evaluate('regs', 'repl');
        client.evaluate('walk rsp', 'repl');
        client.ask('exceptionInfo', { threadId: 1 });
        client.ask('disassemble', { memoryReference: '0x100000', instructionOffset: -20, instructionCount: 40 });
      }
    };
    expect(outcome(program, drive, options)).toEqual(free);
  });

  test('by logpoints, conditions and data breakpoints', () => {
    const drive = (client: Client) => {
      const lines = client.ask('breakpointLocations', { source: { path: program }, line: 1, endLine: 500 }).breakpoints;
      const breakpoints = lines.map(({ line }: { line: number }, index: number) =>
        index % 2 === 0 ? { line, logMessage: 'at {rip}: {rax}' } : { line, condition: 'rax == 0x123456789' },
      );
      client.ask('setBreakpoints', { source: { path: program }, breakpoints });
      const { dataId } = client.ask('dataBreakpointInfo', { name: 'rsp - 64', bytes: 128 });
      client.ask('setDataBreakpoints', { breakpoints: [{ dataId, accessType: 'readWrite', hitCondition: '>= 1000000' }] });
      client.ask('continue', { threadId: 1 });
      expect(client.run(MOST_STEPS).event).toBe('terminated');
    };
    expect(outcome(program, drive, options)).toEqual(free);
  });

  test('by a restart in the middle', () => {
    const drive = (client: Client) => {
      for (let step = 0; step < 5; step++) client.move('stepIn', 'instruction');
      const before = client.output.length;
      client.ask('restart');
      client.run();
      expect(client.move('continue').event).toBe('terminated');
      expect(client.output.slice(before)).toBe(free.output);
    };
    expect(outcome(program, drive, options)).toMatchObject({ hash: free.hash, icount: free.icount });
  });
});

test('the guests of these tests print something', () => {
  expect(outcome(sample('hello/hello.asm'), (client) => client.move('continue')).output).toBe('Hello from a guest\n');
  expect(outcome(sample('bare/vectors.asm'), (client) => client.move('continue')).output).toBe('18\n5\n75\n0\n98\n');
});

/** vCPU 0 looks again and again at what vCPU 1 counts: whose turn is how long can be read off what comes of it. */
const RACE = `bits 64
_start:
    mov dword [0x8000], 0x900006ff      ; inc word [0x9000], and back
    mov word [0x8004], 0xfaeb
    mov rdx, 0xfee00300
    mov dword [rdx + 0x10], 1 << 24
    mov dword [rdx], 0x00004500
    mov dword [rdx], 0x00004608
    mov ecx, 20000
race:
    movzx eax, word [0x9000]
    add rbx, rax
    rol rbx, 5
    dec ecx
    jnz race
    mov dx, 0x604
    mov ax, 0x2000
    out dx, ax
    hlt
`;

describe('a debugger changes nothing in several partitions with several vCPUs', () => {
  /** Runs them to their ends; `disturb` is called before each slice. `goOn` moves on from a stop of a thread. */
  function outcomes(
    disturb: (client: Client, slice: number) => void,
    goOn = (client: Client, threadId: number) => client.ask('continue', { threadId }),
  ) {
    const client = new Client();
    client.ask('initialize');
    const partitions = [
      { name: 'front', program: sample('bare/smp.asm'), vcpus: 4 },
      { name: 'back', program: assembly(RACE), vcpus: 2, vendor: 'amd' },
    ];
    client.ask('launch', { partitions, stopOnEntry: false });
    client.ask('configurationDone');
    const hasEnded = () => client.events.some(({ event }) => event === 'terminated');
    for (let slice = 0; !hasEnded(); slice++) {
      if (slice > MOST_STEPS) throw new Error('the guests do not end');
      disturb(client, slice);
      if (client.session.slice() || hasEnded()) continue;
      goOn(client, client.events.filter(({ event }) => event === 'stopped').at(-1)?.body.threadId);
    }
    return client.session.launched.guests.map(({ partition }) => ({
      hash: partition.stateHash(),
      instructions: partition.icount,
      time: partition.now(),
      exits: partition.journal.total,
    }));
  }
  const free = outcomes(() => {});

  test('by pauses of one vCPU or another, and looks at them', () => {
    const paused = outcomes((client, slice) => {
      if (slice % 3 === 1) client.ask('pause', { threadId: 1 + (slice % 6) });
      if (slice % 5 === 1) client.ask('hyperscope/partitions');
      client.request('stackTrace', { threadId: 1 + (slice % 6) });
    });
    expect(paused).toEqual(free);
  });

  test('by breakpoints and stops at exits, whose handlers are stepped into', () => {
    let steps = 0;
    const stopped = outcomes(
      (client, slice) => {
        if (slice > 0) return;
        const exits = { name: 'exit:apic', hitCondition: '% 7' };
        const race = { name: 'race', hitCondition: '% 999' };
        client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'look' }, exits, race] });
        client.ask('setExceptionBreakpoints', { filters: ['io'] });
      },
      (client, threadId) => {
        const isInHandler = client
          .ask('threads')
          .threads.some(({ id, name }: { id: number; name: string }) => id === threadId && name.includes('in the hypervisor'));
        if (isInHandler && steps < 60) steps++;
        client.ask(isInHandler && steps < 60 ? 'stepIn' : 'continue', { threadId });
      },
    );
    expect(steps).toBe(60);
    expect(stopped).toEqual(free);
  });
});
