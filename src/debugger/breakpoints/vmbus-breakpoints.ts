import { messageRow, VMBUS_MESSAGES } from '../../platforms/hyperv/abi/vmbus.ts';
import { parseAddress } from '../../x86/address.ts';
import type { StageBreakpoint } from './stage-breakpoints.ts';

/** Where a message of the VMBus goes by in the parent partition: those of the guest are decoded, those for it are sent. */
const STAGES = ['vmbus-message.decode', 'vmbus-message.answer', 'vmbus-message.offer', 'vmbus-message.rescind'] as const;

/** Which stages a function breakpoint on messages means: `vmbus:OPEN_CHANNEL`, `vmbus:5`, `vmbus:*`. */
export type VmbusPattern = Pick<StageBreakpoint, 'stages' | 'where'>;

/** Reads a function breakpoint's name. Undefined when it is no such pattern; a string says what is wrong with it. */
export function parseVmbusPattern(text: string, platform: string): VmbusPattern | string | undefined {
  const [, word] = /^\s*vmbus\s*:\s*(.*?)\s*$/i.exec(text) ?? [];
  if (word === undefined) return undefined;
  if (platform !== 'hyperv') return `A guest on platform ${platform} has no VMBus; platform hyperv has one.`;
  if (word === '*' || word === '') return { stages: STAGES };
  const number = parseAddress(word);
  const row = number === undefined ? VMBUS_MESSAGES.find(({ name }) => plain(name) === plain(word)) : messageRow(small(number));
  if (row !== undefined) return { stages: STAGES, where: { message: row.name } };
  return `The VMBus has no message "${word}"; it has ${VMBUS_MESSAGES.map(({ name }) => name).join(', ')}.`;
}

/** Names are the same with and without CHANNELMSG_ in front, as Linux has them. */
const plain = (name: string) => name.toLowerCase().replace(/^channelmsg_/, '');

/** A number of a message; one that none has for what is too large. */
function small(number: bigint): number {
  return number < 0x1_0000n ? Number(number & 0xffffn) : 0;
}
