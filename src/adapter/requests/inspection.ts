import { callStack } from '../../debugger/inspection/call-stack.ts';
import { scopesOf } from '../../debugger/inspection/scopes.ts';
import { hex } from '../../x86/address.ts';
import { errors } from '../errors.ts';
import { describeSource } from '../sources.ts';
import { describeVariable } from '../variables.ts';
import { optionalNumber, type RequestHandler, vcpuOf } from './handler.ts';

const stackTrace: RequestHandler = (adapter, parameters) => {
  const { session } = adapter.still;
  const vcpu = vcpuOf(adapter, parameters);
  const all = callStack(session, vcpu);
  const start = optionalNumber(parameters, 'startFrame') ?? 0;
  const levels = optionalNumber(parameters, 'levels') ?? 0;
  const shown = all.slice(start, levels > 0 ? start + levels : undefined);
  const stackFrames = shown.map((entry) => {
    const { source } = entry;
    return {
      id: adapter.frames.add({ vcpu, entry }),
      name: entry.name,
      line: source ? adapter.dialect.writeLine(source.line) : 0,
      column: source ? adapter.dialect.writeColumn(source.column ?? 1) : 0,
      source: source && describeSource(adapter, source.path, source.shipped),
      instructionPointerReference: entry.address === undefined ? undefined : hex(entry.address),
      presentationHint: entry.kind === 'label' ? 'label' : 'normal',
    };
  });
  return { body: { stackFrames, totalFrames: all.length } };
};

const scopes: RequestHandler = (adapter, parameters) => {
  const { session } = adapter.still;
  const frame = adapter.frames.get(parameters.frameId);
  if (!frame) throw errors.unknownFrame(parameters.frameId);
  return {
    body: {
      scopes: scopesOf(session, frame.vcpu, frame.entry).map(({ name, hint, expensive, variables: get }) => ({
        name,
        presentationHint: hint,
        expensive,
        variablesReference: adapter.variables.add(get),
      })),
    },
  };
};

const locations: RequestHandler = (adapter, parameters) => {
  const address = adapter.locations.get(parameters.locationReference);
  const position = address === undefined ? undefined : adapter.still.session.symbols.lineAt(address)?.position;
  if (!position) throw errors.noLocation(parameters.locationReference);
  const { path, line, column } = position;
  return {
    body: {
      source: describeSource(adapter, path),
      line: adapter.dialect.writeLine(line),
      column: column === undefined ? undefined : adapter.dialect.writeColumn(column),
    },
  };
};

const variables: RequestHandler = (adapter, parameters) => {
  adapter.still;
  const get = adapter.variables.get(parameters.variablesReference);
  const start = optionalNumber(parameters, 'start') ?? 0;
  const count = optionalNumber(parameters, 'count') ?? 0;
  const all = get?.() ?? [];
  const page = all.slice(start, count > 0 ? start + count : undefined);
  return {
    body: {
      variables: page.map((variable) => ({ name: variable.name, value: variable.value, ...describeVariable(adapter, variable) })),
    },
  };
};

export const inspectionRequests: Readonly<Record<string, RequestHandler>> = {
  stackTrace,
  scopes,
  variables,
  locations,
};
