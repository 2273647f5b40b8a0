import { describe, expect, test } from 'vitest';
import { Cap } from '../../../src/platforms/kvm/abi/capabilities.ts';
import {
  GuestDebug,
  IoEventFlag,
  IrqChip,
  MemoryFlag,
  MpState,
  MsrExitReason,
  MsrFilterFlag,
  MsrRangeFlag,
} from '../../../src/platforms/kvm/abi/flags.ts';
import { IO_DIRECTION, KvmExit } from '../../../src/platforms/kvm/abi/kvm-run.ts';
import { EventFd } from '../../../src/platforms/kvm/api/event-fd.ts';
import type { RunExit } from '../../../src/platforms/kvm/api/run.ts';
import type { KvmVcpu } from '../../../src/platforms/kvm/api/vcpu.ts';
import type { KvmVm } from '../../../src/platforms/kvm/api/vm.ts';
import { bytesOf, code, ENTRY, enter, errorOf, RAM, textOf, vmm } from './vmm.ts';

type ExitOf<Reason extends RunExit['reason']> = RunExit extends infer Exit
  ? Exit extends { readonly reason: infer Its }
    ? Reason extends Its
      ? Exit
      : never
    : never
  : never;

/** Runs to the next exit, which has this reason. */
function runTo<Reason extends RunExit['reason']>(vcpu: KvmVcpu, reason: Reason): ExitOf<Reason> {
  const exit = vcpu.run();
  expect(exit.reason).toBe(reason);
  return exit as ExitOf<Reason>;
}

const HANDLER = 0x2000n;

/** An interrupt handler at 0:2000 for a vector. */
function withHandler(vm: KvmVm, ram: bigint, vector: number, source: string): void {
  vm.memory.write(ram + BigInt(vector * 4), Uint8Array.of(0x00, 0x20, 0, 0));
  vm.memory.write(ram + HANDLER, code(source.replace('$$', '0x2000')));
}

