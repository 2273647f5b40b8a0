import { AssemblyError } from '../diagnostic.ts';

/** The stack of contexts (%push, %pop), whose own names are written %$name, and %$$name in the one around it. */
export class Contexts {
  private readonly stack: { readonly id: number; readonly name: string }[] = [];
  private count = 0;

  push(name: string): void {
    this.stack.push({ id: ++this.count, name });
  }

  pop(name: string): void {
    const top = this.stack.at(-1);
    if (!top) throw new AssemblyError('A %pop stands without its %push.', 'Remove it, or look for a %push that is popped twice.');
    if (name !== '' && name !== top.name)
      throw new AssemblyError(
        `The context on top is "${top.name}", not "${name}".`,
        'Contexts are popped in the order of their %push.',
      );
    this.stack.pop();
  }

  /** Whether the context on top has one of these names. */
  isOnTop(names: readonly string[]): boolean {
    return names.includes(this.stack.at(-1)?.name ?? '');
  }

  /** Gives the contexts' own names the form that they have in the program. */
  rename(text: string): string {
    if (!text.includes('%$')) return text;
    return text.replaceAll(/%(\$+)([A-Za-z_][\w.]*)/g, (whole, dollars: string, name: string) => {
      const context = this.stack.at(-dollars.length);
      if (!context) throw new AssemblyError(`${whole} belongs to a context, and there is none here.`, 'Begin one with %push.');
      return `..@context${context.id}.${name}`;
    });
  }
}
