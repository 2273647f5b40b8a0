/** 256 bits as eight 32-bit registers: IRR, ISR and TMR of a local APIC. */
export class VectorSet {
  private readonly words = new Uint32Array(8);

  get(vector: number): boolean {
    return (((this.words[vector >> 5] ?? 0) >>> (vector & 31)) & 1) !== 0;
  }
  set(vector: number, value: boolean): void {
    const word = this.words[vector >> 5] ?? 0;
    const bit = 1 << (vector & 31);
    this.words[vector >> 5] = value ? word | bit : word & ~bit;
  }
  /** Register 0–7: vectors 32n to 32n+31. */
  word(index: number): number {
    return this.words[index] ?? 0;
  }
  /** Highest vector that is set, or -1. */
  get highest(): number {
    for (let index = 7; index >= 0; index--) {
      const word = this.words[index] ?? 0;
      if (word !== 0) return index * 32 + 31 - Math.clz32(word);
    }
    return -1;
  }
  get vectors(): number[] {
    const vectors: number[] = [];
    for (let vector = 0; vector < 256; vector++) if (this.get(vector)) vectors.push(vector);
    return vectors;
  }
  clear(): void {
    this.words.fill(0);
  }
  save(): number[] {
    return [...this.words];
  }
  restore(words: readonly number[]): void {
    for (let index = 0; index < 8; index++) this.words[index] = words[index] ?? 0;
  }
}
