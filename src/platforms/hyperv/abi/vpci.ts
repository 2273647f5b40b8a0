import { guidBytes } from './guid.ts';

/** The protocol of the virtual PCI bus (Linux drivers/pci/controller/pci-hyperv.c). Little-endian, packed. No behaviour. */

export const VPCI_INTERFACE = '44c4f61d-4444-4400-9d52-802e27ede19f';

/** Versions: the major number above the minor one. */
export const VpciVersion = { V1_1: 0x1_0001, V1_2: 0x1_0002, V1_3: 0x1_0003, V1_4: 0x1_0004 } as const;
export const VPCI_VERSIONS: readonly number[] = Object.values(VpciVersion);

/** `1.4`. */
export function vpciVersionName(version: number): string {
  return `${version >>> 16}.${version & 0xffff}`;
}

const BASE = 0x4249_0000;
export const VpciMessage = {
  BUS_RELATIONS: BASE,
  QUERY_BUS_RELATIONS: BASE + 1,
  POWER_STATE_CHANGE: BASE + 4,
  QUERY_RESOURCE_REQUIREMENTS: BASE + 5,
  QUERY_RESOURCE_RESOURCES: BASE + 6,
  BUS_D0ENTRY: BASE + 7,
  BUS_D0EXIT: BASE + 8,
  READ_BLOCK: BASE + 9,
  WRITE_BLOCK: BASE + 0xa,
  EJECT: BASE + 0xb,
  QUERY_STOP: BASE + 0xc,
  REENABLE: BASE + 0xd,
  QUERY_STOP_FAILED: BASE + 0xe,
  EJECTION_COMPLETE: BASE + 0xf,
  RESOURCES_ASSIGNED: BASE + 0x10,
  RESOURCES_RELEASED: BASE + 0x11,
  INVALIDATE_BLOCK: BASE + 0x12,
  QUERY_PROTOCOL_VERSION: BASE + 0x13,
  CREATE_INTERRUPT_MESSAGE: BASE + 0x14,
  DELETE_INTERRUPT_MESSAGE: BASE + 0x15,
  RESOURCES_ASSIGNED2: BASE + 0x16,
  CREATE_INTERRUPT_MESSAGE2: BASE + 0x17,
  DELETE_INTERRUPT_MESSAGE2: BASE + 0x18,
  BUS_RELATIONS2: BASE + 0x19,
  RESOURCES_ASSIGNED3: BASE + 0x1a,
  CREATE_INTERRUPT_MESSAGE3: BASE + 0x1b,
} as const;

const NAMES: ReadonlyMap<number, string> = new Map<number, string>(
  Object.entries(VpciMessage).map(([name, type]) => [type, `PCI_${name}`]),
);

/** `PCI_BUS_D0ENTRY`, or the number of a type that isn't one. */
export function vpciMessageName(type: number): string {
  return NAMES.get(type) ?? `message ${type}`;
}

/** Messages that came with a later version than the first. */
export const SINCE: ReadonlyMap<number, number> = new Map<number, number>([
  [VpciMessage.RESOURCES_ASSIGNED2, VpciVersion.V1_2],
  [VpciMessage.CREATE_INTERRUPT_MESSAGE2, VpciVersion.V1_2],
  [VpciMessage.DELETE_INTERRUPT_MESSAGE2, VpciVersion.V1_2],
  [VpciMessage.RESOURCES_ASSIGNED3, VpciVersion.V1_4],
  [VpciMessage.CREATE_INTERRUPT_MESSAGE3, VpciVersion.V1_4],
]);

/** A message of the guest: its type, and what is behind it. */
export interface VpciRequest {
  readonly type: number;
  readonly body: DataView;
}

/** Reads a packet; undefined for what is no message. */
export function readVpci(payload: Uint8Array): VpciRequest | undefined {
  if (payload.length < 4) return undefined;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  return { type: view.getUint32(0, true), body: new DataView(payload.buffer, payload.byteOffset + 4, payload.length - 4) };
}

