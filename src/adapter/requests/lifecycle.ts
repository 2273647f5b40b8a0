import { capabilities } from '../capabilities.ts';
import { errors } from '../errors.ts';
import type { RequestHandler } from './handler.ts';

const initialize: RequestHandler = (adapter, parameters) => {
  adapter.linesFromOne = parameters.linesStartAt1 !== false;
  return { body: capabilities };
};

const launch: RequestHandler = (adapter, parameters) => {
  adapter.launch(parameters);
  return { after: () => adapter.event('initialized') };
};

const attach: RequestHandler = () => {
  throw errors.attach();
};

const configurationDone: RequestHandler = (adapter) => {
  // Nothing launched yet: the launch has failed, and its own response says why.
  if (!adapter.guest) throw errors.notLaunched();
  return { after: () => adapter.start() };
};

const restart: RequestHandler = (adapter) => {
  adapter.launched;
  return { after: () => adapter.restart() };
};

const terminate: RequestHandler = (adapter) => ({ after: () => adapter.terminate() });

const cancel: RequestHandler = () => ({});

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
