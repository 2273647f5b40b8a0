import { codesOfKeys, codesOfText, KeyError } from '../../devices/keyboard/scan-codes.ts';
import { KEYBOARD_INPUT } from '../../platforms/hyperv/vsps/keyboard.ts';
import { ExpressionError } from '../expressions/evaluator.ts';
import type { ConsoleCommand, ConsoleSession } from './command.ts';
import { typedBytes } from './input.ts';

/** Through the input door, so that a repeated run gets the keys at the same instruction. */
function press(session: ConsoleSession, codes: () => Uint8Array): string {
  if (!session.inputTo(KEYBOARD_INPUT, scanCodes(codes)))
    throw new ExpressionError(
      session.partition.platform === 'hyperv'
        ? "The guest has no driver for Hyper-V's keyboard that is ready; Linux's is hyperv_keyboard."
        : `Only a guest of platform hyperv has a keyboard to type on; this one runs on ${session.partition.platform}.`,
    );
  return '';
}

function scanCodes(codes: () => Uint8Array): Uint8Array {
  try {
    return codes();
  } catch (error) {
    throw error instanceof KeyError ? new ExpressionError(`That can't be typed: ${error.message}.`) : error;
  }
}

/** Commands that type on the guest's keyboard. */
export const keyboardCommands: readonly ConsoleCommand[] = [
  {
    name: 'type',
    usage: 'type [-n] TEXT',
    summary: "types TEXT and Enter on the keyboard of Hyper-V's guest",
    details: ['The keyboard is a US one. With -n without Enter; \\n, \\t and \\\\ are understood.', 'For example: type root'],
    whileRunning: true,
    run: (session, rest) => press(session, () => codesOfText(new TextDecoder().decode(typedBytes(rest)))),
  },
  {
    name: 'keys',
    usage: 'keys KEY+KEY …',
    summary: "presses keys together on the keyboard of Hyper-V's guest, and releases them",
    details: ['One chord behind the other, such as: keys ctrl+alt+delete, keys up up enter'],
    whileRunning: true,
    run: (session, rest) => {
      const chords = rest.split(/\s+/).filter((chord) => chord !== '');
      if (chords.length === 0) throw new ExpressionError('A key is missing, such as in keys ctrl+alt+delete.');
      return press(session, () => Uint8Array.from(chords.flatMap((chord) => [...codesOfKeys(chord)])));
    },
  },
];
