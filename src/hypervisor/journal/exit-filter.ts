import { EXIT_REASONS } from '../../processor/exit.ts';
import { SERVED_BY } from '../../stages/stage.ts';
import { nearestName } from '../../x86/nearest-name.ts';
import { FACET_NAMES, type Facet, type FacetName, facetByName } from './exit-facets.ts';
import type { ExitRecord } from './exit-journal.ts';

/** A filter that can't be read. The message is one sentence that says what is wrong and how to mend it. */
export class ExitFilterError extends Error {}

export interface ExitFilter {
  (record: ExitRecord): boolean;
  /** It looks at facets alone: exits that have the same are let through or not together. */
  readonly byFacets?: boolean;
}

/** What stands behind the facets: text that is looked for anywhere in them. */
const TEXTS: Readonly<Record<string, (record: ExitRecord) => string | undefined>> = {
  request: ({ request }) => request,
  result: ({ result }) => result,
};

const NAMES: readonly string[] = [...FACET_NAMES, ...Object.keys(TEXTS)];

/** Fields that are numbers always. MSRs, hypercalls and vectors have names too, and a page can be a register of the local APIC. */
const NUMBERS: readonly string[] = ['port', 'leaf', 'rip', 'partition'] satisfies FacetName[];

/** Fields that are one of some words. */
const WORDS: Readonly<Record<string, readonly string[]>> = { reason: EXIT_REASONS, to: SERVED_BY } satisfies Partial<
  Record<FacetName, readonly string[]>
>;

/** The fields that a term can begin with, and the words that a field can be, where there are some words alone. */
export function filterFields(): readonly { readonly name: string; readonly words?: readonly string[] }[] {
  return NAMES.map((name) => ({ name, words: WORDS[name] }));
}

/**
 * Reads a filter: terms between spaces, all of which must hold. `reason=io` compares (several values between commas, numbers in any
 * notation, ranges as `0x1000..0x1fff`), `handler~serial` looks for a text, `!` in front turns a term round, and quotation marks keep
 * spaces together: `subject~"out 0x3f8"`. Throws ExitFilterError.
 */
export function parseExitFilter(text: string): ExitFilter {
  const terms = (text.match(/(?:"[^"]*(?:"|$)|[^\s"])+/g) ?? []).map(parseTerm);
  const all: ExitFilter = (record) => terms.every((term) => term(record));
  return Object.assign(all, { byFacets: terms.every(({ byFacets }) => byFacets) });
}

function parseTerm(text: string): ExitFilter {
  const [, not, name = '', relation, quoted = ''] = /^(!?)([\w-]*)(=|~)?(.*)$/s.exec(text) ?? [];
  if (quoted.split('"').length % 2 === 0)
    throw new ExitFilterError(`"${text.replaceAll('"', '')}" has a quotation mark too few; write ${name || 'handler'}~"TEXT".`);
  const value = quoted.replaceAll('"', '');
  const of = facetByName(name)?.of ?? TEXTS[name];
  if (of === undefined)
    throw new ExitFilterError(`"${text}" names no field of an exit${hint(name, NAMES)} A filter has ${NAMES.join(', ')}.`);
  if (relation === undefined || value === '')
    throw new ExitFilterError(`"${text}" is no term of a filter; write ${name}=VALUE or ${name}~TEXT.`);
  const holds = relation === '~' ? contains(of, value) : equals(of, name, value);
  const term: ExitFilter = not === '!' ? (record) => !holds(record) : (record) => holds(record);
  return Object.assign(term, { byFacets: !Object.hasOwn(TEXTS, name) });
}

/** The end of a sentence about a name that there is not: the one that was meant, if that can be told. */
function hint(name: string, names: readonly string[]): string {
  const near = nearestName(name, names);
  return near === undefined ? '.' : `; did you mean ${near}?`;
}

function contains(of: Facet['of'], part: string): ExitFilter {
  const wanted = part.toLowerCase();
  return (record) => of(record)?.toLowerCase().includes(wanted) === true;
}

function equals(of: Facet['of'], name: string, value: string): ExitFilter {
  const choices = value.split(',').map((choice) => parseChoice(name, choice));
  return (record) => {
    const found = of(record);
    return found !== undefined && choices.some((choice) => choice(found));
  };
}

/** The number that a value begins with: an MSR's index, a port, a page. */
function numberIn(text: string): bigint | undefined {
  const [digits] = /^(0x[0-9a-f]+|\d+)(?=$|\s)/i.exec(text) ?? [];
  return digits === undefined ? undefined : BigInt(digits);
}

/** An address within a page names the page, as the records have it. */
function wantedNumber(name: string, text: string): bigint | undefined {
  const number = numberIn(text);
  return name === 'gpa' && number !== undefined && number > 0xfffn ? number & ~0xfffn : number;
}

function parseChoice(name: string, text: string): (found: string) => boolean {
  const [low, high] = text.split('..');
  if (high !== undefined) {
    const [from, to] = [wantedNumber(name, low ?? ''), numberIn(high)];
    if (from === undefined || to === undefined || to < from)
      throw new ExitFilterError(`"${text}" is no range of ${name}; write it as 0x1000..0x1fff.`);
    return (found) => {
      const number = numberIn(found);
      return number !== undefined && from <= number && number <= to;
    };
  }
  const number = wantedNumber(name, text);
  if (NUMBERS.includes(name) && number === undefined)
    throw new ExitFilterError(`A ${name} is a number, not "${text}"; write ${name}=0x10, or a range as 0x10..0x1f.`);
  const words = WORDS[name];
  if (words?.includes(text.toLowerCase()) === false)
    throw new ExitFilterError(`"${name}" is never "${text}"${hint(text, words)} It is one of ${words.join(', ')}.`);
  const wanted = text.toLowerCase();
  // An MSR can be named too, and a hypercall without what all names of its platform begin with.
  return (found) =>
    found.toLowerCase() === wanted ||
    (number !== undefined && numberIn(found) === number) ||
    found.toLowerCase().split(' ')[1] === wanted ||
    (name === 'hypercall' && found.toLowerCase().split('_hc_')[1] === wanted);
}

/** What is wrong with a filter, as a sentence; undefined for nothing. */
export function whyNoFilter(text: string): string | undefined {
  try {
    parseExitFilter(text);
    return undefined;
  } catch (error) {
    if (error instanceof ExitFilterError) return error.message;
    throw error;
  }
}
