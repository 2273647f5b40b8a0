import type { CodeBreakpoint } from '../../debugger/breakpoints/breakpoint.ts';
import { type ExitBreakpoint, parseExitPattern } from '../../debugger/breakpoints/exit-breakpoints.ts';
import { type StageBreakpoint, stageLines, stagesAt } from '../../debugger/breakpoints/stage-breakpoints.ts';
import { parseVmbusPattern } from '../../debugger/breakpoints/vmbus-breakpoints.ts';
import type { Guest } from '../../debugger/launch-guest.ts';
import type { Dialect } from '../dialect.ts';
import { errors, RequestError } from '../errors.ts';
import { gvaReference, type MemoryReference, parseMovedReference } from '../references.ts';
import { optionalNumber, optionalText } from '../requests/handler.ts';
import { type AskedBreakpoint, answer, type GiveBreakpoints, itemOf, problemOf, rulesOf } from './breakpoint-book.ts';

const wantedLine = ({ item }: AskedBreakpoint, dialect: Dialect) => dialect.readLine(optionalNumber(item, 'line') ?? 0);

const reference = ({ index }: Guest, addresses: readonly bigint[]) => ({
  instructionReference: addresses[0] === undefined ? undefined : gvaReference(index, addresses[0]),
});

/** Breakpoints in a source file of the guest. A line without code passes its breakpoint on to the next one that has some. */
export function sourceBreakpoints(path: string, dialect: Dialect): GiveBreakpoints {
  return (guest, asked) => {
    const { session } = guest;
    const made: CodeBreakpoint[] = [];
    const answers = asked.map((one) => {
      const wanted = wantedLine(one, dialect);
      const { line, addresses } = session.symbols.addressesOf(path, wanted);
      const problem =
        problemOf(one) ?? (addresses.length > 0 ? undefined : whyNoCode(path, wanted, session.symbols.linesOf(path)));
      if (problem === undefined) made.push({ ...rulesOf(one), addresses });
      const shown = dialect.writeLine(problem === undefined ? line : wanted);
      return answer(one, problem, { line: shown, ...reference(guest, addresses) });
    });
    session.setCodeBreakpoints(`source:${path}`, made);
    return answers;
  };
}

function whyNoCode(path: string, line: number, lines: readonly number[]): string {
  const name = path.split(/[\\/]/).at(-1);
  return lines.length === 0
    ? `No code of the guest comes from ${name}.`
    : `${name} has no code at line ${line} or behind it; its last is at line ${lines.at(-1)}.`;
}

/** Breakpoints in the source of exit handlers: they stop at the stages. `path` is from the project's folder. */
export function handlerBreakpoints(path: string, dialect: Dialect): GiveBreakpoints {
  return ({ session }, asked) => {
    const made: StageBreakpoint[] = [];
    const answers = asked.map((one) => {
      const wanted = wantedLine(one, dialect);
      const { line, stages } = stagesAt(path, wanted);
      const problem = problemOf(one) ?? (stages.length > 0 ? undefined : whyNoStage(path));
      if (problem === undefined) made.push({ ...rulesOf(one), stages });
      return answer(one, problem, { line: dialect.writeLine(line) });
    });
    session.setStageBreakpoints(path, made);
    return answers;
  };
}

function whyNoStage(path: string): string {
  return stageLines(path).length === 0
    ? 'No exit handler is in this file; breakpoints stop at the stages of handlers in src/platforms.'
    : 'No stage of an exit handler is here or behind it.';
}

/** Breakpoints on functions, on labels, and on the hypervisor's side on exits, hypercalls and messages of the VMBus by name. */
export const functionBreakpoints: GiveBreakpoints = (guest, asked) => {
  const code: CodeBreakpoint[] = [];
  const exits: ExitBreakpoint[] = [];
  const messages: StageBreakpoint[] = [];
  const answers = asked.map((one) => {
    const name = optionalText(itemOf(one), 'name') ?? '';
    const pattern = parseExitPattern(name, guest.partition.platform);
    const rules = problemOf(one);
    if (typeof pattern === 'string') return answer(one, pattern);
    if (pattern !== undefined) {
      if (rules === undefined) exits.push({ ...rulesOf(one), pattern });
      return answer(one, rules);
    }
    const message = parseVmbusPattern(name, guest.partition.platform);
    if (typeof message === 'string') return answer(one, message);
    if (message !== undefined) {
      if (rules === undefined) messages.push({ ...rulesOf(one), ...message });
      return answer(one, rules);
    }
    const addresses = guest.session.symbols.functionsNamed(name).map(({ bodyStart }) => bodyStart);
    const problem = rules ?? (addresses.length > 0 ? undefined : whyNoFunction(guest, name));
    if (problem === undefined) code.push({ ...rulesOf(one), addresses });
    return answer(one, problem, reference(guest, addresses));
  });
  guest.session.setCodeBreakpoints('functions', code);
  guest.session.setExitBreakpoints(exits);
  guest.session.setStageBreakpoints('functions', messages);
  return answers;
};

function whyNoFunction({ session, program }: Guest, name: string): string {
  if (session.linux?.banner !== undefined)
    return `The kernel has no function "${name}" yet; it may come with a module or a program.`;
  if (session.linux && program.symbols.length === 0) return `"${name}" will be looked for when the guest's kernel runs.`;
  const escaped = name.replaceAll(/[.*+?^${}()|[\]\\/]/g, '\\$&');
  const near = name === '' ? [] : session.symbols.functionsNamed(`/^${escaped}|${escaped}$/`);
  const hint = near[0] === undefined ? '' : ` It has "${near[0].name}".`;
  return `The program has no function or label "${name}".${hint}`;
}

/** The place of an instruction breakpoint, or what is wrong with it: the others are set all the same. */
function referenceOf({ item }: AskedBreakpoint): MemoryReference | RequestError {
  try {
    return parseMovedReference(item.instructionReference, item.offset);
  } catch (error) {
    if (error instanceof RequestError) return error;
    throw error;
  }
}

/** Breakpoints on instructions by their addresses. */
export const instructionBreakpoints: GiveBreakpoints = (guest, asked) => {
  const made: CodeBreakpoint[] = [];
  const answers = asked.map((one) => {
    const place = referenceOf(one);
    if (place instanceof RequestError) return answer(one, place.message);
    if (place.guest !== guest.index) return answer(one, errors.noGuest(place.guest ?? 0).message);
    const addresses = [place.address];
    const problem = problemOf(one);
    if (problem === undefined) made.push({ ...rulesOf(one), addresses });
    return answer(one, problem, reference(guest, addresses));
  });
  guest.session.setCodeBreakpoints('instructions', made);
  return answers;
};
