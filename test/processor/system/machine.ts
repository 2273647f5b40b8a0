import { createProcessor } from '../../../src/processor/cpu.ts';
import type { RunResult } from '../../../src/processor/exit.ts';
import { PartitionMemory } from '../../../src/processor/memory/partition-memory.ts';
import { parseCpu } from '../../../src/processor/models/parse-cpu.ts';
import type { Processor } from '../../../src/processor/processor.ts';
import type { CpuState } from '../../../src/processor/state/cpu-state.ts';
import * as L from '../../../src/processor/state/layout.ts';
import type { TranslatorOptions } from '../../../src/processor/translator/translator.ts';

/** Where things lie. All below 1 MiB maps to itself. */
export const At = {
  GDT: 0x1000,
  IDT: 0x2000,
  TSS: 0x3000,
  PML4: 0x4000,
  PDPT: 0x5000,
  PD: 0x6000,
  CODE: 0x8000,
  STACK: 0xa000,
  DATA: 0xb000,
  INNER_STACK: 0xd000,
  HANDLER: 0xe000,
} as const;

/** Selectors of the GDT. */
export const Selector = {
  CODE32: 0x08,
  DATA: 0x10,
  CODE64: 0x18,
  USER_CODE32: 0x23,
  USER_DATA: 0x2b,
  USER_CODE64: 0x33,
  TSS: 0x40,
  /** Free from here on. */
  FREE: 0x50,
} as const;

export type Mode = 'real' | 'protected' | 'protected-user' | 'long' | 'long-user' | 'compatible';

const NAMES = ['DE', 'DB', 'NMI', 'BP', 'OF', 'BR', 'UD', 'NM', 'DF', '9', 'TS', 'NP', 'SS', 'GP', 'PF', '15', 'MF', 'AC'];
const RAM = 0x40_0000;

/** A processor with tables for one mode, that runs single instructions and says how they end. */
export class SystemMachine {
  readonly memory = new PartitionMemory([{ gpa: 0n, length: RAM }], 1);
  readonly processor: Processor;
  readonly state: CpuState;

  constructor(
    readonly mode: Mode,
    readonly vendor: 'intel' | 'amd' = 'intel',
    translator: Partial<TranslatorOptions> = {},
    cpu = '',
  ) {
    this.processor = createProcessor({ index: 0, memory: this.memory, model: parseCpu(cpu, vendor), translator });
    this.state = this.processor.state;
    this.processor.intercepts.exceptions = 0xffff_ffff;
    this.processor.intercepts.tripleFault = true;
    this.buildTables();
    this.reset();
  }

  private get long(): boolean {
    return this.mode === 'long' || this.mode === 'long-user' || this.mode === 'compatible';
  }
  private get user(): boolean {
    return this.mode.endsWith('user');
  }

  /** What system software sets for SSE and AVX: CR4.OSFXSR, OSXMMEXCPT and OSXSAVE, and XCR0. */
  enableVectors(): void {
    this.state.set64(L.CR4, this.state.cr4 | 0x4_0600n);
    this.state.set64(L.XCR0, 7n);
    this.processor.stateChanged();
  }

