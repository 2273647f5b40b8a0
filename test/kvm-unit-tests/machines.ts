import { execFile } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { nodeFiles } from '../../src/cli/node-files.ts';
import type { GuestPartition } from '../../src/hypervisor/partition/guest-partition.ts';
import { createPartition } from '../../src/platforms/create-partition.ts';
import { initializeLikeBios } from '../../src/platforms/firmware.ts';
import { loadProgram } from '../../src/programs/load-program.ts';
import type { UnitTest } from './unit-tests.ts';

/** What a test printed, and the status that it ended with: (code << 1) | 1. */
export interface Outcome {
  readonly text: string;
  /** Why it didn't end by itself. */
  readonly problem?: string;
  readonly status?: number;
}

const MIB = 1024 * 1024;
const DEFAULT_MEMORY = 128;
const SLICE = 2_000_000;
const MOST_INSTRUCTIONS = 400_000_000n;
const QEMU_SECONDS = 60;

/** What the tests would otherwise ask QEMU's configuration device for. */
function environment({ vcpus = 1, memory = DEFAULT_MEMORY }: UnitTest): Uint8Array {
  return new TextEncoder().encode(`NR_CPUS=${vcpus}\nMEMSIZE=${memory}\n`);
}

/** Runs a test under QEMU's own emulation, as the run script of the tests does. */
export function runUnderQemu(test: UnitTest, image: string, scratch: string): Promise<Outcome> {
  const { vcpus = 1, memory = DEFAULT_MEMORY, parameters, qemu: cpu } = test;
  const initrd = path.join(scratch, `${test.name}.environment`);
  // Not by a pipe: QEMU drops what doesn't fit into it.
  const console = path.join(scratch, `${test.name}.txt`);
  writeFileSync(initrd, environment(test));
  const args = ['-nodefaults', '-no-reboot', '-display', 'none', '-serial', `file:${console}`, '-machine', 'accel=tcg'];
  args.push('-device', 'pc-testdev', '-device', 'isa-debug-exit,iobase=0xf4,iosize=0x4', '-smp', `${vcpus}`, '-m', `${memory}`);
  args.push('-kernel', image, '-initrd', initrd);
  if (cpu !== undefined) args.push('-cpu', cpu);
  if (parameters !== undefined) args.push('-append', parameters);
  return new Promise((resolve) => {
    const child = execFile('qemu-system-x86_64', args, { timeout: QEMU_SECONDS * 1000 }, (error) => {
      const text = existsSync(console) ? readFileSync(console, 'latin1') : '';
      const problem = error?.killed ? `QEMU still ran after ${QEMU_SECONDS} seconds.` : undefined;
      resolve({ text, problem, status: child.exitCode ?? undefined });
    });
  });
}

/** Where the handler of IRQ 0 lies: its segment, and its code that acknowledges the interrupt. */
const TIMER_HANDLER = { segment: 0xf000, code: [0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf] };

/** What the BIOS under QEMU has done before it loads a Multiboot image: the timer ticks at 18.2 Hz, through its interrupt vector 8. */
function leaveLikeFirmware({ devices, memory }: GuestPartition): void {
  initializeLikeBios(devices);
  const { segment, code } = TIMER_HANDLER;
  memory.write(BigInt(segment * 16), Uint8Array.from(code));
  memory.write(8n * 4n, Uint8Array.of(0, 0, segment & 0xff, segment >> 8));
  for (const [port, value] of [
    // Channel 0, rate generator, divided by 65536; all lines but IRQ 0 masked.
    [0x43, 0x34],
    [0x40, 0],
    [0x40, 0],
    [0x21, 0xfe],
  ] as const)
    devices.ports.write(port, 1, value);
}

/** Runs a test in a partition. */
export async function runInPartition(test: UnitTest, image: string, platform: 'bare' | 'kvm' | 'hyperv'): Promise<Outcome> {
  const { vcpus = 1, memory = DEFAULT_MEMORY, vendor = 'intel', cpu, parameters, instructions = MOST_INSTRUCTIONS } = test;
  const program = loadProgram(nodeFiles.read(image), image, {}, nodeFiles);
  const partition = createPartition(
    { platform, vendor, cpu, vcpus, memory: memory * MIB, commandLine: parameters, initrd: environment(test), testDevice: true },
    program,
  );
  if (test.firmware) leaveLikeFirmware(partition);
  let text = '';
  partition.onConsole((source, bytes) => {
    if (source === 'serial') text += Buffer.from(bytes).toString('latin1');
  });
  for (;;) {
    const stop = partition.run({ instructions: SLICE });
    if (stop.kind === 'ended') {
      const { kind, status, message } = stop.end;
      return { text, status, problem: kind === 'debug-exit' || kind === 'reset' ? undefined : message };
    }
    if (stop.kind !== 'budget') return { text, problem: `It stopped with ${stop.kind}.` };
    if (partition.icount > instructions) return { text, problem: `It still ran after ${instructions} instructions.` };
    // Lets the test's runner breathe.
    await new Promise((resolve) => setImmediate(resolve));
  }
}
