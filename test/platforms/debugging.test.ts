import { describe, expect, test } from 'vitest';
import type { GuestPartition } from '../../src/hypervisor/partition/guest-partition.ts';
import { vmcbView } from '../../src/hypervisor/views/vmcb.ts';
import { vmcsView } from '../../src/hypervisor/views/vmcs.ts';
import { guest, IDT, ROUTINES } from './run-guest.ts';

/** What a debugger does with a partition, on real guests. */

const OUT = `bits 64
_start:
    mov dx, 0x3f8
    mov al, 'x'
    out dx, al
    nop
    vmcall
    nop
    cli
    hlt
`;
/** Offsets of its instructions. */
const At = { OUT: 0x100006n, NOP: 0x100007n, VMCALL: 0x100008n, LAST_NOP: 0x10000bn } as const;

function first(partition: GuestPartition) {
  const [vcpu] = partition.vcpus;
  if (!vcpu) throw new Error('no vCPU');
  return vcpu;
}

function console(partition: GuestPartition): () => string {
  let text = '';
  partition.onConsole((_source, bytes) => {
    text += new TextDecoder().decode(bytes);
  });
  return () => text;
}

describe('breakpoints', () => {
  test('stop before an instruction that exits, which then runs once', () => {
    const partition = guest(OUT);
    const text = console(partition);
    const { processor } = first(partition);
    processor.setBreakpoints(new Set([At.OUT, At.NOP]));
    expect(partition.run({ instructions: 1000 })).toEqual({ kind: 'breakpoint', vcpu: 0 });
    expect([processor.state.rip, text()]).toEqual([At.OUT, '']);
    processor.resumePast();
    expect(partition.run({ instructions: 1000 })).toEqual({ kind: 'breakpoint', vcpu: 0 });
    expect([processor.state.rip, text()]).toEqual([At.NOP, 'x']);
    expect(partition.journal.total).toBe(1);
  });

  test('stop at the instruction behind a hypercall', () => {
    const partition = guest(OUT);
    const { processor } = first(partition);
    processor.setBreakpoints(new Set([At.LAST_NOP]));
    expect(partition.run({ instructions: 1000 }).kind).toBe('breakpoint');
    expect(processor.icount).toBe(5n);
  });
});

describe('single steps', () => {
  test('take an instruction that exits as one', () => {
    const partition = guest(OUT);
    const { processor } = first(partition);
    const places: bigint[] = [];
    for (let step = 0; step < 6; step++) {
      expect(partition.run({ instructions: 1, onlyVcpu: 0 })).toEqual({ kind: 'budget' });
      places.push(processor.state.rip);
    }
    expect(places).toEqual([0x100004n, At.OUT, At.NOP, At.VMCALL, At.LAST_NOP, 0x10000cn]);
  });

  test('go into an exit, through its stages, and out at VM entry', () => {
    const partition = guest(OUT);
    const text = console(partition);
    partition.run({ instructions: 2 });
    const vcpu = first(partition);
    const request = { instructions: 1, onlyVcpu: 0, stopAtStage: true, stopAtEntry: true };
    const ids: string[] = [];
    let stop = partition.run(request);
    for (; stop.kind === 'stage'; stop = partition.run(request)) ids.push(vcpu.activity?.frames.at(-1)?.stage?.id ?? '');
    expect(ids).toEqual(['kvm-io.exit', 'kvm-io.route', 'kvm-io.vmm', 'port-device.write', 'kvm-io.complete']);
    expect(stop).toEqual({ kind: 'entry', vcpu: 0 });
    expect([vcpu.processor.state.rip, text()]).toEqual([At.OUT, 'x']);
    expect(partition.run({ instructions: 1 })).toEqual({ kind: 'budget' });
    expect(vcpu.processor.state.rip).toBe(At.NOP);
  });

  test('hold interrupts back when asked', () => {
    const partition = guest(`bits 64
_start:
    mov ecx, 0x40
    lea rax, [rel tick]
    call gate
    call load_idt
    mov edi, 0xfee00000
    mov dword [rdi + 0xf0], 0x1ff
    mov dword [rdi + 0x320], 0x40
    mov dword [rdi + 0x380], 100
    sti
.loop:
    jmp .loop
tick:
    cli
    hlt
${ROUTINES}${IDT}`);
    const { processor } = first(partition);
    processor.holdInterrupts = true;
    for (let step = 0; step < 600; step++) expect(partition.run({ instructions: 1 }).kind).toBe('budget');
    processor.holdInterrupts = false;
    expect(partition.run({ instructions: 100 })).toMatchObject({ kind: 'ended', end: { kind: 'halted' } });
  });
});

