/** Types of packets in a channel's ring that the network VSP takes and sends (vmbus/vsp.ts). */
export const PacketType = { DATA_IN_BAND: 6, DATA_TRANSFER_PAGES: 7, DATA_GPA_DIRECT: 9, COMPLETION: 11 } as const;
