// A headless Chromium for the workbench: Debian's, driven by playwright-core.
import { createRequire } from 'node:module';
import path from 'node:path';
import { findBrowser, hostFolder } from './layout.mjs';

const FLAGS = [
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-gpu',
  '--disable-quic',
  '--disable-sync',
  '--no-first-run',
  // Chromium's sandbox refuses to start for root, and the page is our own.
  '--no-sandbox',
];

/** Signals are left to the caller, which has a server to stop as well. */
export async function launchBrowser({ flags = [] } = {}) {
  const executablePath = findBrowser();
  if (executablePath === undefined) throw new Error('No Chromium was found; install it, or name one in the variable CHROMIUM.');
  // Loaded when needed: the package is there only after install.mjs has run.
  const { chromium } = createRequire(path.join(hostFolder, 'package.json'))('playwright-core');
  return chromium.launch({
    executablePath,
    headless: true,
    handleSIGINT: false,
    handleSIGTERM: false,
    handleSIGHUP: false,
    args: [...FLAGS, ...flags],
  });
}
