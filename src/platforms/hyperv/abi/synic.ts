/** The synthetic interrupt controller (SynIC): registers and pages of guest memory (TLFS, "Inter-partition communication"). */

/** Interrupt sources (SINTx) of a virtual processor. */
export const SOURCES = 16;

export const SYNIC_VERSION = 1n;

/** Bit 0 of SCONTROL; as `PAGE_ENABLED` of SIEFP, SIMP and SIRBP. */
export const ENABLED = 1n;

/** Fields of a SINT register. */
export const Sint = {
  VECTOR: 0xffn,
  MASKED: 1n << 16n,
  AUTO_EOI: 1n << 17n,
  POLLING: 1n << 18n,
  AS_INTERCEPT: 1n << 19n,
  PROXY: 1n << 20n,
} as const;

/** Value of a SINT register at reset. */
export const SINT_AT_RESET = Sint.MASKED;
export const LOWEST_VECTOR = 16n;

/** Bytes of a message slot and of the event flags of a source. */
export const SLOT_SIZE = 256;

/** Offsets in a message (HV_MESSAGE). */
export const Message = { TYPE: 0, PAYLOAD_SIZE: 4, FLAGS: 5, SENDER: 8, PAYLOAD: 16 } as const;
export const LONGEST_PAYLOAD = 240;
/** Flag of a message: there are more in the queue, so that the guest must write to EOM once it has emptied the slot. */
export const MESSAGE_PENDING = 1;

/** Of the types of messages that the hypervisor itself sends; those that guests send have it clear. */
export const HYPERVISOR_TYPES = 0x8000_0000;
export const MessageType = { NONE: 0, TIMER_EXPIRED: 0x8000_0010, SINT_INTERCEPT: 0x8000_0061 } as const;

export const EVENT_FLAGS = SLOT_SIZE * 8;

/**
 * Offsets in the ring of a source, 256 bytes of the event ring page (Linux, hv_synic_event_ring): a byte that says that the reader needs no
 * interrupt, one that says that more waits than there was room for, and numbers of ports, each of 32 bits and 0 where there is none.
 */
export const Ring = { SIGNAL_MASKED: 0, FULL: 1, ENTRIES: 4 } as const;
export const RING_ENTRIES = 63;

/** A port or a message for whichever virtual processor takes it. */
export const ANY_VP = 0xffff_ffff;

/** Buffers that a port for messages has. */
export const BUFFERS_PER_PORT = 16;

/** Types of ports (HV_PORT_TYPE). */
export const PortType = { MESSAGE: 1, EVENT: 2, MONITOR: 3, DOORBELL: 4 } as const;

/**
 * A monitor page (TLFS, HV_MONITOR_PAGE): offsets of its state, of the pending and armed bits of its 4 groups of 32 triggers, of the
 * triggers' latencies (16 bits, in 100 ns), and of what they signal (a connection's number, and a flag of 16 bits behind it).
 */
export const Monitor = { STATE: 0, PENDING: 8, ARMED: 12, LATENCY: 576, PARAMETER: 1088 } as const;
export const MONITOR_GROUPS = 4;
export const TRIGGERS_PER_GROUP = 32;
/** Of the state: bits 3:0 enable groups; bit 4: the hypervisor doesn't look at the page now. */
export const MONITOR_DISABLED = 1 << 4;

/** Flags of a connection to a doorbell (HV_DOORBELL_FLAG_*): the size of the writes that ring it, and whether they may have any value. */
export const DoorbellFlag = { SIZE: 7n, ANY_VALUE: 0x8000_0000n } as const;
/** Bytes of a write by the flags' size; 0: any number. */
export const DOORBELL_SIZES = [0, 1, 2, 4, 8] as const;

/** Numbers of ports and connections have 24 bits; the others must be 0. */
export const ID_BITS = 24;

/** Properties of a port (HV_PORT_PROPERTY_CODE). */
export const PortProperty = { POST_COUNT: 0, PREFERRED_TARGET_VP: 1, MONITOR_ADDRESS: 2, TARGET_VP: 4 } as const;
