import type { Guest } from '../debugger/launch-guest.ts';
import { hex } from '../x86/address.ts';

/** A kernel and its modules as the protocol has modules. */
export interface DescribedModule {
  readonly id: string;
  readonly name: string;
  readonly version?: string;
  readonly isUserCode: boolean;
  readonly symbolStatus: string;
  readonly symbolFilePath?: string;
  readonly addressRange?: string;
}

/** The Linux kernels of the guests, the modules that these have loaded, and the programs of processes that have symbols. */
export function kernelModules(guests: readonly Guest[]): DescribedModule[] {
  return guests.flatMap(({ index, configuration, session: { linux } }) => {
    if (linux?.banner === undefined) return [];
    const before = guests.length > 1 ? `${configuration.name}: ` : '';
    const status = 'Functions and data, from the kernel itself';
    const kernel = {
      id: `${index}:linux`,
      name: `${before}Linux`,
      version: linux.banner,
      isUserCode: true,
      symbolStatus: linux.kernelFile ? `${status}, and from a file` : status,
      symbolFilePath: linux.kernelFile?.path,
    };
    const modules = linux.modules.map(({ name, base, size }) => ({
      id: `${index}:linux:${name}`,
      name: `${before}${name}.ko`,
      isUserCode: true,
      symbolStatus: status,
      addressRange: `${hex(base)}-${hex(base + BigInt(size))}`,
    }));
    const programs = linux.programs.map(({ pid, file }) => ({
      id: `${index}:process:${pid}`,
      name: `${before}${file.name}, pid ${pid}`,
      isUserCode: true,
      symbolStatus: 'From the file of the launch attribute "symbols"',
      symbolFilePath: file.path,
    }));
    return [kernel, ...modules, ...programs];
  });
}

/** What a client has been told of kernels and their modules. */
export class ModuleBook {
  private told = new Map<string, DescribedModule>();

  /** What has changed, as bodies of `module` events. */
  changes(
    guests: readonly Guest[],
  ): readonly { readonly reason: 'new' | 'changed' | 'removed'; readonly module: DescribedModule }[] {
    const now = new Map(kernelModules(guests).map((module) => [module.id, module]));
    const before = this.told;
    this.told = now;
    const gone = [...before.values()].filter(({ id }) => !now.has(id)).map((module) => ({ reason: 'removed' as const, module }));
    const come = [...now.values()].flatMap((module) => {
      const known = before.get(module.id);
      if (known && JSON.stringify(known) === JSON.stringify(module)) return [];
      return [{ reason: known ? ('changed' as const) : ('new' as const), module }];
    });
    return [...gone, ...come];
  }
}
