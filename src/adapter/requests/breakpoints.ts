import { stageLines } from '../../debugger/breakpoints/stage-breakpoints.ts';
import { ExpressionError } from '../../debugger/expressions/evaluator.ts';
import { findRegister } from '../../debugger/inspection/registers.ts';
import type { AdapterSession } from '../adapter-session.ts';
import type { GiveBreakpoints } from '../breakpoints/breakpoint-book.ts';
import { functionBreakpoints, handlerBreakpoints, instructionBreakpoints, sourceBreakpoints } from '../breakpoints/code.ts';
import { dataBreakpoints, dataId } from '../breakpoints/data.ts';
import { exitFilterBreakpoints, filterItems } from '../breakpoints/filters.ts';
import { writeReference } from '../references.ts';
import { shippedPath, sourcePath } from '../sources.ts';
import { listOf, numberOf, optionalNumber, type Parameters, type RequestHandler, textOf } from './handler.ts';

function ask(
  adapter: AdapterSession,
  group: string,
  items: readonly Parameters[],
  give: GiveBreakpoints,
): ReturnType<RequestHandler> {
  return { body: { breakpoints: adapter.breakpoints.ask(adapter.launched, group, items, give) } };
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
  body: { breakpoints: adapter.breakpoints.ask(adapter.guest, 'filters', filterItems(parameters), exitFilterBreakpoints) },
});

const setDataBreakpoints: RequestHandler = (adapter, parameters) =>
  ask(adapter, 'data', listOf(parameters, 'breakpoints'), dataBreakpoints);

const dataBreakpointInfo: RequestHandler = (adapter, parameters) => {
  const { session } = adapter.still;
  const name = textOf(parameters, 'name', 'dataBreakpointInfo');
  const bytes = optionalNumber(parameters, 'bytes');
  try {
    const { processor } = session.vcpu();
    const variable = adapter.variables
      .get(parameters.variablesReference)?.()
      .find((shown) => shown.name === name);
    const register = findRegister(processor, name);
    const address = variable?.memory ?? (register ? register.get() : session.evaluate(name.replace(/^g[pv]a:/, '')));
    const length = bytes ?? (register || variable ? processor.mode / 8 : 1);
    const place = { space: name.startsWith('gpa:') ? ('gpa' as const) : ('gva' as const), address };
    return {
      body: {
        dataId: dataId(place, length),
        description: `${length} byte${length === 1 ? '' : 's'} at ${writeReference(place)}`,
        accessTypes: ['read', 'write', 'readWrite'],
        canPersist: false,
      },
    };
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    return { body: { dataId: null, description: error.message } };
  }
};

const breakpointLocations: RequestHandler = (adapter, parameters) => {
  const { dialect } = adapter;
  const first = dialect.readLine(numberOf(parameters, 'line', 'breakpointLocations'));
  const end = optionalNumber(parameters, 'endLine');
  const last = end === undefined ? first : dialect.readLine(end);
  const path = sourcePath(adapter, parameters);
  const shipped = shippedPath(adapter, path);
  const lines = shipped === undefined ? adapter.launched.session.symbols.linesOf(path) : stageLines(shipped);
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
