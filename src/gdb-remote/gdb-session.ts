import { ExpressionError } from '../debugger/expressions/evaluator.ts';
import type { Guest } from '../debugger/launch-guest.ts';
import type { SessionEvent, StopEvent } from '../debugger/run-control/events.ts';
import type { Processor } from '../processor/processor.ts';
import { bytesOfHex, bytesOfText, hexOf, PACKET_SIZE, PacketReader, packet } from './packet.ts';
import { Points } from './points.ts';
import { answerQuery } from './queries.ts';
import { consoleOutput, exited, stopReply, type WatchedAccess } from './stop-reply.ts';
import { describeTarget, type GdbRegister, type TargetDescription } from './target-description.ts';

const OK = 'OK';
/** The client asked for something that isn't there (memory without a page, a register that can't be set). */
const FAULT = 'E0e';
const MALFORMED = 'E16';

/** How a client ended a session. */
export type SessionEnd = 'detached' | 'killed';

/**
 * GDB's remote protocol over one guest (GDB manual, appendix "GDB Remote Serial Protocol"), as a state machine without I/O:
 * bytes in, text out (latin-1), and a call that runs the guest for one slice. All-stop mode; vCPUs are threads.
 */
export class GdbSession {
  readonly target: TargetDescription;
  /** The vCPU that registers and memory are read from. */
  vcpu = 0;
  /** Packets are acknowledged until the client asks for silence. */
  acknowledges = true;
  /** Set when the client has left or wants the guest to end. */
  end: SessionEnd | undefined;
  private readonly reader = new PacketReader();
  private readonly points: Points;
  private lastSent = '';
  private lastReply: string;
  /** A watched access is being made: the client is told of it behind the instruction. */
  private making: WatchedAccess | undefined;

  constructor(
    readonly guest: Guest,
    private readonly send: (text: string) => void,
  ) {
    this.target = describeTarget(guest.session.vcpu(0).processor);
    this.points = new Points(guest.session);
    this.lastReply = stopReply(guest.session.lastStop ?? guest.session.stopAtEntry());
  }

  /** Takes bytes of the client. Whatever they are, nothing is thrown. */
  receive(chunk: Uint8Array): void {
    for (const message of this.reader.push(chunk)) {
      if (message.kind === 'interrupt') this.guest.session.pause();
      else if (message.kind === 'nack') this.send(this.lastSent);
      else if (message.kind === 'damaged') this.send('-');
      else if (message.kind === 'packet') {
        if (this.acknowledges) this.send('+');
        const reply = this.handle(message.text);
        if (reply !== undefined) this.reply(reply);
      }
    }
  }

  private reply(text: string): void {
    this.lastSent = packet(text);
    this.send(this.lastSent);
  }

  /** Runs the guest for a few milliseconds; true when it wants to go on. */
  slice(): boolean {
    const { session } = this.guest;
    if (!session.hasWork) return false;
    const event = session.slice();
    if (event) this.report(event);
    return session.hasWork;
  }

  /** Another slice has nothing to do in the next milliseconds, unless a packet comes. */
  get isWaiting(): boolean {
    return this.guest.session.isWaiting;
  }

  private report(event: SessionEvent): void {
    if (event.kind === 'log') this.reply(consoleOutput(`${event.text}\n`));
    else if (event.kind === 'stopped') this.stopped(event.stop);
    else {
      this.reply(consoleOutput(`${event.end.message}\n`));
      this.lastReply = exited(event.end.status);
      this.reply(this.lastReply);
    }
  }

  private stopped(stop: StopEvent): void {
    this.vcpu = stop.vcpu;
    const access = this.points.watched(stop);
    if (access) {
      // The engine stops before an access; a client compares what it watches with what was there, behind it.
      this.making = access;
      this.guest.session.stepInstruction();
      return;
    }
    this.lastReply = stopReply(stop, stop.reason === 'step' ? this.making : undefined);
    this.making = undefined;
    this.reply(this.lastReply);
  }

  private get processor(): Processor {
    return this.guest.session.vcpu(this.vcpu).processor;
  }

  /** Undefined: the reply comes when the guest stops. */
  private handle(text: string): string | undefined {
    try {
      return this.answer(text.charAt(0), text.slice(1), text);
    } catch (error) {
      if (error instanceof ExpressionError) return FAULT;
      throw error;
    }
  }

