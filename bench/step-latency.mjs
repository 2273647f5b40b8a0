// How long a single step takes for an editor: over stdio, each step with its stack, scopes and general registers.
// Prints the median and the 95th percentile of 1,000 steps, and the time from launch to the first stop.
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { root, startAdapter } from './dap-client.mjs';

const STEPS = 1000;

const { request, event, stop } = startAdapter();

async function look() {
  const { body: stack } = await request('stackTrace', { threadId: 1, levels: 20 });
  const { body: scopes } = await request('scopes', { frameId: stack.stackFrames[0].id });
  await request('variables', { variablesReference: scopes.scopes[0].variablesReference });
}

const program = path.join(root, 'samples/hello/hello.asm');
const begun = performance.now();
await request('initialize', { adapterID: 'hyperscope' });
const initialized = event('initialized');
await request('launch', { program });
await initialized;
let stopped = event('stopped');
await request('configurationDone');
await stopped;
await look();
console.log(`start of the adapter to first stop: ${(performance.now() - begun).toFixed(0)} ms`);

const times = [];
for (let step = 0; step < STEPS; step++) {
  // The sample is short: start again before it ends.
  if (step % 60 === 59) {
    stopped = event('stopped');
    await request('restart');
    await stopped;
  }
  const start = performance.now();
  stopped = event('stopped');
  await request('stepIn', { threadId: 1, granularity: 'instruction' });
  await stopped;
  await look();
  times.push(performance.now() - start);
}
times.sort((a, b) => a - b);
const at = (share) => times[Math.floor(times.length * share)].toFixed(2);
console.log(`${STEPS} steps with stack, scopes and registers: median ${at(0.5)} ms, 95th percentile ${at(0.95)} ms`);
stop();
