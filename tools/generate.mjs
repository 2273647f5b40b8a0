// Makes the generated/ folders: tables that are derived from sources or from libraries at build time.
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const folder = path.join(path.dirname(fileURLToPath(import.meta.url)), 'generate');
for (const file of readdirSync(folder).sort()) {
  if (!file.endsWith('.mjs')) continue;
  const generator = await import(pathToFileURL(path.join(folder, file)).href);
  await generator.default();
}
