import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { frame, MessageReader } from '../../src/cli/dap-framing.ts';

const root = path.resolve(import.meta.dirname, '../..');
const cli = path.join(root, 'dist/cli.js');
let folder = '';

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-cli-'));
  if (existsSync(cli)) return;
  const built = spawnSync('node', ['tools/build.mjs'], { cwd: root, encoding: 'utf8' });
  if (built.status !== 0) throw new Error(`the bundle could not be built: ${built.stderr}`);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, content: string | Uint8Array): string {
  const file = path.join(folder, name);
  writeFileSync(file, content);
  return file;
}

function hyperscope(args: readonly string[], input?: string) {
  const result = spawnSync('node', [cli, ...args], { cwd: folder, encoding: 'utf8', input: input ?? '', timeout: 60_000 });
  return { status: result.status, out: result.stdout, err: result.stderr };
}

const HELLO = `bits 64
_start:
    mov dx, 0x3f8
    lea rsi, [rel text]
next:
    lodsb
    test al, al
    jz done
    out dx, al
    jmp next
done:
    mov dx, 0x604
    mov ax, 0x2000
    out dx, ax
    hlt
text: db "Hello", 10, 0
`;

describe('hyperscope run', () => {
  test('prints the serial console and nothing else, and ends with 0 on power-off', () => {
    expect(hyperscope(['run', write('hello.asm', HELLO)])).toEqual({ status: 0, out: 'Hello\n', err: '' });
  });

  test('refuses the guest what its options take away, and says so once', () => {
    const print = 'mov dx, 0x3f8\n    mov al, 10\n    out dx, al\n';
    const file = write('twice.asm', `bits 64\n_start:\n    out 0x80, al\n    ${print}    ${print}    cli\n    hlt\n`);
    expect(hyperscope(['run', '--privileges', 'usual,-serial-console', '--exits', 'refused.jsonl', file])).toEqual({
      status: 0,
      out: '',
      err: 'hyperscope: vCPU 0 of partition 1 was refused to print on the serial console: it needs the privilege serial-console, to print on the serial console. --privileges says what it may do.\n',
    });
    const results = readFileSync(path.join(folder, 'refused.jsonl'), 'utf8').match(/"result":"refused: it needs the privilege/g);
    expect(results).toHaveLength(2);
    expect(hyperscope(['run', '--ports', '0x3f8', file])).toMatchObject({
      out: '\n\n',
      err: 'hyperscope: vCPU 0 of partition 1 was refused to write port 0x80: the port is not among those that it reaches. --ports says what it may do.\n',
    });
  });

  test('writes a crash report that two runs and both tiers have alike, and keeps status and message', () => {
    const crash = write('crash.asm', 'bits 64\n_start:\n    mov rsp, 0x800000000040\nbad:\n    ud2\n');
    const run = (...options: string[]) => hyperscope(['run', '--crash-report', 'crash.md', ...options, crash]);
    const { status, err } = run();
    const text = readFileSync(path.join(folder, 'crash.md'), 'utf8');
    expect(status).toBe(125);
    expect(err.split('\n')).toEqual([
      expect.stringMatching(/^hyperscope: vCPU 0 met a triple fault at RIP 0x10000a: #UD, then #SS/),
      'hyperscope: the crash report is in crash.md',
      '',
    ]);
    expect(text).toContain('# Hyperscope crash report\n\nvCPU 0 met a triple fault at RIP 0x10000a (bad, crash.asm:5)');
    run('--translator', 'off');
    expect(readFileSync(path.join(folder, 'crash.md'), 'utf8')).toBe(text);
    const unhandled = write('unhandled.asm', 'bits 64\n_start:\nbad:\n    ud2\n');
    expect(hyperscope(['run', '--crash-report', 'unhandled.md', unhandled]).status).toBe(126);
    expect(readFileSync(path.join(folder, 'unhandled.md'), 'utf8')).toContain(
      'vCPU 0 met #UD at RIP 0x100000 (bad, unhandled.asm:4)',
    );
    hyperscope(['run', '--crash-report', 'none.md', write('hello.asm', HELLO)]);
    expect(existsSync(path.join(folder, 'none.md'))).toBe(false);
    expect(hyperscope(['run', '--crash-report', 'no/such/folder.md', crash]).err).toContain(
      "--crash-report no/such/folder.md can't be written",
    );
  });

  test.each(['bare', 'kvm'])('runs it on platform %s for both vendors alike', (platform) => {
    const file = write('hello.asm', HELLO);
    for (const vendor of ['intel', 'amd'])
      expect(hyperscope(['run', file, '--platform', platform, '--vendor', vendor])).toMatchObject({ status: 0, out: 'Hello\n' });
  });

  test.each([
    [0, 1],
    [1, 3],
    [0x10, 0x21],
  ])('ends with (V << 1) | 1 when the guest writes %d to port 0xF4', (value, status) => {
    const file = write(`exit-${value}.asm`, `bits 32\nmov al, ${value}\nout 0xf4, al\njmp $\n`);
    expect(hyperscope(['run', file]).status).toBe(status);
  });

  test('ends with 0 when the guest halts for good', () => {
    expect(hyperscope(['run', write('halt.asm', 'bits 64\ncli\nhlt\n')]).status).toBe(0);
  });

  test('ends with 125 on a triple fault, and says which faults', () => {
    const file = write('triple.asm', 'bits 64\nlidt [rel none]\nint3\nnone: dw 0\ndq 0\n');
    const { status, err } = hyperscope(['run', file]);
    expect(status).toBe(125);
    expect(err).toMatch(/^hyperscope: vCPU 0 met a triple fault at RIP 0x[0-9a-f]+: /);
  });

  test('ends with 124 on a timeout and after a number of instructions', () => {
    const file = write('loop.asm', 'bits 64\njmp $\n');
    expect(hyperscope(['run', file, '--timeout', '0.2']).status).toBe(124);
    const { status, err } = hyperscope(['run', file, '--max-instructions', '12345', '--stats']);
    expect(status).toBe(124);
    expect(JSON.parse(err.trim().split('\n').at(-1) ?? '')).toMatchObject({ instructions: 12_345, status: 124, end: 'stopped' });
  });

  test('gives the same state hash for the same run', () => {
    const args = ['run', write('hello.asm', HELLO), '--state-hash', '--max-instructions', '20'];
    const first = hyperscope(args);
    expect(first.err).toMatch(/^[0-9a-f]{16}$/m);
    expect(hyperscope(args)).toEqual(first);
    expect(hyperscope([...args.slice(0, -1), '21']).err).not.toBe(first.err);
  });

  test('writes the journal, and `exits` summarizes it', () => {
    const journal = path.join(folder, 'journal.jsonl');
    expect(hyperscope(['run', write('hello.asm', HELLO), '--exits', journal]).status).toBe(0);
    const lines = readFileSync(journal, 'utf8').trim().split('\n');
    expect(lines).toHaveLength(7);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      seq: 1,
      reason: 'io',
      vmx: 30,
      svm: 0x7b,
      qualification: '0x3f80000',
      request: 'out 0x3f8, 0x48',
      handler: 'kvm-intel handle_io',
      to: 'device',
    });
    const { status, out } = hyperscope(['exits', journal, '--by', 'handler']);
    expect(status).toBe(0);
    expect(out).toMatch(/^kvm-intel handle_io\s+7\s+100\.0%/m);
  });

  test.runIf(existsSync('/dev/full'))('says so when the disk is full', () => {
    const { status, err } = hyperscope(['run', write('hello.asm', HELLO), '--exits', '/dev/full']);
    expect({ status, err }).toEqual({ status: 2, err: "hyperscope: --exits /dev/full can't be written: the disk is full.\n" });
  });

  test('writes only the exits that a filter lets through, and `exits` filters, names places and writes JSON', () => {
    const journal = path.join(folder, 'filtered.jsonl');
    const program = write('hello.asm', HELLO);
    expect(hyperscope(['run', program, '--exits', journal, '--exits-filter', 'request~0x6c']).status).toBe(0);
    const records = readFileSync(journal, 'utf8').trim().split('\n');
    expect(records).toHaveLength(2);
    expect(hyperscope(['exits', journal, '--filter', 'reason=hlt']).out).toContain('empty');
    const { out } = hyperscope(['exits', journal, '--by', 'port', '--json']);
    expect(JSON.parse(out)).toMatchObject({ exits: 2, port: [{ value: '0x3f8', count: 2, share: 1 }] });
    expect(hyperscope(['exits', journal, '--by', 'rip', '--program', program]).out).toMatch(/^0x[0-9a-f]+ +.*hello\.asm:\d+ +2/m);
    expect(hyperscope(['run', program, '--exits-filter', 'prot=1'])).toMatchObject({
      status: 2,
      err: expect.stringMatching(/^hyperscope: --exits-filter: "prot=1" names no field of an exit; did you mean port\?/),
    });
  });

  test('gives the guest a network, and writes its frames', () => {
    const sample = path.join(root, 'samples/kvm/virtio-net.asm');
    const outcome = hyperscope(['run', sample, '--net', 'user', '--mac', '52:54:00:00:00:07', '--pcap', 'frames.pcap']);
    expect(outcome).toEqual({ status: 0, out: '10.0.2.2 is at 52:55:0a:00:02:02\n', err: '' });
    const file = readFileSync(path.join(folder, 'frames.pcap'));
    const [first, second] = [24, 24 + 16 + file.readUInt32LE(32)];
    // Question and answer, 20 µs later.
    expect(file.subarray(first + 16 + 6, first + 16 + 14).toString('hex')).toBe('5254000000070806');
    expect(file.subarray(second + 16 + 6, second + 16 + 14).toString('hex')).toBe('52550a0002020806');
    expect(file.readUInt32LE(second + 4) - file.readUInt32LE(first + 4)).toBe(20_000);
    expect(file.length).toBe(second + 16 + file.readUInt32LE(second + 8));
  });

  test('says so when a port that is to be forwarded is taken', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const { status, err } = hyperscope(['run', write('spin.asm', 'bits 64\nagain: jmp again\n'), '--forward', `tcp:${port}:80`]);
    server.close();
    expect([status, err]).toEqual([
      2,
      `hyperscope: The TCP port ${port} of this machine can't be forwarded: another program has it; choose another one.\n`,
    ]);
  });

  test('has no journal entries on a bare machine', () => {
    const journal = path.join(folder, 'bare.jsonl');
    hyperscope(['run', write('hello.asm', HELLO), '--platform', 'bare', '--exits', journal]);
    expect(readFileSync(journal, 'utf8')).toBe('');
    expect(hyperscope(['exits', journal]).out).toContain('empty');
  });

  test('hands stdin to the serial port', () => {
    const echo = `bits 64
wait:
    mov dx, 0x3fd
    in al, dx
    test al, 1
    jz wait
    mov dx, 0x3f8
    in al, dx
    cmp al, 'q'
    je quit
    out dx, al
    jmp wait
quit:
    mov al, 2
    out 0xf4, al
`;
    expect(hyperscope(['run', write('echo.asm', echo), '--timeout', '20'], 'abcq')).toMatchObject({ status: 5, out: 'abc' });
  });

  test.each([
    [['run'], 'run needs the path of a program'],
    [['run', 'missing.asm'], "missing.asm can't be read: there is no such file or folder."],
    [['run', 'hello.asm', '--platform', 'nitro'], 'Platform nitro comes with a later version; choose bare, kvm or hyperv.'],
    [['run', 'hello.asm', '--memory', '8000M'], 'A partition can have 1M to 3584M of memory; 8000M was asked for.'],
    [['run', 'hello.asm', '--vcpus', '99'], 'A partition can have 1 to 64 vCPUs; 99 were asked for.'],
    [['fly'], 'There is no command "fly"; `hyperscope help` lists them.'],
    [['bench', '--programs', 'nonsense'], '--programs takes names of registers, '],
    [['bench', '--exits', '--programs', 'registers'], '--programs takes names of cpuid, '],
    [['bench', '--exits', '--group', 'system'], '--exits measures kinds of VM exits, which have no groups and engines'],
  ])('refuses %j with status 2 and one line', (args, sentence) => {
    write('hello.asm', HELLO);
    const { status, out, err } = hyperscope(args);
    expect([status, out]).toEqual([2, '']);
    expect(err).toContain(sentence);
    expect(err.trim().split('\n')).toHaveLength(1);
  });

  test('names the line of an error in the source', () => {
    const { status, err } = hyperscope(['run', write('bad.asm', 'bits 64\nmov eax, [rax\n')]);
    expect(status).toBe(2);
    expect(err).toMatch(/bad\.asm:2:\d+: /);
  });

  test('has printed everything when it is killed', async () => {
    const file = write('endless.asm', HELLO.replace('mov dx, 0x604', 'jmp $'));
    const child = spawn('node', [cli, 'run', file]);
    const text = await new Promise<string>((resolve) => {
      let seen = '';
      child.stdout.on('data', (chunk) => {
        seen += chunk;
        if (seen.includes('Hello\n')) resolve(seen);
      });
    });
    child.kill('SIGKILL');
    expect(text).toBe('Hello\n');
  });
});

