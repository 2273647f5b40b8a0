import type { InspectNode } from '../../../devices/inspect.ts';
import type { Processor } from '../../../processor/processor.ts';
import { type Handler, inFrame } from '../../../stages/stage.ts';
import { Msr } from '../abi/msrs.ts';
import { SOURCES, SYNIC_VERSION } from '../abi/synic.ts';
import { type Hyperv, hypervisorFrame } from '../hyperv.ts';
import type { MsrGroup } from '../msrs/msr-group.ts';
import { endOfMessage } from './handlers/end-of-message.ts';
import type { VpSynic } from './vp-synic.ts';

const SINTS = Array.from({ length: SOURCES }, (_, source) => Msr.SINT0 + source);

/** The MSRs of the SynICs. */
export class SynicMsrs implements MsrGroup {
  readonly msrs = [Msr.SCONTROL, Msr.SVERSION, Msr.SIEFP, Msr.SIMP, Msr.EOM, Msr.SIRBP, ...SINTS];

  /** `look`: what a debugger shows of them. */
  constructor(
    private readonly hyperv: Pick<Hyperv, 'vendor'>,
    private readonly vps: readonly VpSynic[],
    private readonly look: () => readonly InspectNode[],
  ) {}

  read({ index }: Processor, msr: number): bigint | undefined {
    const synic = this.vps[index];
    return synic && readSynicMsr(synic, msr);
  }
  write({ index }: Processor, msr: number, value: bigint): boolean {
    const synic = this.vps[index];
    return synic !== undefined && writeSynicMsr(synic, msr, value);
  }
  *writeInStages(processor: Processor, msr: number, value: bigint): Handler<boolean> {
    const synic = this.vps[processor.index];
    if (!synic || msr !== Msr.EOM) return this.write(processor, msr, value);
    yield* inFrame(hypervisorFrame(this.hyperv, 'end of message'), endOfMessage(synic));
    return true;
  }
  reset(vcpu: number): void {
    this.vps[vcpu]?.reset();
  }
  inspect(): readonly InspectNode[] {
    return this.look();
  }
}

/** Value of an MSR of the SynIC; undefined for one that there isn't. */
export function readSynicMsr(synic: VpSynic, msr: number): bigint | undefined {
  switch (msr) {
    case Msr.SCONTROL:
      return synic.scontrol;
    case Msr.SVERSION:
      return SYNIC_VERSION;
    case Msr.SIEFP:
      return synic.siefp;
    case Msr.SIMP:
      return synic.simp;
    case Msr.EOM:
      return 0n;
    case Msr.SIRBP:
      return synic.sirbp;
    default:
      return SINTS.includes(msr) ? synic.sint(msr - Msr.SINT0) : undefined;
  }
}

/** Writes an MSR of the SynIC; false (#GP) for one that can't be written, or not so. */
export function writeSynicMsr(synic: VpSynic, msr: number, value: bigint): boolean {
  switch (msr) {
    case Msr.SCONTROL:
      synic.scontrol = value;
      return true;
    case Msr.SIEFP:
      synic.siefp = value;
      return true;
    case Msr.SIMP:
      synic.simp = value;
      return true;
    case Msr.EOM:
      synic.endOfMessage();
      return true;
    case Msr.SIRBP:
      synic.sirbp = value;
      return true;
    default:
      return SINTS.includes(msr) && synic.setSint(msr - Msr.SINT0, value);
  }
}
