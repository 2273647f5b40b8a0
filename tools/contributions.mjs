// Writes the attributes of launch.json into package.json, from the debugger's own schema: `node tools/contributions.mjs`.
// test/extension fails when the two differ.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import { root } from './steps.mjs';

const { outputFiles } = await build({
  entryPoints: [path.join(root, 'src/extension/launch-schema.ts')],
  bundle: true,
  write: false,
  format: 'esm',
  platform: 'node',
});
const { launchSchema } = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].text).toString('base64')}`);

const file = path.join(root, 'package.json');
const manifest = JSON.parse(readFileSync(file, 'utf8'));
manifest.contributes.debuggers[0].configurationAttributes = { launch: launchSchema() };
writeFileSync(file, `${JSON.stringify(manifest, undefined, 2)}\n`);
