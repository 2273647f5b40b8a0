import type * as v from 'valibot';
import { safeParse } from 'valibot';
import { nearestName } from '../../x86/nearest-name.ts';
import { type LaunchAttribute, launchAttributes, memberAttributes } from './launch-attributes.ts';

/** A launch configuration that can't be used. One sentence that says what is wrong and how to mend it. */
export class LaunchError extends Error {}

type Values<Attributes extends Readonly<Record<string, LaunchAttribute>>> = {
  readonly [Name in keyof Attributes]?: v.InferOutput<Attributes[Name]['schema']>;
};

/** One partition of a session. */
export type PartitionLaunch = Omit<Values<typeof memberAttributes>, 'name' | 'program'> & {
  /** Unlike all others. */
  readonly name: string;
  readonly program: string;
};

/** What a session is about. Attributes of a partition that stand for all of them are in each of `partitions`. */
export type LaunchConfiguration = Omit<Values<typeof launchAttributes>, 'partitions'> & {
  /** At least one. */
  readonly partitions: readonly PartitionLaunch[];
};

/** What editors add to a configuration on their own. */
const EDITOR_KEYS: ReadonlySet<string> = new Set([
  'type',
  'request',
  'name',
  'preLaunchTask',
  'postDebugTask',
  'internalConsoleOptions',
  'noDebug',
  'presentation',
  'serverReadyAction',
  'debugServer',
  'suppressMultipleSessionWarning',
  'linux',
  'osx',
  'windows',
]);

/** Checks what a client sent. Throws LaunchError. */
export function parseLaunchConfiguration(raw: unknown): LaunchConfiguration {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw))
    throw new LaunchError('A launch configuration must be an object with at least a "program".');
  const shared: Values<typeof launchAttributes> = check(raw, launchAttributes, EDITOR_KEYS, '');
  const members = shared.partitions?.map((member, index): Values<typeof memberAttributes> => {
    return check(member, memberAttributes, NO_KEYS, `partitions[${index}].`);
  });
  const defaults = pick(shared, Object.keys(memberAttributes));
  const names = new Set<string>();
  for (const { name } of members ?? []) {
    if (name === undefined) continue;
    if (names.has(name)) throw new LaunchError(`Two partitions have the name "${name}"; give each one of its own.`);
    names.add(name);
  }
  const partitions = (members ?? [{}]).map((member, index): PartitionLaunch => {
    const { program, name: wanted, ...more } = { ...defaults, ...member };
    if (program === undefined) throw new LaunchError(noProgram(members && index));
    const name = wanted ?? freeName(nameOf(program), index + 1, names);
    names.add(name);
    return { ...more, program, name };
  });
  const { partitions: _, ...session } = shared;
  return { ...session, partitions };
}

/** A name, or the name with the first number from one on, that isn't taken. */
function freeName(name: string, number: number, taken: ReadonlySet<string>): string {
  if (!taken.has(name)) return name;
  const numbered = `${name}-${number}`;
  return taken.has(numbered) ? freeName(name, number + 1, taken) : numbered;
}

function noProgram(index: number | undefined): string {
  return index === undefined
    ? 'The launch configuration names no "program"; add one, for example the path of an .asm file.'
    : `"partitions[${index}]" names no "program", nor does the configuration for all; add one, for example the path of an .asm file.`;
}

/** The name of a program's file, as a partition may have it. */
function nameOf(program: string): string {
  return (
    program
      .split(/[\\/]/)
      .at(-1)
      ?.replaceAll(/[^\w.-]/g, '-')
      .slice(0, 40) || 'guest'
  );
}

function pick<T extends object>(values: T, names: readonly string[]): T {
  return Object.fromEntries(Object.entries(values).filter(([name]) => names.includes(name))) as T;
}

const NO_KEYS: ReadonlySet<string> = new Set();

/** Reads an object by its attributes; `where` stands before the name of one that is wrong. Throws LaunchError. */
function check(
  raw: object,
  attributes: Readonly<Record<string, LaunchAttribute>>,
  ignored: ReadonlySet<string>,
  where: string,
): Readonly<Record<string, unknown>> {
  const result: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(raw)) {
    if (ignored.has(name) || name.startsWith('__') || value === undefined || value === null) continue;
    const attribute = Object.hasOwn(attributes, name) ? attributes[name] : undefined;
    if (!attribute) {
      const similar = nearestName(name, Object.keys(attributes));
      const kind = where === '' ? 'a launch configuration' : 'a partition';
      throw new LaunchError(
        `"${where}${name}" is not an attribute of ${kind}${similar === undefined ? '.' : `; did you mean "${similar}"?`}`,
      );
    }
    const parsed = safeParse(attribute.schema, value);
    if (!parsed.success) throw new LaunchError(ended(`"${where}${name}" ${sentence(parsed.issues[0], value)}`));
    result[name] = parsed.output;
  }
  return result;
}

/** A sentence with its full stop, unless it ends as a question. */
function ended(text: string): string {
  return text.endsWith('?') ? text : `${text}.`;
}

/** What the schema's library calls by the names of classes. */
const KINDS: Readonly<Record<string, string>> = { Array: 'a list', Object: 'a list of objects' };

function sentence(issue: v.BaseIssue<unknown>, value: unknown): string {
  const shown = JSON.stringify(value)?.slice(0, 60) ?? String(value);
  if (issue.type === 'picklist' && issue.expected)
    return `can't be ${shown}; it is one of ${issue.expected.replaceAll('"', '').replace(/[()]/g, '').replaceAll(' | ', ', ')}`;
  if (/^(has|is) /.test(issue.message)) return issue.message;
  if (issue.message.startsWith('must')) return `${issue.message}, not ${shown}`;
  return `must be ${KINDS[issue.expected ?? ''] ?? `a ${issue.expected ?? 'different value'}`}, not ${shown}`;
}

/** Bytes of translated code by the attribute `translator`; undefined where it isn't given. */
export function translatorBytes(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  return text.toLowerCase() === 'off' ? 0 : sizeInBytes(text);
}

/** Bytes of a size such as `64M`. */
export function sizeInBytes(text: string): number {
  const unit = text.at(-1)?.toUpperCase() ?? '';
  const factor = { K: 1024, M: 1024 * 1024, G: 1024 * 1024 * 1024 }[unit] ?? 1;
  return Number.parseInt(text, 10) * factor;
}