/** Bytes of bodies, behind the type, as far as they are looked at. */
export const VpciSize = {
  VERSION: 4,
  SLOT: 4,
  /** {u32 0, u64 where configuration space is}. */
  D0_ENTRY: 12,
  /** {u32 slot, u32 state, u32 0}. */
  POWER: 12,
  /** {u32 slot, 20 × 6 bytes of memory ranges, u32 descriptors of messages …}. */
  RESOURCES: 128,
  /** {u32 slot, interrupt}, and an interrupt: {u16 0, u16 vectors, u32 data, u64 address}. */
  DELETE_INTERRUPT: 20,
  INTERRUPT: 16,
} as const;
/** Where the number of descriptors is among resources. */
export const RESOURCES_DESCRIPTORS = 124;

/** A place on the bus: device 4:0, function 7:5. */
export function slotText(slot: number): string {
  return slot >>> 8 === 0 ? `device ${slot & 0x1f}, function ${slot >> 5}` : `slot ${slot}`;
}

/** An interrupt that the guest asks for. */
export interface InterruptWish {
  readonly slot: number;
  readonly vector: number;
  /** As an ICR has it, bits 10:8. */
  readonly mode: number;
  readonly count: number;
  /** As the guest names them: also those that it hasn't got. */
  readonly vps: readonly number[];
}

/** vCPUs that the second and the third form have room for. */
const MOST_NAMED = 32;

/** Reads CREATE_INTERRUPT_MESSAGE in its three forms; undefined for a body that is too short, or names more vCPUs than it has. */
export function readInterruptWish({ type, body }: VpciRequest): InterruptWish | undefined {
  if (type === VpciMessage.CREATE_INTERRUPT_MESSAGE) {
    // {u32 slot, u8 vector, u8 mode, u16 count, u32 0, u64 mask}.
    if (body.byteLength < 20) return undefined;
    const mask = body.getBigUint64(12, true);
    const vps = Array.from({ length: 64 }, (_, vp) => vp).filter((vp) => ((mask >> BigInt(vp)) & 1n) !== 0n);
    return { slot: slotOf(body), vector: body.getUint8(4), mode: body.getUint8(5), count: body.getUint16(6, true), vps };
  }
  // {u32 slot, u8 vector, u8 mode …}, or since 1.4 {u32 slot, u32 vector, u8 mode, u8 0 …}; then {u16 count, u16 vCPUs, u16 numbers[32]}.
  const isWide = type === VpciMessage.CREATE_INTERRUPT_MESSAGE3;
  const at = isWide ? 10 : 6;
  if (body.byteLength < at + 4) return undefined;
  const named = body.getUint16(at + 2, true);
  if (named > MOST_NAMED || body.byteLength < at + 4 + 2 * named) return undefined;
  return {
    slot: slotOf(body),
    vector: isWide ? body.getUint32(4, true) : body.getUint8(4),
    mode: body.getUint8(isWide ? 8 : 5),
    count: body.getUint16(at, true),
    vps: Array.from({ length: named }, (_, index) => body.getUint16(at + 4 + 2 * index, true)),
  };
}

function slotOf(body: DataView): number {
  return body.getUint32(0, true);
}

/** The window on configuration spaces: a page whose first word selects a slot, and one with that slot's registers. */
export const WINDOW_PAGE = 0x1000;
export const WINDOW_LENGTH = 0x2000;

/** The device that the hypervisor knows a function by: of its bus's instance, as text, and its number 0 to 7. */
export function deviceIdOf(instanceId: string, functionNumber: number): bigint {
  const [low = 0, high = 0, lower = 0, higher = 0] = guidBytes(instanceId)?.subarray(4, 8) ?? [];
  const id = (high << 24) | (low << 16) | (higher << 8) | (lower & 0xf8) | (functionNumber & 7);
  return BigInt(id >>> 0);
}
