import { describe, expect, test } from 'vitest';
import { Client, lineOf, sample } from './client.ts';
import { assembly, atEntry } from './guests.ts';

/** Leaves the guest in several ways, in rounds without end. */
const ROUNDS = `bits 64
_start:
again:
    mov eax, 11
    vmcall
    mov ecx, 3
print:
    mov dx, 0x3f8
    mov al, 'x'
    out dx, al
    dec ecx
    jnz print
    mov ecx, 0x4b564d01
    mov eax, 0
    mov edx, 0
    wrmsr
    xor eax, eax
    cpuid
    jmp again
`;

interface Node {
  readonly name: string;
  readonly value?: string;
  readonly detail?: string;
  readonly memoryReference?: string;
  readonly children?: readonly Node[];
}

function find(node: Node, ...names: readonly string[]): Node {
  const [name, ...rest] = names;
  if (name === undefined) return node;
  const child = node.children?.find((one) => one.name === name);
  if (!child) throw new Error(`${node.name} has ${node.children?.map((one) => one.name)}, not ${name}`);
  return find(child, ...rest);
}

/** Leaves the guest some times in each of a partition's turns. */
const RARELY = `bits 64
_start:
    xor eax, eax
    cpuid
    mov ecx, 20000
work:
    dec ecx
    jnz work
    jmp _start
`;

/** Leaves by OUT at more instructions than are told apart, each new. */
const PLACES = `bits 64
_start:
    mov edi, 0x200000
    mov ecx, 20200
next:
    mov dword [rdi], 0x00c380e6         ; out 0x80, al; ret
    call rdi
    add edi, 4
    dec ecx
    jnz next
    cli
    hlt
`;

/** Two partitions that have run for some slices and still do. */
function pair(source = ROUNDS): Client {
  const client = new Client();
  client.ask('initialize', { adapterID: 'hyperscope' });
  const program = assembly(source);
  client.ask('launch', {
    partitions: [
      { name: 'front', program },
      { name: 'back', program, vendor: 'amd' },
    ],
    stopOnEntry: false,
  });
  client.ask('configurationDone');
  const waits = () => [1, 2].some((partition) => client.ask('hyperscope/exits', { partition }).records.length === 0);
  for (let slice = 0; slice < 500 && waits(); slice++) client.session.slice();
  return client;
}

describe('the tree of partitions', () => {
  test('has vCPUs, memory with references, platform and devices', () => {
    const { client } = atEntry(ROUNDS, { vcpus: 2 });
    const [root] = client.ask('hyperscope/partitions').partitions;
    expect(root).toMatchObject({ id: 1, value: 'kvm', state: 'stopped' });
    expect(find(root, 'vCPUs').children?.map(({ name }) => name)).toEqual(['vCPU 0', 'vCPU 1']);
    const ram = find(root, 'memory map', 'RAM');
    const { data } = client.ask('readMemory', { memoryReference: ram.memoryReference, count: 4 });
    expect(data).toHaveLength(8);
    expect(find(root, 'devices').children?.length).toBeGreaterThan(5);
  });

  test('is live while the guest runs, and names each partition', () => {
    const client = pair();
    const [front, back] = client.ask('hyperscope/partitions').partitions;
    expect([front.name, back.name, front.state, back.state]).toEqual(['front', 'back', 'running', 'running']);
    const reference = find(back, 'memory map', 'RAM').memoryReference;
    // References into another partition's memory say whose it is.
    expect(reference).not.toBe(find(front, 'memory map', 'RAM').memoryReference);
    const vcpu = () => find(client.ask('hyperscope/partitions').partitions[0], 'vCPUs', 'vCPU 0');
    const before = vcpu();
    for (let slice = 0; slice < 500 && vcpu().detail === before.detail; slice++) client.session.slice();
    expect(vcpu()).not.toEqual(before);
  });

  test('needs a guest', () => {
    expect(new Client().request('hyperscope/partitions').message).toMatch(/^No guest is loaded/);
  });
});

