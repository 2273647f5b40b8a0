import { stageLines } from '../../debugger/breakpoints/stage-breakpoints.ts';
import { evaluateTyped } from '../../debugger/expressions/evaluate.ts';
import { ExpressionError } from '../../debugger/expressions/evaluator.ts';
import { placeHeld } from '../../debugger/inspection/address-values.ts';
import { findRegister } from '../../debugger/inspection/registers.ts';
import type { AdapterSession } from '../adapter-session.ts';
import type { GiveBreakpoints } from '../breakpoints/breakpoint-book.ts';
import { functionBreakpoints, handlerBreakpoints, instructionBreakpoints, sourceBreakpoints } from '../breakpoints/code.ts';
import { dataBreakpoints, dataId } from '../breakpoints/data.ts';
import { exitFilterBreakpoints, filterItems } from '../breakpoints/filters.ts';
import { frameOf } from '../frames.ts';
import { type MemoryReference, parseReference, writePlace } from '../references.ts';
import { shippedPath, sourcePath } from '../sources.ts';
import { still } from '../threads.ts';
import { listOf, numberOf, optionalNumber, type Parameters, type RequestHandler, textOf } from './handler.ts';

function ask(
  adapter: AdapterSession,
  group: string,
  items: readonly Parameters[],
  give: GiveBreakpoints,
): ReturnType<RequestHandler> {
  return { body: { breakpoints: adapter.breakpoints.ask(adapter.launched.guests, group, items, give) } };
}

const setBreakpoints: RequestHandler = (adapter, parameters) => {
  const path = sourcePath(adapter, parameters);
  const shipped = shippedPath(adapter, path);
  const give = shipped === undefined ? sourceBreakpoints(path, adapter.dialect) : handlerBreakpoints(shipped, adapter.dialect);
  return ask(adapter, `source:${path}`, listOf(parameters, 'breakpoints'), give);
};

const setFunctionBreakpoints: RequestHandler = (adapter, parameters) =>
  ask(adapter, 'functions', listOf(parameters, 'breakpoints'), functionBreakpoints);

const setInstructionBreakpoints: RequestHandler = (adapter, parameters) =>
  ask(adapter, 'instructions', listOf(parameters, 'breakpoints'), instructionBreakpoints);

const setExceptionBreakpoints: RequestHandler = (adapter, parameters) => ({
  body: {
    breakpoints: adapter.breakpoints.ask(adapter.group?.guests ?? [], 'filters', filterItems(parameters), exitFilterBreakpoints),
  },
});

const setDataBreakpoints: RequestHandler = (adapter, parameters) =>
  ask(adapter, 'data', listOf(parameters, 'breakpoints'), dataBreakpoints);

const dataBreakpointInfo: RequestHandler = (adapter, parameters) => {
  const name = textOf(parameters, 'name', 'dataBreakpointInfo');
  try {
    const { size, ...place } = watchable(adapter, parameters, name);
    const length = optionalNumber(parameters, 'bytes') ?? size;
    return {
      body: {
        dataId: dataId(place, length),
        description: `${length} byte${length === 1 ? '' : 's'} at ${writePlace(place)}`,
        accessTypes: ['read', 'write', 'readWrite'],
        canPersist: false,
      },
    };
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    return { body: { dataId: null, description: error.message } };
  }
};

/** A memory reference that says its space. */
const WIDE_REFERENCE = /^0x0*[1-9a-f][0-9a-f]{16,}$/i;

/** What a data breakpoint on a name watches: a variable, what a register points at, or an address. Throws ExpressionError. */
function watchable(adapter: AdapterSession, parameters: Parameters, name: string): MemoryReference & { readonly size: number } {
  const handle = adapter.variables.get(parameters.variablesReference);
  const variable = handle?.get().find((shown) => shown.name === name);
  const {
    guest: whose,
    vcpu,
    context,
  } = handle && variable ? { ...still(handle), context: undefined } : frameOf(adapter, parameters);
  const { session, index: guest } = whose;
  const wordSize = session.vcpu(vcpu).processor.mode / 8;
  if (variable?.place) return { guest, space: 'gva', ...variable.place };
  if (variable?.memory) return { guest, ...variable.memory, size: wordSize };
  if (WIDE_REFERENCE.test(name)) return { ...parseReference(name), size: 1 };
  if (name.startsWith('gpa:')) return { guest, space: 'gpa', address: session.evaluate(name.slice(4), vcpu), size: 1 };
  const typed = parameters.asAddress === true || !context ? undefined : evaluateTyped(session, name, context);
  if (typed && 'address' in typed) {
    if (typed.address !== undefined) return { guest, space: 'gva', address: typed.address, size: typed.byteSize };
    throw new ExpressionError(`"${name}" doesn't lie in memory here, so nothing can watch it.`);
  }
  const { processor } = session.vcpu(vcpu);
  const register = findRegister(processor, name);
  if (!register) return { guest, space: 'gva', address: session.evaluate(name.replace(/^gva:/, ''), vcpu), size: 1 };
  const address = register.get();
  return { guest, ...(placeHeld(processor, name, address) ?? { space: 'gva', address }), size: wordSize };
}

const breakpointLocations: RequestHandler = (adapter, parameters) => {
  const { dialect } = adapter;
  const first = dialect.readLine(numberOf(parameters, 'line', 'breakpointLocations'));
  const end = optionalNumber(parameters, 'endLine');
  const last = end === undefined ? first : dialect.readLine(end);
  const path = sourcePath(adapter, parameters);
  const shipped = shippedPath(adapter, path);
  const { guests } = adapter.launched;
  const own = () => [...new Set(guests.flatMap(({ session }) => session.symbols.linesOf(path)))].sort((a, b) => a - b);
  const lines = shipped === undefined ? own() : stageLines(shipped);
  const breakpoints = lines.filter((line) => line >= first && line <= last).map((line) => ({ line: dialect.writeLine(line) }));
  return { body: { breakpoints } };
};

export const breakpointRequests: Readonly<Record<string, RequestHandler>> = {
  setBreakpoints,
  setFunctionBreakpoints,
  setInstructionBreakpoints,
  setExceptionBreakpoints,
  dataBreakpointInfo,
  setDataBreakpoints,
  breakpointLocations,
};
