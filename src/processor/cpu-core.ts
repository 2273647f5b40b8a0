import { isCanonical, MASK_32, MASK_64 } from '../x86/address.ts';
import type { DecodedInstruction } from '../x86/instruction.ts';
import type { DecodeMode } from './decoder/choose-form.ts';
import { CodeCache, type CodeSource } from './decoder/code-cache.ts';
import { Contexts } from './decoder/contexts.ts';
import { unitFaults } from './decoder/unit-faults.ts';
import type { GuestEvent } from './events/deliver.ts';
import { injectionOf } from './events/injection.ts';
import type { VirtualInterrupt } from './events/virtual-interrupt.ts';
import type { ExitDetail, ExitPlace, RunResult } from './exit.ts';
import { GuestFault, Vector } from './faults/guest-fault.ts';
import { type InterceptSet, noIntercepts } from './intercepts.ts';
import { instantiateInterpreter, interpreterModule, type RunFunction } from './interpreter/interpreter-module.ts';
import * as O from './interpreter/operation.ts';
import { LinearAccess, type Size } from './memory/linear-access.ts';
import type { PartitionMemory } from './memory/partition-memory.ts';
import { type PageRange, type TranslationHolder, tableRegistry } from './memory/table-registry.ts';
import { Mmu } from './mmu/mmu.ts';
import type { CpuModel } from './models/cpu-model.ts';
import type { CodeMode, InterruptSource, PassedStop } from './processor.ts';
import { accessSegment, flatSegments } from './segmentation/access.ts';
import { EngineSegments } from './segmentation/engine-segments.ts';
import { CpuState, Flag } from './state/cpu-state.ts';
import * as L from './state/layout.ts';
import type { PortDetail, SystemContext } from './system/context.ts';
import type { RegionMode } from './translator/region-builder.ts';
import type { TranslatorOptions } from './translator/translator.ts';
import { Assists } from './vector/assists.ts';

const EFER_LMA = 1 << 10;
const RIGHTS_L = 1 << 13;
const RIGHTS_DB = 1 << 14;

const LONGEST_INSTRUCTION = 15;

/** Segments that instructions use besides that of their memory operand. */
const IMPLIED_SEGMENTS = (1 << L.Segment.ES) | (1 << L.Segment.SS) | (1 << L.Segment.DS);

/** How far `resumePast` lets the instruction at RIP through: each level passes the ones below it too. */
export const PASSED: Readonly<Record<PassedStop, number>> = { breakpoint: 1, watch: 2, exception: 3 };

/**
 * One vCPU's state with its memory access, decoded code and generated interpreter: everything but the run loop. It is what
 * the processor's TypeScript parts work on.
 */
export class CpuCore implements SystemContext, CodeSource, TranslationHolder {
  readonly state: CpuState;
  readonly access: LinearAccess;
  readonly mmu: Mmu;
  readonly segments: EngineSegments;
  readonly code: CodeCache;
  private readonly runInterpreter: RunFunction;
  readonly wanted: InterceptSet = noIntercepts();
  private readonly none = noIntercepts();
  /** The instruction is done as on bare hardware, whatever is intercepted. */
  native = false;
  /** What the instruction at RIP is let through: 0 nothing, else a value of PASSED. */
  passing = 0;
  /** A PAUSE has retired in this run. */
  paused = false;
  interruptSource: InterruptSource | undefined;
  /** A task priority besides the controller's. */
  ownTpr = 0;
  virtualInterrupt: VirtualInterrupt | undefined;
  virtualNmi = false;
  /** An exit that comes behind the instruction that has just run. */
  behind: ExitDetail | undefined;
  mode: CodeMode = 16;
  stackWidth: CodeMode = 16;
  /** Segments whose accesses need no checks, as bits. */
  private flat = 0;
  decodeMode: DecodeMode;
  breakpoints: ReadonlySet<bigint> = new Set();
  /** Linear addresses that DR0–DR3 watch for execution. */
  hardwareBreakpoints: ReadonlySet<bigint> = new Set();
  /** Error thrown in a call out of generated code. */
  pendingError: unknown;
  /** Translations were dropped: the next instruction must be fetched anew. */
  private refetch = false;
  private readonly contexts = new Contexts(() => this.code.forgetJumps());
  /** Mode, stack width, flat segments and VEX in one number. */
  private modeKey = 0;

