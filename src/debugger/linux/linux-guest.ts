import type { Partition, VirtualCpu } from '../../hypervisor/partition/partition.ts';
import { MSR_KERNEL_GS_BASE, Segment } from '../../processor/state/layout.ts';
import { KallsymsError } from '../../symbols/linux/kallsyms.ts';
import { LinuxKernel, type RamPart } from '../../symbols/linux/kernel.ts';
import { KERNEL_HALF } from '../../symbols/linux/kernel-memory.ts';
import type { LinuxSymbols, RunningProgram } from '../../symbols/linux/linux-symbols.ts';
import { type KernelModule, ModuleReader } from '../../symbols/linux/modules.ts';
import { type KernelTask, TaskReader } from '../../symbols/linux/tasks.ts';
import { hex } from '../../x86/address.ts';
import { kernelMessage } from './message.ts';
import { programFile, type SymbolFile } from './symbol-files.ts';

/** What this asks of the session that it belongs to. */
interface Session {
  readonly partition: Partition;
  vcpu(index?: number): VirtualCpu;
}

/** What the debugger learns at a place in the kernel's code: other symbols than before, or a message that the guest should stop with. */
export type Observation =
  | { readonly kind: 'symbols' }
  | { readonly kind: 'panic'; readonly description: string; readonly text: string };
export type Observer = (vcpu: number) => Observation | undefined;

/** A program of the user's files that a process runs. */
export interface FoundProgram extends RunningProgram {
  readonly pid: number;
  readonly file: SymbolFile;
}

/** Kernels run here, or the modules behind them do. */
const KERNEL_CODE = 0xffff_ffff_8000_0000n;
/** Looking through all RAM takes a while, so it is not done often: after so many instructions, then twice as many … */
const FIRST_TRY = 1_000_000n;
const MOST_TRIES = 8;
/** General registers by encoding, in the order in which a call passes arguments (System V ABI for AMD64). */
const ARGUMENTS = [7, 6, 2, 1, 8, 9] as const;
const RSP = 4;
const REGS_IP = 0x80n;

/**
 * What makes the debugger know that its guest is a Linux kernel: it finds the kernel in memory by its symbol table, follows its modules
 * as they come and go, reads its processes, and hears of its panics. It changes nothing of the guest, and costs it nothing.
 */
export class LinuxGuest {
  private kernel: LinuxKernel | undefined;
  private moduleReader: ModuleReader | undefined;
  private taskReader: TaskReader | undefined;
  private readonly loaded = new Map<string, KernelModule>();
  private tries = 0;
  private nextTry = 0n;
  /** Files of the user with symbols, of the kernel and of programs. */
  files: readonly SymbolFile[] = [];
  private found: readonly FoundProgram[] = [];
  /** Why the guest's symbol table can't be used, once that is known. */
  problem: string | undefined;

  constructor(
    private readonly session: Session,
    private readonly symbols: LinuxSymbols,
  ) {
    symbols.setProcesses((vcpu) => this.taskOf(vcpu)?.pageTables);
  }

  /** Looks for a kernel in parts of the memory; true when one was found. */
  private find(ram: readonly RamPart[]): boolean {
    const { memory } = this.session.partition;
    try {
      const kernel = LinuxKernel.find(ram, (gpa, length) => memory.read(gpa, length));
      if (kernel) this.use(kernel);
    } catch (error) {
      if (!(error instanceof KallsymsError)) throw error;
      this.problem = error.message;
    }
    return this.kernel !== undefined;
  }

  private use(kernel: LinuxKernel): void {
    this.kernel = kernel;
    this.problem = undefined;
    const { btf, memory } = kernel;
    this.moduleReader = btf && ModuleReader.open(memory, btf);
    this.taskReader = btf && TaskReader.open(memory, btf);
    const { kernelFile: file } = this;
    const linked = file?.address('_text');
    const running = kernel.address('_text');
    const details = linked === undefined || running === undefined ? undefined : file?.symbols(running - linked);
    this.symbols.setKernel(kernel, details);
    this.refresh();
  }

  /** Looks at the program where it was loaded: an ELF file has its symbol table there before its first instruction. */
  start(program: readonly { readonly gpa: bigint; readonly size: number }[]): boolean {
    const { memory } = this.session.partition;
    const parts = program.flatMap(({ gpa, size }) => {
      const place = memory.locate(gpa);
      return place ? [{ gpa, bytes: memory.bytes.subarray(place.offset, place.offset + Math.min(size, place.available)) }] : [];
    });
    return this.find(parts);
  }

