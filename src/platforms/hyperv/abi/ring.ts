/**
 * Rings of VMBus channels (Linux include/linux/hyperv.h, struct hv_ring_buffer and struct vmpacket_descriptor): a control page and pages
 * of data. The writer moves the write index, the reader the read index; both are bytes into the data. Equal indices mean an empty ring, so
 * it is never filled whole.
 */

/** Offsets in a ring's control page. */
export const RingControl = {
  WRITE_INDEX: 0,
  READ_INDEX: 4,
  /** The reader wants no interrupts just now. */
  INTERRUPT_MASK: 8,
  /** Bytes that the writer waits for; 0 when it doesn't. */
  PENDING_SEND_SIZE: 12,
  FEATURES: 64,
} as const;

/** Bit of the features: who reads looks at the pending send size. */
export const HAS_PENDING_SEND_SIZE = 1;

export const RING_PAGE = 4096;
/** {u16 type, u16 offset of the data / 8, u16 length / 8, u16 flags, u64 transaction}. */
export const PACKET_HEADER = 16;
/** Behind each packet: {u32 0, u32 where the packet starts}. */
export const PACKET_FOOTER = 8;
/** Flag of a packet: its receiver is to answer with a completion. */
export const COMPLETION_REQUESTED = 1;

export const PacketType = {
  INVALID: 0,
  SYNCH: 1,
  ADD_TRANSFER_PAGE_SET: 2,
  REMOVE_TRANSFER_PAGE_SET: 3,
  ESTABLISH_GPADL: 4,
  TEARDOWN_GPADL: 5,
  DATA_IN_BAND: 6,
  DATA_TRANSFER_PAGES: 7,
  DATA_GPADL: 8,
  DATA_GPA_DIRECT: 9,
  CANCEL: 10,
  COMPLETION: 11,
} as const;

const NAMES: ReadonlyMap<number, string> = new Map<number, string>([
  [PacketType.DATA_IN_BAND, 'in-band'],
  [PacketType.DATA_TRANSFER_PAGES, 'transfer pages'],
  [PacketType.DATA_GPADL, 'GPADL'],
  [PacketType.DATA_GPA_DIRECT, 'GPA direct'],
  [PacketType.CANCEL, 'cancel'],
  [PacketType.COMPLETION, 'completion'],
]);

/** `in-band`, or the number of a type that no device uses. */
export function packetTypeName(type: number): string {
  return NAMES.get(type) ?? `type ${type}`;
}
