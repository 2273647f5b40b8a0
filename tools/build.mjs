// Bundles what ships: dist/cli.js, dist/extension.js, dist/language-server.js, and beside them the sources of the hypervisor,
// which the debugger shows when a user steps through a VM exit.

import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const dist = path.join(root, 'dist');
const require = createRequire(import.meta.url);
const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));

const ENTRIES = [
  { source: 'src/cli/main.ts', target: 'cli.js', banner: '#!/usr/bin/env node' },
  { source: 'src/extension/extension.ts', target: 'extension.js', external: ['vscode'] },
  { source: 'src/extension/language-server-process.ts', target: 'language-server.js' },
];
/** Rooms whose sources are places to stop at. */
const SHIPPED_SOURCES = ['src/hypervisor', 'src/platforms', 'src/devices'];

/** iced-x86 reads its WebAssembly from a file beside it; in a bundle the bytes are part of the program instead. */
const icedInBundle = {
  name: 'iced-in-bundle',
  setup(builder) {
    builder.onLoad({ filter: /iced-x86[\\/].*\.js$/ }, (args) => {
      const source = readFileSync(args.path, 'utf8');
      if (!source.includes('iced_x86_bg.wasm')) return undefined;
      const wasm = readFileSync(path.join(path.dirname(require.resolve('iced-x86')), 'iced_x86_bg.wasm')).toString('base64');
      const contents = source.replace(
        /const path = require\('path'\)\.join\(__dirname, 'iced_x86_bg\.wasm'\);\s*const bytes = require\('fs'\)\.readFileSync\(path\);/,
        `const bytes = Buffer.from(${JSON.stringify(wasm)}, 'base64');`,
      );
      if (contents === source) throw new Error('iced-x86 loads its WebAssembly in a new way; tools/build.mjs must learn it.');
      return { contents, loader: 'js' };
    });
  },
};

export async function buildAll({ minify = false } = {}) {
  mkdirSync(dist, { recursive: true });
  for (const { source, target, banner, external = [] } of ENTRIES) {
    if (!existsSync(path.join(root, source))) continue;
    const outfile = path.join(dist, target);
    await build({
      entryPoints: [path.join(root, source)],
      outfile,
      bundle: true,
      platform: 'node',
      target: 'node20',
      format: 'cjs',
      sourcemap: 'linked',
      sourcesContent: false,
      minify,
      external,
      banner: banner ? { js: banner } : {},
      plugins: [icedInBundle],
      logLevel: 'warning',
      define: { 'process.env.NODE_ENV': '"production"', 'process.env.HYPERSCOPE_VERSION': JSON.stringify(version) },
    });
    if (banner) chmodSync(outfile, 0o755);
  }
  for (const folder of SHIPPED_SOURCES) {
    const target = path.join(dist, folder);
    rmSync(target, { recursive: true, force: true });
    cpSync(path.join(root, folder), target, {
      recursive: true,
      filter: (file) => !file.endsWith('tsconfig.json') && !file.includes(`${path.sep}generated`),
    });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildAll({ minify: process.argv.includes('--minify') });
