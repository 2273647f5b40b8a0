// `npm start`: installs, builds, and opens a VS Code with the extension and the samples.
//
// The desktop VS Code is used where `code` is on the PATH. Elsewhere a VS Code from npm is installed in tools/vscode-host and
// served on a loopback address, until Ctrl+C.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { has, installPackages, npm, requireNode, root, run, step } from './steps.mjs';

const HELP = `npm start [-- OPTIONS]: installs, builds, and opens a VS Code with Hyperscope and its samples.

  --browser    serve the VS Code from npm even where a desktop VS Code is installed
  --port N     port of the served VS Code on 127.0.0.1; a free one by default
  --no-open    don't open a browser, only print the URL`;

function options() {
  try {
    const { values } = parseArgs({
      options: {
        browser: { type: 'boolean', default: false },
        port: { type: 'string', default: '0' },
        'no-open': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    const port = Number(values.port);
    if (!Number.isInteger(port) || port < 0 || port > 65_535)
      throw new Error(`--port takes a TCP port from 0 to 65535, not "${values.port}".`);
    return { ...values, port, open: !values['no-open'] };
  } catch (error) {
    console.error(`${error.message}\n\n${HELP}`);
    return process.exit(2);
  }
}

/** Starts a program that lives on by itself. */
function launch(command, args) {
  const shell = process.platform === 'win32';
  spawn(command, args, { stdio: 'ignore', detached: true, shell })
    .on('error', () => {})
    .unref();
}

async function openDesktop(samples) {
  await step('Opening VS Code', () => run('code', ['--new-window', `--extensionDevelopmentPath=${root}`, samples]));
  console.log('\nVS Code is open with the samples. Open one, for example kvm/hypercalls.asm, and press F5.');
}

async function serve(samples, { port, open }) {
  // Loaded only now: the folder has nothing to run before this.
  const { installHost } = await import('./vscode-host/install.mjs');
  const { registerExtensions, startServer, workbenchUrl } = await import('./vscode-host/server.mjs');
  const { hostFolder } = await import('./vscode-host/layout.mjs');
  await installHost();
  // Kept from one start to the next, with the user's settings and breakpoints in it.
  const dataFolder = path.join(hostFolder, 'data');
  const extensionsFolder = path.join(dataFolder, 'extensions');
  registerExtensions(extensionsFolder, [root]);
  const server = await step('Starting VS Code', () =>
    // The token keeps other users of this machine, and other pages of the browser, out of the editor and its terminal.
    startServer({ port, dataFolder, extensionsFolder, token: randomBytes(16).toString('hex') }),
  );
  let ending = false;
  const end = async (status) => {
    ending = true;
    await server.stop();
    process.exit(status);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => void end(0));
  server.exited.then((how) => {
    if (ending) return;
    console.error(`The VS Code server ended with ${how}:\n${server.log().slice(-2000)}`);
    void end(1);
  });
  const url = workbenchUrl(server, { workspace: samples });
  console.log(
    `\nVS Code is served at\n\n  ${url}\n\nOpen a sample, for example kvm/hypercalls.asm, and press F5. Ctrl+C here ends it.`,
  );
  const opener = process.platform === 'darwin' ? 'open' : 'xdg-open';
  if (open && (process.env.DISPLAY || process.env.WAYLAND_DISPLAY) && has(opener)) launch(opener, [url]);
}

requireNode();
const chosen = options();
if (chosen.help) {
  console.log(HELP);
  process.exit(0);
}
try {
  const { whyNotHere } = await import('./vscode-host/layout.mjs');
  const desktop = !chosen.browser && has('code');
  const reason = desktop ? undefined : whyNotHere();
  if (reason !== undefined)
    throw new Error(
      `There is no \`code\` on the PATH, and ${reason}. Install Visual Studio Code with its \`code\` command, then start again.`,
    );
  await installPackages();
  await step('Building', () => run(npm, ['run', 'build', '--silent']));
  const samples = path.join(root, 'samples');
  if (desktop) await openDesktop(samples);
  else await serve(samples, chosen);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
