import type { CpuidResult, CpuModel } from './cpu-model.ts';

/** Components of the state that XSAVE saves, as bits of XCR0 and of the masks in EDX:EAX (Intel SDM vol. 1, 13.1). */
export const Component = { X87: 1 << 0, SSE: 1 << 1, AVX: 1 << 2, PKRU: 1 << 9 } as const;

/** Bytes of the legacy region (x87 and SSE) and of the header behind it. */
export const LEGACY_SIZE = 512;
export const HEADER_SIZE = 64;

/** A component behind the header: its place in the standard format, and its size, which is what the compacted format goes by. */
interface ExtendedComponent {
  readonly bit: number;
  readonly offset: number;
  readonly size: number;
}

/** Gaps are those of components that are not emulated, of which Intel's processors have more. */
function extendedComponents(vendor: CpuModel['vendor']): readonly ExtendedComponent[] {
  return [
    { bit: Component.AVX, offset: 576, size: 256 },
    { bit: Component.PKRU, offset: vendor === 'amd' ? 2432 : 2688, size: 8 },
  ];
}

type Features = Pick<CpuModel, 'vendor' | 'has'>;

/** Components that XCR0 may enable. */
export function supportedComponents({ has }: Features): number {
  if (!has('xsave')) return Component.X87;
  return Component.X87 | (has('sse') ? Component.SSE : 0) | (has('avx') ? Component.AVX : 0) | (has('pku') ? Component.PKRU : 0);
}

/** Where the components of a mask that lie behind the header are; the size of it all is `end`. */
export function layoutOf(
  vendor: CpuModel['vendor'],
  components: number,
  compacted: boolean,
): { readonly offsets: ReadonlyMap<number, number>; readonly end: number } {
  const offsets = new Map<number, number>();
  let end = LEGACY_SIZE + HEADER_SIZE;
  for (const { bit, offset, size } of extendedComponents(vendor)) {
    if ((components & bit) === 0) continue;
    const at = compacted ? end : offset;
    offsets.set(bit, at);
    end = at + size;
  }
  return { offsets, end };
}

/** Subleaves of CPUID leaf 0Dh as far as they follow from the features; the sizes of what XCR0 enables come from the state. */
export function stateLeaf(model: Features, subleaf: number): CpuidResult {
  const none = { eax: 0, ebx: 0, ecx: 0, edx: 0 };
  if (!model.has('xsave')) return none;
  const supported = supportedComponents(model);
  if (subleaf === 0) return { ...none, eax: supported, ecx: layoutOf(model.vendor, supported, false).end };
  const component = extendedComponents(model.vendor).find(({ bit }) => bit === 1 << subleaf && (supported & bit) !== 0);
  return component && subleaf < 32 ? { ...none, eax: component.size, ebx: component.offset } : none;
}
