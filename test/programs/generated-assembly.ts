import type { Random } from '../support/random.ts';

/** Generates guest assembly that exercises encodings: single instructions and whole programs. */

const ALU = ['add', 'or', 'adc', 'sbb', 'and', 'sub', 'xor', 'cmp', 'test', 'mov'];
const UNARY = ['inc', 'dec', 'neg', 'not', 'mul', 'imul', 'div', 'idiv'];
const SHIFTS = ['rol', 'ror', 'rcl', 'rcr', 'shl', 'sal', 'shr', 'sar'];
const CONDITIONS = [
  'o',
  'no',
  'b',
  'c',
  'nae',
  'ae',
  'nb',
  'nc',
  'e',
  'z',
  'ne',
  'nz',
  'be',
  'na',
  'a',
  'nbe',
  's',
  'ns',
  'p',
  'pe',
  'np',
  'po',
  'l',
  'nge',
  'ge',
  'nl',
  'le',
  'ng',
  'g',
  'nle',
];
const PLAIN = [
  'nop',
  'hlt',
  'cli',
  'sti',
  'cld',
  'std',
  'clc',
  'stc',
  'cmc',
  'lahf',
  'sahf',
  'pushf',
  'popf',
  'iret',
  'ret',
  'retf',
  'leave',
  'cpuid',
  'rdmsr',
  'wrmsr',
  'rdtsc',
  'rdtscp',
  'rdpmc',
  'wbinvd',
  'invd',
  'clts',
  'int3',
  'ud2',
  'cbw',
  'cwde',
  'cwd',
  'cdq',
  'movsb',
  'movsw',
  'movsd',
  'stosb',
  'stosw',
  'stosd',
  'lodsb',
  'lodsw',
  'lodsd',
  'scasb',
  'scasw',
  'scasd',
  'cmpsb',
  'cmpsw',
  'insb',
  'outsb',
  'rep movsb',
  'rep stosd',
  'repe cmpsb',
  'repne scasb',
  'xlatb',
  'vmcall',
  'vmmcall',
  'vmlaunch',
  'vmresume',
  'vmxoff',
  'vmrun',
  'vmload',
  'vmsave',
  'stgi',
  'clgi',
  'pause',
  'monitor',
  'mwait',
  'lfence',
  'mfence',
  'sfence',
  'sysenter',
  'xgetbv',
  'xsetbv',
];
const PLAIN_64 = [
  'syscall',
  'swapgs',
  'cdqe',
  'cqo',
  'movsq',
  'stosq',
  'lodsq',
  'scasq',
  'iretq',
  'pushfq',
  'popfq',
  'rep movsq',
  'rep stosq',
];
const PLAIN_LEGACY = [
  'pusha',
  'popa',
  'into',
  'aaa',
  'aas',
  'daa',
  'das',
  'push es',
  'push cs',
  'push ss',
  'push ds',
  'pop es',
  'pop ss',
  'pop ds',
  'aam',
  'aad',
];

export type Mode = 16 | 32 | 64;

const WORDS = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];

export class AssemblyGenerator {
  constructor(
    private readonly random: Random,
    private readonly mode: Mode,
  ) {}

  private pick<T>(list: readonly T[]): T {
    const item = list[this.random.below(list.length)];
    if (item === undefined) throw new Error('empty list');
    return item;
  }
  private chance(percent: number): boolean {
    return this.random.below(100) < percent;
  }

  register(size: number): string {
    const extended = this.mode === 64 && this.chance(40);
    const number = 8 + this.random.below(8);
    if (size === 8) {
      if (extended) return `r${number}b`;
      return this.pick([
        'al',
        'cl',
        'dl',
        'bl',
        'ah',
        'ch',
        'dh',
        'bh',
        ...(this.mode === 64 ? ['sil', 'dil', 'spl', 'bpl'] : []),
      ]);
    }
    if (size === 16) return extended ? `r${number}w` : this.pick(WORDS);
    if (size === 32) return extended ? `r${number}d` : `e${this.pick(WORDS)}`;
    return extended ? `r${number}` : `r${this.pick(WORDS)}`;
  }

  size(): number {
    return this.pick(this.mode === 64 ? [8, 16, 32, 64] : [8, 16, 32]);
  }

  wideSize(): number {
    return this.pick(this.mode === 64 ? [16, 32, 64] : [16, 32]);
  }

