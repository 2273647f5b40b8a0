/** Registers of the local APIC (Intel SDM vol. 3, table 11-1), by offset in its page; x2APIC MSR = 0x800 + offset / 16. */

export const APIC_LENGTH = 0x1000n;
export const X2APIC_MSR_BASE = 0x800;
export const X2APIC_MSR_END = 0x8ff;
export const MSR_TSC_DEADLINE = 0x6e0;

export const Reg = {
  ID: 0x20,
  VERSION: 0x30,
  TPR: 0x80,
  APR: 0x90,
  PPR: 0xa0,
  EOI: 0xb0,
  REMOTE_READ: 0xc0,
  LDR: 0xd0,
  DFR: 0xe0,
  SVR: 0xf0,
  ISR: 0x100,
  TMR: 0x180,
  IRR: 0x200,
  ESR: 0x280,
  LVT_CMCI: 0x2f0,
  ICR_LOW: 0x300,
  ICR_HIGH: 0x310,
  LVT_TIMER: 0x320,
  LVT_THERMAL: 0x330,
  LVT_PERFORMANCE: 0x340,
  LVT_LINT0: 0x350,
  LVT_LINT1: 0x360,
  LVT_ERROR: 0x370,
  TIMER_INITIAL: 0x380,
  TIMER_CURRENT: 0x390,
  TIMER_DIVIDE: 0x3e0,
  /** x2APIC only. */
  SELF_IPI: 0x3f0,
} as const;

/** The destination that names everybody, in both destination modes (Intel SDM vol. 3, 11.12.9). */
export const EVERYBODY = 0xffff_ffff;
const EVERYBODY_8 = 0xff;

/** A destination of the 8 bits of xAPIC mode and of redirection entries, where all ones name everybody. */
export function destinationOf8Bits(destination: number): number {
  return destination === EVERYBODY_8 ? EVERYBODY : destination;
}

/** Version 0x14, six LVT entries, no suppression of EOI broadcasts. */
export const VERSION = 0x0005_0014;

/** Bits of IA32_APIC_BASE (MSR 0x1B). */
export const ApicBase = { BSP: 0x100n, X2APIC: 0x400n, ENABLE: 0x800n, ADDRESS: 0xf_ffff_ffff_f000n } as const;

export const SVR_ENABLE = 0x100;
export const SVR_MASK = 0x3ff;

export const Lvt = {
  VECTOR: 0xff,
  MODE: 0x700,
  PENDING: 0x1000,
  ACTIVE_LOW: 0x2000,
  REMOTE_IRR: 0x4000,
  LEVEL: 0x8000,
  MASKED: 0x1_0000,
} as const;
/** LVT timer, bits 18:17. */
export const TimerMode = { ONE_SHOT: 0, PERIODIC: 1, TSC_DEADLINE: 2 } as const;

/** Delivery modes of the ICR, LVTs and redirection entries, bits 10:8. */
export const Delivery = { FIXED: 0, LOWEST: 1, SMI: 2, NMI: 4, INIT: 5, STARTUP: 6, EXTINT: 7 } as const;
export const DELIVERY_NAMES = ['fixed', 'lowest priority', 'SMI', 'reserved', 'NMI', 'INIT', 'start-up', 'ExtINT'] as const;

export const Icr = { LOGICAL: 0x800, PENDING: 0x1000, ASSERT: 0x4000, LEVEL: 0x8000 } as const;
export const SHORTHAND_NAMES = ['', 'self', 'all including self', 'all excluding self'] as const;

export const Esr = { SEND_ILLEGAL: 0x20, RECEIVE_ILLEGAL: 0x40, ILLEGAL_REGISTER: 0x80 } as const;
