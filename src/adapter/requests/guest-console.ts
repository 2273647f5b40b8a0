import { errors } from '../errors.ts';
import { fromBase64 } from '../references.ts';
import { guestOfPartition, optionalText, type RequestHandler } from './handler.ts';

/**
 * `hyperscope/input` (an addition to the protocol): types into the guest's serial console, `text` as UTF-8 or `data` in base64, and the
 * number of a "partition" where there are several. It works also while the guest runs. A terminal of the editor sends what is typed there.
 */
const input: RequestHandler = (adapter, parameters) => {
  const { session } = guestOfPartition(adapter, parameters, 'hyperscope/input') ?? adapter.focus.guest;
  const text = optionalText(parameters, 'text');
  const data = optionalText(parameters, 'data');
  if (text === undefined && data === undefined) throw errors.badArguments('hyperscope/input', 'a "text", or "data" in base64');
  session.input(data === undefined ? new TextEncoder().encode(text) : fromBase64(data));
  return {};
};

export const guestConsoleRequests: Readonly<Record<string, RequestHandler>> = { 'hyperscope/input': input };
