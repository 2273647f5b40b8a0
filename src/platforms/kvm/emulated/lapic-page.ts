import type { LocalApic } from '../../../devices/local-apic/device.ts';
import { Reg, VERSION } from '../../../devices/local-apic/registers.ts';

/** Bytes of struct kvm_lapic_state. */
export const LAPIC_SIZE = 0x400;
const SET_WORDS = 8;

/** The registers of a local APIC as its page has them, a word each 16 bytes. */
export function takeLapic(apic: LocalApic): Uint8Array {
  const page = new Uint8Array(LAPIC_SIZE);
  const view = new DataView(page.buffer);
  const put = (offset: number, value: number) => view.setUint32(offset, value >>> 0, true);
  const { registers, isr, tmr, irr } = apic.save();
  registers.forEach((value, index) => {
    put(index * 16, value);
  });
  for (let word = 0; word < SET_WORDS; word++) {
    put(Reg.ISR + word * 16, isr[word] ?? 0);
    put(Reg.TMR + word * 16, tmr[word] ?? 0);
    put(Reg.IRR + word * 16, irr[word] ?? 0);
  }
  put(Reg.VERSION, VERSION);
  put(Reg.PPR, apic.ppr);
  put(Reg.TIMER_INITIAL, apic.timer.initialCount);
  put(Reg.TIMER_CURRENT, apic.timer.currentCount);
  put(Reg.TIMER_DIVIDE, apic.timer.divideConfiguration);
  return page;
}

/** Puts them back. The timer begins anew with its initial count. */
export function putLapic(apic: LocalApic, page: Uint8Array): void {
  const view = new DataView(page.buffer, page.byteOffset, page.length);
  const at = (offset: number) => view.getUint32(offset, true);
  const set = (offset: number) => Array.from({ length: SET_WORDS }, (_, word) => at(offset + word * 16));
  const state = apic.save();
  apic.restore({
    ...state,
    registers: state.registers.map((_, index) => at(index * 16)),
    isr: set(Reg.ISR),
    tmr: set(Reg.TMR),
    irr: set(Reg.IRR),
  });
  const base = apic.mmio[0]?.base ?? 0n;
  for (const register of [Reg.TIMER_DIVIDE, Reg.LVT_TIMER, Reg.TIMER_INITIAL])
    apic.writeMmio(base + BigInt(register), 4, BigInt(at(register)));
}
