import { capabilities } from '../capabilities.ts';
import { Dialect } from '../dialect.ts';
import { errors } from '../errors.ts';
import type { RequestHandler } from './handler.ts';

const initialize: RequestHandler = (adapter, parameters) => {
  adapter.dialect = Dialect.of(parameters);
  adapter.progress.supported = parameters.supportsProgressReporting === true;
  if (parameters.supportsMemoryEvent === true) adapter.optionalEvents.add('memory');
  if (parameters.supportsInvalidatedEvent === true) adapter.optionalEvents.add('invalidated');
  return { body: capabilities };
};

const launch: RequestHandler = (adapter, parameters) => {
  adapter.launch(parameters);
  return {
    after: () => {
      adapter.renewBreakpoints();
      adapter.event('initialized');
    },
  };
};

const attach: RequestHandler = () => {
  throw errors.attach();
};

const configurationDone: RequestHandler = (adapter) => {
  // Nothing launched yet: the launch has failed, and its own response says why.
  if (!adapter.group) throw errors.notLaunched();
  return { after: () => adapter.start() };
};

const restart: RequestHandler = (adapter, parameters) => {
  const { arguments: raw } = parameters;
  adapter.restart(typeof raw === 'object' && raw !== null ? { ...raw } : undefined);
  return { after: () => adapter.restarted() };
};

const terminate: RequestHandler = (adapter) => {
  // Before the response: a client may end the adapter's process as soon as it has that.
  adapter.writeBack();
  return { after: () => adapter.terminate(true) };
};

const cancel: RequestHandler = (adapter, { requestId, progressId }) => {
  adapter.cancel(requestId, progressId);
  return {};
};

export const lifecycleRequests: Readonly<Record<string, RequestHandler>> = {
  initialize,
  launch,
  attach,
  configurationDone,
  restart,
  terminate,
  disconnect: terminate,
  cancel,
};
