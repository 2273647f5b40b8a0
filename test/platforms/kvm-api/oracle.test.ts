import { execFileSync, spawnSync } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { Cap } from '../../../src/platforms/kvm/abi/capabilities.ts';
import { IoEventFlag, IrqFdFlag, MemoryFlag } from '../../../src/platforms/kvm/abi/flags.ts';
import { KvmExit } from '../../../src/platforms/kvm/abi/kvm-run.ts';
import { KvmError } from '../../../src/platforms/kvm/api/errors.ts';
import { EventFd } from '../../../src/platforms/kvm/api/event-fd.ts';
import type { KvmVcpu } from '../../../src/platforms/kvm/api/vcpu.ts';
import type { KvmVm } from '../../../src/platforms/kvm/api/vm.ts';
import { EmulatedKvm } from '../../../src/platforms/kvm/emulated/emulated-kvm.ts';
import { ENTRY, enter, errorOf } from './vmm.ts';

const { PIO, DATAMATCH, DEASSIGN } = IoEventFlag;
const ORACLE = path.resolve(import.meta.dirname, 'oracle.c');

/** Why the host's KVM can't be asked; undefined when it can. */
function missing(): string | undefined {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch {
    return '/dev/kvm is not there, or not for this user';
  }
  return spawnSync('gcc', ['--version']).status === 0 ? undefined : 'gcc is not there';
}

