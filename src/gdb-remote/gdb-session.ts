import { type DebugSession, LOST_GUEST } from '../debugger/debug-session.ts';
import { ExpressionError } from '../debugger/expressions/evaluator.ts';
import type { Guest } from '../debugger/launch-guest.ts';
import type { SessionEvent, StopEvent } from '../debugger/run-control/events.ts';
import type { CodeMode, Processor } from '../processor/processor.ts';
import { FAULT, MALFORMED, readMemory, writeMemory } from './memory.ts';
import { begin, halt, type Motion, parseActions, parsePlain, type StepRange } from './motion.ts';
import { bytesOfHex, hexOf, PacketReader, packet } from './packet.ts';
import { Points } from './points.ts';
import { answerQuery } from './queries.ts';
import { consoleOutput, exited, stopReply, type WatchedAccess } from './stop-reply.ts';
import { describeTarget, type GdbRegister, type TargetDescription } from './target-description.ts';

const OK = 'OK';
const NO_TIME_TRAVEL = 'E.This guest is not recorded, so it can not run backwards; set a breakpoint earlier and run it again.';

/** An error that a person can read (GDB manual, "Standard Replies"). */
const failure = ({ message }: ExpressionError) => `E.${message}`;

/** How a client ended a session. */
export type SessionEnd = 'detached' | 'killed';

/**
 * GDB's remote protocol over one guest (GDB manual, appendix "GDB Remote Serial Protocol"), as a state machine without I/O:
 * bytes in, text out (latin-1), and a call that runs the guest for one slice. All-stop mode; vCPUs are threads.
 */
export class GdbSession {
  /** The registers that the client knows, by their numbers. */
  target: TargetDescription;
  /** Whether registers are described for this mode, whatever the guest is in. */
  wantedMode: CodeMode | undefined;
  /** Addresses of memory packets: those of the vCPU's paging, or physical ones. */
  memorySpace: 'gva' | 'gpa' = 'gva';
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
  /** The vCPU that a plain `s` steps; undefined for the one that stopped. */
  private stepper: number | undefined;
  private range: StepRange | undefined;
  /** The client waits for a stop. */
  private awaited = false;
  /** The client may start the guest anew, and stays when that has ended. */
  extendedMode = false;
  /** The mode that the client has been told the guest is in. */
  private toldMode: CodeMode;

  constructor(
    readonly guest: Guest,
    private readonly send: (text: string) => void,
  ) {
    const { session, partition } = guest;
    this.points = new Points(session);
    this.points.clear();
    session.setFilters(LOST_GUEST);
    const stop = standStill(session);
    this.vcpu = session.current;
    this.target = this.describe();
    this.toldMode = this.target.mode;
    this.lastReply = partition.end ? exited(partition.end.status) : stopReply(stop);
  }

  /**
   * Describes the registers anew, for the mode that the vCPU is in now. A 64-bit program is one from its first instruction on: a client
   * that has read it takes no other registers, although firmware enters it in another mode.
   */
  describe(): TargetDescription {
    this.target = describeTarget(this.processor, this.describedMode);
    this.toldMode = this.describedMode;
    return this.target;
  }

  private get describedMode(): CodeMode {
    return this.wantedMode ?? (this.guest.program.kind === 'elf64' ? 64 : this.processor.mode);
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
    else if (session.idle && session.alone) this.stuck();
    return session.hasWork;
  }

  /** What the client lets go waits for an interrupt, which only those that it holds could send. */
  private stuck(): void {
    const vcpu = this.guest.session.current;
    halt(this.guest.session);
    this.say(`vCPU ${vcpu} waits for an interrupt, and the vCPUs that could send one are locked.`);
    this.tell(stopReply({ reason: 'step', vcpu, description: 'Waiting' }));
  }

  private report(event: SessionEvent): void {
    if (event.kind === 'log') this.say(event.text);
    else if (event.kind === 'stopped') this.stopped(event.stop);
    else if (event.kind === 'ended') {
      this.say(event.end.message);
      this.tell(exited(event.end.status));
    }
  }

  private stopped(stop: StopEvent): void {
    const { session } = this.guest;
    const access = this.points.watched(stop);
    this.vcpu = stop.vcpu;
    if (access) {
      // The engine stops before an access; a client compares what it watches with what was there, behind it.
      this.making = access;
      session.stepInstruction();
      return;
    }
    const isStep = stop.reason === 'step';
    if (isStep && !this.making && this.isInRange()) {
      session.stepInstruction();
      return;
    }
    halt(session);
    this.tellMode();
    if (stop.reason === 'exception' && stop.text !== undefined) this.say(stop.text);
    this.tell(stopReply(stop, isStep ? this.making : this.points.reached(stop)));
  }

