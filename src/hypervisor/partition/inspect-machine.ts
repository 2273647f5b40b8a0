import type { InspectNode } from '../../devices/inspect.ts';
import { hex } from '../../x86/address.ts';
import { inspectSecondLevel } from '../second-level/inspect.ts';
import type { GuestPartition } from './guest-partition.ts';
import type { Platform } from './platform.ts';

/** The partition as a live tree: vCPUs, memory map, platform, devices. */
export function inspectMachine(partition: GuestPartition, platform: Platform): InspectNode {
  const vcpus = partition.vcpus.map(({ index, processor }): InspectNode => {
    const state = processor.halted ? 'halted' : 'running';
    return {
      name: `vCPU ${index}`,
      value: hex(processor.state.rip),
      detail: `${state}, ${processor.mode}-bit code, ring ${processor.cpl}, ${processor.icount.toLocaleString('en-US')} instructions retired`,
    };
  });
  const ram = partition.memory.regions.map(
    (region): InspectNode => ({
      name: 'RAM',
      value: `${hex(region.gpa)}–${hex(region.gpa + BigInt(region.length) - 1n)}`,
      detail: `${region.length / 1024} KiB`,
      memory: { space: 'gpa', address: region.gpa },
    }),
  );
  return {
    name: partition.name,
    value: partition.platform,
    detail: `${partition.vcpus.length} vCPU${partition.vcpus.length === 1 ? '' : 's'}, guest time ${partition.now().toLocaleString('en-US')} ns`,
    children: [
      { name: 'vCPUs', children: vcpus },
      { name: 'memory map', children: ram },
      inspectSecondLevel(partition.secondLevel, partition.dirtyLog),
      platform.inspect(),
      partition.devices.inspect(),
    ],
  };
}
