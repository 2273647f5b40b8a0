import type { Processor } from '../../../processor/processor.ts';
import {
  INITIAL_MXCSR,
  mxcsrOf,
  putX87,
  putXmm,
  takeMxcsr,
  takeX87,
  takeXmm,
} from '../../../processor/saved-state/legacy-image.ts';
import type { SegmentValue } from '../../../processor/state/cpu-state.ts';
import * as L from '../../../processor/state/layout.ts';
import { KvmError } from '../api/errors.ts';
import {
  type KvmFpu,
  type KvmRegs,
  type KvmSegment,
  type KvmSregs,
  type KvmTable,
  SEGMENT_NAMES,
  type SegmentName,
} from '../api/registers.ts';

/** Numbers of general registers in encoding order, by their places in struct kvm_regs. */
const GPR_NAMES = {
  rax: 0,
  rbx: 3,
  rcx: 1,
  rdx: 2,
  rsi: 6,
  rdi: 7,
  rsp: 4,
  rbp: 5,
  r8: 8,
  r9: 9,
  r10: 10,
  r11: 11,
  r12: 12,
  r13: 13,
  r14: 14,
  r15: 15,
} as const;

const SEGMENTS: Readonly<Record<SegmentName, number>> = {
  cs: L.Segment.CS,
  ds: L.Segment.DS,
  es: L.Segment.ES,
  fs: L.Segment.FS,
  gs: L.Segment.GS,
  ss: L.Segment.SS,
  tr: L.Segment.TR,
  ldt: L.Segment.LDTR,
};

const CR0_PE = 1n;
const CR0_NW = 1n << 29n;
const CR0_CD = 1n << 30n;
const CR0_PG = 1n << 31n;
const CR4_PAE = 1n << 5n;
const EFER_LME = 1n << 8n;
const EFER_LMA = 1n << 10n;

export function takeRegs({ state }: Processor): KvmRegs {
  const general = (name: keyof typeof GPR_NAMES) => state.gpr(GPR_NAMES[name]);
  return {
    rax: general('rax'),
    rbx: general('rbx'),
    rcx: general('rcx'),
    rdx: general('rdx'),
    rsi: general('rsi'),
    rdi: general('rdi'),
    rsp: general('rsp'),
    rbp: general('rbp'),
    r8: general('r8'),
    r9: general('r9'),
    r10: general('r10'),
    r11: general('r11'),
    r12: general('r12'),
    r13: general('r13'),
    r14: general('r14'),
    r15: general('r15'),
    rip: state.rip,
    rflags: BigInt(state.rflags),
  };
}

export function putRegs(processor: Processor, regs: KvmRegs): void {
  const { state } = processor;
  for (const [name, number] of Object.entries(GPR_NAMES))
    state.setGpr(number, BigInt.asUintN(64, regs[name as keyof typeof GPR_NAMES]));
  state.rip = BigInt.asUintN(64, regs.rip);
  state.rflags = Number(BigInt.asUintN(32, regs.rflags));
  processor.stateChanged();
}

/** Access rights as a VMCS has them, taken apart. */
function takeSegment({ selector, base, limit, rights }: SegmentValue): KvmSegment {
  const bit = (number: number) => (rights >> number) & 1;
  return {
    base,
    limit,
    selector,
    type: rights & 15,
    s: bit(4),
    dpl: (rights >> 5) & 3,
    present: bit(7),
    avl: bit(12),
    l: bit(13),
    db: bit(14),
    g: bit(15),
    unusable: bit(16),
  };
}

function segmentValue(segment: KvmSegment): SegmentValue {
  const bit = (value: number, number: number) => (value ? 1 << number : 0);
  const { type, s, dpl, present, avl, l, db, g, unusable } = segment;
  const rights =
    (type & 15) | bit(s, 4) | ((dpl & 3) << 5) | bit(present, 7) | bit(avl, 12) | bit(l, 13) | bit(db, 14) | bit(g, 15);
  return {
    selector: segment.selector & 0xffff,
    base: BigInt.asUintN(64, segment.base),
    limit: segment.limit >>> 0,
    rights: rights | bit(unusable, 16),
  };
}

/** `cr8` and the interrupt that waits are others' to know. */
export function takeSregs({ state }: Processor, cr8: bigint, pendingInterrupt: number | undefined): KvmSregs {
  const segment = (name: SegmentName) => takeSegment(state.segment(SEGMENTS[name]));
  return {
    cs: segment('cs'),
    ds: segment('ds'),
    es: segment('es'),
    fs: segment('fs'),
    gs: segment('gs'),
    ss: segment('ss'),
    tr: segment('tr'),
    ldt: segment('ldt'),
    gdt: { base: state.get64(L.GDTR_BASE), limit: state.get32(L.GDTR_LIMIT) },
    idt: { base: state.get64(L.IDTR_BASE), limit: state.get32(L.IDTR_LIMIT) },
    cr0: state.cr0,
    cr2: state.get64(L.CR2),
    cr3: state.cr3,
    cr4: state.cr4,
    cr8,
    efer: state.efer,
    apicBase: state.get64(L.MSR_APIC_BASE),
    pendingInterrupt,
  };
}

