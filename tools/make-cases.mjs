// Records test/cases anew on this machine's processor: `npm run cases`.
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import { root } from './steps.mjs';

// Beside its sources: the native harness is found from there.
const outfile = path.join(root, 'test/processor/native/make-cases.bundle.mjs');
await build({
  entryPoints: [path.join(root, 'test/cases/make-cases.ts')],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  external: ['iced-x86'],
  logLevel: 'warning',
});
const { status } = spawnSync(process.execPath, [outfile, path.join(root, 'test/cases')], { stdio: 'inherit' });
rmSync(outfile);
process.exitCode = status ?? 1;