  constructor(
    readonly index: number,
    readonly memory: PartitionMemory,
    readonly model: CpuModel,
    translator?: Partial<TranslatorOptions>,
  ) {
    this.state = new CpuState(memory.wasm.buffer, memory.vcpuBase(index));
    this.segments = new EngineSegments(this.state);
    this.mmu = new Mmu(this.state, memory, model);
    this.access = new LinearAccess(this.state, memory, this.mmu);
    const has = (feature: string) => model.has(feature);
    this.decodeMode = { mode: 16, stackWidth: 16, vex: false, has, unitFaults: unitFaults(this.state) };
    const assists = new Assists(this.state);
    this.code = new CodeCache(
      memory,
      this.state.base,
      interpreterModule().table,
      this,
      (gpa) => this.dropWriteTranslations(gpa),
      (number, immediate) => assists.attempt(number, immediate),
      translator,
    );
    tableRegistry(memory).join(this);
    this.runInterpreter = instantiateInterpreter(memory.wasm, this.code.translator.table, {
      slowRead: (operation, linear, access) => this.slowRead(operation, linear, access),
      slowWrite: (operation, linear, value, access) => this.slowWrite(operation, linear, value, access),
      slowReadVector: (operation, linear, access) => this.slowReadVector(operation, linear, access),
      slowWriteVector: (operation, linear, access) => this.slowWriteVector(operation, linear, access),
      assist: (number, immediate) => this.trying(() => assists.compute(number, immediate)),
      fill: (operation, low, high, access) => this.fill(operation, low, high, access),
    });
  }

  get taskPriority(): number {
    return this.wanted.tpr === 'own' ? this.ownTpr : this.controllerTpr;
  }
  set taskPriority(value: number) {
    if (this.wanted.tpr !== 'controller') this.ownTpr = value;
    if (this.wanted.tpr !== 'own') this.interruptSource?.setTpr(value << 4);
  }
  private get controllerTpr(): number {
    return (this.interruptSource?.getTpr() ?? 0) >> 4;
  }
  /** See {@link Processor.virtualTpr}. */
  get virtualTpr(): number {
    return this.wanted.tpr === 'controller' ? this.controllerTpr : this.ownTpr;
  }
  set virtualTpr(value: number) {
    if (this.wanted.tpr === 'controller') this.interruptSource?.setTpr(value << 4);
    else this.ownTpr = value;
  }

  get intercepts(): InterceptSet {
    return this.native ? this.none : this.wanted;
  }

  get passesWatches(): boolean {
    return this.passing >= PASSED.watch;
  }
  get passesExceptions(): boolean {
    return this.passing >= PASSED.exception;
  }

  /** Some instruction has a breakpoint of the debugger or of DR0–DR3. */
  get hasBreakpoints(): boolean {
    return this.breakpoints.size > 0 || this.hardwareBreakpoints.size > 0;
  }

  get context(): number {
    return this.state.get32(O.ENGINE_CONTEXT);
  }

  get linearRip(): bigint {
    return this.linearOf(this.state.rip);
  }

  private linearOf(rip: bigint): bigint {
    const base = this.state.get64(O.ENGINE_BASES + L.Segment.CS * 8);
    return (rip + base) & this.state.get64(O.ENGINE_LINEAR_MASK);
  }

  // --- code -----------------------------------------------------------------------------------------------------------

  fetchAddress(rip: bigint): bigint {
    const { state } = this;
    if (this.mode === 64) {
      if (!isCanonical(rip)) throw new GuestFault(Vector.GP, 0);
    } else if (rip > BigInt(state.get32(L.SEGMENTS + L.Segment.CS * L.SEGMENT_SIZE + L.SEG_LIMIT)))
      throw new GuestFault(Vector.GP, 0);
    const linear = this.linearOf(rip);
    this.contexts.fetches(linear);
    return this.mmu.translate(linear, { write: false, fetch: true, user: state.cpl === 3 }).gpa;
  }

  peekFetch(rip: bigint): bigint | undefined {
    if (this.mode === 64 ? !isCanonical(rip) : rip > BigInt(this.state.get32(O.ENGINE_CODE_LIMIT))) return undefined;
    const linear = this.linearOf(rip);
    this.contexts.fetches(linear);
    return this.mmu.peekFetch(linear, this.state.cpl === 3);
  }

  get regionMode(): RegionMode {
    return { mode: this.mode, stackWidth: this.stackWidth, flat: this.flat };
  }

