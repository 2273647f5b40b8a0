import type { InspectNode } from '../../../devices/inspect.ts';

const MOST = 16;

/** What a guest did that it must not do: the last few of such things, and how many there were. */
export class Notes {
  private readonly last: string[] = [];
  private count = 0;

  /** `text`: a sentence without its full stop. */
  add(text: string): void {
    this.count++;
    this.last.push(text);
    if (this.last.length > MOST) this.last.shift();
  }
  get latest(): string | undefined {
    return this.last.at(-1);
  }
  get total(): number {
    return this.count;
  }
  clear(): void {
    this.last.length = 0;
    this.count = 0;
  }
  inspect(): InspectNode {
    return {
      name: 'wrong messages',
      value: String(this.count),
      ...(this.last.length > 0
        ? { children: this.last.map((text, index) => ({ name: String(index + 1), detail: `${text}.` })) }
        : {}),
    };
  }
}
