import { callStack } from '../../debugger/inspection/call-stack.ts';
import { scopesOf } from '../../debugger/inspection/scopes.ts';
import { errors } from '../errors.ts';
import { gvaReference } from '../references.ts';
import { describeSource } from '../sources.ts';
import { still, threadOf } from '../threads.ts';
import { describeVariable } from '../variables.ts';
import { optionalNumber, type RequestHandler } from './handler.ts';

const stackTrace: RequestHandler = (adapter, parameters) => {
  const thread = still(threadOf(adapter, parameters));
  const { guest, vcpu } = thread;
  const all = callStack(guest.session, vcpu);
  const start = optionalNumber(parameters, 'startFrame') ?? 0;
  const levels = optionalNumber(parameters, 'levels') ?? 0;
  const shown = all.slice(start, levels > 0 ? start + levels : undefined);
  const stackFrames = shown.map((entry) => {
    const { source } = entry;
    return {
      id: adapter.frames.add({ guest, vcpu, entry }),
      name: entry.name,
      line: source ? adapter.dialect.writeLine(source.line) : 0,
      column: source ? adapter.dialect.writeColumn(source.column ?? 1) : 0,
      source: source && describeSource(adapter, source.path, source.shipped),
      instructionPointerReference: entry.address === undefined ? undefined : gvaReference(guest.index, entry.address),
      presentationHint: entry.kind === 'label' ? 'label' : 'normal',
    };
  });
  return { body: { stackFrames, totalFrames: all.length } };
};

const scopes: RequestHandler = (adapter, parameters) => {
  const frame = adapter.frames.get(parameters.frameId);
  if (!frame) throw errors.unknownFrame(parameters.frameId);
  const { guest, vcpu } = still(frame);
  adapter.lookAt(guest);
  return {
    body: {
      scopes: scopesOf(guest.session, vcpu, frame.entry).map(({ name, hint, expensive, variables: get }) => ({
        name,
        presentationHint: hint,
        expensive,
        variablesReference: adapter.variables.add({ guest, vcpu, get }),
      })),
    },
  };
};

const locations: RequestHandler = (adapter, parameters) => {
  const place = adapter.locations.get(parameters.locationReference);
  const position = place?.guest.session.symbols.lineAt(place.address)?.position;
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
  const handle = adapter.variables.get(parameters.variablesReference);
  const { guest, vcpu } = still(handle ?? adapter.focus);
  const start = optionalNumber(parameters, 'start') ?? 0;
  const count = optionalNumber(parameters, 'count') ?? 0;
  const all = handle?.get() ?? [];
  const page = all.slice(start, count > 0 ? start + count : undefined);
  return {
    body: {
      variables: page.map((variable) => ({
        name: variable.name,
        value: variable.value,
        ...describeVariable(adapter, { guest, vcpu }, variable),
      })),
    },
  };
};

export const inspectionRequests: Readonly<Record<string, RequestHandler>> = {
  stackTrace,
  scopes,
  variables,
  locations,
};