  private isInRange(): boolean {
    const { range, processor } = this;
    return range !== undefined && range.start <= processor.linearRip && processor.linearRip < range.end;
  }

  /** Answers the motion that the client waits for. */
  private tell(reply: string): void {
    this.lastReply = reply;
    this.making = undefined;
    this.range = undefined;
    if (this.awaited) this.reply(reply);
    this.awaited = false;
  }

  /** A line in the client's console. */
  private say(text: string): void {
    if (this.awaited) this.reply(consoleOutput(`${text}\n`));
  }

  /** Registers are described once; a guest that has changed its mode since has others. */
  private tellMode(): void {
    const mode = this.describedMode;
    if (mode !== this.toldMode && mode !== this.target.mode)
      this.say(`vCPU ${this.vcpu} runs ${mode}-bit code now; \`unset tdesc filename\` shows the registers of that mode.`);
    this.toldMode = mode;
  }

  private get processor(): Processor {
    return this.guest.session.vcpu(this.vcpu).processor;
  }

  /** Undefined: the reply comes when the guest stops. */
  private handle(text: string): string | undefined {
    try {
      return this.answer(text.charAt(0), text.slice(1), text);
    } catch (error) {
      if (error instanceof ExpressionError) return failure(error);
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
      case 'x':
        return readMemory(this.processor, this.memorySpace, kind, rest);
      case 'M':
      case 'X':
        return writeMemory(this.processor, this.memorySpace, kind, rest);
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
        return this.resume(parsePlain(kind, rest, this.guest.partition.vcpus.length, this.stepper ?? this.guest.session.current));
      case 'b':
        return rest === 's' || rest === 'c' ? NO_TIME_TRAVEL : '';
      case 'v':
        return this.extended(rest);
      case '!':
        this.extendedMode = true;
        return OK;
      case 'R':
        this.restart();
        return undefined;
      case 'D':
        this.leave('detached');
        return OK;
      case 'k':
        this.kill();
        return undefined;
      default:
        return '';
    }
  }

  private leave(end: SessionEnd): void {
    this.points.clear();
    this.end = end;
  }

  /** In extended mode the guest can be run again, so it is set back instead of ended. */
  private kill(): void {
    if (this.extendedMode) this.restart();
    else this.leave('killed');
  }

  /** Back to the first instruction, with all breakpoints. */
  private restart(): void {
    const { session } = this.guest;
    session.restart();
    this.awaited = false;
    this.range = undefined;
    this.making = undefined;
    this.vcpu = 0;
    this.stepper = undefined;
    this.lastReply = stopReply(session.stopAtEntry());
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

  // --- motions ---------------------------------------------------------------------------------------------------------------

  /** `Hg` chooses the vCPU that is looked at, `Hc` the one that a plain step is for. 0 is any, -1 is all. */
  private selectThread(text: string): string {
    const id = Number.parseInt(text.slice(1), 16);
    const vcpu = id > 0 ? id - 1 : this.guest.session.current;
    if (!this.guest.partition.vcpus[vcpu]) return 'E01';
    if (text.startsWith('g')) this.vcpu = vcpu;
    else this.stepper = id > 0 ? vcpu : undefined;
    return OK;
  }

  private extended(text: string): string | undefined {
    const { session, partition } = this.guest;
    if (text === 'Cont?') return 'vCont;c;C;s;S;r';
    if (text.startsWith('Cont;')) return this.resume(parseActions(text.slice(5), partition.vcpus.length, session.current));
    if (text.startsWith('Kill')) {
      this.kill();
      return OK;
    }
    if (text.startsWith('Run') && this.extendedMode) {
      this.restart();
      return this.lastReply;
    }
    return '';
  }

  private resume(motion: Motion | undefined): string | undefined {
    const { session, partition } = this.guest;
    if (!motion) return MALFORMED;
    if (partition.end) return this.lastReply;
    begin(session, motion);
    this.range = motion.range;
    this.making = undefined;
    this.awaited = true;
    return undefined;
  }
}

/** The stop that a guest stands at; one that runs is paused. */
function standStill(session: DebugSession): StopEvent {
  const paused: StopEvent | undefined = session.running
    ? { reason: 'pause', vcpu: session.current, description: 'Paused' }
    : undefined;
  halt(session);
  // What nobody was there to hear.
  while (session.hasEvents) session.slice();
  return paused ?? session.lastStop ?? session.stopAtEntry();
}

function littleEndian(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}
