import type { Processor } from '../../../processor/processor.ts';
import { VECTOR_SIZE, VECTORS } from '../../../processor/state/layout.ts';

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
const RSI = 6;
const RDI = 7;
const R8 = 8;
const UPPER = 32n;
const CR0_PE = 1n;

/** What a caller has put into its registers (TLFS, "Hypercall calling convention"). */
export interface CallRegisters {
  /** A 64-bit caller: RCX, RDX and R8, result in RAX. Others: EDX:EAX, EBX:ECX and EDI:ESI, result in EDX:EAX. */
  readonly isWide: boolean;
  readonly control: bigint;
  /** Where the input parameters are, or their first 8 bytes with a fast call. */
  readonly input: bigint;
  /** Where the output parameters go, or the next 8 bytes. */
  readonly output: bigint;
}

/** Bytes of parameters that a fast call has in general registers, and with XMM0 to XMM5. */
export const FAST_BYTES = 16;
export const FAST_XMM_BYTES = 112;

/** Whether code may make hypercalls as it runs: at CPL 0, in protected or long mode. */
export function mayCall(processor: Processor): boolean {
  return processor.cpl === 0 && (processor.state.cr0 & CR0_PE) !== 0n;
}

export function callRegisters({ mode, state }: Processor): CallRegisters {
  if (mode === 64) return { isWide: true, control: state.gpr(RCX), input: state.gpr(RDX), output: state.gpr(R8) };
  const pair = (high: number, low: number) => (BigInt(state.gpr32(high)) << UPPER) | BigInt(state.gpr32(low));
  return { isWide: false, control: pair(RDX, RAX), input: pair(RBX, RCX), output: pair(RDI, RSI) };
}

/** The result in RAX or EDX:EAX; no other register changes. */
export function giveResult({ state }: Processor, { isWide }: CallRegisters, result: bigint): void {
  if (isWide) state.setGpr(RAX, result);
  else setPair(state, RDX, RAX, result);
}

/** A changed control word, which the vCPU goes on with. */
export function giveControl({ state }: Processor, { isWide }: CallRegisters, control: bigint): void {
  if (isWide) state.setGpr(RCX, control);
  else setPair(state, RDX, RAX, control);
}

function setPair(state: Processor['state'], high: number, low: number, value: bigint): void {
  state.setGpr32(high, Number((value >> UPPER) & 0xffff_ffffn));
  state.setGpr32(low, Number(value & 0xffff_ffffn));
}

/** The parameters of a fast call: 16 bytes in general registers, then 96 in XMM0 to XMM5. */
export function fastParameters({ state }: Processor, { input, output }: CallRegisters): DataView {
  const view = new DataView(new ArrayBuffer(FAST_XMM_BYTES));
  view.setBigUint64(0, input, true);
  view.setBigUint64(8, output, true);
  for (let at = FAST_BYTES; at < FAST_XMM_BYTES; at += 8) view.setBigUint64(at, state.get64(xmmOffset(at)), true);
  return view;
}

/** Writes output of a fast call from a byte of its parameter block on, a multiple of 16. Registers are written whole, the rest of the last one with zeros. */
export function giveFastOutput({ state }: Processor, { isWide }: CallRegisters, from: number, bytes: DataView): void {
  for (let done = 0; done < bytes.byteLength; done += 8) {
    let value = 0n;
    for (let at = Math.min(bytes.byteLength - done, 8) - 1; at >= 0; at--)
      value = (value << 8n) | BigInt(bytes.getUint8(done + at));
    const to = from + done;
    if (to >= FAST_BYTES) state.set64(xmmOffset(to), value);
    else if (isWide) state.setGpr(to === 0 ? RDX : R8, value);
    else if (to === 0) setPair(state, RBX, RCX, value);
    else setPair(state, RDI, RSI, value);
  }
}

/** Where 8 bytes of the parameter block are in the vCPU's state. */
function xmmOffset(at: number): number {
  const inXmm = at - FAST_BYTES;
  return VECTORS + (inXmm >> 4) * VECTOR_SIZE + (inXmm & 8);
}
