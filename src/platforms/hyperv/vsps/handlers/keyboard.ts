import { type Handler, inFrame, stage } from '../../../../stages/stage.ts';
import * as A from '../../abi/keyboard.ts';
import { PacketType } from '../../abi/ring.ts';
import { parentFrame } from '../../hyperv.ts';
import type { GuestPacket, VspChannel } from '../../vmbus/vsp.ts';

/** The keyboard as it takes messages of the guest. */
export interface KeyboardWork {
  /** Whether a version of the protocol is known, which is used then. */
  accept(version: number): boolean;
  setLeds(leds: number): void;
}

/** Takes a packet of the guest's keyboard driver. */
export function* receiveKeyboard(keyboard: KeyboardWork, channel: VspChannel, packet: GuestPacket): Handler {
  yield* inFrame(parentFrame('vmwp.exe', 'keyboard: take message'), takeMessage(keyboard, channel, packet));
}

function* takeMessage(keyboard: KeyboardWork, channel: VspChannel, packet: GuestPacket): Handler {
  const { payload, transactionId } = packet;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const type = payload.length < 8 ? 0 : view.getUint32(0, true);
  yield stage('keyboard.message', { type: A.KEYBOARD_MESSAGE_NAMES[type] ?? type, bytes: payload.length });
  if (packet.wantsCompletion)
    yield* channel.sendInStages({ type: PacketType.COMPLETION, transactionId, payload: new Uint8Array(0) });
  if (type === A.KeyboardMessage.PROTOCOL_REQUEST) {
    const version = view.getUint32(4, true);
    const isAccepted = keyboard.accept(version);
    yield stage('keyboard.protocol', { major: version >>> 16, minor: version & 0xffff, isAccepted });
    yield* channel.sendInStages({ type: PacketType.DATA_IN_BAND, transactionId: 0n, payload: response(isAccepted) });
    return;
  }
  if (type === A.KeyboardMessage.LED_INDICATORS) {
    const leds = view.getUint16(4, true);
    yield stage('keyboard.leds', { leds });
    keyboard.setLeds(leds);
    return;
  }
  // A guest says nothing else, and there is no answer by which it could be told.
  yield stage('keyboard.ignored', { type });
}

function response(isAccepted: boolean): Uint8Array {
  const view = new DataView(new ArrayBuffer(8));
  view.setUint32(0, A.KeyboardMessage.PROTOCOL_RESPONSE, true);
  view.setUint32(4, isAccepted ? A.PROTOCOL_ACCEPTED : 0, true);
  return new Uint8Array(view.buffer);
}
