import { hex } from '../../x86/address.ts';
import { dumpRow, PER_ROW } from '../inspection/dump-row.ts';
import { addressOf, type ConsoleCommand, type ConsoleSession, countOf } from './command.ts';

const MEM = 'mem ADDRESS [BYTES]';
const SHOWN = 64;
const MOST = 4096;

/** A count at the end is one unless it belongs to the expression: `rsp 16`, but `rsp + 16`. */
export function splitCount(text: string): readonly [expression: string, count: string | undefined] {
  const [, expression, count] = /^(.*[^\s+\-*/%&|^~!<>=(,:?])\s+(0x[0-9a-f]+|\d+)$/is.exec(text) ?? [];
  return expression === undefined ? [text, undefined] : [expression, count];
}

function mem(session: ConsoleSession, rest: string): string {
  const [expression, count] = splitCount(rest);
  const { space, address } = addressOf(session, expression, MEM);
  const length = Math.min(count === undefined ? SHOWN : countOf(count, MEM), MOST);
  const { processor } = session.vcpu();
  const bytes = processor.readMemory(space, address, length);
  const rows: string[] = [];
  for (let at = 0; at < bytes.length; at += PER_ROW)
    rows.push(dumpRow({ space, address: BigInt.asUintN(64, address + BigInt(at)) }, bytes.subarray(at, at + PER_ROW)));
  if (bytes.length < length) {
    const hole = BigInt.asUintN(64, address + BigInt(bytes.length));
    const reason = space === 'gva' ? processor.walk(hole).problem : undefined;
    rows.push(`The memory at ${space} ${hex(hole)} can't be read. ${reason ?? 'No RAM is there.'}`);
  }
  return rows.join('\n');
}

export const memoryCommands: readonly ConsoleCommand[] = [
  {
    name: 'mem',
    usage: MEM,
    summary: `memory at a virtual address, or at gpa:ADDRESS`,
    details: [`${SHOWN} bytes unless told, ${MOST} at most.`, 'For example: mem rsp, mem message 16, mem gpa:0x1000 256'],
    run: mem,
  },
];
