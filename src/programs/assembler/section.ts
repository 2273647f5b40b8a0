import { AssemblyError } from './diagnostic.ts';

/** Output beyond this is a mistake in the source or an attack on the editor's memory. */
export const MAX_SIZE = 64 * 1024 * 1024;

export interface SectionAttributes {
  readonly align?: number;
  /** Address where it is placed in memory. */
  readonly start?: bigint;
  /** Address that its labels count from, when it is moved there later. */
  readonly virtualStart?: bigint;
  readonly noBits?: boolean;
  readonly code?: boolean;
}

/** Bytes that follow each other, with the address that they have. Refilled in each pass. */
export class Section {
  align: number;
  readonly noBits: boolean;
  readonly code: boolean;
  /** Length, reserved room included. */
  size = 0;
  /** Address of its first byte as its labels have it; laid out after each pass. */
  start = 0n;
  /** Address where it is loaded: the same, but for `vstart=`. */
  load = 0n;
  private buffer = new Uint8Array(256);

  constructor(
    readonly name: string,
    readonly attributes: SectionAttributes,
  ) {
    this.noBits = attributes.noBits ?? name === '.bss';
    this.code = attributes.code ?? name === '.text';
    this.align = attributes.align ?? (name === '.text' ? 16 : 4);
  }

  /** What was written; empty for a section that holds no bytes. */
  get bytes(): Uint8Array {
    return this.buffer.subarray(0, this.noBits ? 0 : this.size);
  }

  clear(): void {
    this.size = 0;
  }

  append(bytes: Uint8Array): void {
    this.growBy(bytes.length);
    this.buffer.set(bytes, this.size);
    this.size += bytes.length;
  }

  /** Appends the same bytes several times. */
  repeat(bytes: Uint8Array, count: number): void {
    this.growBy(bytes.length * count);
    for (let index = 0; index < count; index++) this.buffer.set(bytes, this.size + index * bytes.length);
    this.size += bytes.length * count;
  }

  /** Room that is zero when the program starts. */
  reserve(count: number): void {
    if (this.noBits) {
      if (this.size + count > MAX_SIZE) throw tooLarge();
    } else {
      this.growBy(count);
      this.buffer.fill(0, this.size, this.size + count);
    }
    this.size += count;
  }

  private growBy(count: number): void {
    const needed = this.size + count;
    if (needed > MAX_SIZE) throw tooLarge();
    if (needed <= this.buffer.length) return;
    const larger = new Uint8Array(Math.min(MAX_SIZE, Math.max(needed, this.buffer.length * 2)));
    larger.set(this.buffer.subarray(0, this.size));
    this.buffer = larger;
  }
}

function tooLarge(): AssemblyError {
  return new AssemblyError(
    `The program grows beyond ${MAX_SIZE / 1024 / 1024} MiB.`,
    'Look at the counts of its TIMES, DUP and RES directives.',
  );
}

/** Sections one behind the other: .text first, then those with bytes in order, then those without (NASM manual, 8.1.3). */
export function layOut(
  sections: readonly Section[],
  origin: bigint,
  place: (section: Section, start: bigint, load: bigint) => void,
): void {
  const text = sections.filter(({ name }) => name === '.text');
  const others = sections.filter(({ name }) => name !== '.text');
  const ordered = [...text, ...others.filter(({ noBits }) => !noBits), ...others.filter(({ noBits }) => noBits)];
  let at = origin;
  ordered.forEach((section, index) => {
    const { start, virtualStart } = section.attributes;
    const mask = BigInt(section.align - 1);
    const load = start ?? (index === 0 ? at : (at + mask) & ~mask);
    at = load + BigInt(section.size);
    place(section, virtualStart ?? load, load);
  });
}
