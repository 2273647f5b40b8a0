import { spawn } from 'node:child_process';
import { MACHINE_NAMES, type MachineName } from '../../platforms/configuration.ts';
import { aligned, number } from './report.ts';

/** What is booted: a kernel whose initial RAM disk switches the machine off in the end. */
export interface BootGuest {
  readonly kernel: string;
  readonly initrd: string | undefined;
  readonly disk: string | undefined;
  readonly commandLine: string;
  readonly memory: string;
}

/** One boot, from the start of the process to its end. */
interface Boot {
  readonly seconds: number;
  /** Retired instructions, where the engine counts them. */
  readonly instructions: number | undefined;
}

/** The boots of a machine, one of each engine a round. */
export interface BootMeasurement {
  readonly machine: MachineName;
  /** Instructions of a boot: the same in every round. */
  readonly instructions: number;
  /** Medians of the rounds, in seconds. */
  readonly seconds: number;
  /** Undefined where QEMU isn't installed. */
  readonly qemuSeconds: number | undefined;
}

/** Seconds that a boot may take. */
const PATIENCE = 600;
/** The device of a disk behind each transport, as QEMU calls it. */
const QEMU_DISKS: Readonly<Record<MachineName, string>> = { microvm: 'virtio-blk-device', pc: 'virtio-blk-pci' };
/** QEMU's microvm has ACPI tables only when it is asked for them. */
const QEMU_MACHINES: Readonly<Record<MachineName, string>> = { microvm: 'microvm,acpi=on,rtc=on', pc: 'pc' };

/** Boots a guest on each machine in turns with QEMU's TCG. Rejects with a sentence when one doesn't come to its end. */
export async function measureBoots(
  guest: BootGuest,
  rounds: number,
  hasQemu: boolean,
  tell: (what: string) => void,
): Promise<BootMeasurement[]> {
  const measurements: BootMeasurement[] = [];
  for (const machine of MACHINE_NAMES) {
    const own: Boot[] = [];
    const others: Boot[] = [];
    for (let round = 1; round <= rounds; round++) {
      tell(`${machine}: Hyperscope, round ${round} of ${rounds}`);
      own.push(await boot(process.execPath, ownArguments(guest, machine)));
      if (!hasQemu) continue;
      tell(`${machine}: QEMU, round ${round} of ${rounds}`);
      others.push(await boot('qemu-system-x86_64', qemuArguments(guest, machine)));
    }
    const seconds = median(own.map((one) => one.seconds)) ?? 0;
    const qemuSeconds = median(others.map((one) => one.seconds));
    measurements.push({ machine, instructions: own[0]?.instructions ?? 0, seconds, qemuSeconds });
  }
  return measurements;
}

function ownArguments({ kernel, initrd, disk, commandLine, memory }: BootGuest, machine: MachineName): string[] {
  return [
    process.argv[1] ?? '',
    'run',
    kernel,
    '--machine',
    machine,
    '--memory',
    memory,
    '--append',
    commandLine,
    '--stats',
  ].concat(initrd === undefined ? [] : ['--initrd', initrd], disk === undefined ? [] : ['--disk', disk]);
}

function qemuArguments({ kernel, initrd, disk, commandLine, memory }: BootGuest, machine: MachineName): string[] {
  return ['-accel', 'tcg', '-M', QEMU_MACHINES[machine], '-cpu', 'max', '-m', memory, '-kernel', kernel, '-append', commandLine]
    .concat(['-display', 'none', '-monitor', 'none', '-serial', 'stdio', '-no-reboot', '-nodefaults'])
    .concat(
      initrd === undefined ? [] : ['-initrd', initrd],
      disk === undefined
        ? []
        : ['-drive', `file=${disk},if=none,id=disk,format=raw,snapshot=on`, '-device', `${QEMU_DISKS[machine]},drive=disk`],
    );
}

function boot(command: string, args: readonly string[]): Promise<Boot> {
  return new Promise((resolve, reject) => {
    const begin = performance.now();
    const child = spawn(command, [...args], { stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE * 1000);
    child.stderr.on('data', (chunk: Buffer) => {
      errors += chunk.toString('latin1');
    });
    child.on('error', reject);
    child.on('close', (status) => {
      clearTimeout(timer);
      const seconds = (performance.now() - begin) / 1000;
      const counted = /"instructions":(\d+)/.exec(errors)?.[1];
      if (status === 0) resolve({ seconds, instructions: counted === undefined ? undefined : Number(counted) });
      else {
        const last = errors.trim().split('\n').at(-1) ?? '';
        reject(new Error(`${command} did not boot the guest to its power-off within ${PATIENCE} seconds${last && `: ${last}`}`));
      }
    });
  });
}

function median(values: readonly number[]): number | undefined {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

/** The table for people. QEMU counts no instructions: its MIPS are those that Hyperscope counted in QEMU's time. */
export function bootTableOf(measurements: readonly BootMeasurement[]): string {
  const rows = measurements.map(({ machine, instructions, seconds, qemuSeconds }) => {
    const mips = (time: number | undefined) => (time === undefined ? undefined : instructions / time / 1e6);
    const ratio = qemuSeconds === undefined ? undefined : qemuSeconds / seconds;
    const numbers = [
      number(seconds, 2),
      number(mips(seconds), 1),
      number(qemuSeconds, 2),
      number(mips(qemuSeconds), 1),
      number(ratio, 2),
    ];
    return [machine, number(instructions / 1e6, 1), ...numbers];
  });
  return aligned([['machine', 'million instructions', 'seconds', 'MIPS', 'QEMU seconds', 'QEMU MIPS', 'ratio'], ...rows], 1);
}
