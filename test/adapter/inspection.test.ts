import { describe, expect, test } from 'vitest';
import { Client, sample } from './client.ts';
import { assembly } from './guests.ts';

const hello = sample('hello/hello.asm');

function atEntry(program = hello, options: object = {}): Client {
  const client = new Client();
  client.launch(program, options);
  client.ask('configurationDone');
  client.run();
  return client;
}

describe('registers', () => {
  test('change their shape with the mode of the code', () => {
    expect(Object.keys(atEntry().scope('Registers'))).toContain('r15');
    const real = atEntry(sample('bare/boot-sector.asm'), { platform: 'bare' }).scope('Registers');
    expect(real.ip).toMatch(/^0x7c00/);
    expect(real).not.toHaveProperty('rax');
  });

  test('only the first scope is cheap, and every scope can be read', () => {
    const client = atEntry(hello, { cpu: 'max' });
    const { scopes } = client.ask('scopes', { frameId: client.frames()[0].id });
    expect(scopes.map(({ expensive }: { expensive: boolean }) => expensive)).toEqual([false, ...scopes.slice(1).map(() => true)]);
    for (const { name } of scopes) expect(Object.keys(client.scope(name)), name).not.toEqual([]);
    expect(scopes.map(({ name }: { name: string }) => name)).toEqual([
      'Registers',
      'Flags',
      'Segments',
      'Control registers',
      'x87',
      'Vectors',
      'Debug registers',
      'MSRs',
      'Local APIC',
      'VMCS',
      'Last VM exit',
      'Devices',
    ]);
  });

  test('of vectors have lanes, which can be set', () => {
    const client = atEntry(hello, { cpu: 'max' });
    const { scopes } = client.ask('scopes', { frameId: client.frames()[0].id });
    const within = (reference: number, name: string) =>
      client
        .ask('variables', { variablesReference: reference })
        .variables.find((variable: { name: string }) => variable.name === name);
    const vectors = scopes.find(({ name }: { name: string }) => name === 'Vectors').variablesReference;
    const doubles = within(within(vectors, 'ymm1').variablesReference, 'f64');
    expect(doubles.value).toBe('0 0 0 0');
    const set = (value: string) =>
      client.ask('setVariable', { variablesReference: doubles.variablesReference, name: '[1]', value }).value;
    expect(set('-2.5')).toBe('-2.5');
    expect(set('0x3ff0000000000000')).toBe('1');
    expect(client.evaluate('xmm1')).toBe(`0x3ff${'0'.repeat(29)}`);
    expect(within(within(vectors, 'ymm1').variablesReference, 'u8').value).toMatch(/^(0x00 ){14}0xf0 0x3f( 0x00){16}$/);
    client.evaluate('mxcsr = 0xff9f', 'repl');
    expect(client.scope('Vectors').mxcsr).toBe('0x0000ff9f  rounded to zero, all exceptions masked, IE DE ZE OE UE raised, FTZ');
    expect(Object.keys(client.scope('Vectors'))).toHaveLength(17);
  });

  test('can be set from the Variables view, the console and Watch', () => {
    const client = atEntry();
    const { scopes } = client.ask('scopes', { frameId: client.frames()[0].id });
    client.ask('setVariable', { variablesReference: scopes[0].variablesReference, name: 'rax', value: '0x1234 + 1' });
    expect(client.evaluate('rax', 'clipboard')).toBe('0x1235');
    client.evaluate('zf = 1', 'repl');
    expect(client.evaluate('zf')).toBe('1');
    client.ask('setExpression', { expression: 'dword [0x5000]', value: '0xdeadbeef' });
    expect(client.evaluate('dword [0x5000]', 'clipboard')).toBe('0xdeadbeef');
  });
});

describe('memory and disassembly', () => {
  test('memory is read and written by virtual and physical address, holes are counted', () => {
    const client = atEntry();
    client.ask('writeMemory', { memoryReference: '0x5000', data: Buffer.from('guest').toString('base64') });
    const read = client.ask('readMemory', { memoryReference: 'gpa:0x5000', count: 5 });
    expect(Buffer.from(read.data, 'base64').toString()).toBe('guest');
    expect(client.ask('readMemory', { memoryReference: '0xffff800000000000', count: 16 })).toMatchObject({
      data: '',
      unreadableBytes: 16,
    });
    expect(client.request('readMemory', { memoryReference: 'f000:fff0', count: 1 })).toMatchObject({ success: false });
  });

  test('disassembly around the instruction pointer always has it among the answers', () => {
    const client = atEntry();
    client.move('next');
    client.move('stepIn');
    for (let step = 0; step < 12; step++) {
      // The top frame may be a handler's: the guest's own frame has the instruction.
      const reference = client
        .frames()
        .find(({ instructionPointerReference }) => instructionPointerReference).instructionPointerReference;
      const { instructions } = client.ask('disassemble', {
        memoryReference: reference,
        instructionOffset: -200,
        instructionCount: 400,
      });
      expect(instructions).toHaveLength(400);
      expect(instructions[200].address).toBe(reference);
      expect(instructions.every(({ address }: { address: string }) => /^0x[0-9a-f]+$/.test(address))).toBe(true);
      client.move('stepIn', 'instruction');
    }
  });
});

