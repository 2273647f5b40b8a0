import { Instruction, Mnemonic } from 'iced-x86';
import type { Processor } from '../../processor/processor.ts';
import { hex } from '../../x86/address.ts';
import { CodeBytes } from '../inspection/code-bytes.ts';
import { instructionText } from '../inspection/disassembly.ts';
import { flowOf, LONGEST_INSTRUCTION } from '../inspection/instruction-flow.ts';
import type { RunControl } from './control.ts';

/** Something on the current line that a step can go into. */
export interface StepTarget {
  readonly kind: 'call' | 'exit';
  /** The function that is called, or `VM exit: vmcall`. */
  readonly label: string;
  /** Linear address of the instruction that goes there. */
  readonly site: bigint;
}

/** A line with more instructions than this is a macro or a table. */
const MOST_INSTRUCTIONS = 200;
/** RCX in encoding order: the MSR of RDMSR and WRMSR. */
const RCX = 1;

type Stepping = Pick<RunControl, 'partition' | 'symbols' | 'vcpu'>;

/** What the rest of the current line goes into: its calls and its VM exits, in the order of the code. None in a handler. */
export function stepTargets(session: Stepping, vcpu: number): StepTarget[] {
  const { processor, activity } = session.vcpu(vcpu);
  if (activity) return [];
  const hasExits = session.partition.platform !== 'bare';
  const start = processor.linearRip;
  const line = session.symbols.lineAt(start)?.position;
  /** A line may have several ranges: one for each instruction of a macro. Without lines it is one instruction. */
  const isOnLine = (at: bigint) => {
    const position = session.symbols.lineAt(at)?.position;
    return position ? position.line === line?.line && position.path === line.path : at === start;
  };
  const code = new CodeBytes(processor);
  const instruction = new Instruction();
  const targets: StepTarget[] = [];
  try {
    for (let at = start, count = 0; isOnLine(at) && count < MOST_INSTRUCTIONS; count++) {
      if (!code.decode(at, instruction)) break;
      const flow = flowOf(code.bytes(at, LONGEST_INSTRUCTION), code.mode, at, code.base);
      const text = instructionText(instruction);
      if (flow.kind === 'call') {
        const name = flow.target === undefined ? text : (session.symbols.describe(flow.target) ?? hex(flow.target));
        targets.push({ kind: 'call', label: name, site: at });
      } else if (hasExits && exits(processor, instruction, at === start))
        targets.push({ kind: 'exit', label: `VM exit: ${text}`, site: at });
      at += BigInt(instruction.length);
    }
  } finally {
    instruction.free();
    code.free();
  }
  return targets;
}

/** Whether an instruction leaves the guest, as far as that can be told before it runs. */
function exits({ intercepts, model, state }: Processor, { mnemonic }: Instruction, isNext: boolean): boolean {
  switch (mnemonic) {
    case Mnemonic.In:
    case Mnemonic.Out:
    case Mnemonic.Insb:
    case Mnemonic.Insw:
    case Mnemonic.Insd:
    case Mnemonic.Outsb:
    case Mnemonic.Outsw:
    case Mnemonic.Outsd:
      return true;
    case Mnemonic.Vmcall:
    case Mnemonic.Vmmcall:
      return intercepts.hypercall;
    case Mnemonic.Cpuid:
      return intercepts.cpuid;
    case Mnemonic.Hlt:
      return intercepts.hlt;
    case Mnemonic.Pause:
      return intercepts.pause;
    case Mnemonic.Rdtsc:
      return intercepts.rdtsc;
    case Mnemonic.Rdtscp:
      return intercepts.rdtscp;
    case Mnemonic.Rdpmc:
      return intercepts.rdpmc;
    case Mnemonic.Invlpg:
      return intercepts.invlpg;
    case Mnemonic.Invd:
      return intercepts.invd;
    case Mnemonic.Wbinvd:
      return intercepts.wbinvd;
    case Mnemonic.Monitor:
      return intercepts.monitor;
    case Mnemonic.Mwait:
      return intercepts.mwait;
    case Mnemonic.Rdrand:
      return intercepts.rdrand;
    case Mnemonic.Rdseed:
      return intercepts.rdseed;
    case Mnemonic.Invpcid:
      return intercepts.invpcid;
    case Mnemonic.Xsetbv:
      return intercepts.xsetbv;
    case Mnemonic.Rdmsr:
    case Mnemonic.Wrmsr: {
      // Which MSR it will be is known of the next instruction alone.
      const index = Number(BigInt.asUintN(32, state.gpr(RCX)));
      return !isNext || !model.msr(index) || intercepts.msr(index, mnemonic === Mnemonic.Wrmsr);
    }
    default:
      return false;
  }
}
