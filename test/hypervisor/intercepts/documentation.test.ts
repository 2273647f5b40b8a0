import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import type { SvmPlace, VmxPlace } from '../../../src/hypervisor/intercepts/places.ts';
import { SETTING_ROWS } from '../../../src/hypervisor/intercepts/table.ts';

const page = readFileSync(path.join(import.meta.dirname, '../../../docs/intercepts.md'), 'utf8');

function vmxText(place: VmxPlace): string {
  return typeof place === 'string' ? plain(place) : `${place.field} ${place.bit}: ${place.name}`;
}
function svmText(place: SvmPlace): string {
  if (typeof place === 'string') return plain(place);
  return `${place.offset.toString(16).padStart(3, '0').toUpperCase()}h bit ${place.bit}: ${place.name}`;
}
function plain(place: 'always' | 'none'): string {
  return place === 'always' ? '*always*' : '—';
}

test("the table of the documentation is the program's", () => {
  const rows = SETTING_ROWS.map(
    ([name, { vmx, svm, reason }]) => `| \`${name}\` | ${vmxText(vmx)} | ${svmText(svm)} | ${reason ? `\`${reason}\`` : ''} |`,
  );
  const table = ['| setting | VMX | SVM | exits |', '|---|---|---|---|', ...rows].join('\n');
  const [, shown] = /<!-- settings:.*?-->\n([\s\S]*?)\n?<!-- end of settings -->/.exec(page) ?? [];
  expect(shown?.trim()).toBe(table);
});
