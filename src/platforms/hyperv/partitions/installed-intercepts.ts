import { AccessMask, InterceptType } from '../abi/intercepts.ts';
import { HvStatus } from '../abi/status.ts';
import { type Refused, refused } from './refused.ts';

/** What CPUID gives for a leaf, where the parent has said so (HvCallRegisterInterceptResult). */
export interface CpuidResult {
  readonly leaf: number;
  readonly subleaf: number;
  readonly isSubleafSpecific: boolean;
  /** Values of EAX, EBX, ECX, EDX, and which of their bits they say. */
  readonly values: readonly number[];
  readonly masks: readonly number[];
}

/** More than any parent installs, and few enough to be nobody's burden. */
const MOST = 4096;

/** The intercepts that a parent has installed on its child (HvCallInstallIntercept). */
export class InstalledIntercepts {
  /** Access masks, by type and parameter. */
  private readonly masks = new Map<string, number>();
  private readonly ranges: { readonly first: number; readonly last: number; readonly mask: number }[] = [];
  private readonly results = new Map<string, CpuidResult>();
  /** Changes with each one, so that who derives something of them knows when to do it anew. */
  version = 0;

  /** `mask` 0 takes it away again. */
  install(type: number, mask: number, parameter: bigint): Refused | undefined {
    if (mask & ~(AccessMask.READ | AccessMask.WRITE | AccessMask.EXECUTE))
      return refused(HvStatus.INVALID_PARAMETER, 'its access mask has bits that mean nothing');
    if (mask !== 0 && this.masks.size + this.ranges.length >= MOST)
      return refused(HvStatus.NO_RESOURCES, `a partition can have ${MOST} intercepts`);
    const problem = this.put(type, mask, parameter);
    if (problem === undefined) this.version++;
    return problem === undefined ? undefined : refused(HvStatus.INVALID_PARAMETER, problem);
  }

  private put(type: number, mask: number, parameter: bigint): string | undefined {
    switch (type) {
      case InterceptType.IO_PORT:
        return parameter > 0xffffn ? 'there is no such port' : this.putOne(type, mask, parameter);
      case InterceptType.IO_PORT_RANGE:
        return this.putRange(mask, Number(parameter & 0xffffn), Number((parameter >> 16n) & 0xffffn));
      case InterceptType.MSR:
      case InterceptType.CPUID:
        return this.putOne(type, mask, parameter & 0xffff_ffffn);
      case InterceptType.EXCEPTION:
        return parameter > 31n ? 'there is no exception of this vector' : this.putOne(type, mask, parameter);
      case InterceptType.HYPERCALL:
      case InterceptType.GLOBAL_CPUID:
        return this.putOne(type, mask, 0n);
      default:
        return `intercepts of type ${type} are not served here`;
    }
  }

  private putOne(type: number, mask: number, parameter: bigint): undefined {
    const key = keyOf(type, parameter);
    if (mask === 0) this.masks.delete(key);
    else this.masks.set(key, mask);
  }

  private putRange(mask: number, first: number, last: number): string | undefined {
    if (last < first) return 'the range of ports ends before it begins';
    const index = this.ranges.findIndex((range) => range.first === first && range.last === last);
    if (index >= 0) this.ranges.splice(index, 1);
    if (mask !== 0) this.ranges.push({ first, last, mask });
    return undefined;
  }

  private has(type: number, parameter: bigint, access: number): boolean {
    return ((this.masks.get(keyOf(type, parameter)) ?? 0) & access) !== 0;
  }

  ofPort(port: number, isWrite: boolean): boolean {
    const access = isWrite ? AccessMask.WRITE : AccessMask.READ;
    if (this.has(InterceptType.IO_PORT, BigInt(port), access)) return true;
    return this.ranges.some(({ first, last, mask }) => port >= first && port <= last && (mask & access) !== 0);
  }
  ofMsr(msr: number, isWrite: boolean): boolean {
    return this.has(InterceptType.MSR, BigInt(msr >>> 0), isWrite ? AccessMask.WRITE : AccessMask.READ);
  }
  ofCpuid(leaf: number): boolean {
    return this.has(InterceptType.CPUID, BigInt(leaf >>> 0), 7) || this.has(InterceptType.GLOBAL_CPUID, 0n, 7);
  }
  get ofHypercalls(): boolean {
    return this.has(InterceptType.HYPERCALL, 0n, 7);
  }
  /** Bit = vector. */
  get exceptions(): number {
    let bits = 0;
    for (let vector = 0; vector < 32; vector++) if (this.has(InterceptType.EXCEPTION, BigInt(vector), 7)) bits |= 1 << vector;
    return bits;
  }
  /** MSRs that are intercepted in any way. */
  get msrs(): readonly number[] {
    const prefix = `${InterceptType.MSR} `;
    return [...this.masks.keys()].flatMap((key) => (key.startsWith(prefix) ? [Number(key.slice(prefix.length))] : []));
  }

  // --- results -------------------------------------------------------------------------------------------------------

  registerCpuid(result: CpuidResult): Refused | undefined {
    if (this.results.size >= MOST) return refused(HvStatus.NO_RESOURCES, `a partition can have ${MOST} results`);
    this.results.set(resultKey(result), result);
    return undefined;
  }

  unregisterCpuid(result: Pick<CpuidResult, 'leaf' | 'subleaf' | 'isSubleafSpecific'>): boolean {
    return this.results.delete(resultKey(result));
  }

  /** What the parent has said of a leaf: of that subleaf before that of all. */
  cpuidResult(leaf: number, subleaf: number): CpuidResult | undefined {
    return (
      this.results.get(resultKey({ leaf, subleaf, isSubleafSpecific: true })) ??
      this.results.get(resultKey({ leaf, subleaf, isSubleafSpecific: false }))
    );
  }
}

function keyOf(type: number, parameter: bigint): string {
  return `${type} ${parameter}`;
}

function resultKey({ leaf, subleaf, isSubleafSpecific }: Pick<CpuidResult, 'leaf' | 'subleaf' | 'isSubleafSpecific'>): string {
  return isSubleafSpecific ? `${leaf >>> 0} ${subleaf >>> 0}` : `${leaf >>> 0}`;
}
