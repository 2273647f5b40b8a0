import { GuestFault } from '../faults/guest-fault.ts';
import type { RegisterTarget, WriteRefusal } from '../processor.ts';
import { dataSegment, loadLdt, loadTaskRegister } from '../segmentation/load.ts';
import * as L from '../state/layout.ts';
import { AccessExit, type SystemContext } from './context.ts';
import { writeCr0, writeCr3, writeCr4 } from './control-registers.ts';
import { writeDebugRegister } from './debug-moves.ts';

/**
 * Writes a register from outside of the guest (a debugger), with the checks and the consequences that the instruction for it
 * has at CPL 0. What would fault is refused, and nothing has changed.
 */
export function writeFromOutside(context: SystemContext, target: RegisterTarget, value: bigint): WriteRefusal | undefined {
  try {
    return write(context, target, value) ? undefined : 'no such register';
  } catch (error) {
    if (error instanceof GuestFault) return { vector: error.vector, errorCode: error.errorCode };
    // A descriptor that lies in device memory.
    if (error instanceof AccessExit) return 'unreadable';
    throw error;
  }
}

/** False for a register that the processor doesn't have. */
function write(context: SystemContext, target: RegisterTarget, value: bigint): boolean {
  switch (target.kind) {
    case 'control':
      return writeControl(context, target.number, value);
    case 'debug':
      writeDebugRegister(context, target.number, value);
      return true;
    case 'msr': {
      const msr = context.model.msr(target.index);
      msr?.write(context, value);
      return msr !== undefined;
    }
    case 'segment':
      return loadSegment(context, target.number, Number(value & 0xffffn));
  }
}

function writeControl(context: SystemContext, number: number, value: bigint): boolean {
  if (number === 0) writeCr0(context, value);
  else if (number === 2) context.state.set64(L.CR2, value);
  else if (number === 3) writeCr3(context, value);
  else if (number === 4) writeCr4(context, value);
  else return false;
  return true;
}

/** CS is loaded by far transfers alone, which go somewhere else at the same time. */
function loadSegment(context: SystemContext, number: number, selector: number): boolean {
  if (number === L.Segment.CS) return false;
  if (number === L.Segment.LDTR) loadLdt(context, selector);
  else if (number === L.Segment.TR) loadTaskRegister(context, selector);
  else context.state.setSegment(number, dataSegment(context, number, selector));
  context.modeChanged();
  return true;
}