  /** Called between slices: true when a kernel was found that runs at its own addresses by now. */
  poll(): boolean {
    if (this.kernel || this.tries >= MOST_TRIES) return false;
    const { partition } = this.session;
    if (partition.icount < this.nextTry) return false;
    const runs = partition.vcpus.some(({ processor }) => processor.mode === 64 && processor.linearRip >= KERNEL_CODE);
    if (!runs) return false;
    this.nextTry = partition.icount + (FIRST_TRY << BigInt(this.tries++));
    const { bytes, regions } = partition.memory;
    return this.find(regions.map(({ gpa, offset, length }) => ({ gpa, bytes: bytes.subarray(offset, offset + length) })));
  }

  /** The guest begins anew. */
  forget(): void {
    this.kernel = undefined;
    this.moduleReader = undefined;
    this.taskReader = undefined;
    this.loaded.clear();
    this.found = [];
    this.tries = 0;
    this.nextTry = 0n;
    this.problem = undefined;
    this.symbols.setKernel(undefined);
  }

  /** The file with the kernel's debug information, where the user gave one. */
  get kernelFile(): SymbolFile | undefined {
    return this.files.find(({ isKernel }) => isKernel);
  }

  /** Processes whose program is one of the user's files. */
  get programs(): readonly FoundProgram[] {
    return this.found;
  }

  /** `Linux version …`; undefined until a kernel is found. */
  get banner(): string | undefined {
    return this.kernel?.banner;
  }

  get modules(): readonly KernelModule[] {
    return [...this.loaded.values()];
  }

  // --- modules -----------------------------------------------------------------------------------------------------------

  /** Reads the list of modules anew; true when it has changed. */
  refresh(): boolean {
    const { kernel, moduleReader } = this;
    const head = kernel?.address('modules');
    if (!moduleReader || head === undefined || head < KERNEL_HALF) return false;
    const now = moduleReader.list(head);
    let changed = false;
    for (const name of [...this.loaded.keys()])
      if (!now.some((module) => module.name === name)) {
        this.loaded.delete(name);
        this.symbols.removeModule(name);
        changed = true;
      }
    for (const module of now) if (this.take(module, moduleReader)) changed = true;
    return this.forgetEnded() || changed;
  }

  private take(module: KernelModule, reader: ModuleReader): boolean {
    const before = this.loaded.get(module.name);
    if (before?.base === module.base && before.symbolTable === module.symbolTable) return false;
    this.loaded.set(module.name, module);
    this.symbols.addModule(module, reader);
    return true;
  }

  // --- programs ----------------------------------------------------------------------------------------------------------

  /** Programs of processes that have ended, whose page tables may belong to others by now; true when there were some. */
  private forgetEnded(): boolean {
    if (this.found.length === 0) return false;
    const living = new Map((this.tasks ?? []).map(({ pid, pageTables }) => [pid, pageTables]));
    return this.setPrograms(this.found.filter(({ pid, pageTables }) => living.get(pid) === pageTables));
  }

  private setPrograms(programs: readonly FoundProgram[]): boolean {
    const isSame = programs.length === this.found.length && programs.every((one, index) => one === this.found[index]);
    if (isSame) return false;
    this.found = programs;
    this.symbols.setPrograms(programs);
    return true;
  }

  /** `start_thread`: a process has a program in its memory, and goes on at its first instruction. */
  private programStarts(vcpu: number): Observation | undefined {
    const task = this.taskOf(vcpu);
    const entry = task && this.taskReader?.entryOf(task);
    if (!task || task.pageTables === undefined || entry === undefined) return undefined;
    const { pid, name, pageTables } = task;
    const file = programFile(this.files, name, entry);
    const bias = file?.biasOf(entry);
    const others = this.found.filter((one) => one.pid !== pid && one.pageTables !== pageTables);
    const begun = file && bias !== undefined ? [{ pid, pageTables, file, symbols: file.symbols(bias) }] : [];
    return this.setPrograms([...others, ...begun]) ? { kind: 'symbols' } : undefined;
  }

