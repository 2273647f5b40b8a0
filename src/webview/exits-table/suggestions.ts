import type { Field } from './messages.ts';

/** What could stand where the caret is in a filter. */
export interface Suggestions {
  /** The part of the text that one of them replaces. */
  readonly from: number;
  readonly to: number;
  readonly items: readonly Suggestion[];
}

export interface Suggestion {
  readonly text: string;
  readonly description: string;
}

const NONE = { items: [] } as const;

/** Names of fields, or the words that a field can be, that continue what stands before the caret. */
export function suggestions(text: string, caret: number, fields: readonly Field[]): Suggestions {
  const none = { from: caret, to: caret, ...NONE };
  const before = text.slice(0, caret);
  // Inside quotation marks anything can stand.
  if (before.split('"').length % 2 === 0) return none;
  const term = /!?[^\s!]*$/.exec(before)?.[0].replace(/^!/, '') ?? '';
  const [, name, values] = /^([\w-]*)=(.*)$/.exec(term) ?? [];
  if (name === undefined) {
    if (term.includes('~')) return none;
    const items = fields
      .filter((field) => field.name.startsWith(term.toLowerCase()))
      .map((field) => ({ text: `${field.name}=`, description: field.description }));
    return { from: caret - term.length, to: caret, items };
  }
  const field = fields.find((one) => one.name === name);
  const word = values?.split(',').at(-1) ?? '';
  const items = (field?.words ?? [])
    .filter((one) => one.startsWith(word.toLowerCase()) && one !== word)
    .map((one) => ({ text: one, description: '' }));
  return { from: caret - word.length, to: caret, items };
}
