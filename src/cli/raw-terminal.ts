import { CONSOLE_SIZE, encodeConsoleSize } from '../devices/virtio/inputs.ts';
import type { Partition } from '../hypervisor/partition/partition.ts';

/** Ctrl+A: what the next key means is for Hyperscope, as in QEMU and screen. */
const PREFIX = 0x01;
const END = new Set([...'xX'].map((key) => key.charCodeAt(0)));
const CONTROL_X = 0x18;
const HELP = 'hyperscope: Ctrl+A X ends the guest, Ctrl+A Ctrl+A types Ctrl+A; all other keys go to the guest\r\n';

/** Takes the keys for Hyperscope out of what is typed. */
export class EscapeKeys {
  private isPrefixed = false;

  constructor(
    /** A key behind Ctrl+A that means nothing. */
    private readonly help: () => void,
    private readonly end: () => void,
  ) {}

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
      else if (END.has(key) || key === CONTROL_X) this.end();
      else this.help();
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

  /** Undefined where stdin or stdout is no terminal. `end` is called when the user wants the guest to end. */
  static open(partition: Partition, end: () => void): RawTerminal | undefined {
    return process.stdin.isTTY && process.stdout.isTTY ? new RawTerminal(partition, end) : undefined;
  }

  private constructor(partition: Partition, end: () => void) {
    const help = () => void process.stderr.write(HELP);
    this.keys = new EscapeKeys(help, end);
    this.tellSize = () => {
      const { columns, rows } = process.stdout;
      if (columns > 0 && rows > 0) partition.sendToDevice(CONSOLE_SIZE, encodeConsoleSize({ columns, rows }));
    };
    process.stdin.setRawMode(true);
    process.stdout.on('resize', this.tellSize);
    help();
    this.tellSize();
  }

  close(): void {
    process.stdout.off('resize', this.tellSize);
    process.stdin.setRawMode(false);
  }
}
