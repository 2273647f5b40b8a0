import { CONSOLE_SIZE, encodeConsoleSize } from '../../devices/virtio/inputs.ts';
import { errors } from '../errors.ts';
import { fromBase64 } from '../references.ts';
import { guestOfPartition, numberOf, optionalText, type RequestHandler } from './handler.ts';

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

const LARGEST_SIZE = 0xffff;

/**
 * `hyperscope/consoleSize` (an addition to the protocol): `columns` and `rows` of the terminal that shows the console of a "partition". A
 * virtio console tells its driver; a serial port has no such thing, and nothing happens.
 */
const consoleSize: RequestHandler = (adapter, parameters) => {
  const { session } = guestOfPartition(adapter, parameters, 'hyperscope/consoleSize') ?? adapter.focus.guest;
  const sizeOf = (name: 'columns' | 'rows') => {
    const size = numberOf(parameters, name, 'hyperscope/consoleSize');
    if (Number.isInteger(size) && size >= 1 && size <= LARGEST_SIZE) return size;
    throw errors.badArguments('hyperscope/consoleSize', `a number "${name}" from 1 to ${LARGEST_SIZE}`);
  };
  session.inputTo(CONSOLE_SIZE, encodeConsoleSize({ columns: sizeOf('columns'), rows: sizeOf('rows') }));
  return {};
};

export const guestConsoleRequests: Readonly<Record<string, RequestHandler>> = {
  'hyperscope/input': input,
  'hyperscope/consoleSize': consoleSize,
};
