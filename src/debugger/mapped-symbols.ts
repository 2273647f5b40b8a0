import type { Partition } from '../hypervisor/partition/partition.ts';
import type {
  FrameContext,
  FrameRegisters,
  FunctionInfo,
  InlineFrame,
  LineRange,
  SymbolSource,
  TypedValue,
  Variable,
} from '../symbols/symbol-source.ts';

/** Which pages of one partition are at which of another. */
export interface PageMapping {
  /** Changes with the mapping. */
  readonly version: number;
  sourceOf(page: bigint): bigint | undefined;
  targetOf(source: bigint): bigint | undefined;
}

const PAGE_BITS = 12n;
const WITHIN = 0xfffn;

/**
 * Symbols of a partition whose memory is pages of another one, which its code came with. The other one's addresses are physical ones,
 * and so are this one's where it is asked for symbols' places: both map their code to itself.
 */
export class MappedSymbols implements SymbolSource {
  private seen = 0;
  private vcpu = 0;

  constructor(
    private readonly base: SymbolSource,
    private readonly partition: Pick<Partition, 'vcpus'>,
    private readonly pages: PageMapping,
  ) {}

  private toSource(address: bigint): bigint | undefined {
    const gpa = this.partition.vcpus[this.vcpu]?.processor.translate(address);
    const source = gpa === undefined ? undefined : this.pages.sourceOf(gpa >> PAGE_BITS);
    return source === undefined || gpa === undefined ? undefined : (source << PAGE_BITS) | (gpa & WITHIN);
  }

  private fromSource(address: bigint): bigint | undefined {
    const target = this.pages.targetOf(address >> PAGE_BITS);
    return target === undefined ? undefined : (target << PAGE_BITS) | (address & WITHIN);
  }

  get producer(): string {
    return this.base.producer;
  }
  get files(): readonly string[] {
    return this.base.files;
  }
  hasChanged(): boolean {
    const isChanged = this.seen !== this.pages.version;
    this.seen = this.pages.version;
    return isChanged;
  }
  lookFrom(vcpu: number): void {
    this.vcpu = vcpu;
  }

  lineAt(address: bigint): LineRange | undefined {
    const source = this.toSource(address);
    const range = source === undefined ? undefined : this.base.lineAt(source);
    if (!range || source === undefined) return undefined;
    const shift = address - source;
    return { ...range, low: range.low + shift, high: range.high + shift };
  }
  addressesOf(path: string, line: number): { readonly line: number; readonly addresses: readonly bigint[] } {
    const found = this.base.addressesOf(path, line);
    return { line: found.line, addresses: found.addresses.map((at) => this.fromSource(at)).filter((at) => at !== undefined) };
  }
  linesOf(path: string): readonly number[] {
    return this.base.linesOf(path);
  }
  functionAt(address: bigint): FunctionInfo | undefined {
    const source = this.toSource(address);
    const found = source === undefined ? undefined : this.base.functionAt(source);
    return found && source !== undefined ? shifted(found, address - source) : undefined;
  }
  functionsNamed(name: string): readonly FunctionInfo[] {
    return this.base.functionsNamed(name).flatMap((found) => {
      const at = this.fromSource(found.bodyStart);
      return at === undefined ? [] : [shifted(found, at - found.bodyStart)];
    });
  }
  inlineFramesAt(address: bigint): readonly InlineFrame[] {
    const source = this.toSource(address);
    if (source === undefined) return [];
    return this.base.inlineFramesAt(source).map((frame) => ({ ...frame, low: frame.low + address - source }));
  }
  describe(address: bigint): string | undefined {
    const source = this.toSource(address);
    return source === undefined ? undefined : this.base.describe(source);
  }
  symbol(name: string): { readonly address: bigint; readonly size: number } | undefined {
    const found = this.base.symbol(name);
    const address = found && this.fromSource(found.address);
    return found && address !== undefined ? { address, size: found.size } : undefined;
  }
  unwind(frame: FrameContext): FrameRegisters | undefined {
    return this.base.unwind(this.atSource(frame));
  }
  whyNoCaller(frame: FrameContext): string | undefined {
    return this.base.whyNoCaller?.(this.atSource(frame));
  }
  variables(frame: FrameContext): readonly Variable[] {
    return this.base.variables(this.atSource(frame));
  }
  evaluate(expression: string, frame: FrameContext): TypedValue {
    return this.base.evaluate(expression, this.atSource(frame));
  }

  private atSource(frame: FrameContext): FrameContext {
    return { ...frame, pc: this.toSource(frame.pc) ?? frame.pc };
  }
}

function shifted(found: FunctionInfo, by: bigint): FunctionInfo {
  return { ...found, low: found.low + by, high: found.high + by, bodyStart: found.bodyStart + by };
}
