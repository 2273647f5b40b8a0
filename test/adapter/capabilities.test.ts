import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { capabilityTable } from '../../src/adapter/capability-table.ts';
import { root } from './client.ts';

test('docs/reference/capabilities.md says what the adapter can do', () => {
  const file = path.join(root, 'docs/reference/capabilities.md');
  if (process.env.UPDATE_DOCS) writeFileSync(file, capabilityTable());
  expect(readFileSync(file, 'utf8')).toBe(capabilityTable());
});
