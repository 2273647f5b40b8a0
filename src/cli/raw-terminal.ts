import { CONSOLE_SIZE, encodeConsoleSize } from '../devices/virtio/inputs.ts';
import type { Partition } from '../hypervisor/partition/partition.ts';

/** Ctrl+A: what the next key means is for Hyperscope, as in QEMU and screen. */
const PREFIX = 0x01;
const END = new Set([...'xX'].map((key) => key.charCodeAt(0)));
const CONTROL_X = 0x18;
const ASK = new Set([...'qQ'].map((key) => key.charCodeAt(0)));
const CONTROL_Q = 0x11;
const help = (canAsk: boolean) =>
  `hyperscope: Ctrl+A X ends the guest,${canAsk ? ' Ctrl+A Q asks it to shut down,' : ''} Ctrl+A Ctrl+A types Ctrl+A; all other keys go to the guest\r\n`;

/** What the keys behind Ctrl+A do. */
export interface EscapeActions {
  /** A key that means nothing. */
  readonly help: () => void;
  readonly end: () => void;
  /** Asks the guest to shut down. */
  readonly ask: () => void;
}

/** Takes the keys for Hyperscope out of what is typed. */
export class EscapeKeys {
  private isPrefixed = false;

  constructor(private readonly actions: EscapeActions) {}

  /** What of a piece is for the guest. */
  take(chunk: Uint8Array): Uint8Array {
    const passed: number[] = [];
    for (const key of chunk) {
      if (!this.isPrefixed) {
        this.isPrefixed = key === PREFIX;
        if (!this.isPrefixed) passed.push(key);
        continue;
      }
      this.isPrefixed = false;
      if (key === PREFIX) passed.push(key);
      else if (END.has(key) || key === CONTROL_X) this.actions.end();
      else if (ASK.has(key) || key === CONTROL_Q) this.actions.ask();
      else this.actions.help();
    }
    return Uint8Array.from(passed);
  }
}

/**
 * The terminal that a run was started in as the guest's: every key goes there at once, Ctrl+C too, and the guest makes the echo. A virtio
 * console follows its size.
 */
export class RawTerminal {
  readonly keys: EscapeKeys;
  private readonly tellSize: () => void;

  /** Undefined where stdin or stdout is no terminal. The actions are those of the user's wishes. */
  static open(partition: Partition, actions: Omit<EscapeActions, 'help'>): RawTerminal | undefined {
    return process.stdin.isTTY && process.stdout.isTTY ? new RawTerminal(partition, actions) : undefined;
  }

  private constructor(partition: Partition, actions: Omit<EscapeActions, 'help'>) {
    const tell = () => void process.stderr.write(help(partition.platform === 'hyperv'));
    this.keys = new EscapeKeys({ ...actions, help: tell });
    this.tellSize = () => {
      const { columns, rows } = process.stdout;
      if (columns > 0 && rows > 0) partition.sendToDevice(CONSOLE_SIZE, encodeConsoleSize({ columns, rows }));
    };
    process.stdin.setRawMode(true);
    process.stdout.on('resize', this.tellSize);
    tell();
    this.tellSize();
  }

  close(): void {
    process.stdout.off('resize', this.tellSize);
    process.stdin.setRawMode(false);
  }
}