describe('a disk that is written back', () => {
  /** Copies the first sector to the last one. */
  const program = path.join(root, 'samples/kvm/virtio-blk.asm');
  const disk = () =>
    write(
      'written.img',
      Uint8Array.from({ length: 2048 }, (_, at) => 1 + Math.floor(at / 512)),
    );
  const endless = () => write('endless-disk.asm', readFileSync(program, 'utf8').replace('mov dx, POWER_OFF', 'jmp $'));

  test('has what the guest wrote when the run is over, whatever ends it', () => {
    const image = disk();
    expect(hyperscope(['run', program, '--disk', image]).status).toBe(0);
    expect(readFileSync(image)[2047]).toBe(4);
    expect(hyperscope(['run', program, '--disk', `${image},write=on`]).status).toBe(0);
    expect(readFileSync(image)[2047]).toBe(1);
    const cut = disk();
    expect(hyperscope(['run', endless(), '--disk', `${cut},write=on`, '--max-instructions', '1000000']).status).toBe(124);
    expect(readFileSync(cut)[2047]).toBe(1);
  });

  test.each(['SIGINT', 'SIGTERM'] as const)('has it when %s ends the run', async (signal) => {
    const image = disk();
    const child = spawn('node', [cli, 'run', endless(), '--disk', `${image},write=on`]);
    child.stdout.once('data', () => child.kill(signal));
    const [status] = await once(child, 'exit');
    expect([status, readFileSync(image)[2047]]).toEqual([130, 1]);
  });
});

