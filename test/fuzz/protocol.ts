import { expect } from 'vitest';
import { AdapterSession } from '../../src/adapter/adapter-session.ts';
import { cpuTime } from '../support/cpu-time.ts';
import { oneFile } from '../support/files.ts';
import { Random } from '../support/random.ts';
import { mutateJson, randomJson } from './mutate.ts';

const PROGRAM = new TextEncoder().encode(`
bits 64
default rel
_start:
  mov rcx, 1000
.next:
  mov dx, 0x3f8
  mov al, 'x'
  out dx, al
  inc rbx
  mov [value], rbx
  loop .next
  mov dx, 0x604
  mov ax, 0x2000
  out dx, ax
  hlt
section .data
value: dq 0
`);

const source = { path: 'guest.asm', name: 'guest.asm' };

/** Requests of the protocol as an editor sends them. */
const REQUESTS: readonly (readonly [command: string, parameters: object])[] = [
  ['setBreakpoints', { source, breakpoints: [{ line: 9, condition: 'rbx == 3', hitCondition: '2', logMessage: 'rbx {rbx}' }] }],
  ['setFunctionBreakpoints', { breakpoints: [{ name: '_start' }] }],
  ['setInstructionBreakpoints', { breakpoints: [{ instructionReference: '0x100000', offset: 4 }] }],
  ['setExceptionBreakpoints', { filters: ['io'], filterOptions: [{ filterId: 'io', condition: 'port == 0x3f8 && write' }] }],
  ['dataBreakpointInfo', { name: '0x100000', asAddress: true, bytes: 8 }],
  ['setDataBreakpoints', { breakpoints: [{ dataId: 'gva:0x100000:8', accessType: 'write' }] }],
  ['configurationDone', {}],
  ['threads', {}],
  ['stackTrace', { threadId: 1, startFrame: 0, levels: 20 }],
  ['scopes', { frameId: 1 }],
  ['variables', { variablesReference: 1, start: 0, count: 10 }],
  ['setVariable', { variablesReference: 1, name: 'rax', value: '0x10' }],
  ['evaluate', { expression: 'rax + [rsp+8]', context: 'watch', frameId: 1 }],
  ['evaluate', { expression: 'walk 0x100000', context: 'repl' }],
  ['setExpression', { expression: 'rbx', value: '5', frameId: 1 }],
  ['completions', { text: 'ra', column: 3, frameId: 1 }],
  ['readMemory', { memoryReference: '0x100000', offset: 0, count: 64 }],
  ['writeMemory', { memoryReference: '0x100000', offset: 0, data: 'kJA=' }],
  ['hyperscope/pageWalk', { address: 'rip', threadId: 1 }],
  ['hyperscope/addressMap', { address: '0x0', count: 10, threadId: 1 }],
  ['disassemble', { memoryReference: '0x100000', instructionOffset: -20, instructionCount: 60, resolveSymbols: true }],
  ['breakpointLocations', { source, line: 1, endLine: 20 }],
  ['gotoTargets', { source, line: 7 }],
  ['goto', { threadId: 1, targetId: 1 }],
  ['stepInTargets', { frameId: 1 }],
  ['stepIn', { threadId: 1, targetId: 1 }],
  ['locations', { locationReference: 1 }],
  ['hyperscope/input', { text: 'x', data: 'eA==' }],
  ['hyperscope/consoleSize', { columns: 80, rows: 25 }],
  ['hyperscope/partitions', {}],
  ['hyperscope/vmbus', { partition: 1, channel: 1, unfold: ['from:0'] }],
  ['hyperscope/screen', { partition: 1, since: 0 }],
  ['hyperscope/virtqueues', { partition: 1, device: 'virtio-blk', queue: 0, unfold: [0] }],
  ['hyperscope/exits', { by: 'port', value: '0x3f8', filter: 'reason=io', count: 20, partition: 1 }],
  ['evaluate', { expression: 'dword fs:[rsp] = rax', context: 'repl' }],
  ['evaluate', { expression: 'input -n \\x41', context: 'repl' }],
  ['next', { threadId: 1, granularity: 'instruction' }],
  ['stepIn', { threadId: 1 }],
  ['stepOut', { threadId: 1 }],
  ['continue', { threadId: 1 }],
  ['pause', { threadId: 1 }],
  ['exceptionInfo', { threadId: 1 }],
  ['modules', { startModule: 0, moduleCount: 10 }],
  ['loadedSources', {}],
  ['source', { sourceReference: 1, source }],
  ['cancel', { requestId: 3 }],
  ['restart', {}],
  ['terminate', {}],
];

/** What an error of JavaScript itself says: none of these may reach a user. */
const RAW_ERROR =
  /Cannot (read|set|convert|mix)|is not (a function|iterable|defined)|of undefined|BigInt|Invalid (array|typed)|out of bounds|call stack/;

interface Message {
  readonly type?: string;
  readonly success?: boolean;
  readonly command?: string;
  readonly message?: string;
}

/** One session: a sound start, then damaged requests with slices of the guest's run between them. */
function fuzzSession(seed: number, requests: number): void {
  const random = new Random(seed);
  const session = new AdapterSession({ files: oneFile('guest.asm', PROGRAM), sourceRoot: '/' });
  const received: Message[] = [];
  session.onMessage((message) => received.push(message as Message));
  let seq = 1;
  const send = (command: unknown, parameters: unknown): void => {
    const before = received.length;
    const message = { seq: seq++, type: 'request', command, arguments: parameters };
    const place = `session of seed ${seed}, request ${JSON.stringify(message)?.slice(0, 300)}`;
    const begin = cpuTime();
    try {
      session.handle(message);
      for (let slices = random.below(4); slices > 0; slices--) if (!session.slice()) break;
    } catch (error) {
      if (error instanceof Error) error.message = `${place}: ${error.message}`;
      throw error;
    }
    expect(cpuTime() - begin, `${place} takes too long`).toBeLessThan(10_000);
    for (const answer of received.slice(before))
      if (answer.success === false) expect(answer.message, place).not.toMatch(RAW_ERROR);
  };
  send('initialize', { adapterID: 'hyperscope', linesStartAt1: true, columnsStartAt1: true });
  send('launch', { program: 'guest.asm', stopOnEntry: random.chance(0.7) });
  for (let count = 0; count < requests; count++) {
    const [command, parameters] = random.pick(REQUESTS);
    const kind = random.below(10);
    if (kind < 2) send(command, parameters);
    else if (kind < 8) send(command, mutateJson(random, parameters));
    else if (kind < 9) send(command, randomJson(random));
    else send(randomJson(random), mutateJson(random, parameters));
  }
}

/** `count` damaged requests in sessions of 20 each. */
export function fuzzProtocol(count: number, firstSeed: number): void {
  for (let session = 0; session * 20 < count; session++) fuzzSession(firstSeed + session, 20);
}
