import type { Processor } from '../processor/processor.ts';

/** Values of a CPUID leaf, as numbers of 32 bits. */
export interface CpuidValues {
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

/** Writes EAX, EBX, ECX and EDX as CPUID does. */
export function giveCpuid({ state }: Processor, { eax, ebx, ecx, edx }: CpuidValues): void {
  state.setGpr32(0, eax);
  state.setGpr32(3, ebx);
  state.setGpr32(1, ecx);
  state.setGpr32(2, edx);
}

/** Writes EDX:EAX as RDMSR does. */
export function giveMsr(processor: Processor, value: bigint): void {
  processor.state.setGpr(0, value & 0xffff_ffffn);
  processor.state.setGpr(2, (value >> 32n) & 0xffff_ffffn);
}

/** The lowest bytes of a value, lowest first. */
export function leBytes(value: bigint, count: number): Uint8Array {
  return Uint8Array.from({ length: count }, (_, index) => Number((value >> BigInt(index * 8)) & 0xffn));
}

/** The value of bytes, lowest first. */
export function littleEndian(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}