describe('hyperscope', () => {
  test('helps', () => {
    expect(hyperscope(['help']).out).toContain('Usage: hyperscope COMMAND');
    expect(hyperscope(['run', '--help'])).toMatchObject({ status: 0 });
    expect(hyperscope(['help', 'run']).out).toContain('--max-instructions');
    expect(hyperscope(['--version']).out).toMatch(/^hyperscope \d+\.\d+\.\d+\n$/);
    expect(hyperscope([])).toMatchObject({ status: 2 });
  });
});

describe('hyperscope asm', () => {
  test('assembles to a flat binary and to ELF', () => {
    const source = write('tiny.asm', 'bits 64\n_start: hlt\n');
    const flat = path.join(folder, 'tiny.bin');
    expect(hyperscope(['asm', source, '-o', flat, '-f', 'bin'])).toEqual({ status: 0, out: '', err: '' });
    expect([...readFileSync(flat)]).toEqual([0xf4]);
    const elf = path.join(folder, 'tiny.elf');
    expect(hyperscope(['asm', source, '-o', elf]).status).toBe(0);
    expect(readFileSync(elf).subarray(0, 5)).toEqual(Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2]));
  });

  test('reports errors with their place and status 1', () => {
    const source = write('wrong.asm', 'bits 64\nfrobnicate eax\n');
    const { status, err } = hyperscope(['asm', source, '-o', path.join(folder, 'x')]);
    expect(status).toBe(1);
    expect(err).toMatch(/wrong\.asm:2:\d+: error: /);
  });
});