  codeRoom(rip: bigint): number {
    if (this.mode === 64) return 16;
    const room = this.state.get32(O.ENGINE_CODE_LIMIT) + 1 - Number(rip);
    return Math.max(0, Math.min(room, 16));
  }

  checks(segment: number): boolean {
    return (this.flat & IMPLIED_SEGMENTS) !== IMPLIED_SEGMENTS || !(this.flat & (1 << segment));
  }

  advance(rip: bigint, bytes: number): bigint {
    // EIP wraps at 32 bits also in 16-bit code: running past FFFF meets the limit of CS.
    // Cut by a width that is known here, it is a machine word to the engine.
    return this.mode === 64 ? BigInt.asUintN(64, rip + BigInt(bytes)) : BigInt.asUintN(32, rip + BigInt(bytes));
  }

  isFetchedWith(rip: bigint, other: bigint): boolean {
    if (this.mode !== 64 && this.state.get32(O.ENGINE_CODE_LIMIT) !== 0xffff_ffff) return false;
    const linear = this.linearOf(other);
    // An instruction that crosses into the next page is looked up each time: that page may become another one.
    return this.linearOf(rip) >> 12n === linear >> 12n && Number(linear & 0xfffn) <= 0x1000 - LONGEST_INSTRUCTION;
  }

  breaksAt(rip: bigint): boolean {
    if (!this.hasBreakpoints) return false;
    const linear = this.linearOf(rip);
    return this.breakpoints.has(linear) || this.hardwareBreakpoints.has(linear);
  }

  // --- memory ---------------------------------------------------------------------------------------------------------

  effectiveAddress(instruction: DecodedInstruction): bigint {
    const register = (number: number) => (number < 16 ? this.state.gpr(number) : 0n);
    const sum = register(instruction.base) + register(instruction.index) * BigInt(instruction.scale) + instruction.displacement;
    return BigInt.asUintN(instruction.addressSize, sum);
  }

  private linearAddress(segment: number, offset: bigint, size: number, write: boolean): bigint {
    if (this.mode === 64) {
      const linear = BigInt.asUintN(64, offset + this.state.get64(O.ENGINE_BASES + segment * 8));
      if (!isCanonical(linear) || !isCanonical(BigInt.asUintN(64, linear + BigInt(size - 1))))
        throw new GuestFault(segment === L.Segment.SS ? Vector.SS : Vector.GP, 0);
      return linear;
    }
    if (!(this.flat & (1 << segment))) accessSegment(this.state, segment, offset, size, write);
    return (offset + this.state.get64(O.ENGINE_BASES + segment * 8)) & MASK_32;
  }

  readVirtual(segment: number, offset: bigint, size: Size): bigint {
    return this.access.read(this.linearAddress(segment, offset, size, false), size, this.state.cpl === 3);
  }
  writeVirtual(segment: number, offset: bigint, size: Size, value: bigint): void {
    this.access.write(this.linearAddress(segment, offset, size, true), size, value, this.state.cpl === 3);
  }
  probeWrite(segment: number, offset: bigint, size: number): void {
    this.access.probeWrite(this.linearAddress(segment, offset, size, true), size, this.state.cpl === 3);
  }
  probeLinear(linear: bigint, size: number, user: boolean): void {
    this.access.probeWrite(linear, size, user);
  }
  readLinear(linear: bigint, size: Size, user: boolean): bigint {
    return this.access.read(linear, size, user);
  }
  writeLinear(linear: bigint, size: Size, value: bigint, user: boolean): void {
    this.access.write(linear, size, value, user);
  }

  place(linear: bigint, size: number, user: boolean, write: boolean): number {
    return this.access.place(linear, size, user, write);
  }

  placeOfTable(slot: number, offset: number, size: number): number {
    return this.access.placeOfTable(slot, offset, size);
  }

  undivided<T>(work: () => T): T {
    const { access } = this;
    const { openBus, ignoreWatches } = access;
    access.openBus = access.ignoreWatches = true;
    try {
      return work();
    } finally {
      access.openBus = openBus;
      access.ignoreWatches = ignoreWatches;
    }
  }

  committed<T>(work: () => T): T {
    const { mmu } = this;
    const { insists } = mmu;
    mmu.insists = true;
    try {
      return work();
    } finally {
      mmu.insists = insists;
    }
  }

  portAccess(detail: PortDetail): number | undefined {
    const answer = this.access.answer();
    if (answer === undefined) return undefined;
    this.onPortAccess(detail.port, detail.size);
    return Number(answer & 0xffff_ffffn);
  }