describe('a VMM of the emulated KVM', () => {
  test('prints what its guest writes to a port, until it halts', () => {
    const { vcpu, vm, ram } = vmm(
      'mov si, 0x1800\nmov dx, 0x3f8\nnext: lodsb\ntest al, al\njz done\nout dx, al\njmp next\ndone: hlt',
    );
    vm.memory.write(ram + 0x1800n, bytesOf('Hello, world\n\0'));
    let text = '';
    for (;;) {
      const exit = vcpu.run();
      if (exit.reason === KvmExit.HLT) break;
      expect(exit).toMatchObject({ reason: KvmExit.IO, direction: IO_DIRECTION.OUT, port: 0x3f8, size: 1, count: 1 });
      if (exit.reason === KvmExit.IO) text += textOf(exit.data);
    }
    expect(text).toBe('Hello, world\n');
  });

  test('answers what its guest reads from ports and from memory without a slot', () => {
    const { vcpu } = vmm('in ax, 0x70\nmov bx, 0xffff\nmov ds, bx\nmov cx, [0x10]\nmov [0x14], ax\nhlt', (vm) => {
      // 1 MiB of RAM less its last page.
      vm.setUserMemoryRegion({ slot: 0, flags: 0, guestPhysicalAddress: 0n, memorySize: 0n, userspaceAddress: 0n });
      const ram = vm.memory.map(0x1_0000n);
      vm.setUserMemoryRegion({ slot: 0, flags: 0, guestPhysicalAddress: 0n, memorySize: 0x1_0000n, userspaceAddress: ram });
      vm.memory.write(ram + ENTRY, code('in ax, 0x70\nmov bx, 0xffff\nmov ds, bx\nmov cx, [0x10]\nmov [0x14], ax\nhlt'));
    });
    const port = runTo(vcpu, KvmExit.IO);
    expect(port).toMatchObject({ direction: IO_DIRECTION.IN, size: 2, port: 0x70 });
    port.data.set([0x34, 0x12]);
    const read = runTo(vcpu, KvmExit.MMIO);
    expect(read).toMatchObject({ physicalAddress: 0x10_0000n, length: 2, isWrite: false });
    read.data.set([0x78, 0x56]);
    expect(runTo(vcpu, KvmExit.MMIO)).toMatchObject({
      physicalAddress: 0x10_0004n,
      length: 2,
      isWrite: true,
      data: Uint8Array.of(0x34, 0x12, 0, 0, 0, 0, 0, 0),
    });
    runTo(vcpu, KvmExit.HLT);
    expect(vcpu.getRegs()).toMatchObject({ rax: 0x1234n, rcx: 0x5678n });
  });

  test('sees which pages of a logged slot its guest has written, and not what it writes by itself', () => {
    const { vcpu, vm, ram } = vmm('again: mov byte [0x3000], 1\nmov byte [0x5001], 2\nhlt\nmov byte [0x5000], 3\nhlt');
    const slot = { slot: 0, guestPhysicalAddress: 0n, memorySize: RAM, userspaceAddress: ram };
    expect(errorOf(() => vm.getDirtyLog(0))).toBe('ENOENT');
    vm.setUserMemoryRegion({ ...slot, flags: MemoryFlag.LOG_DIRTY_PAGES });
    const pages = () =>
      [...vm.getDirtyLog(0)].flatMap((byte, index) =>
        [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => (byte >> bit) & 1).map((bit) => index * 8 + bit),
      );
    expect(vm.getDirtyLog(0)).toHaveLength(32);
    runTo(vcpu, KvmExit.HLT);
    vm.memory.write(ram + 0x9000n, Uint8Array.of(1));
    expect(pages()).toEqual([3, 5]);
    expect(pages()).toEqual([]);
    runTo(vcpu, KvmExit.HLT);
    expect(pages()).toEqual([5]);
    vm.setUserMemoryRegion({ ...slot, flags: 0 });
    expect(errorOf(() => vm.getDirtyLog(0))).toBe('ENOENT');
  });

  test('clears the log by itself with manual protection', () => {
    const { vcpu, vm, ram } = vmm('mov byte [0x3000], 1\nhlt\nmov byte [0x3000], 2\nhlt\nmov byte [0x3000], 3\nhlt', (each) =>
      each.enableCap(Cap.MANUAL_DIRTY_LOG_PROTECT2, 1n),
    );
    vm.setUserMemoryRegion({ slot: 0, flags: 1, guestPhysicalAddress: 0n, memorySize: RAM, userspaceAddress: ram });
    const written = () => ((vm.getDirtyLog(0)[0] ?? 0) >> 3) & 1;
    const all = new Uint8Array(32).fill(0xff);
    runTo(vcpu, KvmExit.HLT);
    expect([written(), written()]).toEqual([1, 1]);
    runTo(vcpu, KvmExit.HLT);
    expect(errorOf(() => vm.clearDirtyLog(0, 1n, 64, all))).toBe('EINVAL');
    expect(errorOf(() => vm.clearDirtyLog(0, 0n, 63, all))).toBe('EINVAL');
    vm.clearDirtyLog(0, 0n, 256, all);
    expect(written()).toBe(0);
    runTo(vcpu, KvmExit.HLT);
    expect(written()).toBe(1);
  });

  test('gets writes to a read-only slot as MMIO; what the guest reads and runs there is memory', () => {
    const { vcpu, vm } = vmm(
      'mov ax, 0xf000\nmov ds, ax\nmov bl, [0]\nmov byte [1], 7\ninc byte [2]\nmov bh, [1]\nhlt',
      (each) => {
        each.setUserMemoryRegion({ slot: 0, flags: 0, guestPhysicalAddress: 0n, memorySize: 0n, userspaceAddress: 0n });
        const ram = each.memory.map(0x1_0000n);
        const rom = each.memory.map(0x1000n);
        each.setUserMemoryRegion({ slot: 0, flags: 0, guestPhysicalAddress: 0n, memorySize: 0x1_0000n, userspaceAddress: ram });
        each.setUserMemoryRegion({
          slot: 1,
          flags: MemoryFlag.READONLY,
          guestPhysicalAddress: 0xf_0000n,
          memorySize: 0x1000n,
          userspaceAddress: rom,
        });
        each.memory.write(rom, Uint8Array.of(0x11, 0x22, 0x33));
        each.memory.write(
          ram + ENTRY,
          code('mov ax, 0xf000\nmov ds, ax\nmov bl, [0]\nmov byte [1], 7\ninc byte [2]\nmov bh, [1]\nhlt'),
        );
      },
    );
    expect(runTo(vcpu, KvmExit.MMIO)).toMatchObject({ physicalAddress: 0xf_0001n, isWrite: true, length: 1 });
    const added = runTo(vcpu, KvmExit.MMIO);
    expect(added).toMatchObject({ physicalAddress: 0xf_0002n, isWrite: true, length: 1 });
    expect(added.data[0]).toBe(0x34);
    runTo(vcpu, KvmExit.HLT);
    expect(vcpu.getRegs().rbx).toBe(0x2211n);
    expect(vm.getClock().clock).toBeGreaterThan(0n);
  });

  test('has slots moved with what is in them, and new code seen', () => {
    const { vcpu, vm, ram } = vmm('hlt');
    runTo(vcpu, KvmExit.HLT);
    vm.memory.write(ram + ENTRY, code('mov ax, 0x77\nhlt'));
    enter(vcpu);
    runTo(vcpu, KvmExit.HLT);
    expect(vcpu.getRegs().rax & 0xffffn).toBe(0x77n);
    vm.setUserMemoryRegion({ slot: 0, flags: 0, guestPhysicalAddress: 0x10_0000n, memorySize: RAM, userspaceAddress: ram });
    enter(vcpu);
    const sregs = vcpu.getSregs();
    vcpu.setSregs({ ...sregs, cs: { ...sregs.cs, base: 0x10_0000n } });
    vm.memory.write(ram + ENTRY, code('mov ax, 0x78\nhlt'));
    runTo(vcpu, KvmExit.HLT);
    expect(vcpu.getRegs().rax & 0xffffn).toBe(0x78n);
  });

  test('is signalled by an ioeventfd without an exit, where address, length and data match', () => {
    const { vcpu, vm } = vmm('mov dx, 0x510\nmov al, 1\nout dx, al\nmov al, 2\nout dx, al\nout dx, ax\nhlt');
    const fd = new EventFd();
    const flags = IoEventFlag.PIO | IoEventFlag.DATAMATCH;
    vm.ioeventfd({ address: 0x510n, length: 1, flags, dataMatch: 2n, fd });
    expect(runTo(vcpu, KvmExit.IO).data).toEqual(Uint8Array.of(1));
    expect(runTo(vcpu, KvmExit.IO).data).toEqual(Uint8Array.of(2, 0));
    runTo(vcpu, KvmExit.HLT);
    expect([fd.take(), fd.take()]).toEqual([1n, 0n]);
    vm.ioeventfd({ address: 0x510n, length: 1, flags: flags | IoEventFlag.DEASSIGN, dataMatch: 2n, fd });
    expect(
      errorOf(() => vm.ioeventfd({ address: 0x510n, length: 1, flags: flags | IoEventFlag.DEASSIGN, dataMatch: 2n, fd })),
    ).toBe('ENOENT');
  });

  test('interrupts its guest by an irqfd, through the routes of the GSI', () => {
    const start = `
      mov al, 0x11
      out 0x20, al
      mov al, 0x40
      out 0x21, al
      mov al, 4
      out 0x21, al
      mov al, 1
      out 0x21, al
      mov al, 0
      out 0x21, al
      sti
      again: hlt
      jmp again`;
    const { vcpu, vm, ram } = vmm(start, (each) => each.createIrqchip());
    withHandler(vm, ram, 0x45, 'mov dx, 0x80\nmov al, 5\nout dx, al\nmov al, 0x20\nout 0x20, al\niret');
    const fd = new EventFd();
    vm.irqfd({ fd, gsi: 5, flags: 0 });
    expect(errorOf(() => vm.irqfd({ fd, gsi: 6, flags: 0 }))).toBe('EBUSY');
    expect(errorOf(() => vcpu.run())).toBe('EINTR');
    expect(vcpu.getMpState()).toBe(MpState.HALTED);
    fd.signal();
    expect(runTo(vcpu, KvmExit.IO)).toMatchObject({ port: 0x80, data: Uint8Array.of(5) });
    expect(errorOf(() => vcpu.run())).toBe('EINTR');
    // Another GSI that leads to the same pin.
    vm.setGsiRouting([{ gsi: 9, chip: IrqChip.PIC_MASTER, pin: 5 }]);
    fd.signal();
    expect(errorOf(() => vcpu.run())).toBe('EINTR');
    vm.irqLine(9, true);
    expect(runTo(vcpu, KvmExit.IO)).toMatchObject({ port: 0x80 });
  });

  test('injects interrupts by itself without an interrupt chip in the kernel, when the window opens', () => {
    const { vcpu, vm, ram } = vmm('cli\nnop\nsti\nnop\nnop\nhlt');
    withHandler(vm, ram, 0x21, 'mov al, 9\nout 0x80, al\niret');
    expect(vcpu.page.readyForInterruptInjection).toBe(false);
    vcpu.page.requestInterruptWindow = true;
    runTo(vcpu, KvmExit.IRQ_WINDOW_OPEN);
    expect(vcpu.page.readyForInterruptInjection).toBe(true);
    vcpu.page.requestInterruptWindow = false;
    vcpu.interrupt(0x21);
    expect(vcpu.page.readyForInterruptInjection).toBe(false);
    expect(vcpu.getVcpuEvents().interrupt).toMatchObject({ injected: true, nr: 0x21 });
    expect(runTo(vcpu, KvmExit.IO)).toMatchObject({ port: 0x80, data: Uint8Array.of(9) });
    runTo(vcpu, KvmExit.HLT);
  });

  test('single-steps its guest and stops it at breakpoints of all kinds', () => {
    const { vcpu } = vmm('mov ax, 1\nmov [0x3000], ax\ninc ax\nint3\nhlt');
    vcpu.setGuestDebug(GuestDebug.ENABLE | GuestDebug.SINGLESTEP);
    expect(runTo(vcpu, KvmExit.DEBUG)).toMatchObject({ exception: 1, pc: 0x1003n, dr6: 0xffff_4ff0n });
    // Data writes of two bytes at 0x3000 in DR0, execution at 0x1007 in DR1.
    vcpu.setGuestDebug(GuestDebug.ENABLE | GuestDebug.USE_HW_BP | GuestDebug.USE_SW_BP, [
      0x3000n,
      0x1007n,
      0n,
      0n,
      0n,
      0n,
      0n,
      0x5_000an,
    ]);
    expect(runTo(vcpu, KvmExit.DEBUG)).toMatchObject({ exception: 1, pc: 0x1006n, dr6: 0xffff_0ff1n });
    expect(runTo(vcpu, KvmExit.DEBUG)).toMatchObject({ exception: 1, pc: 0x1007n, dr6: 0xffff_0ff2n });
    vcpu.setGuestDebug(GuestDebug.ENABLE | GuestDebug.USE_SW_BP);
    expect(runTo(vcpu, KvmExit.DEBUG)).toMatchObject({ exception: 3, pc: 0x1007n });
    vcpu.setRegs({ ...vcpu.getRegs(), rip: 0x1008n });
    runTo(vcpu, KvmExit.HLT);
  });

  test('decides on MSRs that its filter denies', () => {
    const { vcpu } = vmm('mov ecx, 0x174\nrdmsr\nmov ebx, eax\nwrmsr\nmov ecx, 0x175\nrdmsr\nhlt', (vm) => {
      vm.enableCap(Cap.X86_USER_SPACE_MSR, BigInt(MsrExitReason.FILTER));
      vm.setMsrFilter({
        flags: 0,
        ranges: [{ flags: MsrRangeFlag.READ | MsrRangeFlag.WRITE, base: 0x174, count: 1, bitmap: Uint8Array.of(0) }],
      });
    });
    const read = runTo(vcpu, KvmExit.X86_RDMSR);
    expect(read).toMatchObject({ index: 0x174, cause: MsrExitReason.FILTER, error: 0 });
    read.data = 0x1234n;
    const write = runTo(vcpu, KvmExit.X86_WRMSR);
    expect(write).toMatchObject({ index: 0x174, data: 0x1234n });
    runTo(vcpu, KvmExit.HLT);
    expect(vcpu.getRegs().rbx).toBe(0x1234n);
  });

  test('has MSRs that nobody knows, if it wants them, and #GP of an error', () => {
    const { vcpu, vm, ram } = vmm('mov ecx, 0x12345\nrdmsr\nmov ebx, eax\nrdmsr\nhlt', (each) =>
      each.enableCap(Cap.X86_USER_SPACE_MSR, BigInt(MsrExitReason.UNKNOWN)),
    );
    withHandler(vm, ram, 13, 'mov al, 13\nout 0x80, al\nhlt');
    runTo(vcpu, KvmExit.X86_RDMSR).data = 99n;
    runTo(vcpu, KvmExit.X86_RDMSR).error = 1;
    expect(runTo(vcpu, KvmExit.IO)).toMatchObject({ port: 0x80, data: Uint8Array.of(13) });
    expect(vcpu.getRegs().rbx).toBe(99n);
  });

  test('comes back at once when it asks for that, with what is under way done', () => {
    const { vcpu } = vmm('in al, 0x60\nmov bl, al\nhlt');
    vcpu.page.immediateExit = true;
    expect(errorOf(() => vcpu.run())).toBe('EINTR');
    expect(vcpu.page.exit).toEqual({ reason: KvmExit.INTR });
    vcpu.page.immediateExit = false;
    runTo(vcpu, KvmExit.IO).data[0] = 0x42;
    vcpu.page.immediateExit = true;
    expect(errorOf(() => vcpu.run())).toBe('EINTR');
    expect(vcpu.getRegs()).toMatchObject({ rax: 0x42n, rip: 0x1002n });
  });

  test('gets a triple fault as a shutdown, and comes back from a guest that spins', () => {
    const { vcpu } = vmm('lidt [0x1100]\nint3\ntimes 0x100 - ($ - $$) db 0\ndw 0\ndd 0');
    runTo(vcpu, KvmExit.SHUTDOWN);
    const spinning = vmm('again: jmp again', () => {}, { longestRun: 1000 });
    expect(errorOf(() => spinning.vcpu.run())).toBe('EINTR');
  });

  test('is asked for hypercalls that it has enabled', () => {
    const protectedMode = 'mov eax, 12\nmov ebx, 0x3000\nmov ecx, 1\nmov edx, 0x10\nvmcall\nhlt';
    const asked = vmm(protectedMode, (vm) => vm.enableCap(Cap.EXIT_HYPERCALL, 1n << 12n));
    const call = runTo(asked.vcpu, KvmExit.HYPERCALL);
    expect(call).toMatchObject({ number: 12n, arguments: [0x3000n, 1n, 0x10n, 0n] });
    call.result = 5n;
    runTo(asked.vcpu, KvmExit.HLT);
    expect(asked.vcpu.getRegs().rax).toBe(5n);
    const { vcpu } = vmm(protectedMode);
    runTo(vcpu, KvmExit.HLT);
    expect(vcpu.getRegs().rax).toBe(BigInt.asUintN(32, -1000n));
  });

  test('says what CPUID answers', () => {
    const { vcpu, kvm } = vmm('mov eax, 0x40000000\ncpuid\nhlt');
    expect(kvm.getSupportedCpuid(256).find((entry) => entry.function === 0x4000_0000)?.ebx).toBe(0x4b4d_564b);
    expect(errorOf(() => kvm.getSupportedCpuid(3))).toBe('E2BIG');
    vcpu.setCpuid2([{ function: 0x4000_0000, index: 0, flags: 0, eax: 1, ebx: 2, ecx: 3, edx: 4 }]);
    runTo(vcpu, KvmExit.HLT);
    expect(vcpu.getRegs()).toMatchObject({ rax: 1n, rbx: 2n, rcx: 3n, rdx: 4n });
    expect(errorOf(() => vcpu.setCpuid2([]))).toBe('EINVAL');
  });

  test('starts its second vCPU by INIT and SIPI, with the chip in the kernel', () => {
    const { vcpu, vm, ram } = vmm('mov ax, 0xfee0\nhlt', (each) => each.createIrqchip());
    const second = vm.createVcpu(1);
    expect([vcpu.getMpState(), second.getMpState()]).toEqual([MpState.RUNNABLE, MpState.UNINITIALIZED]);
    expect(errorOf(() => second.run())).toBe('EINTR');
    vm.signalMsi({ address: 0xfee0_1000n, data: 0x4500 });
    vm.signalMsi({ address: 0xfee0_1000n, data: 0x4602 });
    vm.memory.write(ram + 0x2000n, code('mov al, 2\nout 0x80, al\nhlt'));
    expect(runTo(second, KvmExit.IO)).toMatchObject({ port: 0x80, data: Uint8Array.of(2) });
    expect(second.getSregs().cs).toMatchObject({ selector: 0x200, base: 0x2000n });
  });

  test('keeps its filter from denying all without a range', () => {
    const { vm } = vmm('hlt');
    expect(errorOf(() => vm.setMsrFilter({ flags: MsrFilterFlag.DEFAULT_DENY, ranges: [] }))).toBe('EINVAL');
  });
});