describe('hyperscope dap', () => {
  const initialize = frame({ seq: 1, type: 'request', command: 'initialize', arguments: { adapterID: 'hyperscope' } });

  /** Writes to a stream and waits for the first answer. */
  async function ask(input: Writable, output: Readable): Promise<unknown> {
    input.write(initialize);
    return new Promise((resolve) => {
      const reader = new MessageReader((text) => resolve(JSON.parse(text)));
      output.on('data', (chunk: Buffer) => reader.push(chunk));
    });
  }

  test('answers on stdio and ends with its client', async () => {
    const child = spawn('node', [cli, 'dap']);
    expect(await ask(child.stdin, child.stdout)).toMatchObject({ type: 'response', request_seq: 1, success: true });
    child.stdin.end();
    expect(await once(child, 'exit')).toEqual([0, null]);
  });

  test('ends when its client can’t be understood, also one that stays', async () => {
    const child = spawn('node', [cli, 'dap']);
    const said = once(child.stderr, 'data');
    child.stdin.write('Content-Length: many\r\n\r\n');
    expect(await once(child, 'exit')).toEqual([0, null]);
    expect(String(await said)).toContain('a header without a usable Content-Length');
  });

  test('answers on a TCP port of the loopback address, one session after the other', async () => {
    const child = spawn('node', [cli, 'dap', '--port', '0']);
    const [line] = await once(child.stderr, 'data');
    const port = Number(/127\.0\.0\.1:(\d+)/.exec(String(line))?.[1]);
    for (let session = 0; session < 2; session++) {
      const socket = createConnection(port, '127.0.0.1');
      expect(await ask(socket, socket)).toMatchObject({ command: 'initialize', success: true });
      socket.destroy();
    }
    child.kill();
  });
});