  private answer(kind: string, rest: string, whole: string): string | undefined {
    switch (kind) {
      case '?':
        return this.lastReply;
      case 'q':
      case 'Q':
        return answerQuery(this, whole);
      case 'g':
        return this.target.registers.map((register) => this.readRegister(register)).join('');
      case 'G':
        return this.writeRegisters(rest);
      case 'p':
        return this.readOne(rest);
      case 'P':
        return this.writeOne(rest);
      case 'm':
        return this.readMemory(rest);
      case 'M':
      case 'X':
        return this.writeMemory(kind, rest);
      case 'Z':
      case 'z':
        return this.points.change(kind === 'Z', rest) ? OK : MALFORMED;
      case 'H':
        return this.selectThread(rest);
      case 'T':
        return this.guest.partition.vcpus[Number.parseInt(rest, 16) - 1] ? OK : 'E01';
      case 'c':
      case 's':
      case 'C':
      case 'S':
        return this.resume(kind.toLowerCase(), undefined);
      case 'v':
        return this.extended(rest);
      case 'D':
        this.leave('detached');
        return OK;
      case 'k':
        this.leave('killed');
        return undefined;
      default:
        return '';
    }
  }

  private leave(end: SessionEnd): void {
    this.points.clear();
    this.end = end;
  }

  // --- registers and memory ------------------------------------------------------------------------------------------------

  private readRegister({ bits, read }: GdbRegister): string {
    const value = read(this.processor);
    if (value === undefined) return 'xx'.repeat(bits / 8);
    return hexOf(Uint8Array.from({ length: bits / 8 }, (_, index) => Number((value >> BigInt(index * 8)) & 0xffn)));
  }

  private readOne(text: string): string {
    const register = this.target.registers[Number.parseInt(text, 16)];
    return register ? this.readRegister(register) : 'E01';
  }

  private writeOne(text: string): string {
    const [, number, hex] = /^([0-9a-f]+)=([0-9a-f]*)$/i.exec(text) ?? [];
    const register = number === undefined ? undefined : this.target.registers[Number.parseInt(number, 16)];
    const bytes = bytesOfHex(hex ?? '');
    if (!register || !bytes) return MALFORMED;
    return register.write(this.processor, littleEndian(bytes)) ? OK : FAULT;
  }

  private writeRegisters(text: string): string {
    let at = 0;
    for (const register of this.target.registers) {
      const hex = text.slice(at, at + register.bits / 4);
      at += hex.length;
      const bytes = bytesOfHex(hex);
      // `xx` stands for a register that the client doesn't know.
      if (bytes && bytes.length > 0 && this.readRegister(register) !== hex.toLowerCase())
        register.write(this.processor, littleEndian(bytes));
    }
    return OK;
  }

  private readMemory(text: string): string {
    const [, address, length] = /^([0-9a-f]{1,16}),([0-9a-f]{1,8})$/i.exec(text) ?? [];
    if (address === undefined || length === undefined) return MALFORMED;
    const count = Math.min(Number.parseInt(length, 16), PACKET_SIZE / 2 - 8);
    const bytes = this.processor.readMemory('gva', BigInt(`0x${address}`), count);
    return bytes.length === 0 && count > 0 ? FAULT : hexOf(bytes);
  }

  private writeMemory(kind: string, text: string): string {
    const [, address, data = ''] = /^([0-9a-f]{1,16}),[0-9a-f]{1,8}:([\s\S]*)$/i.exec(text) ?? [];
    const bytes = kind === 'X' ? bytesOfText(data) : bytesOfHex(data);
    if (address === undefined || !bytes) return MALFORMED;
    return this.processor.writeMemory('gva', BigInt(`0x${address}`), bytes) === bytes.length ? OK : FAULT;
  }

  // --- motions ---------------------------------------------------------------------------------------------------------------

  /** `Hg` chooses the vCPU that is looked at; what goes on is said by each motion. */
  private selectThread(text: string): string {
    const id = Number.parseInt(text.slice(1), 16);
    const vcpu = id > 0 ? id - 1 : this.guest.session.current;
    if (!this.guest.partition.vcpus[vcpu]) return 'E01';
    if (text.startsWith('g') || id > 0) this.vcpu = vcpu;
    return OK;
  }

  private extended(text: string): string | undefined {
    if (text === 'Cont?') return 'vCont;c;C;s;S';
    if (text.startsWith('Kill')) {
      this.leave('killed');
      return OK;
    }
    if (!text.startsWith('Cont;')) return '';
    // The first action is for the thread that it names; the others go on when it does.
    const [, action = 'c', thread] = /^([cs])(?:[0-9a-f]{2})?(?::(-?[0-9a-f]+))?/i.exec(text.slice(5).toLowerCase()) ?? [];
    return this.resume(action, thread);
  }

  private resume(action: string, thread: string | undefined): undefined {
    const { session, partition } = this.guest;
    const id = Number.parseInt(thread ?? '', 16) - 1;
    if (partition.vcpus[id]) session.current = id;
    if (partition.end) {
      this.reply(this.lastReply);
      return undefined;
    }
    if (action === 's') session.stepInstruction();
    else session.continue();
    return undefined;
  }
}

function littleEndian(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}