describe('exits by a facet', () => {
  test('have counts, shares and means, the most frequent first', () => {
    const { client } = atEntry(ROUNDS);
    client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'exit:cpuid', hitCondition: '3' }] });
    client.move('continue');
    const { total, counted, groupCount, groups } = client.ask('hyperscope/exits', { by: 'reason' });
    expect({ total, counted, groupCount }).toEqual({ total: 17, counted: 17, groupCount: 4 });
    expect(groups.map(({ value, count }: { value: string; count: number }) => [value, count])).toEqual([
      ['io', 9],
      ['hypercall', 3],
      ['msr-write', 3],
      ['cpuid', 2],
    ]);
    expect(groups[0].share).toBeCloseTo(9 / 17);
    expect(groups[1].meanInstructions).toBeCloseTo((1 + 3 + 3) / 3);
  });

  test('can be filtered, and a RIP has its symbol', () => {
    const { client } = atEntry(ROUNDS);
    client.ask('setFunctionBreakpoints', { breakpoints: ['exit:cpuid'].map((name) => ({ name })) });
    client.move('continue');
    const { counted, groups } = client.ask('hyperscope/exits', { by: 'rip', filter: 'reason=io' });
    expect(counted).toBe(3);
    expect(groups).toMatchObject([{ count: 3, label: expect.stringMatching(/^print/) }]);
  });

  test('are those of all partitions together, or of one', () => {
    const client = pair();
    const all = client.ask('hyperscope/exits', { by: 'partition' }).groups;
    expect(all.map(({ label }: { label: string }) => label).sort()).toEqual(['back', 'front']);
    const counts = [1, 2].map((partition) => client.ask('hyperscope/exits', { by: 'reason', partition }).counted);
    const { counted, groups } = client.ask('hyperscope/exits', { by: 'reason' });
    expect(counts.every((count) => count > 0)).toBe(true);
    expect(counted).toBe((counts[0] ?? 0) + (counts[1] ?? 0));
    expect(new Set(groups.map(({ value }: { value: string }) => value)).size).toBe(groups.length);
  });

  test('have their newest records where they are asked for', () => {
    const { client } = atEntry(ROUNDS);
    client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'exit:cpuid', hitCondition: '2' }] });
    client.move('continue');
    const { groups } = client.ask('hyperscope/exits', { by: 'reason', unfold: ['hypercall', 'msr-write', 'none', 7] });
    const shown = groups.map(({ value, records }: { value: string; records?: { seq: number }[] }) => [
      value,
      records?.map(({ seq }) => seq),
    ]);
    expect(Object.fromEntries(shown)).toEqual({
      io: undefined,
      hypercall: [1, 7],
      'msr-write': [5, 11],
      cpuid: undefined,
    });
  });

  test.each<[object, RegExp]>([
    [{ by: 'colour' }, /needs a "by" that exits have: reason, subject/],
    [{ by: 'reason', filter: 'prot=1' }, /^"prot=1" names no field of an exit; did you mean port\?/],
    [{ partition: 9 }, /needs the number of a partition of this session/],
  ])('%j is refused with a sentence', (parameters, sentence) => {
    const { client } = atEntry(ROUNDS);
    expect(client.request('hyperscope/exits', parameters).message).toMatch(sentence);
  });
});

