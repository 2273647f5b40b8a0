import type { DataBreakpoint } from '../../debugger/breakpoints/breakpoint.ts';
import { hex } from '../../x86/address.ts';
import { errors } from '../errors.ts';
import type { MemoryReference } from '../references.ts';
import { optionalText } from '../requests/handler.ts';
import { answer, type GiveBreakpoints, problemOf, rulesOf } from './breakpoint-book.ts';

const DATA_ID = /^(?:(\d+)\/)?(gva|gpa):(0x[0-9a-f]+):(\d+)$/;

/** The id under which the client asks for a data breakpoint on a range. */
export function dataId({ guest = 0, space, address }: MemoryReference, length: number): string {
  return `${guest === 0 ? '' : `${guest}/`}${space}:${hex(address)}:${Math.max(1, Math.floor(length))}`;
}

/** Breakpoints on ranges of memory of any size. */
export const dataBreakpoints: GiveBreakpoints = ({ session, index }, asked) => {
  const made: DataBreakpoint[] = [];
  const answers = asked.map((one) => {
    const [, guest = '0', space, address, length] = DATA_ID.exec(optionalText(one.item, 'dataId') ?? '') ?? [];
    if (address === undefined) return answer(one, 'This is no data breakpoint of this debugger.');
    if (Number(guest) !== index) return answer(one, errors.noGuest(Number(guest)).message);
    const { accessType = 'write' } = one.item;
    const problem = problemOf(one);
    if (problem === undefined)
      made.push({
        ...rulesOf(one),
        space: space === 'gpa' ? 'gpa' : 'gva',
        address: BigInt(address),
        length: BigInt(length ?? 1),
        access: accessType === 'read' || accessType === 'write' ? accessType : 'readWrite',
      });
    return answer(one, problem);
  });
  session.setDataBreakpoints(made);
  return answers;
};
