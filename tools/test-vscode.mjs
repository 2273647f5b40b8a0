// Runs the tests that need a real VS Code: test/vscode inside its extension host, then test/ui through its window.
// Prints `N passed, N failed`, or `skipped: …` with the reason where this machine can't run them.
//
// `node tools/test-vscode.mjs [--host] [--ui]` runs only one of the two.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { runTests } from '@vscode/test-electron';
import { build } from 'esbuild';
import { has, root, run, step } from './steps.mjs';
import { installHost } from './vscode-host/install.mjs';
import { findBrowser, hostFolder, whyNotHere } from './vscode-host/layout.mjs';

const results = path.join(root, 'test-results');
const only = process.argv.slice(2);
const wants = (part) => only.length === 0 || only.includes(part);
let passed = 0;
let failed = 0;

function skip(reason) {
  console.log(`skipped: the tests in the real VS Code, because ${reason}`);
  process.exit(0);
}

/** Debian's Chromium, when this machine has none and may install one. */
async function installBrowser() {
  if (findBrowser() !== undefined) return;
  if (process.getuid?.() !== 0 || !has('apt-get'))
    skip('no Chromium is installed; install it, or name one in the variable CHROMIUM');
  await step('Installing Chromium with apt-get', async () => {
    const env = { DEBIAN_FRONTEND: 'noninteractive' };
    await run('apt-get', ['update', '-qq'], { allowFailure: true });
    await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'chromium'], { allowFailure: true, env });
  });
  if (findBrowser() === undefined) skip('Chromium could not be installed with apt-get');
}

/** The mocha suite in the extension host, on a copy of the samples that it may change. */
async function extensionHostTests() {
  const bundle = path.join(root, 'build/vscode-tests/index.js');
  await build({
    entryPoints: [path.join(root, 'test/vscode/index.ts')],
    outfile: bundle,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    external: ['vscode', 'mocha'],
    sourcemap: 'inline',
    logLevel: 'warning',
  });
  const temporary = mkdtempSync(path.join(tmpdir(), 'hyperscope-test-'));
  const workspace = path.join(temporary, 'samples');
  // Without their launch.json: F5 must work where there is none.
  const filter = (file) => path.basename(file) !== '.vscode';
  cpSync(path.join(root, 'samples'), workspace, { recursive: true, filter });
  const report = path.join(results, 'vscode.json');
  rmSync(report, { force: true });
  try {
    await runTests({
      vscodeExecutablePath: path.join(hostFolder, 'code-headless.mjs'),
      extensionDevelopmentPath: root,
      extensionTestsPath: bundle,
      launchArgs: [workspace],
      extensionTestsEnv: { HYPERSCOPE_TEST_REPORT: report, VSCODE_HOST_TIMEOUT: '240' },
      reuseMachineInstall: true,
    });
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  // No report: the extension host never came to its end.
  const counts = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : { passed: 0, failed: 1 };
  passed += counts.passed;
  failed += counts.failed;
}

/** The flows through the window, which leave their screenshots in test-results/. */
async function windowTests() {
  const report = path.join(results, 'ui.json');
  rmSync(report, { force: true });
  const args = ['vitest', 'run', '--config', 'test/ui/vitest.config.ts', '--reporter=default', '--reporter=json'];
  await run('npx', [...args, `--outputFile.json=${report}`], { show: true, allowFailure: true, env: { NO_COLOR: '1' } });
  if (!existsSync(report)) {
    failed += 1;
    return;
  }
  const { numPassedTests, numFailedTests, success } = JSON.parse(readFileSync(report, 'utf8'));
  passed += numPassedTests;
  failed += success ? 0 : Math.max(1, numFailedTests);
}

const reason = whyNotHere();
if (reason !== undefined) skip(reason);
mkdirSync(results, { recursive: true });
await installBrowser();
try {
  await installHost();
} catch (error) {
  skip(`its VS Code could not be installed: ${error instanceof Error ? error.message : error}`);
}
if (wants('--host')) await step('Tests in the extension host', extensionHostTests);
if (wants('--ui')) await step('Tests through the window', windowTests);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
