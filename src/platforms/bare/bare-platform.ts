import type { InspectNode } from '../../devices/inspect.ts';
import type { ExitContext } from '../../hypervisor/exits/exit-context.ts';
import { accessPort } from '../../hypervisor/exits/pass-through.ts';
import { forbiddenAccessEnd, internalErrorEnd, tripleFaultEnd } from '../../hypervisor/partition/ends.ts';
import type { Machine, Platform } from '../../hypervisor/partition/platform.ts';
import { resolveViolation } from '../../hypervisor/second-level/resolve.ts';
import type { VmExit } from '../../processor/exit.ts';
import { Vector } from '../../processor/faults/guest-fault.ts';
import type { Processor } from '../../processor/processor.ts';
import type { Handler } from '../../stages/stage.ts';
import { clearIntercepts } from '../intercepts.ts';
import {
  concernsLocalApic,
  isLocalApicMsr,
  readLocalApicMsr,
  writeBesideLocalApic,
  writeLocalApicMsr,
} from '../local-apic-msrs.ts';

/**
 * No hypervisor: the guest owns the machine. What leaves the processor are accesses to devices, which are no VM exits and
 * aren't recorded as any.
 */
export class BarePlatform implements Platform {
  readonly name = 'bare';

  constructor(private readonly machine: Machine) {}

  setUpVcpu({ intercepts }: Processor): void {
    clearIntercepts(intercepts);
    // The only thing that isn't the guest's own business: the end of the run.
    intercepts.tripleFault = true;
    intercepts.msr = (msr, write) => write && concernsLocalApic(msr);
  }

  serveDirectly(processor: Processor, exit: VmExit): boolean {
    const { buses } = this.machine;
    switch (exit.reason) {
      case 'io':
        accessPort(processor, buses, exit);
        return true;
      case 'mmio':
        if (exit.write) buses.writeMmio(processor.index, exit.gpa, exit.size, exit.value);
        processor.completeAccess(exit.write ? 0n : buses.readMmio(processor.index, exit.gpa, exit.size));
        return true;
      case 'msr-read':
      case 'msr-write':
        this.accessMsr(processor, exit);
        return true;
      case 'second-level-violation':
        if (!resolveViolation(this.machine.secondLevel, this.machine.dirtyLog, exit))
          this.machine.finish(forbiddenAccessEnd(processor.index, exit));
        return true;
      case 'second-level-misconfiguration':
        this.machine.finish(forbiddenAccessEnd(processor.index, exit));
        return true;
      case 'dirty-log':
        this.machine.dirtyLog.drain(processor.index);
        return true;
      case 'triple-fault':
        this.machine.finish(tripleFaultEnd(processor.index, exit.chain, exit.rip));
        return true;
      case 'vmx':
      case 'svm':
      case 'hypercall':
        processor.inject({ vector: Vector.UD, type: 'exception' });
        return true;
      default:
        processor.performNatively();
        return true;
    }
  }

  private accessMsr(processor: Processor, exit: Extract<VmExit, { reason: 'msr-read' | 'msr-write' }>): void {
    const apic = this.machine.devices.localApics[processor.index];
    const { state } = processor;
    const fault = () => processor.inject({ vector: Vector.GP, type: 'exception', errorCode: 0 });
    const give = (value: bigint) => {
      state.setGpr(0, value & 0xffff_ffffn);
      state.setGpr(2, value >> 32n);
      processor.skipInstruction(exit.instructionLength);
    };
    if (apic !== undefined && exit.reason === 'msr-write' && concernsLocalApic(exit.msr))
      writeBesideLocalApic(processor, apic, exit.msr);
    else if (apic === undefined || !isLocalApicMsr(exit.msr)) fault();
    else if (exit.reason === 'msr-write') {
      if (writeLocalApicMsr(apic, exit.msr, exit.value)) processor.skipInstruction(exit.instructionLength);
      else fault();
    } else {
      const value = readLocalApicMsr(apic, exit.msr);
      if (value === undefined) fault();
      else give(value);
    }
  }

  // biome-ignore lint/correctness/useYield: nothing on a bare machine has stages.
  *handle(context: ExitContext): Handler {
    this.machine.finish(internalErrorEnd(new Error(`a bare machine has no VM exits, but one for ${context.exit.reason} came`)));
  }

  inspect(): InspectNode {
    return { name: 'platform', value: 'bare', detail: 'no hypervisor' };
  }
}
