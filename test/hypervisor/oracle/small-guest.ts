import type { InterceptSettings } from '../../../src/hypervisor/intercepts/settings.ts';
import type { SettingName } from '../../../src/hypervisor/intercepts/table.ts';
import * as L from '../../../src/processor/state/layout.ts';
import { At } from '../../processor/system/machine.ts';
import { codeOf } from '../../processor/translator/programs.ts';
import { InterceptedGuest, type Vendor } from '../intercepts/guest.ts';

/** What the oracles' hypervisors copy for each guest: all memory but the page of its code, and its code. */
const MEMORY_START = 0x1000;
const MEMORY_END = 0x10000;
export const CODE_SIZE = 0x200;
const HLT = 0xf4;

/** A guest of a few instructions, and what is asked for of its exits. */
export interface SmallGuest {
  readonly name: string;
  readonly source: string;
  readonly on?: readonly SettingName[];
  readonly values?: Partial<Omit<InterceptSettings, 'on'>>;
  /** The stack isn't mapped. */
  readonly noStack?: boolean;
  readonly flags?: number;
  readonly cr0?: bigint;
  readonly interruptibility?: number;
  readonly activity?: number;
}

export function codeBytes({ source }: SmallGuest): Uint8Array {
  const code = new Uint8Array(CODE_SIZE).fill(HLT);
  code.set(codeOf(`bits 64\n${source}\nhlt`));
  return code;
}

/** The guest on the emulated processor, before its first instruction. */
export function guestOf(vendor: Vendor, kind: SmallGuest): InterceptedGuest {
  const guest = new InterceptedGuest(vendor, '');
  guest.memory.write(BigInt(At.HANDLER), Uint8Array.of(0x90, 0x90, HLT));
  guest.memory.write(BigInt(At.CODE), codeBytes(kind));
  const { state, processor } = guest;
  for (let register = 0; register < 16; register++) state.setGpr(register, 0n);
  state.setGpr(4, kind.noStack ? 0x4000_1000n : BigInt(At.STACK));
  state.rflags = kind.flags ?? 2;
  if (kind.cr0 !== undefined) state.set64(L.CR0, kind.cr0);
  state.set32(L.INTERRUPTIBILITY, kind.interruptibility ?? 0);
  state.set32(L.ACTIVITY, kind.activity ?? 0);
  processor.stateChanged();
  return guest;
}

/** Memory that the guests share: tables and stacks. */
export function sharedMemory(guest: InterceptedGuest): Uint8Array {
  return guest.memory.read(BigInt(MEMORY_START), MEMORY_END - MEMORY_START);
}
