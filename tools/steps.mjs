// What start.mjs, test.mjs and .ci/run share: run a step with one progress line, install what is missing.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
export const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';

/** Prints `title …`, runs the work, prints how long it took. The error of a failed step passes through. */
export async function step(title, work) {
  const started = Date.now();
  process.stdout.write(`• ${title} …\n`);
  const result = await work();
  process.stdout.write(`  done in ${((Date.now() - started) / 1000).toFixed(1)} s\n`);
  return result;
}

/**
 * Runs a program to its end; resolves with exit status and output. `show` passes the output through as it comes,
 * otherwise it appears only when the program fails.
 */
export function run(command, args, { cwd = root, env = {}, show = false, allowFailure = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const take = (stream) => (chunk) => {
      output += chunk;
      if (show) stream.write(chunk);
    };
    child.stdout.on('data', take(process.stdout));
    child.stderr.on('data', take(process.stderr));
    child.on('error', reject);
    child.on('close', (status, signal) => {
      if (status === 0 || allowFailure) return resolve({ status: status ?? 1, output });
      if (!show) process.stdout.write(output);
      reject(new Error(`\`${command} ${args.join(' ')}\` ended with ${signal ?? `status ${status}`}`));
    });
  });
}

/** True when a program answers on the PATH. */
export function has(command) {
  return spawnSync(process.platform === 'win32' ? 'where' : 'which', [command], { stdio: 'ignore' }).status === 0;
}

/** Installs the npm packages unless node_modules is as new as the lockfile says. */
export async function installPackages() {
  const marker = path.join(root, 'node_modules/.package-lock.json');
  const lock = path.join(root, 'package-lock.json');
  if (existsSync(marker) && statSync(marker).mtimeMs >= statSync(lock).mtimeMs) return;
  await step('Installing npm packages', () => run(npm, ['ci', '--no-audit', '--no-fund', '--loglevel=error']));
}

/** Checks the version of Node, with a sentence that says how to mend it. */
export function requireNode() {
  const { engines } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  const wanted = /\d+/.exec(engines.node)?.[0];
  const major = process.versions.node.split('.')[0];
  if (Number(major) < Number(wanted)) {
    console.error(
      `Hyperscope needs Node ${wanted} or later; this is Node ${process.versions.node}. Install a newer one from your system's packages.`,
    );
    process.exit(1);
  }
}