  immediate(size: number): string {
    const small = [0, 1, 2, 5, 127, 128, 255, -1, -2, -128];
    const medium = [256, 1000, 32767, 32768, 65535, -129, -32768];
    const large = [65536, 0x7fffffff, 0x12345678, -65536];
    const list = size === 8 ? small : size === 16 ? [...small, ...medium] : [...small, ...medium, ...large];
    return String(this.pick(list));
  }

  memory(): string {
    const displacement = this.pick(['', '+1', '+127', '+128', '-1', '-128', '-129', '+0x1234', '+8']);
    if (this.mode === 16 && this.chance(70)) {
      const base = this.pick(['bx', 'bp', 'si', 'di', 'bx+si', 'bx+di', 'bp+si', 'bp+di']);
      return this.chance(15) ? `[0x${(0x100 + this.random.below(0x7000)).toString(16)}]` : `[${base}${displacement}]`;
    }
    if (this.chance(12)) return `[0x${(0x1000 + this.random.below(0x10000)).toString(16)}]`;
    if (this.mode === 64 && this.chance(8)) return `[rel $+${this.random.below(1000)}]`;
    const size = this.mode === 64 ? (this.chance(85) ? 64 : 32) : 32;
    const base = this.register(size);
    const segment = this.chance(6) ? this.pick(['fs:', 'gs:']) : '';
    if (this.chance(50)) return `[${segment}${base}${displacement}]`;
    let index = this.register(size);
    while (/^[er]sp$/.test(index)) index = this.register(size);
    const scale = this.pick(['', '*2', '*4', '*8']);
    return this.chance(80)
      ? `[${segment}${base}+${index}${scale}${displacement}]`
      : `[${segment}${index}*${this.pick([2, 4, 8])}${displacement}]`;
  }

  private keyword(size: number): string {
    return { 8: 'byte', 16: 'word', 32: 'dword', 64: 'qword' }[size] ?? 'dword';
  }

  /** A register whose AH–BH form doesn't meet an extended register. */
  private pair(size: number): [string, string] {
    for (;;) {
      const a = this.register(size);
      const b = this.register(size);
      const high = (name: string) => /^[abcd]h$/.test(name);
      const needsRex = (name: string) => /^r|^(sil|dil|spl|bpl)$/.test(name);
      if (!((high(a) && needsRex(b)) || (high(b) && needsRex(a)))) return [a, b];
    }
  }

  private plainByte(): string {
    return this.pick(['al', 'cl', 'dl', 'bl']);
  }

  /** One instruction that doesn't jump. */
  instruction(): string {
    const size = this.size();
    const wide = this.wideSize();
    const [a, b] = this.pair(size);
    const byteSafe = size === 8 ? this.plainByte() : a;
    switch (this.random.below(19)) {
      case 0:
        return `${this.pick(ALU)} ${a}, ${b}`;
      case 1:
        return `${this.pick(ALU)} ${byteSafe}, ${this.memory()}`;
      case 2:
        return `${this.pick(ALU)} ${this.memory()}, ${byteSafe}`;
      case 3:
        return `${this.pick(ALU)} ${a}, ${this.immediate(size)}`;
      case 4:
        return `${this.pick(ALU)} ${this.keyword(size)} ${this.memory()}, ${this.immediate(size)}`;
      case 5:
        return `${this.pick(UNARY)} ${this.chance(50) ? a : `${this.keyword(size)} ${this.memory()}`}`;
      case 6:
        return `${this.pick(SHIFTS)} ${this.chance(50) ? a : `${this.keyword(size)} ${this.memory()}`}, ${this.pick(['1', 'cl', '3', '31'])}`;
      case 7: {
        const narrow = wide === 16 ? 8 : this.pick([8, 16]);
        return `${this.pick(['movzx', 'movsx'])} ${this.register(wide)}, ${this.chance(40) ? `${this.keyword(narrow)} ${this.memory()}` : narrow === 8 ? this.plainByte() : this.register(16)}`;
      }
      case 8:
        return `lea ${this.register(wide)}, ${this.memory()}`;
      case 9:
        return `${this.pick(['bt', 'bts', 'btr', 'btc'])} ${this.register(wide)}, ${this.chance(50) ? this.random.below(64) & (wide - 1) : this.register(wide)}`;
      case 10:
        return `${this.pick(['shld', 'shrd'])} ${this.register(wide)}, ${this.register(wide)}, ${this.pick(['cl', '5'])}`;
      case 11:
        return `cmov${this.pick(CONDITIONS)} ${this.register(wide)}, ${this.chance(50) ? this.memory() : this.register(wide)}`;
      case 12:
        return `set${this.pick(CONDITIONS)} ${this.chance(50) ? this.plainByte() : this.memory()}`;
      case 13:
        return this.chance(50)
          ? `imul ${this.register(wide)}, ${this.register(wide)}, ${this.immediate(wide)}`
          : `imul ${this.register(wide)}, ${this.chance(50) ? this.memory() : this.register(wide)}`;
      case 14:
        return this.pick([...PLAIN, ...(this.mode === 64 ? PLAIN_64 : PLAIN_LEGACY)]);
      case 15:
        return this.stack();
      case 16:
        return this.system();
      case 17:
        return this.pick([
          `xchg ${a}, ${b}`,
          `xadd ${this.memory()}, ${byteSafe}`,
          `cmpxchg ${this.memory()}, ${byteSafe}`,
          `bsf ${this.register(wide)}, ${this.register(wide)}`,
          `bsr ${this.register(wide)}, ${this.memory()}`,
          `lock add dword ${this.memory()}, 1`,
          `xchg ${byteSafe}, ${this.memory()}`,
        ]);
      default:
        return this.pick([
          'in al, dx',
          'in ax, dx',
          'in eax, dx',
          'out dx, al',
          'out dx, ax',
          'out dx, eax',
          'in al, 0x60',
          'out 0xf4, al',
          'out 0xf4, eax',
          'int 0x80',
          'ret 8',
          'enter 16, 0',
          `bswap ${this.register(32)}`,
        ]);
    }
  }

