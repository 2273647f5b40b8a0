import { expect, test } from 'vitest';
import type { Field } from '../../src/webview/exits-table/messages.ts';
import { suggestions } from '../../src/webview/exits-table/suggestions.ts';

const FIELDS: readonly Field[] = [
  { name: 'reason', description: 'why', groups: true, words: ['io', 'mmio', 'msr-read', 'msr-write'] },
  { name: 'rip', description: 'where', groups: true },
  { name: 'request', description: 'text', groups: false },
];

/** What is suggested at the mark, with what taking the first one would make of the text. */
function at(marked: string) {
  const caret = marked.indexOf('|');
  const text = marked.replace('|', '');
  const { from, to, items } = suggestions(text, caret, FIELDS);
  const [first] = items;
  return { texts: items.map((item) => item.text), taken: first && text.slice(0, from) + first.text + text.slice(to) };
}

test.each<[string, string[], string | undefined]>([
  ['|', ['reason=', 'rip=', 'request='], 'reason='],
  ['re|', ['reason=', 'request='], 'reason='],
  ['to=device !ri|', ['rip='], 'to=device !rip='],
  ['RI|', ['rip='], 'rip='],
  ['reason=|', ['io', 'mmio', 'msr-read', 'msr-write'], 'reason=io'],
  ['reason=io,m|', ['mmio', 'msr-read', 'msr-write'], 'reason=io,mmio'],
  ['re| rip=1', ['reason=', 'request='], 'reason= rip=1'],
  ['reason=io|', [], undefined],
  ['rip=0x|', [], undefined],
  ['reason~i|', [], undefined],
  ['request="re|', [], undefined],
  ['colour=r|', [], undefined],
])('%s is continued by %j', (marked, texts, taken) => {
  expect(at(marked)).toEqual({ texts, taken });
});
