import type { ConsoleSize } from './console/control.ts';

/** Names of inputs from outside for virtio devices, and what is in them: the input door knows bytes. */

export const CONSOLE_SIZE = 'console-size';
/** Pages that the balloon is to have; statistics or hints that it is asked for. */
export const BALLOON_TARGET = 'balloon';
export const BALLOON_STATISTICS = 'balloon statistics';
export const BALLOON_HINTS = 'balloon hints';
/** What happened on the host of the guest's sockets. */
export const VSOCK_INPUT = 'vsock';
export const channelInput = (name: string): string => `channel ${name}`;

/** What shows the console has this size now. */
export function encodeConsoleSize({ columns, rows }: ConsoleSize): Uint8Array {
  return new Uint8Array(Uint16Array.of(columns, rows).buffer);
}
export function decodeConsoleSize(bytes: Uint8Array): ConsoleSize {
  const word = (at: number) => (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
  return { columns: word(0), rows: word(2) };
}

/** A number of pages. */
export function encodePages(pages: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(pages).buffer);
}
export function decodePages(bytes: Uint8Array): number {
  return [3, 2, 1, 0].reduce((value, at) => value * 256 + (bytes[at] ?? 0), 0);
}
