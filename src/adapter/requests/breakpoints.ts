import { type CodeBreakpoint, type DataBreakpoint, isHitCondition } from '../../debugger/breakpoints/breakpoint.ts';
import { filterById } from '../../debugger/breakpoints/exit-filters.ts';
import { ExpressionError } from '../../debugger/expressions/evaluator.ts';
import { findRegister } from '../../debugger/inspection/registers.ts';
import { hex } from '../../x86/address.ts';
import type { AdapterSession } from '../adapter-session.ts';
import { parseReference, writeReference } from '../references.ts';
import { listOf, numberOf, optionalNumber, optionalText, type Parameters, type RequestHandler, textOf } from './handler.ts';

function pathOf(parameters: Parameters): string {
  const { source } = parameters;
  return typeof source === 'object' && source !== null && 'path' in source && typeof source.path === 'string' ? source.path : '';
}

/** Makes a breakpoint of the engine; `problem` says why it can't be one. */
function make(
  adapter: AdapterSession,
  item: Parameters,
  addresses: readonly bigint[],
  problem?: string,
): { breakpoint: CodeBreakpoint; message?: string } {
  const hitCondition = optionalText(item, 'hitCondition');
  const bad =
    hitCondition !== undefined && !isHitCondition(hitCondition)
      ? `"${hitCondition}" is no hit condition; write a number, or one after ==, >=, >, <=, < or %.`
      : undefined;
  const message = problem ?? bad;
  return {
    message,
    breakpoint: {
      id: adapter.breakpointIds++,
      addresses: message === undefined ? addresses : [],
      condition: optionalText(item, 'condition'),
      hitCondition,
      logMessage: optionalText(item, 'logMessage'),
      hits: 0,
    },
  };
}

function answer({ breakpoint, message }: { breakpoint: CodeBreakpoint; message?: string }, extra: object = {}): object {
  const first = breakpoint.addresses[0];
  return {
    id: breakpoint.id,
    verified: message === undefined,
    message,
    instructionReference: first === undefined ? undefined : hex(first),
    ...extra,
  };
}

const setBreakpoints: RequestHandler = (adapter, parameters) => {
  const { session } = adapter.launched;
  const path = pathOf(parameters);
  const made = listOf(parameters, 'breakpoints').map((item) => {
    const wanted = optionalNumber(item, 'line') ?? 0;
    const { line, addresses } = session.symbols.addressesOf(path, wanted);
    return {
      line: addresses.length > 0 ? line : wanted,
      ...make(adapter, item, addresses, addresses.length > 0 ? undefined : 'No code of the guest comes from here.'),
    };
  });
  session.setCodeBreakpoints(
    `source:${path}`,
    made.map(({ breakpoint }) => breakpoint),
  );
  return { body: { breakpoints: made.map((item) => answer(item, { line: item.line })) } };
};

const setFunctionBreakpoints: RequestHandler = (adapter, parameters) => {
  const { session } = adapter.launched;
  const made = listOf(parameters, 'breakpoints').map((item) => {
    const name = optionalText(item, 'name') ?? '';
    const addresses = session.symbols.functionsNamed(name).map(({ bodyStart }) => bodyStart);
    return make(adapter, item, addresses, addresses.length > 0 ? undefined : `The program has no function or label "${name}".`);
  });
  session.setCodeBreakpoints(
    'functions',
    made.map(({ breakpoint }) => breakpoint),
  );
  return { body: { breakpoints: made.map((item) => answer(item)) } };
};

const setInstructionBreakpoints: RequestHandler = (adapter, parameters) => {
  const made = listOf(parameters, 'breakpoints').map((item) => {
    const { address } = parseReference(item.instructionReference, item.offset);
    return make(adapter, item, [address]);
  });
  adapter.launched.session.setCodeBreakpoints(
    'instructions',
    made.map(({ breakpoint }) => breakpoint),
  );
  return { body: { breakpoints: made.map((item) => answer(item)) } };
};

const setExceptionBreakpoints: RequestHandler = (adapter, parameters) => {
  const plain = Array.isArray(parameters.filters) ? parameters.filters.filter((id): id is string => typeof id === 'string') : [];
  const wanted = [
    ...plain.map((id) => ({ id, condition: undefined as string | undefined })),
    ...listOf(parameters, 'filterOptions').map((item) => ({
      id: optionalText(item, 'filterId') ?? '',
      condition: optionalText(item, 'condition'),
    })),
  ];
  const filters = new Map<string, string | undefined>();
  const breakpoints = wanted.map(({ id, condition }) => {
    if (!filterById(id)) return { verified: false, message: `There is no exit filter "${id}".` };
    filters.set(id, condition);
    return { verified: true };
  });
  adapter.guest?.session.setFilters(filters);
  return { body: { breakpoints } };
};

const DATA_ID = /^(gva|gpa):(0x[0-9a-f]+):(\d+)$/;

const dataBreakpointInfo: RequestHandler = (adapter, parameters) => {
  const { session } = adapter.still;
  const name = textOf(parameters, 'name', 'dataBreakpointInfo');
  const bytes = optionalNumber(parameters, 'bytes');
  try {
    const { processor } = session.vcpu();
    const variable = adapter.variables
      .get(parameters.variablesReference)?.()
      .find((shown) => shown.name === name);
    const isPhysical = name.startsWith('gpa:');
    const register = findRegister(processor, name);
    const address = variable?.memory ?? (register ? register.get() : session.evaluate(name.replace(/^g[pv]a:/, '')));
    const length = bytes ?? (register || variable ? processor.mode / 8 : 1);
    const reference = writeReference({ space: isPhysical ? 'gpa' : 'gva', address });
    const dataId = `${isPhysical ? 'gpa' : 'gva'}:${hex(address)}:${Math.max(1, Math.floor(length))}`;
    return {
      body: {
        dataId,
        description: `${length} byte${length === 1 ? '' : 's'} at ${reference}`,
        accessTypes: ['read', 'write', 'readWrite'],
        canPersist: false,
      },
    };
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    return { body: { dataId: null, description: error.message } };
  }
};

const setDataBreakpoints: RequestHandler = (adapter, parameters) => {
  const list: DataBreakpoint[] = [];
  const breakpoints = listOf(parameters, 'breakpoints').map((item) => {
    const parsed = DATA_ID.exec(optionalText(item, 'dataId') ?? '');
    if (!parsed?.[2]) return { verified: false, message: 'This is no data breakpoint of this debugger.' };
    const access = item.accessType === 'read' || item.accessType === 'write' ? item.accessType : 'readWrite';
    const id = adapter.breakpointIds++;
    list.push({
      id,
      space: parsed[1] === 'gpa' ? 'gpa' : 'gva',
      address: BigInt(parsed[2]),
      length: BigInt(parsed[3] ?? 1),
      access: item.accessType === undefined ? 'write' : access,
      condition: optionalText(item, 'condition'),
      hitCondition: optionalText(item, 'hitCondition'),
      hits: 0,
    });
    return { id, verified: true };
  });
  adapter.launched.session.setDataBreakpoints(list);
  return { body: { breakpoints } };
};

const breakpointLocations: RequestHandler = (adapter, parameters) => {
  const first = numberOf(parameters, 'line', 'breakpointLocations');
  const last = optionalNumber(parameters, 'endLine') ?? first;
  const lines = adapter.launched.session.symbols.linesOf(pathOf(parameters)).filter((line) => line >= first && line <= last);
  return { body: { breakpoints: lines.map((line) => ({ line })) } };
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
