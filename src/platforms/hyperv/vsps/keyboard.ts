import type { InspectNode } from '../../../devices/inspect.ts';
import { keyStrokes } from '../../../devices/keyboard/scan-codes.ts';
import type { Handler } from '../../../stages/stage.ts';
import * as A from '../abi/keyboard.ts';
import { PacketType } from '../abi/ring.ts';
import type { ChannelOffer, GuestPacket, HostPacket, Vsp, VspChannel } from '../vmbus/vsp.ts';
import { receiveKeyboard as receiveAtOnce } from './generated/keyboard.ts';
import { type KeyboardWork, receiveKeyboard } from './handlers/keyboard.ts';

/** Name of what the keyboard takes from outside: scan codes of set 1, as they come from a keyboard. */
export const KEYBOARD_INPUT = 'keyboard';

const EVENT_SIZE = 12;
/** Keys that wait for room in the ring, or for the rest of a scan code; what is typed beyond is lost. */
const MOST_WAITING = 4096;

/** The keyboard of a virtual machine: tells the guest's driver which keys are pressed and released. */
export class KeyboardVsp implements Vsp, KeyboardWork {
  readonly name = 'keyboard';
  readonly component = 'vmwp.exe';
  readonly offer: ChannelOffer = { interfaceId: A.KEYBOARD_INTERFACE, instanceId: A.KEYBOARD_INSTANCE };
  private channel: VspChannel | undefined;
  private version: number | undefined;
  private leds = 0;
  private waiting: HostPacket[] = [];
  private events = 0;
  private lost = 0;

  open(channel: VspChannel): void {
    this.close();
    this.channel = channel;
  }
  close(): void {
    this.channel = undefined;
    this.version = undefined;
    this.waiting = [];
  }
  reset(): void {
    this.close();
    this.leds = 0;
    this.events = 0;
    this.lost = 0;
  }

  receive(channel: VspChannel, packet: GuestPacket): void {
    receiveAtOnce(this, channel, packet);
  }
  *receiveInStages(channel: VspChannel, packet: GuestPacket): Handler {
    yield* receiveKeyboard(this, channel, packet);
  }

  accept(version: number): boolean {
    const isKnown = version === A.KEYBOARD_VERSION;
    this.version = isKnown ? version : undefined;
    return isKnown;
  }
  setLeds(leds: number): void {
    this.leds = leds;
  }

  /** What it takes from outside; nothing, until the guest's driver is there. */
  get inputs(): ReadonlyMap<string, (bytes: Uint8Array) => void> {
    return new Map(this.version === undefined ? [] : [[KEYBOARD_INPUT, (bytes) => this.type(bytes)]]);
  }

  /** Whether somebody's keys would reach the guest. */
  get isReady(): boolean {
    return this.version !== undefined;
  }

  private type(bytes: Uint8Array): void {
    for (const { code, isBreak, prefix } of keyStrokes(bytes)) {
      const view = new DataView(new ArrayBuffer(EVENT_SIZE));
      view.setUint32(0, A.KeyboardMessage.EVENT, true);
      view.setUint16(4, code, true);
      const prefixFlag = prefix === 0xe0 ? A.KeyFlag.E0 : prefix === 0xe1 ? A.KeyFlag.E1 : 0;
      view.setUint32(8, prefixFlag | (isBreak ? A.KeyFlag.BREAK : 0), true);
      this.put({ type: PacketType.DATA_IN_BAND, transactionId: 0n, payload: new Uint8Array(view.buffer) });
    }
  }

  private put(packet: HostPacket): void {
    const isSent = this.waiting.length === 0 && this.channel?.send(packet) === true;
    if (isSent) this.events++;
    else if (this.waiting.length < MOST_WAITING) this.waiting.push(packet);
    else this.lost++;
  }

  hasRoom(channel: VspChannel): void {
    while (this.waiting[0] && channel.send(this.waiting[0])) {
      this.waiting.shift();
      this.events++;
    }
  }

  inspect(): InspectNode {
    const { version, leds, waiting, lost } = this;
    const lit = A.LEDS.filter((_, bit) => (leds >> bit) & 1);
    return {
      name: this.name,
      value: version === undefined ? (this.channel ? 'negotiating' : 'closed') : 'ready',
      detail: version === undefined ? undefined : `protocol ${version >> 16}.${version & 0xffff}`,
      children: [
        { name: 'LEDs', value: lit.join(', ') || 'none' },
        { name: 'events', value: String(this.events), detail: `${waiting.length} wait for room in the ring` },
        ...(lost === 0 ? [] : [{ name: 'lost', value: String(lost), detail: 'the guest never made room for them' }]),
      ],
    };
  }
}
