/** Name of the input from outside by which devices of the VMBus are taken away and given back. */
export const VMBUS_INPUT = 'hyperv vmbus';

/** A device is given back (`isIn`), or taken away. */
export interface Plugging {
  readonly isIn: boolean;
  /** Of its service. */
  readonly name: string;
}

/** As the input door has it: bytes. */
export function encodePlugging({ isIn, name }: Plugging): Uint8Array {
  return new TextEncoder().encode(`${isIn ? '+' : '-'}${name}`);
}

/** Undefined for bytes that say neither. */
export function decodePlugging(bytes: Uint8Array): Plugging | undefined {
  const [, sign, name] = /^([+-])(.+)$/s.exec(new TextDecoder().decode(bytes)) ?? [];
  return name === undefined ? undefined : { isIn: sign === '+', name };
}
