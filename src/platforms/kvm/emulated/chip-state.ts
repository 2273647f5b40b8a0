import type { IoApicState } from '../../../devices/io-apic/device.ts';
import type { PicChipState } from '../../../devices/pic8259/chip.ts';
import type { Pic8259State } from '../../../devices/pic8259/device.ts';

/** Bytes of the union in struct kvm_irqchip. */
export const CHIP_SIZE = 512;

/** struct kvm_pic_state: a byte for each of these, in this order. */
const Pic = {
  LAST_IRR: 0,
  IRR: 1,
  IMR: 2,
  ISR: 3,
  PRIORITY_ADD: 4,
  IRQ_BASE: 5,
  READ_REG_SELECT: 6,
  POLL: 7,
  SPECIAL_MASK: 8,
  INIT_STATE: 9,
  AUTO_EOI: 10,
  ROTATE_ON_AUTO_EOI: 11,
  SPECIAL_FULLY_NESTED: 12,
  INIT4: 13,
  ELCR: 14,
  ELCR_MASK: 15,
} as const;

/** Initialization words that a PIC waits for, as the kernel numbers them: none, ICW2, ICW3, ICW4. */
const INIT_STEPS = [0, 2, 3, 4] as const;

export function takePic(state: PicChipState, elcrMask: number): Uint8Array {
  const bytes = new Uint8Array(CHIP_SIZE);
  bytes[Pic.LAST_IRR] = state.lines;
  bytes[Pic.IRR] = state.irr;
  bytes[Pic.IMR] = state.imr;
  bytes[Pic.ISR] = state.isr;
  bytes[Pic.PRIORITY_ADD] = (state.lowestPriority + 1) & 7;
  bytes[Pic.IRQ_BASE] = state.vectorBase;
  bytes[Pic.READ_REG_SELECT] = state.readIsr ? 1 : 0;
  bytes[Pic.POLL] = state.poll ? 1 : 0;
  bytes[Pic.SPECIAL_MASK] = state.specialMask ? 1 : 0;
  bytes[Pic.INIT_STATE] = Math.max((INIT_STEPS as readonly number[]).indexOf(state.initStep), 0);
  bytes[Pic.AUTO_EOI] = state.autoEoi ? 1 : 0;
  bytes[Pic.ROTATE_ON_AUTO_EOI] = state.rotateOnAutoEoi ? 1 : 0;
  bytes[Pic.SPECIAL_FULLY_NESTED] = state.specialFullyNested ? 1 : 0;
  bytes[Pic.INIT4] = state.needsIcw4 ? 1 : 0;
  bytes[Pic.ELCR] = state.elcr;
  bytes[Pic.ELCR_MASK] = elcrMask;
  return bytes;
}

export function picFrom(bytes: Uint8Array, old: PicChipState): PicChipState {
  const at = (index: number) => bytes[index] ?? 0;
  return {
    ...old,
    lines: at(Pic.LAST_IRR),
    irr: at(Pic.IRR),
    imr: at(Pic.IMR),
    isr: at(Pic.ISR),
    lowestPriority: (at(Pic.PRIORITY_ADD) + 7) & 7,
    vectorBase: at(Pic.IRQ_BASE) & 0xf8,
    readIsr: at(Pic.READ_REG_SELECT) !== 0,
    poll: at(Pic.POLL) !== 0,
    specialMask: at(Pic.SPECIAL_MASK) !== 0,
    initStep: INIT_STEPS[at(Pic.INIT_STATE)] ?? 0,
    autoEoi: at(Pic.AUTO_EOI) !== 0,
    rotateOnAutoEoi: at(Pic.ROTATE_ON_AUTO_EOI) !== 0,
    specialFullyNested: at(Pic.SPECIAL_FULLY_NESTED) !== 0,
    needsIcw4: at(Pic.INIT4) !== 0,
    elcr: at(Pic.ELCR) & at(Pic.ELCR_MASK),
  };
}

/** A pair with one of its chips replaced. */
export function withChip(state: Pic8259State, isSlave: boolean, chip: PicChipState): Pic8259State {
  return isSlave ? { ...state, slave: chip } : { ...state, master: chip };
}

/** struct kvm_ioapic_state. */
const IoApicLayout = { BASE: 0, SELECT: 8, ID: 12, IRR: 16, ENTRIES: 24 } as const;
const IOAPIC_BASE = 0xfec0_0000n;

export function takeIoApic(state: IoApicState): Uint8Array {
  const bytes = new Uint8Array(CHIP_SIZE);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(IoApicLayout.BASE, IOAPIC_BASE, true);
  view.setUint32(IoApicLayout.SELECT, state.select, true);
  view.setUint32(IoApicLayout.ID, state.id, true);
  view.setUint32(IoApicLayout.IRR, state.lines, true);
  for (const [pin, low] of state.low.entries()) {
    view.setUint32(IoApicLayout.ENTRIES + pin * 8, low, true);
    view.setUint32(IoApicLayout.ENTRIES + pin * 8 + 4, state.high[pin] ?? 0, true);
  }
  return bytes;
}

export function ioApicFrom(bytes: Uint8Array, old: IoApicState): IoApicState {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const word = (pin: number, half: 0 | 4) => view.getUint32(IoApicLayout.ENTRIES + pin * 8 + half, true);
  return {
    ...old,
    select: view.getUint32(IoApicLayout.SELECT, true) & 0xff,
    id: view.getUint32(IoApicLayout.ID, true) & 0xf,
    lines: view.getUint32(IoApicLayout.IRR, true),
    low: old.low.map((_, pin) => word(pin, 0)),
    high: old.high.map((_, pin) => word(pin, 4)),
  };
}
