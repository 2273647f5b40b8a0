/** The network device (virtio 1.2, 5.1). No behaviour. */

export const NetworkFeature = {
  CSUM: 0,
  GUEST_CSUM: 1,
  MTU: 3,
  MAC: 5,
  HOST_TSO4: 11,
  MRG_RXBUF: 15,
  STATUS: 16,
  CTRL_VQ: 17,
  CTRL_RX: 18,
  CTRL_VLAN: 19,
  CTRL_RX_EXTRA: 20,
  CTRL_MAC_ADDR: 23,
} as const;

export const Queue = { RECEIVE: 0, TRANSMIT: 1, CONTROL: 2 } as const;

/** Places in the configuration (5.1.4): Ethernet address, status, pairs of queues, MTU. */
export const Place = { MAC: 0, STATUS: 6, PAIRS: 8, MTU: 10 } as const;
export const CONFIGURATION_SIZE = 12;
export const LINK_UP = 1;

/** The header before each frame (5.1.6). */
export const HEADER_SIZE = 12;
export const Header = { FLAGS: 0, GSO_TYPE: 1, GSO_SIZE: 4, CHECKSUM_START: 6, CHECKSUM_OFFSET: 8, BUFFERS: 10 } as const;
export const HeaderFlag = { NEEDS_CHECKSUM: 1, DATA_VALID: 2 } as const;
export const Gso = { NONE: 0, TCPV4: 1 } as const;

/** Commands of the control queue (5.1.6.5), by their classes. */
export const ControlClass = { RX: 0, MAC: 1, VLAN: 2 } as const;
export const RxCommand = {
  PROMISCUOUS: 0,
  ALL_MULTICAST: 1,
  ALL_UNICAST: 2,
  NO_MULTICAST: 3,
  NO_UNICAST: 4,
  NO_BROADCAST: 5,
} as const;
export const MacCommand = { TABLE_SET: 0, ADDRESS_SET: 1 } as const;
export const VlanCommand = { ADD: 0, DELETE: 1 } as const;
export const Ack = { OK: 0, ERROR: 1 } as const;

export const MAC_SIZE = 6;
