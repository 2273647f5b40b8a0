import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { nodeFiles } from '../../src/cli/node-files.ts';
import { Host } from '../../src/hypervisor/host/host.ts';
import type { GuestPartition } from '../../src/hypervisor/partition/guest-partition.ts';
import type { PartitionConfiguration } from '../../src/platforms/configuration.ts';
import { createPartition } from '../../src/platforms/create-partition.ts';
import { loadProgram } from '../../src/programs/load-program.ts';
import { busyboxInitramfs } from './busybox-initramfs.ts';
import { debianBusybox, debianKernel } from './kernel.ts';

/** Linux's drivers of what Hyper-V's parent partition has for a child, in the order in which they need each other. */
const MODULES = [
  'hv_vmbus',
  'scsi_common',
  'scsi_mod',
  'scsi_transport_fc',
  'hv_storvsc',
  'sd_mod',
  'hv_netvsc',
  'hv_utils',
  'hyperv-keyboard',
];

export const HYPERV_COMMAND_LINE = 'console=ttyS0 panic=-1 cryptomgr.notests rdinit=/init';

/** A kernel and its first file system. */
export interface PreparedGuest {
  readonly kernel: string;
  readonly initrd: Uint8Array;
}

/** What user space a guest is to have: files beside busybox, a script of this folder as /init, and the modules that it may load. */
export interface UserSpaceOfGuest {
  readonly files?: readonly string[];
  readonly init?: string;
  readonly modules?: readonly string[];
}

/** What a Linux that is a child of Hyper-V boots, or why it can't be had. */
export function hypervGuest({
  files = [],
  init = 'hyperv-init.sh',
  modules = MODULES,
}: UserSpaceOfGuest = {}): PreparedGuest | { readonly reason: string } {
  const [kernel, busybox] = [debianKernel(), debianBusybox()];
  if ('reason' in kernel) return kernel;
  if ('reason' in busybox) return busybox;
  const lacking = modules.find((name) => !existsSync(path.join(kernel.modules, `${name}.ko`)));
  if (lacking) return { reason: `the kernel's package has no uncompressed module ${lacking}` };
  const initrd = busyboxInitramfs({ busybox: busybox.path, modules: kernel.modules }, init, modules, files);
  return { kernel: kernel.path, initrd };
}

const MARK = /^@ (.*)$/gm;

/** A guest whose user space says `@ ready` when it has done what its script is for. */
export class BootedGuest {
  readonly partition: GuestPartition;
  /** What it printed, without carriage returns. */
  text = '';
  /** Is told of each line that its script marks with @, as it comes. */
  onMark: (mark: string) => void = () => {};
  private told = 0;

  /** With 192 MiB and one vCPU of Intel's where `configuration` doesn't say something else. */
  constructor({ kernel, initrd }: PreparedGuest, configuration: Partial<PartitionConfiguration> = {}, host = new Host()) {
    const program = loadProgram(nodeFiles.read(kernel), kernel, {}, nodeFiles);
    const usual = {
      platform: 'hyperv',
      vendor: 'intel',
      vcpus: 1,
      memory: 192 << 20,
      commandLine: HYPERV_COMMAND_LINE,
      initrd,
    } as const;
    this.partition = createPartition({ ...usual, ...configuration }, program, host);
    this.partition.onConsole((_source, bytes) => {
      this.text += Buffer.from(bytes).toString('latin1').replaceAll('\r', '');
      const end = this.text.lastIndexOf('\n') + 1;
      const lines = this.text.slice(this.told, end);
      this.told = end;
      for (const [, mark] of lines.matchAll(MARK)) this.onMark(mark ?? '');
    });
  }

  /** The lines that its script marks with @, in order. */
  get marks(): readonly string[] {
    return [...this.text.matchAll(MARK)].flatMap(([, words]) => words ?? []);
  }

  /** Runs until something holds; false where it doesn't in so many slices of a million instructions. */
  until(holds: () => boolean, slices = 4000): boolean {
    for (let slice = 0; slice < slices && this.partition.end === undefined && !holds(); slice++)
      this.partition.run({ instructions: 1_000_000 });
    return holds();
  }

  untilReady(): boolean {
    return this.until(() => this.text.includes('@ ready\n'));
  }
}

/** Makes an ext4 disk with a file `greeting` in a folder: its path, or why it can't be had here, as a sentence. */
export function greetingDisk(folder: string, greeting: string): { readonly path: string } | { readonly reason: string } {
  const [root, image] = [path.join(folder, 'root'), path.join(folder, 'disk.img')];
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root);
  writeFileSync(path.join(root, 'greeting'), greeting);
  writeFileSync(image, '');
  truncateSync(image, 8 << 20);
  const made = spawnSync('mke2fs', ['-q', '-F', '-t', 'ext4', '-O', '^has_journal', '-d', root, image], { encoding: 'utf8' });
  return made.status === 0
    ? { path: image }
    : { reason: `mke2fs can't fill an image: ${made.stderr?.trim() ?? 'it is not installed'}` };
}

/** A file out of an ext4 image, as text. */
export function fileOfDisk(image: string, name: string): string {
  return spawnSync('debugfs', ['-R', `cat /${name}`, image], { encoding: 'latin1', maxBuffer: 64 << 20 }).stdout;
}
