import { hex } from '../../x86/address.ts';
import type { Device, InterruptLine, PortDevice } from '../device.ts';
import type { InspectNode } from '../inspect.ts';
import { requireVersion } from '../state.ts';
import * as R from './registers.ts';

export interface Uart16550State {
  readonly version: 1;
  readonly divisor: number;
  readonly ier: number;
  readonly fcr: number;
  readonly lcr: number;
  readonly mcr: number;
  readonly scr: number;
  /** Sticky line errors, low byte of LSR that a read clears. */
  readonly lineErrors: number;
  /** Delta bits of MSR. */
  readonly modemDeltas: number;
  readonly transmitPending: boolean;
  readonly receiver: readonly number[];
  /** Came from outside and found no room in the FIFO yet. */
  readonly backlog: readonly number[];
}

export interface Uart16550World {
  readonly base: number;
  readonly line: InterruptLine;
  /** A byte leaves on the wire. */
  readonly transmit: (byte: number) => void;
}

/** Bytes from outside that wait for room; more are dropped, as a cable would. */
const BACKLOG_LIMIT = 1 << 20;

/**
 * National Semiconductor 16550A. The wire is infinitely fast: what is written has left at once, and bytes from outside
 * fill the receive FIFO as the guest makes room.
 */
export class Uart16550 implements Device<Uart16550State>, PortDevice {
  readonly name = 'serial8250';
  readonly byteWide = true;
  readonly ports: readonly { readonly base: number; readonly count: number }[];

  private divisor = 1;
  private ier = 0;
  private fcr = 0;
  private lcr = 3;
  private mcr: number = R.Mcr.OUT2;
  private scr = 0;
  private lineErrors = 0;
  private modemDeltas = 0;
  private transmitPending = false;
  private receiver: number[] = [];
  private backlog: number[] = [];

  constructor(private readonly world: Uart16550World) {
    this.ports = [{ base: world.base, count: 8 }];
  }

  reset(): void {
    this.divisor = 1;
    this.ier = 0;
    this.fcr = 0;
    this.lcr = 3;
    // As firmware leaves it: the interrupt line is connected.
    this.mcr = R.Mcr.OUT2;
    this.scr = 0;
    this.lineErrors = 0;
    this.modemDeltas = 0;
    this.transmitPending = false;
    this.receiver = [];
    this.backlog = [];
    this.update();
  }

  /** Bytes arrive on the wire. */
  receive(bytes: Uint8Array): void {
    for (const byte of bytes) if (this.backlog.length < BACKLOG_LIMIT) this.backlog.push(byte);
    this.refill();
  }

  /** Whether a byte from outside would raise an interrupt. */
  get listensForInput(): boolean {
    return (this.ier & R.Ier.RECEIVED) !== 0;
  }

  readPort(port: number): number {
    const dlab = (this.lcr & R.Lcr.DLAB) !== 0;
    switch (port - this.world.base) {
      case R.DATA: {
        if (dlab) return this.divisor & 0xff;
        const byte = this.receiver.shift() ?? 0;
        this.refill();
        return byte;
      }
      case R.IER:
        return dlab ? this.divisor >> 8 : this.ier;
      case R.IIR_FCR: {
        const cause = this.cause();
        if (cause === R.Iir.TRANSMIT_EMPTY) {
          this.transmitPending = false;
          this.update();
        }
        return cause | (this.fcr & R.Fcr.ENABLE ? R.Iir.FIFO_ON : 0);
      }
      case R.LCR:
        return this.lcr;
      case R.MCR:
        return this.mcr;
      case R.LSR: {
        const value = this.lsr;
        this.lineErrors = 0;
        this.update();
        return value;
      }
      case R.MSR: {
        const value = this.msr;
        this.modemDeltas = 0;
        this.update();
        return value;
      }
      default:
        return this.scr;
    }
  }

  writePort(port: number, _size: number, value: number): void {
    const dlab = (this.lcr & R.Lcr.DLAB) !== 0;
    switch (port - this.world.base) {
      case R.DATA:
        if (dlab) this.divisor = (this.divisor & 0xff00) | value;
        else this.send(value);
        break;
      case R.IER:
        if (dlab) this.divisor = (this.divisor & 0xff) | (value << 8);
        else {
          // Enabling the transmitter's interrupt while the holding register is empty raises it.
          if ((value & ~this.ier & R.Ier.TRANSMIT_EMPTY) !== 0) this.transmitPending = true;
          this.ier = value & 0xf;
        }
        break;
      case R.IIR_FCR:
        if (((value ^ this.fcr) & R.Fcr.ENABLE) !== 0 || (value & R.Fcr.CLEAR_RECEIVER) !== 0) this.receiver = [];
        this.fcr = value & R.Fcr.ENABLE ? value & 0xc9 : 0;
        this.refill();
        break;
      case R.LCR:
        this.lcr = value;
        break;
      case R.MCR: {
        const before = this.msr;
        this.mcr = value & 0x1f;
        this.noteModemChange(before);
        this.refill();
        break;
      }
      case R.SCR:
        this.scr = value;
        break;
      default:
        break;
    }
    this.update();
  }

  private send(byte: number): void {
    this.transmitPending = true;
    if (this.mcr & R.Mcr.LOOPBACK) {
      if (this.receiver.length >= this.capacity) this.lineErrors |= R.Lsr.OVERRUN;
      else this.receiver.push(byte);
    } else this.world.transmit(byte);
  }

