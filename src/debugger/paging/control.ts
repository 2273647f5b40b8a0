import type { Processor } from '../../processor/processor.ts';
import * as L from '../../processor/state/layout.ts';

/** How a vCPU pages now: the mode, and the bits of control registers that change what entries mean (Intel SDM vol. 3, 4.1). */
export interface PagingControl {
  readonly mode: 'off' | '32-bit' | 'PAE' | '4-level';
  readonly vendor: 'intel' | 'amd';
  readonly physicalAddressBits: number;
  /** Pages of 1 GiB. */
  readonly hugePages: boolean;
  /** Physical addresses of 4 MiB pages above 4 GiB. */
  readonly pse36: boolean;
  readonly wp: boolean;
  /** 4 MiB pages in 32-bit paging. */
  readonly pse: boolean;
  readonly pge: boolean;
  readonly nxe: boolean;
  readonly smep: boolean;
  readonly smap: boolean;
  readonly pke: boolean;
  /** EFLAGS.AC lifts SMAP, for explicit accesses of the supervisor. */
  readonly ac: boolean;
  readonly pkru: number;
  readonly pat: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
}

const Cr4 = { PSE: 4, PAE: 5, PGE: 7, SMEP: 20, SMAP: 21, PKE: 22 } as const;
const CR0_WP = 16;
const CR0_PG = 31;
const EFER_LMA = 10;
const EFER_NXE = 11;
const AC = 1 << 18;

export function pagingControl({ state, model }: Pick<Processor, 'state' | 'model'>): PagingControl {
  const bit = (value: bigint, index: number) => ((value >> BigInt(index)) & 1n) !== 0n;
  const { cr0, cr4, efer } = state;
  const wide = bit(efer, EFER_LMA) ? '4-level' : bit(cr4, Cr4.PAE) ? 'PAE' : '32-bit';
  return {
    mode: bit(cr0, CR0_PG) ? wide : 'off',
    vendor: model.vendor,
    physicalAddressBits: model.physicalAddressBits,
    hugePages: model.has('pdpe1gb'),
    pse36: model.has('pse36'),
    wp: bit(cr0, CR0_WP),
    pse: bit(cr4, Cr4.PSE),
    pge: bit(cr4, Cr4.PGE),
    nxe: bit(efer, EFER_NXE),
    smep: bit(cr4, Cr4.SMEP),
    smap: bit(cr4, Cr4.SMAP),
    pke: bit(cr4, Cr4.PKE),
    ac: (state.rflags & AC) !== 0 && state.cpl !== 3,
    pkru: state.get32(L.PKRU),
    pat: state.get64(L.MSR_PAT),
    cr3: state.cr3,
    cr4,
  };
}
