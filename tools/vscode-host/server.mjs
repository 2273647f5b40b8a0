// Starts the VS Code server of this folder on a loopback port, and says under which URL its workbench opens a workspace.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { hostNode, serverMain } from './layout.mjs';

const READY = 'Extension host agent started';
const START_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 3_000;

/** What keeps the workbench quiet and offline. A user's own settings win over these. */
const QUIET_SETTINGS = {
  'chat.disableAIFeatures': true,
  'extensions.autoCheckUpdates': false,
  'extensions.autoUpdate': false,
  'git.enabled': false,
  'remote.autoForwardPorts': false,
  'telemetry.telemetryLevel': 'off',
  'typescript.disableAutomaticTypeAcquisition': true,
  'workbench.enableExperiments': false,
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'workbench.startupEditor': 'none',
};

/** The flags that every run of the server has, whatever it runs for. */
export const COMMON_FLAGS = ['--accept-server-license-terms', '--telemetry-level', 'off'];

export function serverEnvironment(env = {}) {
  // Without a gallery the workbench looks nothing up.
  const all = { EXTENSIONS_GALLERY: '{"serviceUrl":""}', ...process.env, ...env };
  // Set when this script was itself started from an Electron; the server must not inherit it.
  delete all.ELECTRON_RUN_AS_NODE;
  return all;
}

export function freePort() {
  return new Promise((resolve, reject) => {
    const probe = net.createServer();
    probe.on('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

/** Writes the settings of a user data folder: quiet ones, then what the user has there, then `settings`. */
export function writeSettings(userDataFolder, settings = {}) {
  const file = path.join(userDataFolder, 'User/settings.json');
  mkdirSync(path.dirname(file), { recursive: true });
  let own = {};
  try {
    own = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    // None yet, or with comments in it: the quiet ones are enough to start with.
  }
  writeFileSync(file, `${JSON.stringify({ ...QUIET_SETTINGS, ...own, ...settings }, undefined, 2)}\n`);
}

/**
 * Lists unpacked extensions as installed in an extensions folder, in place: nothing is copied. Unlike development extensions they
 * work without the driver for tests, which would swallow notifications and dialogs.
 */
export function registerExtensions(extensionsFolder, extensionFolders) {
  mkdirSync(extensionsFolder, { recursive: true });
  const entries = extensionFolders.map((folder) => {
    const { publisher, name, version } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
    return {
      identifier: { id: `${publisher}.${name}` },
      version,
      location: { $mid: 1, path: folder, scheme: 'file' },
      metadata: { installedTimestamp: 0, pinned: true, source: 'vsix' },
    };
  });
  writeFileSync(path.join(extensionsFolder, 'extensions.json'), JSON.stringify(entries));
}

/**
 * Starts the server. Resolves when it answers; `stop()` ends it and everything it started.
 *
 * - `port`: 0 takes a free one
 * - `dataFolder`: where settings and extensions live; a temporary one by default, removed by `stop()`
 * - `testDriver`: lets a page load development extensions and tests; swallows notifications and dialogs
 * - `token`: what a page must know to connect; none lets every local program in
 */
export async function startServer({
  port = 0,
  dataFolder,
  userDataFolder,
  extensionsFolder,
  settings,
  testDriver = false,
  token,
  env,
  flags = [],
  onOutput = () => {},
} = {}) {
  const temporary = dataFolder === undefined ? mkdtempSync(path.join(tmpdir(), 'hyperscope-vscode-')) : undefined;
  const folder = dataFolder ?? temporary;
  const userData = userDataFolder ?? path.join(folder, 'data');
  const extensions = extensionsFolder ?? path.join(folder, 'extensions');
  writeSettings(userData, settings);
  const actualPort = port === 0 ? await freePort() : port;
  const args = [
    serverMain,
    ...COMMON_FLAGS,
    ...['--host', '127.0.0.1', '--port', String(actualPort)],
    ...(token === undefined ? ['--without-connection-token'] : ['--connection-token', token]),
    ...['--disable-workspace-trust', '--disable-experiments', '--reconnection-grace-time', '1'],
    ...(testDriver ? ['--enable-smoke-test-driver'] : []),
    ...['--server-data-dir', path.join(folder, 'server')],
    ...['--user-data-dir', userData, '--extensions-dir', extensions],
    ...flags,
  ];
  // A process group of its own: the extension host outlives a server that is killed alone.
  const server = spawn(hostNode, args, { env: serverEnvironment(env), stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const signalGroup = (signal) => {
    try {
      process.kill(-server.pid, signal);
    } catch {
      // It is gone already.
    }
  };
  const killAtExit = () => signalGroup('SIGKILL');
  process.once('exit', killAtExit);
  const exited = new Promise((resolve) => server.once('exit', (status, signal) => resolve(signal ?? `status ${status}`)));
  let output = '';
  await new Promise((resolve, reject) => {
    const fail = (why) => reject(new Error(`The VS Code server ${why}:\n${output.slice(-2000)}`));
    const timer = setTimeout(() => fail(`didn't start within ${START_LIMIT_MS / 1000} s`), START_LIMIT_MS);
    const take = (chunk) => {
      output += chunk;
      onOutput(String(chunk));
      if (!output.includes(READY)) return;
      clearTimeout(timer);
      resolve();
    };
    server.stdout.on('data', take);
    server.stderr.on('data', take);
    server.once('error', (error) => fail(error.message));
    exited.then((how) => fail(`ended with ${how}`));
  });
  return {
    port: actualPort,
    token,
    userDataFolder: userData,
    exited,
    log: () => output,
    async stop() {
      signalGroup('SIGTERM');
      await Promise.race([exited, new Promise((resolve) => setTimeout(resolve, STOP_LIMIT_MS).unref())]);
      signalGroup('SIGKILL');
      process.removeListener('exit', killAtExit);
      if (temporary !== undefined) rmSync(temporary, { recursive: true, force: true });
    },
  };
}

/** The URI by which a page names a file of this machine. */
export function remoteUri(server, file) {
  return `vscode-remote://127.0.0.1:${server.port}${path.resolve(file)}`;
}

/**
 * The page that opens a workspace. `workspace` is a folder or a .code-workspace file; `extensions` (development ones) and
 * `tests` need a server with `testDriver`.
 */
export function workbenchUrl(server, { workspace, extensions = [], tests, files = [], disableExtensions = false } = {}) {
  const url = new URL(`http://127.0.0.1:${server.port}/`);
  if (server.token !== undefined) url.searchParams.set('tkn', server.token);
  if (workspace === undefined) url.searchParams.set('ew', 'true');
  else url.searchParams.set(workspace.endsWith('.code-workspace') ? 'workspace' : 'folder', path.resolve(workspace));
  const payload = [
    ...extensions.map((folder) => ['extensionDevelopmentPath', remoteUri(server, folder)]),
    ...(tests === undefined ? [] : [['extensionTestsPath', remoteUri(server, tests)]]),
    ...files.map((file) => ['openFile', remoteUri(server, file)]),
    ...(disableExtensions ? [['disableExtensions', 'true']] : []),
    ['skipWelcome', 'true'],
    ['skipReleaseNotes', 'true'],
  ];
  url.searchParams.set('payload', JSON.stringify(payload));
  return url.href;
}