  private fill(operation: number, low: number, high: number, access: number): number {
    if (this.mode === 64) {
      if ((high << 16) >> 16 !== high) return 0;
    } else if (!(this.flat & (1 << this.segmentOf(operation, access)))) return 0;
    return this.access.fill(low, high, access & 15, this.state.cpl === 3, (access & (O.ACCESS_WRITE | O.ACCESS_INTENT)) !== 0);
  }

  /** The segment that an access descriptor means. */
  private segmentOf(operation: number, access: number): number {
    const named = (access >> 8) & 7;
    return named === O.OPERAND_SEGMENT ? this.memory.view.getInt32(operation + O.OP_SEGMENT, true) : named;
  }

  private slowRead(operation: number, linear: bigint, access: number): bigint {
    try {
      const size = (access & 15) as Size;
      const intent = (access & O.ACCESS_INTENT) !== 0;
      const address = this.checkedLinear(operation, BigInt.asUintN(64, linear), access, intent);
      const user = this.state.cpl === 3;
      const refusal = this.access.refusal(address, size, user, intent, false, 0n);
      if (refusal === undefined) return BigInt.asIntN(64, this.access.read(address, size, user, intent));
      this.abandon(refusal);
      return 0n;
    } catch (error) {
      this.abandon(error);
      return 0n;
    }
  }

  private slowWrite(operation: number, linear: bigint, value: bigint, access: number): void {
    try {
      const size = (access & 15) as Size;
      const address = this.checkedLinear(operation, BigInt.asUintN(64, linear), access, true);
      const user = this.state.cpl === 3;
      const refusal = this.access.refusal(address, size, user, true, true, BigInt.asUintN(size * 8, value));
      if (refusal !== undefined) {
        this.abandon(refusal);
        return;
      }
      this.access.write(address, size, BigInt.asUintN(64, value), user);
      if (this.refetch) this.code.endBlockAfter(operation);
    } catch (error) {
      this.abandon(error);
    }
  }

