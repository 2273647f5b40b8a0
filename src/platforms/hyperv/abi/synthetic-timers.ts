/** Synthetic timers: four for each virtual processor (TLFS, "Timers"). */

/** Fields of CONFIG. */
export const StimerConfig = {
  ENABLED: 1n,
  PERIODIC: 1n << 1n,
  LAZY: 1n << 2n,
  AUTO_ENABLE: 1n << 3n,
  APIC_VECTOR_SHIFT: 4n,
  APIC_VECTOR: 0xffn << 4n,
  DIRECT_MODE: 1n << 12n,
  SINT_SHIFT: 16n,
  SINT: 0xfn << 16n,
} as const;

/** All fields; other bits must be 0. */
export const STIMER_CONFIG_BITS = 0xf_1fffn;

/** Payload of the message of an expired timer: number, expiration and delivery time in units of 100 ns. */
export const TimerPayload = { INDEX: 0, EXPIRATION: 8, DELIVERY: 16, SIZE: 24 } as const;

/** HV_X64_MSR_STIME_UNHALTED_TIMER_CONFIG (TLFS, "Synthetic time-unhalted timer"). */
export const UnhaltedTimerConfig = { VECTOR: 0xffn, ENABLED: 1n << 8n, DEFINED: 0x1ffn } as const;
