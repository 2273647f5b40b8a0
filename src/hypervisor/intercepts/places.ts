/** The control words of a VMCS that have a meaning by the bit, and their encodings (Intel SDM vol. 3, appendix B). */
export const VMX_FIELDS = {
  pin: 0x4000,
  primary: 0x4002,
  secondary: 0x401e,
  tertiary: 0x2034,
  exit: 0x400c,
  entry: 0x4012,
} as const;
export type VmxField = keyof typeof VMX_FIELDS;

/**
 * The words of a VMCB's control area that have a meaning by the bit, by their offsets (AMD APM vol. 2, table B-1): intercept
 * vectors 0 to 5, virtual interrupt control, nested paging, LBR virtualization.
 */
export const SVM_OFFSETS = [0x00, 0x04, 0x08, 0x0c, 0x10, 0x14, 0x60, 0x90, 0xb8] as const;
export type SvmOffset = (typeof SVM_OFFSETS)[number];

/** A bit of a VMCS control word, with its name in Intel SDM vol. 3, 25.6 to 25.8. */
export interface VmxBit {
  readonly field: VmxField;
  readonly bit: number;
  readonly name: string;
}

/** A bit of a VMCB word, with its name in AMD APM vol. 2, table B-1 and appendix C. */
export interface SvmBit {
  readonly offset: SvmOffset;
  readonly bit: number;
  readonly name: string;
}

/** Where a vendor has a setting: at a bit; nowhere, since it is always on; or not at all. */
export type VmxPlace = VmxBit | 'always' | 'none';
export type SvmPlace = SvmBit | 'always' | 'none';

const vmx =
  (field: VmxField) =>
  (bit: number, name: string): VmxBit => ({ field, bit, name });
const svm =
  (offset: SvmOffset) =>
  (bit: number, name: string): SvmBit => ({ offset, bit, name });

export const pin = vmx('pin');
export const primary = vmx('primary');
export const secondary = vmx('secondary');
export const tertiary = vmx('tertiary');
export const exit = vmx('exit');
export const entry = vmx('entry');

export const vector3 = svm(0x0c);
export const vector4 = svm(0x10);
export const vector5 = svm(0x14);
export const interruptControl = svm(0x60);
export const nestedControl = svm(0x90);
export const virtualization = svm(0xb8);

/** SVM's exit codes follow the intercept bits: 20h codes a word (AMD APM vol. 2, appendix C). */
export function svmExitCode({ offset, bit }: SvmBit): number {
  return offset * 8 + bit;
}
