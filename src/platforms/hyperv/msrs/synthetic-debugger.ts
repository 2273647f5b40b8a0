import type { InspectNode } from '../../../devices/inspect.ts';
import type { Processor } from '../../../processor/processor.ts';
import { Msr } from '../abi/msrs.ts';
import { DebuggerControl, DebuggerStatus } from '../abi/synthetic-debugger.ts';
import { readPage } from '../hypercalls/guest-access.ts';
import type { Hyperv } from '../hyperv.ts';
import type { MsrGroup } from './msr-group.ts';

/** A guest's line to a kernel debugger on another machine, by MSRs or by hypercalls. */
export interface DebuggerLine {
  /** Takes a packet. */
  post(packet: Uint8Array): void;
}

const BUFFERS = [Msr.SYNDBG_SEND_BUFFER, Msr.SYNDBG_RECEIVE_BUFFER, Msr.SYNDBG_PENDING_BUFFER];
const PAGE = 0x1000;
/** Bytes of the last packet that are kept to be shown. */
const SHOWN = 16;

/**
 * The MSRs through which a guest exchanges packets with its kernel debugger. None is connected: what the guest sends arrives as on a network
 * where nobody listens, and is counted; nothing comes back, so the pending byte in the guest's memory is never touched.
 */
export class SyntheticDebugger implements MsrGroup, DebuggerLine {
  readonly msrs = [Msr.SYNDBG_CONTROL, Msr.SYNDBG_STATUS, ...BUFFERS, Msr.SYNDBG_OPTIONS];
  private readonly values = new Map<number, bigint>();
  private packets = 0;
  private bytes = 0;
  private last = new Uint8Array();

  constructor(private readonly hyperv: Pick<Hyperv, 'machine'>) {}

  read(_processor: Processor, msr: number): bigint {
    return this.values.get(msr) ?? 0n;
  }

  write(_processor: Processor, msr: number, value: bigint): boolean {
    this.values.set(msr, value);
    if (msr === Msr.SYNDBG_CONTROL) this.values.set(Msr.SYNDBG_STATUS, this.perform(value));
    return true;
  }

  /** What becomes of a write of CONTROL: the new status. Bits that nobody has described have no effect. */
  private perform(control: bigint): bigint {
    // Nothing has come that could be received.
    if ((control & DebuggerControl.SEND) === 0n) return DebuggerStatus.FAILED;
    const size = Number((control & DebuggerControl.SIZE) >> DebuggerControl.SIZE_SHIFT);
    const packet = this.readPacket(this.values.get(Msr.SYNDBG_SEND_BUFFER) ?? 0n, size);
    if (packet === undefined) return DebuggerStatus.FAILED;
    this.post(packet);
    return DebuggerStatus.SENT;
  }

  /** Bytes of the guest's memory; undefined where it can't read all of them itself. */
  private readPacket(gpa: bigint, size: number): Uint8Array | undefined {
    const packet = new Uint8Array(size);
    for (let done = 0; done < size; ) {
      const at = gpa + BigInt(done);
      const part = readPage(this.hyperv, at, Math.min(size - done, PAGE - Number(at & 0xfffn)));
      if (part === undefined) return undefined;
      packet.set(part, done);
      done += part.length;
    }
    return packet;
  }

  post(packet: Uint8Array): void {
    this.packets++;
    this.bytes += packet.length;
    this.last = packet.slice(0, SHOWN);
  }

  reset(vcpu: number): void {
    if (vcpu !== 0) return;
    this.values.clear();
    this.packets = 0;
    this.bytes = 0;
    this.last = new Uint8Array();
  }

  inspect(): readonly InspectNode[] {
    if (this.packets === 0) return [];
    const begins = Array.from(this.last, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
    return [
      {
        name: 'synthetic debugger',
        value: `${this.packets} packets sent, ${this.bytes} bytes`,
        detail: `none is connected; the last one begins with ${begins || 'nothing'}`,
      },
    ];
  }
}
