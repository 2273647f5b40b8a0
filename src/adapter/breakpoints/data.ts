import type { DataBreakpoint } from '../../debugger/breakpoints/breakpoint.ts';
import { hex } from '../../x86/address.ts';
import { errors, RequestError } from '../errors.ts';
import { type MemoryReference, parseReference } from '../references.ts';
import { optionalText } from '../requests/handler.ts';
import { answer, type GiveBreakpoints, problemOf, rulesOf } from './breakpoint-book.ts';

const DATA_ID = /^(?:(\d+)\/)?(gva|gpa):(0x[0-9a-f]+):(\d+)$/;
/** A memory reference alone: some memory views ask for a byte so, without asking for an id first. */
const REFERENCE = /^0x[0-9a-f]+$/i;

/** The id under which the client asks for a data breakpoint on a range. */
export function dataId({ guest = 0, space, address }: MemoryReference, length: number): string {
  return `${guest === 0 ? '' : `${guest}/`}${space}:${hex(address)}:${Math.max(1, Math.floor(length))}`;
}

/** The guest and the range of an id; undefined for a text that is none. */
function rangeOf(
  id: string,
): { readonly guest: number; readonly range: Pick<DataBreakpoint, 'space' | 'address' | 'length'> } | undefined {
  const [, guest = '0', space, address, length] = DATA_ID.exec(id) ?? [];
  if (address !== undefined && length !== undefined) {
    const range = {
      space: space === 'gpa' ? ('gpa' as const) : ('gva' as const),
      address: BigInt(address),
      length: BigInt(length),
    };
    return { guest: Number(guest), range };
  }
  if (!REFERENCE.test(id)) return undefined;
  try {
    const place = parseReference(id);
    return { guest: place.guest ?? 0, range: { space: place.space, address: place.address, length: 1n } };
  } catch (error) {
    if (error instanceof RequestError) return undefined;
    throw error;
  }
}

/** Breakpoints on ranges of memory of any size. */
export const dataBreakpoints: GiveBreakpoints = ({ session, index }, asked) => {
  const made: DataBreakpoint[] = [];
  const answers = asked.map((one) => {
    const found = rangeOf(optionalText(one.item, 'dataId') ?? '');
    if (found === undefined) return answer(one, 'This is no data breakpoint of this debugger.');
    if (found.guest !== index) return answer(one, errors.noGuest(found.guest).message);
    const { accessType = 'write' } = one.item;
    const problem = problemOf(one);
    if (problem === undefined)
      made.push({
        ...rulesOf(one),
        ...found.range,
        access: accessType === 'read' || accessType === 'write' ? accessType : 'readWrite',
      });
    return answer(one, problem);
  });
  session.setDataBreakpoints(made);
  return answers;
};
