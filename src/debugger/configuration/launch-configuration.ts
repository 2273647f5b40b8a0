import * as v from 'valibot';
import { parseExitFilter } from '../../hypervisor/journal/exit-filter.ts';
import { PLATFORM_NAMES } from '../../platforms/configuration.ts';

/** A launch configuration that can't be used. One sentence that says what is wrong and how to mend it. */
export class LaunchError extends Error {}

const size = v.pipe(v.string(), v.regex(/^\d+[KMG]?$/i, 'must be a size such as 64M or 1G'));
function isExitFilter(text: string): boolean {
  try {
    parseExitFilter(text);
    return true;
  } catch {
    return false;
  }
}
const address = v.pipe(v.string(), v.regex(/^(0x[0-9a-f]{1,16}|\d+)$/i, 'must be an address such as 0x100000'));

/** Every attribute of a launch configuration with what IntelliSense says of it: the one source for the editor and the adapter. */
export const launchAttributes = {
  program: {
    schema: v.pipe(v.string(), v.minLength(1, 'must name a file')),
    description: 'The guest program: assembly source, ELF file, boot sector or flat binary.',
  },
  platform: {
    schema: v.picklist(PLATFORM_NAMES),
    default: 'kvm',
    description: 'The hypervisor that the guest runs on: `bare` for none.',
  },
  vendor: {
    schema: v.picklist(['intel', 'amd'] as const),
    default: 'intel',
    description: 'Whose processor is emulated: VMX or SVM, their exit numbers and fields.',
  },
  cpu: {
    schema: v.pipe(v.string(), v.minLength(1, 'must name a model')),
    description:
      'Model and features of the emulated processor: `nehalem`, `haswell`, `skylake`, `epyc` or `max`, then `+feature` and `-feature`, with commas between.',
  },
  processor: {
    schema: v.picklist(['emulated', 'kvm'] as const),
    default: 'emulated',
    description: 'Where guest code runs: on the emulated processor, or on /dev/kvm.',
  },
  memory: { schema: size, default: '64M', description: 'RAM of the partition, for example 64M.' },
  vcpus: {
    schema: v.pipe(
      v.number(),
      v.integer('must be a whole number'),
      v.minValue(1, 'must be at least 1'),
      v.maxValue(16, 'must be at most 16'),
    ),
    default: 1,
    description: 'Number of vCPUs.',
  },
  translator: {
    schema: v.pipe(v.string(), v.regex(/^(off|\d+[KMG]?)$/i, 'must be "off" or a size such as 16M')),
    default: '16M',
    description:
      'How much translated code each vCPU keeps, as WebAssembly: a size, or `off` to interpret all. It changes nothing but the speed.',
  },
  append: { schema: v.string(), default: '', description: 'The command line that the boot protocol hands to the guest.' },
  initrd: { schema: v.string(), description: 'A file that the boot protocol hands to the guest as its initial RAM disk.' },
  loadAddress: { schema: address, description: 'Where a flat binary is placed, for example 0x100000.' },
  mode: { schema: v.picklist([16, 32, 64] as const), description: 'Code size of a flat binary.' },
  stopOnEntry: { schema: v.boolean(), default: true, description: 'Stop before the first instruction of the guest.' },
  interruptsWhileStepping: {
    schema: v.boolean(),
    default: false,
    description: 'Let interrupts in while single-stepping; by default they wait, so that a step stays where you look.',
  },
  exits: { schema: v.string(), description: 'A file that the exit journal is written to, one JSON object a line.' },
  exitsFilter: {
    schema: v.pipe(v.string(), v.check(isExitFilter, 'must be a filter such as "reason=io port=0x3f8"')),
    description:
      'Which exits are written to the file of `exits`: `reason=io port=0x3f8`, `!to=device`, `rip=0x1000..0x1fff`, `handler~serial`.',
  },
  exitsKept: {
    schema: v.pipe(
      v.number(),
      v.integer('must be a whole number'),
      v.minValue(1, 'must be at least 1'),
      v.maxValue(1_000_000, 'must be at most 1000000'),
    ),
    default: 4096,
    description: 'How many of the newest exits stay in memory, for the views and the `exits` command.',
  },
} as const;

type Attributes = typeof launchAttributes;
type Required = 'program';

export type LaunchConfiguration = {
  [Name in Exclude<keyof Attributes, Required>]?: v.InferOutput<Attributes[Name]['schema']>;
} & { readonly program: string };

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

function nearest(name: string): string | undefined {
  const score = (other: string): number => {
    const letters = new Set(other.toLowerCase());
    const shared = [...name.toLowerCase()].filter((letter) => letters.has(letter)).length;
    return shared - Math.abs(name.length - other.length);
  };
  const best = Object.keys(launchAttributes).sort((a, b) => score(b) - score(a))[0];
  return best !== undefined && score(best) > name.length / 2 ? best : undefined;
}

/** Checks what a client sent. Throws LaunchError. */
export function parseLaunchConfiguration(raw: unknown): LaunchConfiguration {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw))
    throw new LaunchError('A launch configuration must be an object with at least a "program".');
  const entries: Readonly<Record<string, { readonly schema: v.GenericSchema }>> = launchAttributes;
  const result: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(raw)) {
    if (EDITOR_KEYS.has(name) || name.startsWith('__') || value === undefined || value === null) continue;
    const attribute = Object.hasOwn(entries, name) ? entries[name] : undefined;
    if (!attribute) {
      const similar = nearest(name);
      throw new LaunchError(
        `"${name}" is not an attribute of a launch configuration${similar === undefined ? '' : `; did you mean "${similar}"?`}${similar === undefined ? '.' : ''}`,
      );
    }
    const parsed = v.safeParse(attribute.schema, value);
    if (!parsed.success) throw new LaunchError(`"${name}" ${sentence(parsed.issues[0], value)}.`);
    result[name] = parsed.output;
  }
  const { program } = result;
  if (typeof program !== 'string')
    throw new LaunchError('The launch configuration names no "program"; add one, for example the path of an .asm file.');
  return { ...result, program };
}

function sentence(issue: v.BaseIssue<unknown>, value: unknown): string {
  const shown = JSON.stringify(value)?.slice(0, 60) ?? String(value);
  if (issue.type === 'picklist' && issue.expected)
    return `can't be ${shown}; it is one of ${issue.expected.replaceAll('"', '').replace(/[()]/g, '').replaceAll(' | ', ', ')}`;
  if (issue.message.startsWith('must')) return `${issue.message}, not ${shown}`;
  return `must be a ${issue.expected ?? 'different value'}, not ${shown}`;
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