/** What the host's KVM says, a line a call. */
function hostLines(): string[] {
  const directory = mkdtempSync(path.join(tmpdir(), 'hyperscope-kvm-oracle-'));
  try {
    const program = path.join(directory, 'oracle');
    execFileSync('gcc', ['-o', program, ORACLE]);
    return execFileSync(program, { encoding: 'utf8' }).trim().split('\n');
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** The same calls on the emulated KVM, in the order of oracle.c. */
class Calls {
  readonly lines: string[] = [];
  private readonly kvm = new EmulatedKvm({ vendor: 'intel' });

  private say(what: string, call: () => unknown): void {
    this.lines.push(`${what}: ${errorOf(call) ?? 'ok'}`);
  }

  all(): string[] {
    const { kvm } = this;
    this.lines.push(`version: ${kvm.getApiVersion()}`);
    this.say('type 77', () => kvm.createVm(77));
    this.lines.push(`slots: ${kvm.checkExtension(Cap.NR_MEMSLOTS)}`);
    this.lines.push(`read-only memory: ${kvm.checkExtension(Cap.READONLY_MEM)}`);
    this.lines.push(`routes: ${kvm.checkExtension(Cap.IRQ_ROUTING)}`);
    this.lines.push(`capability 9999: ${kvm.checkExtension(9999)}`);
    this.memory();
    this.interrupts();
    this.filters();
    this.vcpus();
    return this.lines;
  }

  private slotsOf(vm: KvmVm) {
    const ram = vm.memory.map(0x10_0000n);
    const set = (slot: number, flags: number, guestPhysicalAddress: bigint, memorySize: bigint, offset: bigint) =>
      vm.setUserMemoryRegion({ slot, flags, guestPhysicalAddress, memorySize, userspaceAddress: ram + offset });
    return { ram, set };
  }

  private memory(): void {
    const vm = this.kvm.createVm(0);
    const { set } = this.slotsOf(vm);
    const say = (what: string, ...region: Parameters<typeof set>) => this.say(what, () => set(...region));
    say('slot 0', 0, 0, 0n, 0x10000n, 0n);
    say('the same again', 0, 0, 0n, 0x10000n, 0n);
    say('size of no page', 1, 0, 0x20000n, 0x1001n, 0x20000n);
    say('address of no page', 1, 0, 0x20001n, 0x1000n, 0x20000n);
    say('memory of no page', 1, 0, 0x20000n, 0x1000n, 0x20001n);
    say('unknown flag', 1, 8, 0x20000n, 0x1000n, 0x20000n);
    say('slot 40000', 40000, 0, 0x20000n, 0x1000n, 0x20000n);
    say('overlap', 1, 0, 0xf000n, 0x2000n, 0x20000n);
    say('slot 1 behind it', 1, 0, 0x10000n, 0x2000n, 0x20000n);
    say('larger', 1, 0, 0x10000n, 0x3000n, 0x20000n);
    say('other memory', 1, 0, 0x10000n, 0x2000n, 0x30000n);
    say('read-only later', 1, MemoryFlag.READONLY, 0x10000n, 0x2000n, 0x20000n);
    say('moved into slot 0', 1, 0, 0x8000n, 0x2000n, 0x20000n);
    say('moved away', 1, 0, 0x40000n, 0x2000n, 0x20000n);
    say('moved over itself', 1, 0, 0x41000n, 0x2000n, 0x20000n);
    this.say('log of no slot', () => vm.getDirtyLog(7));
    this.say('log of one without', () => vm.getDirtyLog(1));
    say('with log', 1, MemoryFlag.LOG_DIRTY_PAGES, 0x41000n, 0x2000n, 0x20000n);
    this.say('its log', () => vm.getDirtyLog(1));
    say('deleted', 1, 0, 0n, 0n, 0n);
    say('deleted again', 1, 0, 0n, 0n, 0n);
    say('deleted that never was', 9, 0, 0n, 0n, 0n);
    say('beyond all addresses', 2, 0, 0xffff_ffff_ffff_f000n, 0x2000n, 0x40000n);
  }

  private interrupts(): void {
    const vm = this.kvm.createVm(0);
    const fd = new EventFd();
    const other = new EventFd();
    const msi = { address: 0xfee0_0000n, data: 0x40 };
    const route = (gsi: number, chip: number, pin: number) => () => vm.setGsiRouting([{ gsi, chip, pin }]);
    const event = (address: bigint, length: number, flags: number, dataMatch: bigint, which: EventFd) => () =>
      vm.ioeventfd({ address, length, flags, dataMatch, fd: which });
    this.say('PIT without chip', () => vm.createPit2());
    this.say('line without chip', () => vm.irqLine(4, true));
    this.say('state without chip', () => vm.getIrqchip(0));
    this.say('irqfd without chip', () => vm.irqfd({ fd, gsi: 4, flags: 0 }));
    this.say('routes without chip', route(4, 0, 4));
    this.say('message without chip', () => vm.signalMsi(msi));
    this.say('chip', () => vm.createIrqchip());
    this.say('chip again', () => vm.createIrqchip());
    this.say('PIT', () => vm.createPit2());
    this.say('PIT again', () => vm.createPit2());
    this.say('line', () => vm.irqLine(4, true));
    this.say('state of no chip', () => vm.getIrqchip(3));
    this.say('route', route(4, 0, 4));
    this.say('route to pin 8 of a PIC', route(4, 0, 8));
    this.say('route to pin 24', route(4, 2, 24));
    this.say('route to chip 3', route(4, 3, 0));
    this.say('route of GSI 5000', route(5000, 0, 4));
    this.say('irqfd', () => vm.irqfd({ fd, gsi: 4, flags: 0 }));
    this.say('irqfd again', () => vm.irqfd({ fd, gsi: 5, flags: 0 }));
    this.say('irqfd off', () => vm.irqfd({ fd, gsi: 4, flags: IrqFdFlag.DEASSIGN }));
    this.say('irqfd off again', () => vm.irqfd({ fd, gsi: 4, flags: IrqFdFlag.DEASSIGN }));
    this.say('irqfd with a flag', () => vm.irqfd({ fd, gsi: 4, flags: 8 }));
    this.say('ioeventfd', event(0x510n, 2, PIO, 0n, fd));
    this.say('ioeventfd again', event(0x510n, 2, PIO, 0n, other));
    this.say('ioeventfd for data', event(0x510n, 2, PIO | DATAMATCH, 5n, other));
    this.say('ioeventfd in memory', event(0x510n, 2, 0, 0n, other));
    this.say('ioeventfd of 3 bytes', event(0x520n, 3, PIO, 0n, fd));
    this.say('ioeventfd of any length', event(0x530n, 0, 0, 0n, fd));
    this.say('ioeventfd of any length for data', event(0x540n, 0, DATAMATCH, 5n, fd));
    this.say('ioeventfd with a flag', event(0x550n, 4, 0x20, 0n, fd));
    this.say('ioeventfd beyond 64 bits', event(0xffff_ffff_ffff_fffen, 4, 0, 0n, fd));
    this.say('ioeventfd off', event(0x510n, 2, PIO | DEASSIGN, 0n, fd));
    this.say('ioeventfd off again', event(0x510n, 2, PIO | DEASSIGN, 0n, fd));
  }

  private filters(): void {
    const vm = this.kvm.createVm(0);
    const filter = (flags: number, rangeFlags: number, count: number) => () =>
      vm.setMsrFilter({ flags, ranges: [{ flags: rangeFlags, base: 0x174, count, bitmap: new Uint8Array(0x2000) }] });
    const enable = (cap: number, argument: bigint) => () => vm.enableCap(cap, argument);
    this.say('filter', filter(0, 3, 8));
    this.say('filter with a flag', filter(2, 3, 8));
    this.say('range with a flag', filter(0, 4, 8));
    this.say('range of 12289 MSRs', filter(0, 3, 12289));
    this.say('deny all', filter(1, 3, 0));
    this.say('no filter', filter(0, 3, 0));
    this.say('exits for MSRs', enable(Cap.X86_USER_SPACE_MSR, 7n));
    this.say("exits for what isn't", enable(Cap.X86_USER_SPACE_MSR, 0x100n));
    this.say('manual log', enable(Cap.MANUAL_DIRTY_LOG_PROTECT2, 1n));
    this.say('manual log, only set', enable(Cap.MANUAL_DIRTY_LOG_PROTECT2, 2n));
    this.say('manual log with 4', enable(Cap.MANUAL_DIRTY_LOG_PROTECT2, 4n));
    this.say('hypercall 12', enable(Cap.EXIT_HYPERCALL, 1n << 12n));
    this.say('hypercall 5', enable(Cap.EXIT_HYPERCALL, 1n << 5n));
    this.say("capability that can't", enable(Cap.IRQCHIP, 1n));
  }

  private vcpus(): void {
    const vm = this.kvm.createVm(0);
    const { ram, set } = this.slotsOf(vm);
    const vcpu = vm.createVcpu(0);
    this.say('vCPU again', () => vm.createVcpu(0));
    this.say('vCPU 100000', () => vm.createVcpu(100_000));
    this.say('chip behind a vCPU', () => vm.createIrqchip());
    const sregs = vcpu.getSregs();
    this.lines.push(`code at reset: 0x${sregs.cs.base.toString(16)} 0x${sregs.cs.selector.toString(16)}`);
    this.say('paging in real mode', () => vcpu.setSregs({ ...sregs, cr0: 0x8000_0000n }));
    this.say('EFER.LMA in real mode', () => vcpu.setSregs({ ...sregs, efer: 0x400n }));
    this.say('halted without chip', () => vcpu.setMpState(3));
    this.say('MP state 77', () => vcpu.setMpState(77));
    this.say('local APIC without chip', () => vcpu.getLapic());
    this.say('DR6 of 33 bits', () => vcpu.setDebugRegs({ ...vcpu.getDebugRegs(), dr6: 0x1_0000_0000n }));
    this.say('interrupt 256', () => vcpu.interrupt(256));
    const msrs = [0x174, 0x175, 0x12345];
    this.lines.push(`MSRs up to one that isn't: ${vcpu.getMsrs(msrs).length}`);
    const written = vcpu.setMsrs(msrs.map((index) => ({ index, data: 0n })));
    this.lines.push(`MSRs written up to one that isn't: ${written}`);
    const { physicalAddress, valid, writable, userMode } = vcpu.translate(0x1234n);
    this.lines.push(`translation: 0x${physicalAddress.toString(16)} ${Number(valid)} ${Number(writable)} ${Number(userMode)}`);
    set(0, 0, 0n, 0x10000n, 0n);
    // As in oracle.c.
    const code = [0xb0, 0x42, 0xe6, 0x80, 0xbb, 0xff, 0xff, 0x8e, 0xdb, 0xa2, 0x20, 0x00, 0xe4, 0x60, 0xf4];
    vm.memory.write(ram + ENTRY, Uint8Array.from(code));
    enter(vcpu);
    vcpu.page.immediateExit = true;
    this.say('immediate exit', () => vcpu.run());
    vcpu.page.immediateExit = false;
    for (let exit = 0; exit < 4; exit++) this.lines.push(this.runOnce(vcpu));
  }

  private runOnce(vcpu: KvmVcpu): string {
    const exit = vcpu.run();
    if (exit.reason === KvmExit.IO) {
      const { reason, port, direction, size, data } = exit;
      const text = `exit: ${reason} port 0x${port.toString(16)} direction ${direction} size ${size}`;
      if (direction === 1) return `${text} data 0x${data[0]?.toString(16)}`;
      data[0] = 0x5a;
      return text;
    }
    if (exit.reason === KvmExit.MMIO)
      return `exit: ${exit.reason} at 0x${exit.physicalAddress.toString(16)} length ${exit.length} write ${Number(exit.isWrite)} data 0x${exit.data[0]?.toString(16)}`;
    const { rip, rax } = vcpu.getRegs();
    return `exit: ${exit.reason} rip 0x${rip.toString(16)} rax 0x${rax.toString(16)}`;
  }
}

test("the emulated KVM answers each call as the host's does", (context) => {
  const why = missing();
  if (why !== undefined) context.skip(why);
  expect(new Calls().all()).toEqual(hostLines());
});

test('errors say what is wrong, and their code', () => {
  const vm = new EmulatedKvm({ vendor: 'amd' }).createVm(0);
  let message = '';
  try {
    vm.irqLine(4, true);
  } catch (error) {
    if (error instanceof KvmError) message = `${error.errno} ${error.message}`;
  }
  expect(message).toBe('6 There is no interrupt chip in the kernel (ENXIO)');
});
