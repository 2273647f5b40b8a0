import type { DmaMemory } from '../dma.ts';
import { AssignedFunction } from '../pci/assigned.ts';
import { VirtioEntropy } from './entropy/device.ts';
import type { VirtioModel } from './model.ts';
import { VirtioPci } from './transport/pci.ts';

const MODELS = { rng: () => new VirtioEntropy() } as const satisfies Readonly<Record<string, () => VirtioModel>>;

/** Kinds of functions of the host's that can be assigned to a guest. */
export type AssignableName = keyof typeof MODELS;
export const ASSIGNABLE_NAMES = ['rng'] as const satisfies readonly AssignableName[];

/** Makes the functions that a guest is assigned, each behind virtio-pci. */
export function makeAssigned(names: readonly AssignableName[], dma: DmaMemory): readonly AssignedFunction[] {
  const counts = new Map<string, number>();
  return names.map((kind) => {
    const model = MODELS[kind]();
    const index = counts.get(model.name) ?? 0;
    counts.set(model.name, index + 1);
    const name = index === 0 ? model.name : `${model.name}-${index}`;
    return new AssignedFunction((send) => new VirtioPci(model, { dma, name, send, hasNoPin: true }));
  });
}
