import { type Btf, complete } from './btf.ts';
import { KERNEL_HALF, type KernelMemory } from './kernel-memory.ts';
import { linkedList } from './linked-list.ts';

/** A process or a thread of the kernel. */
export interface KernelTask {
  /** Of its `struct task_struct`. */
  readonly address: bigint;
  readonly pid: number;
  readonly name: string;
  /** As `ps` writes it: `R`, `S`, `D` … */
  readonly state: string;
  /** What CR3 holds of its page tables: guest physical address; undefined for a thread of the kernel. */
  readonly pageTables?: bigint;
}

const NAME_LENGTH = 16;
const MOST_TASKS = 32_768;
/** States by their bits (include/linux/sched.h), those of threads that exit aside. */
const STATES: readonly (readonly [bit: number, letter: string])[] = [
  [0x1, 'S'],
  [0x2, 'D'],
  [0x4, 'T'],
  [0x8, 't'],
  [0x10, 'X'],
  [0x20, 'Z'],
];
const NO_LOAD = 0x400;

/** Reads `struct task_struct`, whose layout the kernel's own type information says. */
export class TaskReader {
  private constructor(
    private readonly memory: KernelMemory,
    private readonly offsets: Readonly<Record<'tasks' | 'pid' | 'name' | 'state' | 'exit' | 'mm' | 'pgd', number>>,
    private readonly auxiliary: number | undefined,
  ) {}

  /** Undefined where the type information lacks what is needed. */
  static open(memory: KernelMemory, btf: Btf): TaskReader | undefined {
    const offsets = complete({
      tasks: btf.offsetOf('task_struct', 'tasks'),
      pid: btf.offsetOf('task_struct', 'pid'),
      name: btf.offsetOf('task_struct', 'comm'),
      state: btf.firstOffsetOf('task_struct', '__state', 'state'),
      exit: btf.offsetOf('task_struct', 'exit_state'),
      mm: btf.offsetOf('task_struct', 'mm'),
      pgd: btf.offsetOf('mm_struct', 'pgd'),
    });
    return offsets && new TaskReader(memory, offsets, btf.offsetOf('mm_struct', 'saved_auxv'));
  }

  /** All processes, but the idle task (`init_task`) whose address is given and which the list hangs on. */
  list(idle: bigint): readonly KernelTask[] {
    const links = [...linkedList(this.memory, idle + BigInt(this.offsets.tasks), this.offsets.tasks, MOST_TASKS)];
    return links.map((at) => this.at(at)).filter((task) => task !== undefined);
  }

  /** A task by the address of its structure; undefined where none can be read there. */
  at(address: bigint): KernelTask | undefined {
    const { memory, offsets } = this;
    if (address < KERNEL_HALF) return undefined;
    const pid = memory.u32(address + BigInt(offsets.pid));
    const name = memory.text(address + BigInt(offsets.name), NAME_LENGTH);
    const state = memory.u32(address + BigInt(offsets.state));
    const exit = memory.u32(address + BigInt(offsets.exit));
    const mm = memory.u64(address + BigInt(offsets.mm));
    if (pid === undefined || name === undefined || state === undefined || exit === undefined || mm === undefined)
      return undefined;
    const pgd = mm === 0n ? undefined : memory.u64(mm + BigInt(offsets.pgd));
    const pageTables = pgd === undefined ? undefined : memory.translate(pgd);
    return { address, pid, name: printable(name), state: stateLetter(state | exit), pageTables };
  }

  /** Where the program of a process was told that its first instruction is; undefined for threads of the kernel. */
  entryOf({ address }: KernelTask): bigint | undefined {
    const { memory, offsets, auxiliary } = this;
    const mm = memory.u64(address + BigInt(offsets.mm));
    if (!mm || auxiliary === undefined) return undefined;
    for (let index = 0; index < MOST_VALUES; index++) {
      const at = mm + BigInt(auxiliary + 16 * index);
      const type = memory.u64(at);
      if (type === undefined || type === 0n) return undefined;
      if (type === AT_ENTRY) return memory.u64(at + 8n);
    }
    return undefined;
  }
}

/** AT_ENTRY of the auxiliary vector (System V ABI for AMD64, 3.4.3), and how far it is looked for. */
const AT_ENTRY = 9n;
const MOST_VALUES = 32;

function stateLetter(state: number): string {
  if ((state & 0x3f) === 2 && (state & NO_LOAD) !== 0) return 'I';
  return STATES.find(([bit]) => (state & bit) !== 0)?.[1] ?? 'R';
}

/** Processes name themselves: what can't be printed is shown as `?`. */
function printable(name: string): string {
  return name.replaceAll(/[^\x20-\x7e]/g, '?');
}
