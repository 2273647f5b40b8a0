import type { Guest } from '../../debugger/launch-guest.ts';
import type { AdapterSession } from '../adapter-session.ts';
import { errors } from '../errors.ts';
import { fromBase64 } from '../references.ts';
import { optionalNumber, optionalText, type Parameters, type RequestHandler } from './handler.ts';

/** The guest that is typed to: the one with the partition number that is given, else the one that the user looks at. */
function consoleOf(adapter: AdapterSession, parameters: Parameters): Guest {
  const id = optionalNumber(parameters, 'partition');
  if (id === undefined) return adapter.focus.guest;
  const guest = adapter.launched.guests.find(({ partition }) => partition.id === id);
  if (!guest) throw errors.badArguments('hyperscope/input', 'the number of a partition of this session');
  return guest;
}

/**
 * `hyperscope/input` (an addition to the protocol): types into the guest's serial console, `text` as UTF-8 or `data` in base64, and the
 * number of a "partition" where there are several. It works also while the guest runs. A terminal of the editor sends what is typed there.
 */
const input: RequestHandler = (adapter, parameters) => {
  const { session } = consoleOf(adapter, parameters);
  const text = optionalText(parameters, 'text');
  const data = optionalText(parameters, 'data');
  if (text === undefined && data === undefined) throw errors.badArguments('hyperscope/input', 'a "text", or "data" in base64');
  session.input(data === undefined ? new TextEncoder().encode(text) : fromBase64(data));
  return {};
};

export const guestConsoleRequests: Readonly<Record<string, RequestHandler>> = { 'hyperscope/input': input };
