import type { StopEvent } from '../debugger/run-control/events.ts';
import { bytesOfText, hexOf } from './packet.ts';

/** Signal numbers of the protocol (GDB's include/gdb/signals.def). */
const Signal = { INT: 2, ILL: 4, TRAP: 5, FPE: 8, BUS: 10, SEGV: 11 } as const;

/** Guest exceptions as the signals that an operating system would make of them. */
const SIGNALS: Readonly<Record<number, number>> = {
  0: Signal.FPE,
  6: Signal.ILL,
  12: Signal.BUS,
  13: Signal.SEGV,
  14: Signal.SEGV,
  17: Signal.BUS,
};

/** A watched access that has just been made. */
export interface WatchedAccess {
  readonly kind: 'watch' | 'rwatch' | 'awatch';
  readonly address: bigint;
}

/** The kind of breakpoint that was reached, as the client had it made. */
export type CodePoint = 'swbreak' | 'hwbreak';

/** A stop as a reply (GDB manual, "Stop Reply Packets"), with what it is about where that is known. */
export function stopReply(stop: StopEvent, about?: WatchedAccess | CodePoint): string {
  const thread = `thread:${(stop.vcpu + 1).toString(16)};`;
  const signal = signalOf(stop).toString(16).padStart(2, '0');
  const reason = typeof about === 'object' ? `${about.kind}:${about.address.toString(16)};` : about ? `${about}:;` : '';
  return `T${signal}${reason}${thread}`;
}

function signalOf({ reason, exit }: StopEvent): number {
  if (reason === 'pause') return Signal.INT;
  if (exit?.reason === 'exception') return SIGNALS[exit.vector] ?? Signal.TRAP;
  return exit?.reason === 'triple-fault' || exit?.reason === 'shutdown' ? Signal.SEGV : Signal.TRAP;
}

/** Text for the client's console; only a running guest may send it. */
export function consoleOutput(text: string): string {
  return `O${hexOf(bytesOfText(text))}`;
}

/** The end of the guest with its exit status. */
export function exited(status: number): string {
  return `W${(status & 0xff).toString(16).padStart(2, '0')}`;
}
