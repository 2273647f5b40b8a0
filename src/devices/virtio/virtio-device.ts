import { VirtioSession } from './transport/session.ts';

/** A device that speaks virtio, whatever its transport, for who looks into a machine. */
export interface VirtioDevice {
  readonly name: string;
  readonly session: VirtioSession;
}

export function isVirtioDevice<Some extends { readonly name: string }>(device: Some): device is Some & VirtioDevice {
  return 'session' in device && device.session instanceof VirtioSession;
}