  write64(gpa: number, value: bigint): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value), true);
    this.memory.write(BigInt(gpa), bytes);
  }
  write32(gpa: number, value: number): void {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    this.memory.write(BigInt(gpa), bytes);
  }
  read64(gpa: number): bigint {
    return new DataView(this.memory.read(BigInt(gpa), 8).buffer).getBigUint64(0, true);
  }
  read32(gpa: number): number {
    return Number(this.read64(gpa) & 0xffff_ffffn);
  }

  descriptor(selector: number, value: bigint): void {
    this.write64(At.GDT + (selector & 0xfff8), value);
  }

  /** A gate of the IDT in this mode: rights as in bits 15:8 of its second word. */
  gate(vector: number, selector: number, rights: number, ist = 0): void {
    const at = At.IDT + vector * (this.long ? 16 : 8);
    this.write32(at, (selector << 16) | At.HANDLER);
    this.write32(at + 4, (rights << 8) | ist);
    if (this.long) this.write64(at + 8, 0n);
  }

  private buildTables(): void {
    const descriptors = [
      0n,
      0x00cf_9b00_0000_ffffn,
      0x00cf_9300_0000_ffffn,
      0x00af_9b00_0000_ffffn,
      0x00cf_fb00_0000_ffffn,
      0x00cf_f300_0000_ffffn,
      0x00af_fb00_0000_ffffn,
    ];
    descriptors.forEach((value, index) => {
      this.write64(At.GDT + index * 8, value);
    });
    this.write64(At.GDT + Selector.TSS, 0x0000_8b00_0000_0067n | (BigInt(At.TSS) << 16n));
    this.write64(At.GDT + Selector.TSS + 8, 0n);
    for (let vector = 0; vector < 64; vector++) this.gate(vector, this.long ? Selector.CODE64 : Selector.CODE32, 0x8e);
    if (this.long) this.write64(At.TSS + 4, BigInt(At.INNER_STACK));
    else {
      this.write32(At.TSS + 4, At.INNER_STACK);
      this.write32(At.TSS + 8, Selector.DATA);
    }
    this.write64(At.PML4, BigInt(At.PDPT | 7));
    this.write64(At.PDPT, BigInt(At.PD | 7));
    this.write64(At.PD, 0x87n);
    this.write64(At.PD + 8, 0x20_0087n);
  }

  /** To the mode's start state. */
  reset(): void {
    const { state } = this;
    this.processor.reset();
    state.set64(L.GDTR_BASE, BigInt(At.GDT));
    state.set32(L.GDTR_LIMIT, 0xff);
    state.set64(L.IDTR_BASE, BigInt(this.mode === 'real' ? 0 : At.IDT));
    state.set32(L.IDTR_LIMIT, 0x3ff);
    state.setGpr(4, BigInt(At.STACK));
    state.rip = BigInt(At.CODE);
    if (this.mode === 'real') {
      for (let index = 0; index < 6; index++) state.setSegment(index, { selector: 0, base: 0n, limit: 0xffff, rights: 0x93 });
    } else {
      const flat = (selector: number, rights: number) => ({ selector, base: 0n, limit: 0xffff_ffff, rights });
      const dpl = this.user ? 0x60 : 0;
      for (const index of [0, 2, 3, 4, 5])
        state.setSegment(index, flat(this.user ? Selector.USER_DATA : Selector.DATA, 0xc093 | dpl));
      const code = this.mode === 'long' || this.mode === 'long-user' ? 0xa09b : 0xc09b;
      const selectors = {
        protected: Selector.CODE32,
        compatible: Selector.CODE32,
        'protected-user': Selector.USER_CODE32,
        long: Selector.CODE64,
        'long-user': Selector.USER_CODE64,
      };
      state.setSegment(L.Segment.CS, flat(selectors[this.mode], code | dpl));
      state.setSegment(L.Segment.TR, { selector: Selector.TSS, base: BigInt(At.TSS), limit: 0x67, rights: 0x8b });
      state.setSegment(L.Segment.LDTR, { selector: 0, base: 0n, limit: 0, rights: 0x1_0082 });
      state.cpl = this.user ? 3 : 0;
      state.set64(L.CR0, this.long ? 0x8001_0011n : 0x11n);
    }
    if (this.long) {
      state.set64(L.CR3, BigInt(At.PML4));
      state.set64(L.CR4, 0x20n);
      state.set64(L.EFER, 0x500n);
    }
    this.processor.stateChanged();
  }

  /** Runs one instruction given in hexadecimal; says `ok`, `#GP(8)`, or the reason of an exit. */
  step(code: string): string {
    const bytes = Uint8Array.from(code.match(/[0-9a-fA-F]{2}/g) ?? [], (text) => Number.parseInt(text, 16));
    const linear = this.state.rip + this.state.segment(L.Segment.CS).base;
    this.memory.write(linear, bytes);
    return describe(this.processor.run(1));
  }

  /** As {@link step}, with exceptions delivered to the handlers. */
  deliver(code: string): string {
    this.processor.intercepts.exceptions = 0;
    this.memory.write(BigInt(At.HANDLER), Uint8Array.of(0x90, 0x90, 0x90, 0x90));
    const outcome = this.step(code);
    this.processor.intercepts.exceptions = 0xffff_ffff;
    return outcome;
  }

  msr(index: number, value: bigint): void {
    this.state.setGpr(1, BigInt(index));
    this.state.setGpr(0, value & 0xffff_ffffn);
    this.state.setGpr(2, value >> 32n);
  }
}

export function describe(result: RunResult): string {
  if (result.kind === 'budget') return 'ok';
  if (result.kind !== 'exit') return result.kind;
  const { exit } = result;
  if (exit.reason === 'triple-fault') return `triple fault ${exit.chain.map(faultName).join(' ')}`;
  return exit.reason === 'exception' ? faultName(exit) : exit.reason;
}

function faultName({ vector, errorCode }: { vector: number; errorCode?: number }): string {
  const name = `#${NAMES[vector] ?? vector}`;
  return errorCode === undefined ? name : `${name}(${errorCode.toString(16)})`;
}
