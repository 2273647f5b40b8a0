import { hex } from '../../x86/address.ts';
import type { CrashSession } from './crash-report.ts';

/** A place in the guest's code. */
export interface CrashPlace {
  /** Linear. */
  readonly address: string;
  /** `main+0x12`. */
  readonly symbol?: string;
  /** Name of the source file, without its folder. */
  readonly file?: string;
  readonly line?: number;
}

const HLT = 0xf4;

/** Where a vCPU stands. One that halted stands behind its HLT, which is what is meant. */
export function placeOf(session: Pick<CrashSession, 'vcpu' | 'symbols'>, index: number, halted = false): CrashPlace {
  const { symbols } = session;
  const { processor } = session.vcpu(index);
  const here = processor.linearRip;
  const isBehindHlt = halted && here > 0n && processor.readMemory('gva', here - 1n, 1)[0] === HLT;
  const address = isBehindHlt ? here - 1n : here;
  const position = symbols.lineAt(address)?.position;
  return {
    address: hex(address),
    symbol: symbols.describe(address),
    file: position?.path.split(/[\\/]/).at(-1),
    line: position?.line,
  };
}

/** `RIP 0x100012 (main+0x12, guest.c:7)`. */
export function describePlace({ address, symbol, file, line }: CrashPlace): string {
  const names = [symbol, file === undefined ? undefined : `${file}:${line}`].filter((name) => name !== undefined);
  return `RIP ${address}${names.length === 0 ? '' : ` (${names.join(', ')})`}`;
}
