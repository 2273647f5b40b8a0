// What the editor's views cost a guest that does nothing but leave: over stdio, with the requests that an open view makes while a guest
// runs, in turns with stretches without any. Prints how fast the guest is with each view, 1 being its speed without.
// The speed is by the adapter's own processor time where the system tells it (Linux), so that other programs matter little.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { startAdapter } from './dap-client.mjs';

/** As src/extension/views/refresher.ts has it. */
const INTERVAL = 500;
const STRETCH = 3000;
const ROUNDS = Number(process.argv[2] ?? 5);

/** What a view asks each time: requests with their arguments. */
const VIEWS = {
  Partitions: [['hyperscope/partitions']],
  'Exit Profile': [['hyperscope/exitProfile']],
  // As src/extension/views/exits-source.ts has it.
  'VM Exits': [['hyperscope/exits', { count: 100 }]],
};
VIEWS.all = Object.values(VIEWS).flat();
/** Counting by fields goes on for good once it is asked for, so this comes last and is compared with the stretches before. */
const GROUPED = [['hyperscope/exits', { by: 'reason', count: 200, unfold: ['cpuid', 'io', 'hypercall'] }]];

const GUESTS = {
  cpuid: 'again:\n    xor eax, eax\n    cpuid\n    jmp again\n',
  'I/O': '    mov dx, 0x3ff\nagain:\n    in al, dx\n    jmp again\n',
  hypercall: 'again:\n    mov eax, 1\n    vmcall\n    jmp again\n',
};

/**
 * Seconds of processor time of a process's main thread, where the guest runs, in hundredths; time of the clock where the system doesn't
 * tell. What other threads do, such as compiling, doesn't hold the guest up.
 */
function processorSeconds(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/task/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return performance.now() / 1000;
  }
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

async function measure(name, source) {
  const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-bench-'));
  const program = path.join(folder, 'guest.asm');
  writeFileSync(program, `bits 64\n_start:\n${source}`);
  const { request, event, stop, pid } = startAdapter();
  await request('initialize', { adapterID: 'hyperscope' });
  const initialized = event('initialized');
  await request('launch', { program, stopOnEntry: false });
  await initialized;
  await request('configurationDone');

  const progress = async () => {
    const { body } = await request('evaluate', { expression: 'partitions', context: 'repl' });
    return { instructions: Number(/(\d+) instructions/.exec(body.result)[1]), seconds: processorSeconds(pid) };
  };
  /** Instructions a second while these requests are made. */
  const speed = async (requests) => {
    const from = await progress();
    const end = performance.now() + STRETCH;
    while (performance.now() < end) {
      for (const [command, parameters] of requests) await request(command, parameters);
      await sleep(Math.min(INTERVAL, Math.max(0, end - performance.now())));
    }
    const to = await progress();
    return (to.instructions - from.instructions) / (to.seconds - from.seconds);
  };

  await speed([]);
  const ratios = Object.fromEntries(Object.keys(VIEWS).map((view) => [view, []]));
  let before = await speed([]);
  const alone = [before];
  for (let round = 0; round < ROUNDS; round++)
    for (const [view, requests] of Object.entries(VIEWS)) {
      const open = await speed(requests);
      const after = await speed([]);
      ratios[view].push((2 * open) / (before + after));
      before = after;
      alone.push(after);
    }
  ratios['VM Exits by reason'] = [];
  for (let round = 0; round < ROUNDS; round++) ratios['VM Exits by reason'].push((await speed(GROUPED)) / median(alone));
  stop();
  rmSync(folder, { recursive: true });
  for (const [view, values] of Object.entries(ratios))
    console.log(
      `${name.padEnd(10)} ${view.padEnd(18)} ${median(values).toFixed(3)}   (${Math.min(...values).toFixed(3)} to ${Math.max(...values).toFixed(3)})`,
    );
}

for (const [name, source] of Object.entries(GUESTS)) await measure(name, source);
