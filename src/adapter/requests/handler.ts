import type { Guest } from '../../debugger/launch-guest.ts';
import type { AdapterSession } from '../adapter-session.ts';
import { errors } from '../errors.ts';
import type { MemoryReference } from '../references.ts';

/** Arguments as they came: nothing about them is known. */
export type Parameters = Readonly<Record<string, unknown>>;

export interface Result {
  readonly body?: object;
  /** What follows the response: events, or the guest's next motion. */
  readonly after?: () => void;
}

export type RequestHandler = (adapter: AdapterSession, parameters: Parameters) => Result;

/** Reads of arguments that say what was missing. */
export function numberOf(parameters: Parameters, name: string, command: string): number {
  const value = parameters[name];
  if (typeof value !== 'number' || !Number.isFinite(value)) throw errors.badArguments(command, `a number "${name}"`);
  return value;
}

export function textOf(parameters: Parameters, name: string, command: string): string {
  const value = parameters[name];
  if (typeof value !== 'string') throw errors.badArguments(command, `a text "${name}"`);
  return value;
}

export function optionalText(parameters: Parameters, name: string): string | undefined {
  const value = parameters[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

export function optionalNumber(parameters: Parameters, name: string): number | undefined {
  const value = parameters[name];
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

/** The texts of a list; what is no text is left out. */
export function textsOf(parameters: Parameters, name: string): readonly string[] {
  const value = parameters[name];
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];
}

/** The objects of a list; what is no object is left out. */
export function listOf(parameters: Parameters, name: string): readonly Parameters[] {
  const value = parameters[name];
  if (!Array.isArray(value)) return [];
  return value.filter((item): item is object => typeof item === 'object' && item !== null).map((item) => ({ ...item }));
}

/** The guest of a request that gives the number of its "partition"; undefined for one that doesn't. Throws RequestError. */
export function guestOfPartition({ launched }: AdapterSession, parameters: Parameters, command: string): Guest | undefined {
  const id = optionalNumber(parameters, 'partition');
  if (id === undefined) return undefined;
  const guest = launched.guests.find(({ partition }) => partition.id === id);
  if (!guest) throw errors.badArguments(command, 'the number of a partition of this session');
  return guest;
}

/** The guest whose memory a reference is about. Throws RequestError. */
export function guestOf({ launched: { guests } }: AdapterSession, { guest = 0 }: MemoryReference): Guest {
  const found = guests[guest];
  if (!found || found.partition.end?.kind === 'destroyed') throw errors.noGuest(guest);
  return found;
}
