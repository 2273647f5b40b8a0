import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { nodeFiles } from '../../src/cli/node-files.ts';
import { launchGuest } from '../../src/debugger/launch-guest.ts';
import { GdbSession } from '../../src/gdb-remote/gdb-session.ts';
import { bytesOfHex, bytesOfText, packet } from '../../src/gdb-remote/packet.ts';

/** A client of the remote protocol without any transport: it sends packets and runs the guest to its next reply. */
export class RemoteClient {
  readonly session: GdbSession;
  private sent = '';

  constructor(program: string, options: object = {}) {
    const guest = launchGuest({ program, ...options }, nodeFiles);
    this.session = new GdbSession(guest, (text) => {
      this.sent += text;
    });
    this.ask('QStartNoAckMode');
  }

  /** Bytes as they are. */
  raw(text: string): void {
    this.session.receive(bytesOfText(text));
  }

  /** What was sent since the last call, without acknowledgements: packets' texts. */
  take(): string[] {
    const found = [...this.sent.matchAll(/\$([^#]*)#[0-9a-f]{2}/g)].map(([, text = '']) =>
      text.replaceAll(/\}([\s\S])/g, (_whole, byte: string) => String.fromCharCode(byte.charCodeAt(0) ^ 0x20)),
    );
    this.sent = '';
    return found;
  }

  /** A packet with its answer. */
  ask(text: string): string {
    this.raw(packet(text));
    return this.take().at(-1) ?? '';
  }

  /** A motion, run until the guest has stopped or ended; gives all that was said. */
  move(text: string, slices = 3000): string[] {
    this.raw(packet(text));
    for (let slice = 0; slice < slices && this.session.slice(); slice++);
    return this.take();
  }

  /** The value of a register by its number in the target description. */
  register(name: string): bigint {
    const number = this.session.target.registers.findIndex((register) => register.name === name);
    const bytes = bytesOfHex(this.ask(`p${number.toString(16)}`)) ?? new Uint8Array();
    return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
  }
}

let folder: string | undefined;
let count = 0;

/** A client of a guest in assembly. */
export function guestClient(text: string, options: object = {}): RemoteClient {
  folder ??= mkdtempSync(path.join(tmpdir(), 'hyperscope-gdb-'));
  const file = path.join(folder, `guest${count++}.asm`);
  writeFileSync(file, text);
  return new RemoteClient(file, options);
}
