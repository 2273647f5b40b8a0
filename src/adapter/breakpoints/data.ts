import type { DataBreakpoint } from '../../debugger/breakpoints/breakpoint.ts';
import { hex } from '../../x86/address.ts';
import type { MemoryReference } from '../references.ts';
import { optionalText } from '../requests/handler.ts';
import { answer, type GiveBreakpoints, problemOf, rulesOf } from './breakpoint-book.ts';

const DATA_ID = /^(gva|gpa):(0x[0-9a-f]+):(\d+)$/;

/** The id under which the client asks for a data breakpoint on a range. */
export function dataId({ space, address }: MemoryReference, length: number): string {
  return `${space}:${hex(address)}:${Math.max(1, Math.floor(length))}`;
}

/** Breakpoints on ranges of memory of any size. */
export const dataBreakpoints: GiveBreakpoints = ({ session }, asked) => {
  const made: DataBreakpoint[] = [];
  const answers = asked.map((one) => {
    const [, space, address, length] = DATA_ID.exec(optionalText(one.item, 'dataId') ?? '') ?? [];
    if (address === undefined) return answer(one, 'This is no data breakpoint of this debugger.');
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
