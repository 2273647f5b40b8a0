import { expect } from 'vitest';
import type { ErrnoName } from '../../../src/platforms/kvm/abi/errors.ts';
import { KvmError } from '../../../src/platforms/kvm/api/errors.ts';
import type { KvmVcpu } from '../../../src/platforms/kvm/api/vcpu.ts';
import type { KvmVm } from '../../../src/platforms/kvm/api/vm.ts';
import { EmulatedKvm, type EmulatedKvmOptions } from '../../../src/platforms/kvm/emulated/emulated-kvm.ts';
import { assemble } from '../../../src/programs/assembler/assemble.ts';

/** Guest code of a test, in real mode at 0x1000. */
export const ENTRY = 0x1000n;
export const RAM = 0x10_0000n;

/** A VMM of a few lines: a virtual machine with 1 MiB of RAM in slot 0 and a vCPU in real mode at 0x1000. */
export function vmm(source: string, prepare: (vm: KvmVm) => void = () => {}, options: Partial<EmulatedKvmOptions> = {}) {
  const kvm = new EmulatedKvm({ vendor: 'intel', ...options });
  const vm = kvm.createVm(0);
  const ram = vm.memory.map(RAM);
  vm.setUserMemoryRegion({ slot: 0, flags: 0, guestPhysicalAddress: 0n, memorySize: RAM, userspaceAddress: ram });
  vm.memory.write(ram + ENTRY, code(source));
  prepare(vm);
  const vcpu = vm.createVcpu(0);
  enter(vcpu);
  return { kvm, vm, vcpu, ram };
}

/** Bytes of assembled real-mode code that lies at 0x1000. */
export function code(source: string): Uint8Array {
  const text = bytesOf(`bits 16\norg 0x1000\n${source}\n`);
  const files = { read: () => text, exists: () => true, resolve: (_from: string, relative: string) => relative };
  const { bytes, diagnostics } = assemble('guest.asm', files, { format: 'bin' });
  if (bytes === undefined) throw new Error(diagnostics.map(({ message }) => message).join('; '));
  return bytes;
}

/** Has a vCPU begin at 0000:1000 in real mode. */
export function enter(vcpu: KvmVcpu, rip = ENTRY): void {
  const sregs = vcpu.getSregs();
  const flat = { base: 0n, selector: 0 };
  vcpu.setSregs({ ...sregs, cs: { ...sregs.cs, ...flat }, ds: { ...sregs.ds, ...flat }, es: { ...sregs.es, ...flat } });
  vcpu.setRegs({ ...vcpu.getRegs(), rip, rsp: 0x8000n, rflags: 2n });
}

/** What a call fails with. */
export function errorOf(call: () => unknown): ErrnoName | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(KvmError);
    return error instanceof KvmError ? error.code : undefined;
  }
}

export const bytesOf = (text: string) => new TextEncoder().encode(text);
export const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