describe('a debugger that waits for exits', () => {
  test('sees each before its handler, with the state as the guest left it', () => {
    const partition = guest(OUT);
    partition.setDebugHooks({ stopAtExit: (_vcpu, { reason }) => reason === 'hypercall' });
    expect(partition.run({ instructions: 1000 })).toMatchObject({
      kind: 'exit',
      exit: { reason: 'hypercall', rip: At.VMCALL, instructionLength: 3, icount: 4n },
    });
    const vcpu = first(partition);
    expect(vcpu.processor.state.rip).toBe(At.VMCALL);
    expect(vcpu.lastExit).toMatchObject({ reason: 'hypercall' });
    expect(partition.run({ instructions: 1, stopAtEntry: true })).toEqual({ kind: 'entry', vcpu: 0 });
    expect(vcpu.processor.state.rip).toBe(At.LAST_NOP);
  });

  test('sees a guest exception before it is delivered', () => {
    const partition = guest('bits 64\nud2\n');
    const { processor } = first(partition);
    processor.debugExceptions = 1 << 6;
    expect(partition.run({ instructions: 10 })).toMatchObject({ kind: 'exception', exit: { vector: 6, rip: 0x100000n } });
    processor.resumePast();
    expect(partition.run({ instructions: 10 })).toMatchObject({ kind: 'ended', end: { kind: 'crash' } });
  });

  test('stops at accesses to watched memory, made by the guest', () => {
    const partition = guest('bits 64\nmov dword [0x200000], 5\nmov eax, [0x200000]\ncli\nhlt\n');
    const { processor } = first(partition);
    processor.setWatches([{ id: 7, space: 'gva', address: 0x200001n, length: 1n, read: true, write: true }]);
    expect(partition.run({ instructions: 10 })).toMatchObject({ kind: 'watch', hit: { watch: 7, write: true } });
    processor.resumePast();
    expect(partition.run({ instructions: 10 })).toMatchObject({ kind: 'watch', hit: { watch: 7, write: false } });
    processor.resumePast();
    expect(partition.run({ instructions: 10 }).kind).toBe('ended');
  });
});

describe('views', () => {
  const find = (node: unknown, name: string): string | undefined => {
    if (typeof node !== 'object' || node === null) return undefined;
    if ('name' in node && node.name === name && 'value' in node) return String(node.value);
    if (!('children' in node) || !Array.isArray(node.children)) return undefined;
    for (const child of node.children) {
      const found = find(child, name);
      if (found !== undefined) return found;
    }
    return undefined;
  };

  test('show the VMCS and the VMCB as they stand after an exit', () => {
    const partition = guest(OUT);
    partition.setDebugHooks({ stopAtExit: (_vcpu, { reason }) => reason === 'io' });
    partition.run({ instructions: 100 });
    const { processor, lastExit } = first(partition);
    const vmcs = vmcsView(processor, lastExit);
    expect(['exit reason', 'exit qualification', 'RIP', 'CR0', 'instruction length'].map((name) => find(vmcs, name))).toEqual([
      '0x1e',
      '0x3f80000',
      '0x100006',
      '0x80000011',
      '0x1',
    ]);
    const vmcb = vmcbView(processor, lastExit);
    expect(['EXITCODE', 'EXITINFO1', 'EXITINFO2', 'RIP'].map((name) => find(vmcb, name))).toEqual([
      '0x7b',
      '0x3f80210',
      '0x100007',
      '0x100006',
    ]);
  });

  test('show the machine', () => {
    const partition = guest(OUT, { vcpus: 2 });
    const text = JSON.stringify(partition.inspect(), (_key, value) => (typeof value === 'bigint' ? value.toString() : value));
    for (const name of ['vCPU 1', 'memory map', 'serial8250', 'local APIC 1', 'io-apic', 'system time (kvmclock)'])
      expect(text).toContain(name);
  });
});
