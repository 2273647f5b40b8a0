// Installs the VS Code host beside this file, from the npm registry alone: about two minutes and half a gigabyte.
// It can be run again at any time; what is there is kept. `node tools/vscode-host/install.mjs` does it by hand.
import { rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { npm, run, step } from '../steps.mjs';
import { hostFolder, hostNode, isInstalled, readyMarker, vscodeFolder, whyNotHere } from './layout.mjs';

/** Parts that sign in somewhere, that are made for other systems, or that complain: code-server leaves TypeScript's server out. */
const UNUSED = [
  'extensions/copilot',
  'extensions/github',
  'extensions/github-authentication',
  'extensions/mermaid-markdown-features',
  'extensions/microsoft-authentication',
  'extensions/tunnel-forwarding',
  'extensions/typescript-language-features',
  'node_modules/@github',
  'node_modules/@microsoft/mxc-sdk',
  'node_modules/@vscode/copilot-api',
  'node_modules/node-pty/prebuilds/darwin-arm64',
  'node_modules/node-pty/prebuilds/darwin-x64',
  'node_modules/node-pty/prebuilds/win32-arm64',
  'node_modules/node-pty/prebuilds/win32-x64',
];
/** The server's log and its watchdog. Without them it runs, but complains. */
const NATIVE_MODULES = ['@vscode/spdlog', '@vscode/native-watchdog'];
const QUIET = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];

export async function installHost() {
  if (isInstalled()) return;
  const reason = whyNotHere();
  if (reason !== undefined) throw new Error(`${reason[0].toUpperCase()}${reason.slice(1)}.`);
  await step('Installing VS Code from npm (1 of 3: the packages, about a minute)', () =>
    run(npm, ['ci', ...QUIET], { cwd: hostFolder }),
  );
  const env = {
    PATH: `${path.dirname(hostNode)}${path.delimiter}${process.env.PATH}`,
    // The package brings the headers that native modules are built with.
    npm_config_nodedir: path.dirname(path.dirname(hostNode)),
  };
  // Its lockfile doesn't agree with its package.json, so `npm ci` refuses here.
  await step('Installing VS Code from npm (2 of 3: what its server needs)', () =>
    run(npm, ['install', '--omit=dev', ...QUIET], { cwd: vscodeFolder, env }),
  );
  for (const part of UNUSED) rmSync(path.join(vscodeFolder, part), { recursive: true, force: true });
  await step('Installing VS Code from npm (3 of 3: building two native modules)', async () => {
    const args = ['rebuild', '--ignore-scripts=false', '--loglevel=error', ...NATIVE_MODULES];
    const { status } = await run(npm, args, { cwd: vscodeFolder, env, allowFailure: true });
    if (status !== 0) console.log('  no C++ compiler here: VS Code runs without its log file');
  });
  rmSync(path.join(vscodeFolder, 'node_modules.asar'), { recursive: true, force: true });
  symlinkSync('node_modules', path.join(vscodeFolder, 'node_modules.asar'));
  writeFileSync(readyMarker, '');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await installHost();