  private stack(): string {
    const size = this.mode === 64 ? this.pick([16, 64]) : this.pick([16, 32]);
    return this.pick([
      `push ${this.register(size)}`,
      `pop ${this.register(size)}`,
      `push ${this.keyword(size)} ${this.memory()}`,
      `pop ${this.keyword(size)} ${this.memory()}`,
      `push ${this.immediate(16)}`,
      'push fs',
      'pop gs',
    ]);
  }

  private system(): string {
    const natural = this.mode === 64 ? 64 : 32;
    const plain = natural === 64 ? `r${this.pick(WORDS)}` : `e${this.pick(WORDS)}`;
    return this.pick([
      `mov cr0, ${plain}`,
      `mov ${plain}, cr3`,
      `mov cr4, ${plain}`,
      `mov dr7, ${plain}`,
      `mov ${plain}, dr6`,
      `lgdt ${this.memory()}`,
      `lidt ${this.memory()}`,
      `sgdt ${this.memory()}`,
      `invlpg ${this.memory()}`,
      'mov ds, ax',
      'mov ax, es',
      'mov es, ax',
      'ltr ax',
      'lldt cx',
      'lmsw ax',
      `mov fs, ${this.memory()}`,
    ]);
  }

  /** A program with labels, jumps, data and directives. */
  program(): string {
    const lines = [`bits ${this.mode}`, `org 0x${(0x1000 * (1 + this.random.below(15))).toString(16)}`, 'SIZE equ 12'];
    const labels = 4 + this.random.below(8);
    for (let label = 0; label < labels; label++) {
      lines.push(`label${label}:`);
      const count = this.random.below(20);
      for (let index = 0; index < count; index++) {
        const target = this.random.below(labels);
        const local = this.chance(20);
        switch (this.random.below(9)) {
          case 0:
            lines.push(`jmp label${target}`);
            break;
          case 1:
            lines.push(`j${this.pick(CONDITIONS)} label${target}`);
            break;
          case 2:
            lines.push(`call label${target}`);
            break;
          case 3:
            lines.push(
              this.pick([
                'db 1, 2, "text", 3',
                'dw 0x1234, SIZE',
                'dd label0',
                'dq 1',
                `times ${this.random.below(9)} db 0x90`,
                'align 8',
                'dd $ - $$',
                'db SIZE * 2 + 1',
              ]),
            );
            break;
          default:
            lines.push(this.instruction());
        }
        if (local && index === count - 1) lines.push('.local:', 'jmp .local');
      }
    }
    if (this.chance(50)) lines.push('section .data', 'value: dd 42', 'text: db "data", 0', 'section .bss', 'room: resb 64');
    return `${lines.join('\n')}\n`;
  }
}
