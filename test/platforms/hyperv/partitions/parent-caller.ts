import type { GuestPartition } from '../../../../src/hypervisor/partition/guest-partition.ts';
import { HypervPlatform } from '../../../../src/platforms/hyperv/hyperv-platform.ts';
import type { ChildPartition } from '../../../../src/platforms/hyperv/partitions/child-partition.ts';
import { bytesOf, Caller, control, INPUT, OUTPUT, type Vendor } from '../hypercalls/caller.ts';

type Field = readonly [value: bigint | number, size: number];

/** A parent whose test makes its hypercalls. */
export class ParentCaller extends Caller {
  readonly platform: HypervPlatform;

  constructor(vendor: Vendor = 'intel', privileges: readonly string[] = ['create-partitions']) {
    const granted = ['hypercalls', 'timers', 'send-ipis', 'start-vcpus', 'power', ...privileges] as never;
    super(vendor, 64, { memory: 4 << 20, privileges: granted });
    const { server } = this.partition as unknown as { server: unknown };
    if (!(server instanceof HypervPlatform)) throw new Error('the platform is not Hyper-V');
    this.platform = server;
  }

  /** Makes a simple call; gives its status. */
  simple(code: number, ...fields: readonly Field[]): number {
    this.write(INPUT, bytesOf(...fields));
    return this.round(control(code)).status;
  }

  /** Makes a rep call to its end; gives its status and how many elements were done. */
  list(code: number, reps: number, ...fields: readonly Field[]): { readonly status: number; readonly reps: number } {
    this.write(INPUT, bytesOf(...fields));
    let result = this.round(control(code, { reps }));
    for (let start = 64; start < reps && result.status === 0 && result.reps < reps; start += 64)
      result = this.round(control(code, { reps, start }));
    return { status: result.status, reps: result.reps };
  }

  answer(offset = 0): bigint {
    return this.read(OUTPUT + BigInt(offset), 8).getBigUint64(0, true);
  }

  create(flags = 0n): bigint {
    const status = this.simple(0x40, [flags, 8], [0, 8], [0x609, 4], [0, 36]);
    if (status !== 0) throw new Error(`HvCallCreatePartition gave status ${status}`);
    return this.answer();
  }

  deposit(child: bigint, first: number, count: number) {
    const pages = Array.from({ length: count }, (_, index): Field => [first + index, 8]);
    return this.list(0x48, count, [child, 8], ...pages);
  }

  map(child: bigint, target: number, sources: readonly number[], flags = 15) {
    return this.list(
      0x4b,
      sources.length,
      [child, 8],
      [target, 8],
      [flags, 4],
      [0, 4],
      ...sources.map((page): Field => [page, 8]),
    );
  }

  /** An active child with one virtual processor. */
  active(flags = 0n): bigint {
    const child = this.create(flags);
    this.deposit(child, 0x300, 16);
    this.simple(0x41, [child, 8]);
    this.simple(0x4e, [child, 8], [0, 4], [0, 28]);
    return child;
  }

  child(id: bigint): ChildPartition {
    const child = this.platform.children.find(id);
    if (!child) throw new Error(`there is no child ${id}`);
    return child;
  }

  running(id: bigint): GuestPartition {
    const { running } = this.child(id);
    if (!running) throw new Error(`child ${id} does not run`);
    return running.partition;
  }
}