  /** Abandons the instruction when something is thrown. */
  private trying(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.abandon(error);
    }
  }

  private slowReadVector(operation: number, linear: bigint, access: number): void {
    this.trying(() => {
      const bytes = access & O.ACCESS_DOUBLE ? 32 : 16;
      const intent = (access & O.ACCESS_INTENT) !== 0;
      const address = this.checkedLinear(operation, BigInt.asUintN(64, linear), access, intent, bytes);
      if (intent) {
        this.access.requireWritable(address, bytes, this.state.cpl === 3);
        return;
      }
      const values = this.access.readWide(address, bytes, this.state.cpl === 3);
      for (const [index, value] of values.entries()) this.state.set64(O.VECTOR_RESULT + index * 8, value);
    });
  }

  private slowWriteVector(operation: number, linear: bigint, access: number): void {
    this.trying(() => {
      const bytes = access & O.ACCESS_DOUBLE ? 32 : 16;
      const address = this.checkedLinear(operation, BigInt.asUintN(64, linear), access, true, bytes);
      const values = Array.from({ length: bytes / 8 }, (_, index) => this.state.get64(O.VECTOR_OPERANDS + index * 8));
      this.access.writeWide(address, values, this.state.cpl === 3);
      if (this.refetch) this.code.endBlockAfter(operation);
    });
  }

  /** Applies the segment's checks to an address that generated code has computed already. */
  private checkedLinear(operation: number, linear: bigint, access: number, write: boolean, size = access & 15): bigint {
    const segment = this.segmentOf(operation, access);
    if (this.mode !== 64 && this.flat & (1 << segment)) return linear;
    const mask = this.state.get64(O.ENGINE_LINEAR_MASK);
    const offset = (linear - this.state.get64(O.ENGINE_BASES + segment * 8)) & mask;
    return this.linearAddress(segment, offset, size, write);
  }

  /** Runs generated code from an operation (0: the one at RIP); gives a value of `Left`. */
  runGenerated(operation: number, budget: number): number {
    this.refetch = false;
    const left = this.runInterpreter(this.state.base, operation, budget);
    this.code.mendBlock();
    return left;
  }

  private abandon(error: unknown): void {
    this.pendingError = error;
    this.state.set32(O.ENGINE_ABORT, 1);
  }

  // --- translations and mode --------------------------------------------------------------------------------------------

  flushTlb(_global: boolean): void {
    this.flushTranslations();
  }
  flushTranslations(): void {
    this.access.tlb.flush();
    this.contexts.clear();
    this.selectContext();
    this.refetch = true;
  }
  addressSpaceChanged(): void {
    this.access.enterSpace();
    this.selectContext();
    this.refetch = true;
  }
  dropTranslations(range: PageRange, fetched: boolean): void {
    this.access.tlb.dropPages(range);
    if (!fetched) return;
    this.contexts.forget(range);
    this.selectContext();
    this.refetch = true;
  }
  dropWriteTranslations(gpa: number): void {
    const offset = this.memory.offsetOf(gpa);
    if (offset !== 0) this.access.tlb.dropWrites(offset);
  }

  modeChanged(): void {
    const { state } = this;
    const long = (state.get32(L.EFER) & EFER_LMA) !== 0 && (this.rightsOf(L.Segment.CS) & RIGHTS_L) !== 0;
    const virtual = (state.get32(L.EFLAGS) & Flag.VM) !== 0;
    this.mode = long ? 64 : this.rightsOf(L.Segment.CS) & RIGHTS_DB && !virtual ? 32 : 16;
    this.stackWidth = long ? 64 : this.rightsOf(L.Segment.SS) & RIGHTS_DB ? 32 : 16;
    this.flat = long ? 0xff : flatSegments(state);
    state.set64(O.ENGINE_LINEAR_MASK, long ? MASK_64 : MASK_32);
    const limit = L.SEGMENTS + L.Segment.CS * L.SEGMENT_SIZE + L.SEG_LIMIT;
    state.set32(O.ENGINE_CODE_LIMIT, long ? -1 : state.get32(limit));
    if (long) this.segments.takeLong();
    else this.segments.take();
    const vex = (state.get32(L.CR0) & 1) !== 0 && !virtual;
    const { decodeMode, mode, stackWidth } = this;
    const faults = unitFaults(state);
    const { unitFaults: known } = decodeMode;
    if (decodeMode.mode !== mode || decodeMode.stackWidth !== stackWidth || decodeMode.vex !== vex || known !== faults)
      this.decodeMode = { mode, stackWidth, vex, has: decodeMode.has, unitFaults: faults };
    this.modeKey = mode | (stackWidth << 8) | (this.flat << 16) | (vex ? 1 << 24 : 0) | (faults.key << 25);
    this.code.setMode(this.modeKey);
    this.selectContext();
    this.access.selectTables();
  }

  private rightsOf(segment: number): number {
    return this.state.get32(L.SEGMENTS + segment * L.SEGMENT_SIZE + L.SEG_RIGHTS);
  }

  /** Gives the jump cache its number for this address space, mode, privilege and base of CS. */
  private selectContext(): void {
    const { state } = this;
    state.set32(O.ENGINE_CONTEXT, this.contexts.numberOf(this.modeKey, state.get32(L.CPL) === 3, state));
  }

  leaveBehind(detail: ExitDetail): void {
    this.behind = detail;
  }
  eventsChanged(): void {
    // Helpers return to the run loop, which looks at events before each entry into generated code.
    this.access.selectTables();
  }

  /** Set by the run loop, which owns debug traps. */
  onDebugRegisters: () => void = () => {};
  onPortAccess: (port: number, size: number) => void = () => {};
  debugRegistersChanged(): void {
    this.onDebugRegisters();
  }

  readTsc(): bigint {
    const { state } = this;
    return BigInt.asUintN(64, state.ticks + state.get64(L.TSC_OFFSET));
  }

  /**
   * Leaves for an exit, placed at the current instruction, in the delivery of an event or by itself. The detail becomes the exit:
   * nobody else may have it.
   */
  exit(detail: ExitDetail, instructionLength: number, during?: GuestEvent, unblockedNmis?: boolean): RunResult {
    const exit = detail as { -readonly [Field in keyof ExitPlace]: ExitPlace[Field] } & ExitDetail;
    exit.rip = this.state.rip;
    exit.instructionLength = instructionLength;
    exit.icount = this.state.icount;
    if (during !== undefined) exit.during = injectionOf(during);
    if (unblockedNmis) exit.unblockedNmis = true;
    return { kind: 'exit', exit };
  }

  /** Length of the instruction at RIP in bytes; 0 where none can be fetched. */
  currentLength(): number {
    try {
      return this.code.decodeAt(this.state.rip).instruction.length;
    } catch {
      return 0;
    }
  }
}
