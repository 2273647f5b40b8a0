/** Numbers of virtio that all devices and transports share (virtio 1.2, chapters 2, 5 and 6). No behaviour. */

/** Device status (2.1). */
export const Status = {
  ACKNOWLEDGE: 1,
  DRIVER: 2,
  DRIVER_OK: 4,
  FEATURES_OK: 8,
  NEEDS_RESET: 0x40,
  FAILED: 0x80,
} as const;

/** Bits of features that belong to no kind of device (6). */
export const Feature = {
  INDIRECT_DESC: 28,
  EVENT_IDX: 29,
  VERSION_1: 32,
  RING_PACKED: 34,
  IN_ORDER: 35,
  NOTIFICATION_DATA: 38,
  RING_RESET: 40,
} as const;

/** Kinds of devices (5). */
export const DeviceId = { NETWORK: 1, BLOCK: 2, CONSOLE: 3, ENTROPY: 4, BALLOON: 5, P9: 9, VSOCK: 19 } as const;

/** The bit of a feature, as feature words have it. */
export const featureBit = (feature: number): bigint => 1n << BigInt(feature);

/** The words of features with these bits. */
export const featureBits = (...features: readonly number[]): bigint =>
  features.reduce((bits, feature) => bits | featureBit(feature), 0n);

/** Names of the bits of a status, lowest first. */
export function statusNames(status: number): readonly string[] {
  return Object.entries(Status).flatMap(([name, bit]) => (status & bit ? [name] : []));
}

/** Names of the bits of features; `own` are those of the kind of device. A bit without a name is shown by its number. */
export function featureNames(features: bigint, own: Readonly<Record<string, number>>): readonly string[] {
  const names = new Map<number, string>(Object.entries({ ...own, ...Feature }).map(([name, bit]) => [bit, name]));
  const found: string[] = [];
  for (let bit = 0; bit < 128; bit++) if ((features >> BigInt(bit)) & 1n) found.push(names.get(bit) ?? `bit ${bit}`);
  return found;
}
