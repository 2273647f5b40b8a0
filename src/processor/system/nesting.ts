import type { DecodedInstruction } from '../../x86/instruction.ts';
import type { SvmInstruction } from '../intercepts.ts';
import { isLong, isProtected, isVirtual8086 } from '../segmentation/descriptor.ts';
import type { SystemHelper } from './context.ts';
import { reg, requireCpl0, rm, undefinedInstruction } from './operands.ts';

/** Instructions of a hypervisor, by their ModRM byte behind 0F 01. The processor doesn't have them: a guest's only leave. */
const VMX: Readonly<Record<number, string>> = { 194: 'vmlaunch', 195: 'vmresume', 196: 'vmxoff' };
const SVM: Readonly<Record<number, SvmInstruction>> = {
  216: 'vmrun',
  218: 'vmload',
  219: 'vmsave',
  220: 'stgi',
  221: 'clgi',
  222: 'skinit',
  223: 'invlpga',
};

/** The byte of a register form, without what REX adds. */
function modrmByte(decoded: DecodedInstruction): number {
  return 0xc0 | ((reg(decoded) & 7) << 3) | (rm(decoded) & 7);
}

/** In VMX non-root operation they leave at any privilege level (Intel SDM vol. 3, 31.3). */
export const vmxInstruction: SystemHelper = (context, decoded) => {
  const instruction = VMX[modrmByte(decoded)];
  const isUndefined = !isProtected(context) || isVirtual8086(context) || (isLong(context) && context.mode !== 64);
  if (!context.intercepts.vmx || isUndefined || instruction === undefined) return undefinedInstruction();
  return { reason: 'vmx', instruction };
};

/** A guest runs with EFER.SVME set, so that the privilege level is all that comes before the intercept (AMD APM vol. 2, table 15-7). */
export const svmInstruction: SystemHelper = (context, decoded) => {
  const instruction = SVM[modrmByte(decoded)];
  if (instruction === undefined || !context.intercepts.svm.has(instruction)) return undefinedInstruction();
  if (!isProtected(context) || isVirtual8086(context)) return undefinedInstruction();
  requireCpl0(context);
  return { reason: 'svm', instruction };
};
