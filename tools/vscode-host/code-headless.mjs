#!/usr/bin/env node
// Behaves as a `code` executable: @vscode/test-electron starts it with the flags it has for the desktop VS Code. It runs the
// VS Code of this folder in a headless Chromium, passes the extension host's console through, and exits as the tests do.
//
// Exit status: 0 or 1 from the tests, 70 the server failed, 71 the extension host died, 72 the browser went away, 124 no
// result in time (VSCODE_HOST_TIMEOUT seconds, 300 by default), 130 ended by a signal. VSCODE_HOST_VERBOSE shows all logs.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { format } from 'node:util';
import { launchBrowser } from './browser.mjs';
import { hostNode, serverMain } from './layout.mjs';
import { COMMON_FLAGS, startServer, workbenchUrl } from './server.mjs';

const Exit = { INTERNAL: 70, HOST_DIED: 71, BROWSER: 72, TIMEOUT: 124, SIGNAL: 130 };
/** Flags with which `code` manages extensions and ends. */
const MANAGEMENT = /^--(install-extension|uninstall-extension|list-extensions|version|show-versions|help)\b/;
/** What this VS Code says on each start without meaning anything by it. */
const NOISE =
  /connection token|Creating a socket|reconnection-grace-time|builtin extensions|Service Worker|AgentHost|AccountPolicyGate|DefaultAccount|chat-stt|authentication provider|workbench contribution|ChatSessionStore|^Canceled|PluginSettings/;
/** The server's word for an extension host that is gone. A page takes it for the end of the tests, and a good one. */
const HOST_GONE = /\[remote-connection\]\[ExtensionHost\].*received socket close event/;

function parseFlags(argv) {
  const flags = { extensions: [], proposedApis: [], positional: [], tests: undefined, kind: undefined, disableExtensions: false };
  for (let index = 0; index < argv.length; index++) {
    const match = /^--([\w-]+)(?:=(.*))?$/.exec(argv[index]);
    if (!match) {
      flags.positional.push(argv[index]);
      continue;
    }
    const value = () => match[2] ?? argv[++index];
    if (match[1] === 'extensionDevelopmentPath') flags.extensions.push(value());
    else if (match[1] === 'extensionTestsPath') flags.tests = value();
    else if (match[1] === 'extensionDevelopmentKind') flags.kind = value();
    else if (match[1] === 'extensions-dir') flags.extensionsFolder = value();
    else if (match[1] === 'user-data-dir') flags.userDataFolder = value();
    else if (match[1] === 'enable-proposed-api') flags.proposedApis.push(value());
    else if (match[1] === 'folder-uri' || match[1] === 'file-uri')
      flags.positional.push(decodeURIComponent(new URL(value()).pathname));
    else if (match[1] === 'disable-extensions') flags.disableExtensions = true;
    // Everything else is about a window that isn't there.
  }
  return flags;
}

/** The file that the workbench loads as the tests. */
function testsEntry(tests) {
  if (tests === undefined) return undefined;
  if (existsSync(`${tests}.js`)) return `${tests}.js`;
  return statSync(tests).isDirectory() ? path.join(tests, 'index.js') : tests;
}

const argv = process.argv.slice(2).map((flag) => (flag === '-v' ? '--version' : flag));
if (argv.some((flag) => MANAGEMENT.test(flag)))
  process.exit(spawnSync(hostNode, [serverMain, ...COMMON_FLAGS, ...argv], { stdio: 'inherit' }).status ?? 1);

const flags = parseFlags(argv);
const verbose = Boolean(process.env.VSCODE_HOST_VERBOSE);
let server;
let browser;
let ending = false;

async function end(status, reason) {
  if (ending) return;
  ending = true;
  if (reason !== undefined) console.error(`code-headless: ${reason instanceof Error ? reason.stack : reason}`);
  await Promise.race([browser?.close().catch(() => {}), new Promise((resolve) => setTimeout(resolve, 3000))]);
  await server?.stop();
  process.exit(status);
}

for (const event of ['unhandledRejection', 'uncaughtException']) process.on(event, (error) => void end(Exit.INTERNAL, error));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => void end(Exit.SIGNAL, signal));

/** Settings that put the extension under test into the host that `--extensionDevelopmentKind` asks for. */
function kindSettings() {
  const kinds = flags.extensions.map((folder) => {
    const { publisher, name } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
    return [`${publisher}.${name}`, flags.kind === undefined ? undefined : [flags.kind]];
  });
  return { 'remote.extensionKind': Object.fromEntries(kinds) };
}

server = await startServer({
  userDataFolder: flags.userDataFolder,
  extensionsFolder: flags.extensionsFolder,
  settings: kindSettings(),
  testDriver: true,
  flags: flags.proposedApis.flatMap((id) => ['--enable-proposed-api', id]),
  onOutput: (text) => verbose && process.stderr.write(text),
});
server.exited.then((how) => end(Exit.INTERNAL, `the server ended with ${how}\n${server.log().slice(-2000)}`));

browser = await launchBrowser();
browser.on('disconnected', () => void end(Exit.BROWSER, 'the browser went away'));
const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
page.on('crash', () => void end(Exit.BROWSER, 'the page crashed'));

let hostGone = '';
await page.exposeFunction('codeAutomationLog', (type, args) => {
  const line = format(...args);
  if (HOST_GONE.test(line)) {
    hostGone = line;
    if (flags.tests !== undefined) setTimeout(() => void end(Exit.HOST_DIED, `the extension host died: ${line}`), 3000);
  }
  if (verbose || !NOISE.test(line)) (type === 'error' ? process.stderr : process.stdout).write(`${line}\n`);
});
await page.exposeFunction('codeAutomationExit', (status) =>
  hostGone === '' ? void end(status) : void end(Exit.HOST_DIED, `the extension host died: ${hostGone}`),
);

const [first, ...rest] = flags.positional;
const opensWorkspace = first !== undefined && (first.endsWith('.code-workspace') || statSync(first).isDirectory());
const limit = Number(process.env.VSCODE_HOST_TIMEOUT ?? 300);
setTimeout(() => void end(Exit.TIMEOUT, `no result after ${limit} s\n${server.log().slice(-2000)}`), limit * 1000).unref();
const url = workbenchUrl(server, {
  workspace: opensWorkspace ? first : undefined,
  extensions: flags.extensions,
  tests: testsEntry(flags.tests),
  files: opensWorkspace ? rest : flags.positional,
  disableExtensions: flags.disableExtensions,
});
await page.goto(url);
if (flags.tests === undefined) console.log(`READY ${url}`);
