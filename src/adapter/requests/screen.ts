import { screenOf, screenPicture } from '../../debugger/inspection/screens.ts';
import { errors } from '../errors.ts';
import { toBase64 } from '../references.ts';
import { guestOfPartition, optionalNumber, type RequestHandler } from './handler.ts';

const COMMAND = 'hyperscope/screen';

/** Answer to `hyperscope/screen`. */
export interface ScreenBody {
  /** Partitions that have a screen. */
  readonly screens: readonly { readonly partition: number; readonly name: string; readonly isLit: boolean }[];
  /** What the one that was asked for shows, where that is another picture than the one of `since`. */
  readonly picture?: {
    readonly width: number;
    readonly height: number;
    readonly mark: number;
    /** Red, green and blue of each pixel, line by line, in base64. */
    readonly pixels: string;
  };
}

/**
 * `hyperscope/screen` (an addition to the protocol): which partitions have a screen and, where `partition` says which, what is on it. `since`: the
 * `mark` of the picture that is known already. It works also while the guests run, and changes nothing.
 */
const screen: RequestHandler = (adapter, parameters) => {
  const { guests } = adapter.launched;
  const screens = guests.flatMap(({ partition, configuration }) => {
    const found = screenOf(partition);
    return found ? [{ partition: partition.id, name: configuration.name, isLit: found.isLit }] : [];
  });
  const guest = guestOfPartition(adapter, parameters, COMMAND);
  if (guest === undefined) return { body: { screens } };
  const found = screenOf(guest.partition);
  if (found === undefined) throw errors.badArguments(COMMAND, 'the number of a partition that has a screen as "partition"');
  const picture = screenPicture(found);
  if (picture === undefined || picture.mark === optionalNumber(parameters, 'since')) return { body: { screens } };
  return { body: { screens, picture: { ...picture, pixels: toBase64(picture.pixels) } } };
};

export const screenRequests: Readonly<Record<string, RequestHandler>> = { [COMMAND]: screen };