  private get capacity(): number {
    return this.fcr & R.Fcr.ENABLE ? R.FIFO_SIZE : 1;
  }

  private refill(): void {
    if (!(this.mcr & R.Mcr.LOOPBACK))
      while (this.receiver.length < this.capacity) {
        const byte = this.backlog.shift();
        if (byte === undefined) break;
        this.receiver.push(byte);
      }
    this.update();
  }

  private get lsr(): number {
    const ready = this.receiver.length > 0 ? R.Lsr.DATA_READY : 0;
    return ready | this.lineErrors | R.Lsr.THR_EMPTY | R.Lsr.IDLE;
  }

  private get msr(): number {
    let lines: number = R.Msr.CTS | R.Msr.DSR | R.Msr.DCD;
    if (this.mcr & R.Mcr.LOOPBACK) {
      lines = 0;
      if (this.mcr & R.Mcr.RTS) lines |= R.Msr.CTS;
      if (this.mcr & R.Mcr.DTR) lines |= R.Msr.DSR;
      if (this.mcr & R.Mcr.OUT1) lines |= R.Msr.RI;
      if (this.mcr & R.Mcr.OUT2) lines |= R.Msr.DCD;
    }
    return lines | this.modemDeltas;
  }

  private noteModemChange(before: number): void {
    const after = this.msr;
    const changed = before ^ after;
    if (changed & R.Msr.CTS) this.modemDeltas |= R.Msr.DCTS;
    if (changed & R.Msr.DSR) this.modemDeltas |= R.Msr.DDSR;
    if (before & ~after & R.Msr.RI) this.modemDeltas |= R.Msr.TERI;
    if (changed & R.Msr.DCD) this.modemDeltas |= R.Msr.DDCD;
  }

  /** Highest pending cause, by the data sheet's order of priority. */
  private cause(): number {
    if (this.ier & R.Ier.LINE_STATUS && this.lineErrors) return R.Iir.LINE_STATUS;
    if (this.ier & R.Ier.RECEIVED && this.receiver.length > 0) {
      const trigger = this.fcr & R.Fcr.ENABLE ? (R.TRIGGER_LEVELS[this.fcr >> 6] ?? 1) : 1;
      return this.receiver.length >= trigger ? R.Iir.RECEIVED : R.Iir.TIMEOUT;
    }
    if (this.ier & R.Ier.TRANSMIT_EMPTY && this.transmitPending) return R.Iir.TRANSMIT_EMPTY;
    if (this.ier & R.Ier.MODEM_STATUS && this.modemDeltas) return R.Iir.MODEM_STATUS;
    return R.Iir.NONE;
  }

  private update(): void {
    // On a PC, OUT2 gates the interrupt line; in loopback it is disconnected.
    const connected = (this.mcr & R.Mcr.OUT2) !== 0 && !(this.mcr & R.Mcr.LOOPBACK);
    this.world.line.set(connected && this.cause() !== R.Iir.NONE);
  }

  save(): Uart16550State {
    const { divisor, ier, fcr, lcr, mcr, scr, lineErrors, modemDeltas, transmitPending } = this;
    const receiver = [...this.receiver];
    const backlog = [...this.backlog];
    return { version: 1, divisor, ier, fcr, lcr, mcr, scr, lineErrors, modemDeltas, transmitPending, receiver, backlog };
  }

  restore(state: Uart16550State): void {
    requireVersion(this.name, state, 1);
    this.divisor = state.divisor;
    this.ier = state.ier;
    this.fcr = state.fcr;
    this.lcr = state.lcr;
    this.mcr = state.mcr;
    this.scr = state.scr;
    this.lineErrors = state.lineErrors;
    this.modemDeltas = state.modemDeltas;
    this.transmitPending = state.transmitPending;
    this.receiver = [...state.receiver];
    this.backlog = [...state.backlog];
    this.update();
  }

  inspect(): InspectNode {
    const baud = this.divisor === 0 ? 'no clock' : `${Math.floor(R.BASE_BAUD / this.divisor)} baud`;
    const parity = this.lcr & 8 ? (this.lcr & 0x10 ? 'E' : 'O') : 'N';
    const format = `${5 + (this.lcr & 3)}${parity}${this.lcr & 4 ? 2 : 1}`;
    return {
      name: this.name,
      value: hex(this.world.base),
      detail: `${format}, ${baud}`,
      children: [
        { name: 'IER', value: hex(this.ier, 2) },
        { name: 'IIR', value: hex(this.cause(), 2) },
        { name: 'FCR', value: hex(this.fcr, 2), detail: this.fcr & R.Fcr.ENABLE ? 'FIFOs on' : 'FIFOs off' },
        { name: 'LCR', value: hex(this.lcr, 2), detail: this.lcr & R.Lcr.DLAB ? 'divisor latch open' : format },
        { name: 'MCR', value: hex(this.mcr, 2), detail: this.mcr & R.Mcr.LOOPBACK ? 'loopback' : undefined },
        { name: 'LSR', value: hex(this.lsr, 2) },
        { name: 'MSR', value: hex(this.msr, 2) },
        { name: 'SCR', value: hex(this.scr, 2) },
        { name: 'receive FIFO', value: `${this.receiver.length} bytes`, detail: `${this.backlog.length} more wait outside` },
      ],
    };
  }
}