describe('records of exits', () => {
  test('are the newest ones, of a group where it is given', () => {
    const { client } = atEntry(ROUNDS);
    client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'exit:cpuid', hitCondition: '2' }] });
    client.move('continue');
    const sequence = (parameters: object) =>
      client.ask('hyperscope/exits', parameters).records.map(({ seq }: { seq: number }) => seq);
    expect(sequence({ count: 3 })).toEqual([9, 10, 11]);
    expect(sequence({ by: 'reason', value: 'hypercall' })).toEqual([1, 7]);
    expect(sequence({ by: 'port', value: '0x3f8', count: 2, filter: 'to=device' })).toEqual([9, 10]);
  });

  test('know the instructions since the exit before, whatever is asked for, and what their subject is', () => {
    const { client } = atEntry(ROUNDS);
    client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'exit:cpuid', hitCondition: '2' }] });
    client.move('continue');
    const { records } = client.ask('hyperscope/exits', { filter: 'reason=hypercall,msr-write' });
    expect(records.map(({ instructions }: { instructions: number }) => instructions)).toEqual([1, 6, 3, 6]);
    expect(records.map(({ subject }: { subject: string }) => subject).slice(0, 2)).toEqual([
      'vmcall KVM_HC_SCHED_YIELD',
      'wrmsr 0x4b564d01 MSR_KVM_SYSTEM_TIME_NEW',
    ]);
    expect(records[0].meaning).toBe('yields to a vCPU that was preempted');
    expect(records[1].meaning).toMatch(/^MSR_KVM_SYSTEM_TIME_NEW: /);
  });

  test('go on behind those that a client has, until the guest is started anew', () => {
    const { client } = atEntry(ROUNDS);
    client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'exit:cpuid', hitCondition: '2' }] });
    client.move('continue');
    const orders = (parameters: object) => {
      const { records, hasMore, run } = client.ask('hyperscope/exits', parameters);
      return [run, hasMore, ...records.map(({ order }: { order: number }) => order)];
    };
    expect(orders({ after: 8 })).toEqual([1, false, 9, 10, 11]);
    expect(orders({ after: 8, count: 2 })).toEqual([1, true, 10, 11]);
    expect(orders({ after: 11 })).toEqual([1, false]);
    client.ask('restart');
    expect(orders({ after: 11 })).toEqual([2, false]);
  });

  test('lead to the guest instruction and to the handler that served it', () => {
    const client = new Client();
    client.launch(sample('hello/hello.asm'));
    client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'exit:io', hitCondition: '2' }] });
    client.ask('configurationDone');
    client.move('continue');
    const [record] = client.ask('hyperscope/exits', {}).records;
    expect(record.guestPlace.source.path).toBe(sample('hello/hello.asm'));
    expect(record.guestPlace.line).toBe(lineOf(sample('hello/hello.asm'), '    out dx, al'));
    expect(record.handlerPlace.source.path).toMatch(/src\/platforms\/kvm\/handlers\/io\.ts$/);
    expect(record.handlerPlace.line).toBe(lineOf(record.handlerPlace.source.path, "stage('kvm-io.exit'"));
  });

  test('give a breakpoint that stops at exits like them, and at no others', () => {
    const { client } = atEntry(ROUNDS);
    client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'exit:cpuid' }] });
    client.move('continue');
    const likes = (): { request: string; breakpoint: { name: string; condition?: string } }[] =>
      client.ask('hyperscope/exits', {}).records;
    expect(likes().map(({ breakpoint: { name, condition } }) => [name, condition])).toEqual([
      ['hypercall:KVM_HC_SCHED_YIELD', undefined],
      ...Array.from({ length: 3 }, () => ['exit:io', 'port == 0x3f8 && write']),
      ['exit:msr-write', 'msr == 0x4b564d01'],
    ]);
    for (const { request, breakpoint } of [...new Map(likes().map((record) => [record.breakpoint.name, record])).values()]) {
      const { breakpoints } = client.ask('setFunctionBreakpoints', { breakpoints: [breakpoint] });
      expect(breakpoints[0]).toMatchObject({ verified: true });
      expect(client.move('continue').body).toMatchObject({ hitBreakpointIds: [breakpoints[0].id] });
      // The exit that it stopped at is recorded when its handler has finished.
      client.move('stepOut');
      expect(client.ask('hyperscope/exits', { count: 1 }).records[0].request).toBe(request);
    }
  });

  test('of several partitions stand in the order in which they happened', () => {
    const client = pair(RARELY);
    for (let slice = 0; slice < 50; slice++) client.session.slice();
    const { records } = client.ask('hyperscope/exits', { count: 5000 });
    const orders: number[] = records.map(({ order }: { order: number }) => order);
    expect(orders).toEqual([...orders].sort((a, b) => a - b));
    expect(new Set(orders).size).toBe(orders.length);
    // Turns alternate: neither partition's records are all before the other's.
    const partitions: number[] = records.map(({ partition }: { partition: number }) => partition);
    expect(partitions.filter((partition, index) => partition !== partitions[index - 1]).length).toBeGreaterThan(2);
  });

  test('name the partition in the breakpoint where there are several', () => {
    const client = pair();
    const [record] = client.ask('hyperscope/exits', { partition: 2, count: 1 }).records;
    expect(record).toMatchObject({
      partitionName: 'back',
      breakpoint: { name: expect.stringMatching(/^back!(exit|hypercall):/) },
    });
  });
});

test('exits at more places than are told apart are counted together, under a name that is none', () => {
  const client = new Client();
  client.launch(assembly(PLACES), { stopOnEntry: false });
  client.ask('configurationDone');
  client.ask('hyperscope/exits', { by: 'rip' });
  client.run();
  const { groups } = client.ask('hyperscope/exits', { by: 'rip', count: 1 });
  expect(groups).toMatchObject([{ value: 'others' }]);
  expect(groups[0].count).toBeGreaterThan(50);
  expect(groups[0].label).toBeUndefined();
});