/** What `kvm_is_valid_sregs` finds out. */
function checkSregs({ cr0, cr4, efer, cs }: KvmSregs): void {
  const fail = (why: string) => new KvmError('EINVAL', `Special registers that no processor has: ${why}`);
  if (cr0 >> 32n || (cr0 & (CR0_CD | CR0_NW)) === CR0_NW || (cr0 & (CR0_PE | CR0_PG)) === CR0_PG) throw fail('CR0');
  if (efer & EFER_LME && cr0 & CR0_PG) {
    if (!(cr4 & CR4_PAE) || !(efer & EFER_LMA)) throw fail('long mode without CR4.PAE or EFER.LMA');
  } else if (efer & EFER_LMA || cs.l) throw fail('EFER.LMA or a 64-bit code segment outside long mode');
}

/** EINVAL for what can't be; then nothing has changed. */
export function putSregs(processor: Processor, sregs: KvmSregs): void {
  checkSregs(sregs);
  const { state } = processor;
  const table = (value: KvmTable, base: number, limit: number) => {
    state.set64(base, value.base);
    state.set32(limit, value.limit & 0xffff);
  };
  for (const name of SEGMENT_NAMES) state.setSegment(SEGMENTS[name], segmentValue(sregs[name]));
  table(sregs.gdt, L.GDTR_BASE, L.GDTR_LIMIT);
  table(sregs.idt, L.IDTR_BASE, L.IDTR_LIMIT);
  state.set64(L.CR0, sregs.cr0);
  state.set64(L.CR2, sregs.cr2);
  state.set64(L.CR3, sregs.cr3);
  state.set64(L.CR4, sregs.cr4);
  state.set64(L.EFER, sregs.efer);
  state.set64(L.MSR_APIC_BASE, sregs.apicBase);
  state.cpl = sregs.ss.dpl;
  processor.stateChanged();
}

const LEGACY_SIZE = 512;
/** Places in FXSAVE's image. */
const Image = { FCW: 0, FSW: 2, FTW: 4, FOP: 6, FIP: 8, FDP: 16, MXCSR: 24, ST: 32, XMM: 160 } as const;

export function takeFpu({ state }: Processor): KvmFpu {
  const image = new DataView(new ArrayBuffer(LEGACY_SIZE));
  takeX87(state, image, true);
  takeMxcsr(state, image);
  takeXmm(state, image, 16);
  const wide = (at: number) => image.getBigUint64(at, true) | (image.getBigUint64(at + 8, true) << 64n);
  return {
    fpr: Array.from({ length: 8 }, (_, index) => wide(Image.ST + index * 16)),
    fcw: image.getUint16(Image.FCW, true),
    fsw: image.getUint16(Image.FSW, true),
    ftwx: image.getUint8(Image.FTW),
    lastOpcode: image.getUint16(Image.FOP, true),
    lastIp: image.getBigUint64(Image.FIP, true),
    lastDp: image.getBigUint64(Image.FDP, true),
    xmm: Array.from({ length: 16 }, (_, index) => wide(Image.XMM + index * 16)),
    mxcsr: image.getUint32(Image.MXCSR, true),
  };
}

/** Bits of MXCSR that no processor has are left out. */
export function putFpu(processor: Processor, fpu: KvmFpu): void {
  const image = new DataView(new ArrayBuffer(LEGACY_SIZE));
  const putWide = (at: number, value: bigint) => {
    image.setBigUint64(at, BigInt.asUintN(64, value), true);
    image.setBigUint64(at + 8, BigInt.asUintN(64, value >> 64n), true);
  };
  image.setUint16(Image.FCW, fpu.fcw, true);
  image.setUint16(Image.FSW, fpu.fsw, true);
  image.setUint8(Image.FTW, fpu.ftwx);
  image.setUint16(Image.FOP, fpu.lastOpcode, true);
  image.setBigUint64(Image.FIP, fpu.lastIp, true);
  image.setBigUint64(Image.FDP, fpu.lastDp, true);
  image.setUint32(Image.MXCSR, fpu.mxcsr & 0xffff, true);
  for (let index = 0; index < 8; index++) putWide(Image.ST + index * 16, fpu.fpr[index] ?? 0n);
  for (let index = 0; index < 16; index++) putWide(Image.XMM + index * 16, fpu.xmm[index] ?? 0n);
  putX87(processor, image, true);
  putXmm(processor.state, image, 16);
  processor.state.set32(L.MXCSR, mxcsrOf(image) ?? INITIAL_MXCSR);
}