  /** Whether a breakpoint at an address is meant here: in a program of a process only in that process. */
  isPlace(vcpu: number, address: bigint): boolean {
    const owners = this.symbols.processesAt(address);
    const space = owners && this.taskOf(vcpu)?.pageTables;
    return owners === undefined || (space !== undefined && owners.includes(space));
  }

  // --- places that the kernel comes by -----------------------------------------------------------------------------------

  /** Where the debugger looks at the guest, by linear address. */
  get observers(): ReadonlyMap<bigint, Observer> {
    const places: readonly (readonly [name: string, observer: Observer])[] = [
      ['do_init_module', () => this.moduleComes()],
      ['panic', (vcpu) => this.panics(vcpu)],
      ['__die', (vcpu) => this.dies(vcpu)],
      ...(this.files.some(({ isKernel }) => !isKernel)
        ? [['start_thread', (vcpu: number) => this.programStarts(vcpu)] as const]
        : []),
    ];
    const found = new Map<bigint, Observer>();
    for (const [name, observer] of places) {
      const address = this.kernel?.address(name);
      if (address !== undefined && address >= KERNEL_HALF) found.set(address, observer);
    }
    return found;
  }

  /** A module stands in memory, and its initialization is next. */
  private moduleComes(): Observation | undefined {
    return this.refresh() ? { kind: 'symbols' } : undefined;
  }

  /** `panic(format, ...)`. */
  private panics(vcpu: number): Observation {
    const format = this.text(this.argument(vcpu, 0));
    let index = 1;
    const message = kernelMessage(format, () => this.argument(vcpu, index++), {
      text: (address, most) => this.kernel?.memory.text(address, most),
      describe: (address) => this.symbols.describe(address),
    });
    return { kind: 'panic', description: 'Kernel panic', text: `Kernel panic - not syncing: ${message}` };
  }

  /** `__die(text, registers, error)`: an oops. */
  private dies(vcpu: number): Observation {
    const ip = this.kernel?.memory.u64((this.argument(vcpu, 1) ?? 0n) + REGS_IP);
    const where = ip === undefined ? '' : ` at ${this.symbols.describe(ip) ?? hex(ip)}`;
    const error = hex(BigInt.asUintN(32, this.argument(vcpu, 2) ?? 0n));
    return {
      kind: 'panic',
      description: 'Kernel oops',
      text: `${this.text(this.argument(vcpu, 0))}: error code ${error}${where}`,
    };
  }

  /** An argument of the function that a vCPU is at the beginning of. */
  private argument(vcpu: number, index: number): bigint | undefined {
    const { state } = this.session.vcpu(vcpu).processor;
    const register = ARGUMENTS[index];
    if (register !== undefined) return state.gpr(register);
    return this.kernel?.memory.u64(state.gpr(RSP) + 8n * BigInt(index - ARGUMENTS.length + 1));
  }

  private text(address: bigint | undefined): string {
    return (address === undefined ? undefined : this.kernel?.memory.text(address, 512)) ?? '?';
  }

  // --- processes ---------------------------------------------------------------------------------------------------------

  /** All processes but the idle task; undefined where the kernel's structures aren't known. */
  get tasks(): readonly KernelTask[] | undefined {
    const first = this.kernel?.address('init_task');
    return first === undefined ? undefined : this.taskReader?.list(first);
  }

  /** The task that a vCPU runs; undefined before the kernel has set that up. */
  taskOf(vcpu: number): KernelTask | undefined {
    const { kernel, taskReader } = this;
    const { state } = this.session.vcpu(vcpu).processor;
    if (!kernel || !taskReader) return undefined;
    // In user mode, and for a moment at the kernel's entry, the kernel's own base waits in the other register.
    const gs = state.segment(Segment.GS).base;
    const base = gs >= KERNEL_HALF ? gs : state.get64(MSR_KERNEL_GS_BASE);
    const hot = kernel.btf?.offsetOf('pcpu_hot', 'current_task');
    const place = kernel.address('current_task') ?? (hot === undefined ? undefined : plus(kernel.address('pcpu_hot'), hot));
    const task = place === undefined ? undefined : kernel.memory.u64(BigInt.asUintN(64, base + place));
    return task === undefined ? undefined : taskReader.at(task);
  }
}

function plus(base: bigint | undefined, offset: number): bigint | undefined {
  return base === undefined ? undefined : base + BigInt(offset);
}