describe('a line of the disassembly', () => {
  test('has its bytes, its symbol and its source; what can not be read is marked', () => {
    const client = atEntry();
    const [reference] = client.frames().map(({ instructionPointerReference }) => instructionPointerReference);
    const { instructions } = client.ask('disassemble', { memoryReference: reference, instructionCount: 3, resolveSymbols: true });
    expect(instructions[0]).toMatchObject({
      address: reference,
      symbol: '_start',
      instructionBytes: expect.stringMatching(/^([0-9a-f]{2} ?)+$/),
      location: { path: hello },
      line: client.frames()[0].line,
    });
    expect(instructions[1].line).toBeGreaterThan(instructions[0].line);
    const holes = client.ask('disassemble', {
      memoryReference: '0xffff800000000000',
      instructionOffset: -2,
      instructionCount: 4,
    }).instructions;
    expect(holes).toHaveLength(4);
    expect(holes[2]).toEqual({
      address: '0xffff800000000000',
      instruction: '??',
      instructionBytes: '',
      presentationHint: 'invalid',
    });
  });
});

describe('the debug console', () => {
  test('knows its commands', () => {
    const client = atEntry();
    expect(client.evaluate('help', 'repl')).toContain('walk ADDRESS');
    expect(client.evaluate('regs', 'repl')).toContain('rip');
    expect(client.evaluate('walk rip', 'repl')).toMatch(/PML4[\s\S]*→ gpa 0x100000/);
    expect(client.evaluate('mem message 16', 'repl')).toContain('Hello from a gue');
    expect(client.evaluate('gdt', 'repl')).toContain('code 64-bit');
    expect(client.evaluate('idt', 'repl')).toContain('interrupt');
    expect(client.evaluate('cpuid 0', 'repl')).toContain('0x756e6547');
    expect(client.evaluate('exits', 'repl')).toBe('No VM exit yet.');
  });

  test('completes registers, flags and labels', () => {
    const labels = atEntry()
      .ask('completions', { text: 'pri', column: 4 })
      .targets.map(({ label }: { label: string }) => label);
    expect(labels).toContain('print');
  });
});

describe('errors help', () => {
  test.each([
    [{ program: '/no/such/file.asm' }, /\/no\/such\/file\.asm/],
    [{ program: hello, platfrom: 'kvm' }, /did you mean "platform"/],
    [{ program: hello, memory: 'lots' }, /"memory" must be a size/],
    [{ program: hello, platform: 'nitro' }, /comes with a later version/],
    [{}, /names no "program"/],
  ])('launching with %j is refused with a sentence', (configuration, sentence) => {
    const client = new Client();
    client.ask('initialize', {});
    const response = client.request('launch', configuration);
    expect(response.success).toBe(false);
    expect(response.message).toMatch(sentence);
  });

  test('requests without a guest, for unknown frames and unknown commands are answered', () => {
    const client = new Client();
    expect(client.request('stackTrace', { threadId: 1 }).success).toBe(false);
    expect(client.request('frobnicate').message).toMatch(/no request "frobnicate"/);
    const running = atEntry();
    expect(running.request('scopes', { frameId: 12345 }).message).toMatch(/no stack frame/);
    expect(running.request('evaluate', { expression: 'rax +' }).success).toBe(false);
  });
});

test.each([
  ['kvm', '0x4b564d01', 'MSR_KVM_SYSTEM_TIME_NEW'],
  ['hyperv', '0x40000000', 'HV_X64_MSR_GUEST_OS_ID'],
])('the last exit at %s names the MSRs of that platform', (platform, msr, name) => {
  const client = atEntry(assembly(`bits 64\nmov ecx, ${msr}\nrdmsr\nnop\nhlt\n`), { platform });
  client.ask('next', { threadId: 1 });
  client.run();
  client.ask('next', { threadId: 1 });
  client.run();
  expect(client.scope('Last VM exit').request).toBe(`rdmsr ${msr} ${name}`);
});
