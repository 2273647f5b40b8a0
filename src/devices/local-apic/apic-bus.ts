import type { LocalApic } from './device.ts';
import { lowestPriority } from './lowest-priority.ts';
import { Delivery } from './registers.ts';

/** An interrupt message on its way to local APICs: from an ICR, a redirection entry or an MSI. */
export interface InterruptMessage {
  /** Bits 10:8 of an ICR: see `Delivery`. */
  readonly mode: number;
  readonly vector: number;
  readonly level: boolean;
  /** Physical APIC id, or a logical destination. `EVERYBODY`, which 8-bit fields of ones mean (`destinationOf8Bits`). */
  readonly destination: number;
  readonly logical: boolean;
}

/** Who is asked about the messages of a machine. */
export interface MessageRules {
  /** Whether a processor may send this to others. */
  allows(message: InterruptMessage): boolean;
  /** A message named nobody. */
  unreached(message: InterruptMessage): void;
}

const NO_RULES: MessageRules = { allows: () => true, unreached() {} };

/** Connects the local APICs of a machine with each other and with the I/O APIC. Order is by vCPU, so it is deterministic. */
export class ApicBus {
  private readonly apics: LocalApic[] = [];
  private readonly eoiListeners: ((vector: number) => void)[] = [];

  constructor(private readonly rules: MessageRules = NO_RULES) {}

  attach(apic: LocalApic): void {
    this.apics.push(apic);
  }

  onEoi(listener: (vector: number) => void): void {
    this.eoiListeners.push(listener);
  }

  /** A level-triggered interrupt was ended. */
  broadcastEoi(vector: number): void {
    for (const listener of this.eoiListeners) listener(vector);
  }

  /** Delivers to whom the destination names; returns to how many. */
  send(message: InterruptMessage): number {
    const targets = this.apics.filter((apic) => apic.matches(message.destination, message.logical));
    if (targets.length === 0) this.rules.unreached(message);
    return this.deliverTo(targets, message);
  }

  /** What a processor sends by its ICR. Shorthands: 0 none, 1 self, 2 all, 3 all but self. Returns to how many. */
  sendIpi(shorthand: number, sender: LocalApic, message: InterruptMessage): number {
    if (shorthand !== 1 && !this.rules.allows(message)) return 0;
    if (shorthand === 0) return this.send(message);
    const targets = this.apics.filter((apic) => (shorthand === 1 ? apic === sender : shorthand === 2 || apic !== sender));
    return this.deliverTo(targets, message);
  }

  private deliverTo(targets: LocalApic[], message: InterruptMessage): number {
    if (message.mode === Delivery.LOWEST) {
      const chosen = lowestPriority(targets);
      chosen?.accept(Delivery.FIXED, message.vector, message.level);
      return chosen ? 1 : 0;
    }
    for (const apic of targets) apic.accept(message.mode, message.vector, message.level);
    return targets.length;
  }
}
