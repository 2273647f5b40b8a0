import { AssemblyError, type SourcePlace } from '../diagnostic.ts';
import { NAME, splitArguments, WHOLE_NAME } from './arguments.ts';
import { type Definitions, missingName } from './definitions.ts';
import { blockEnd, MAX_LINES, type SourceText } from './source-text.ts';

const MAX_EXPANSIONS = 100_000;

/** A macro of several lines. */
export interface Macro {
  readonly name: string;
  readonly minimum: number;
  readonly maximum: number;
  /** The last parameter takes all that is left, commas included. */
  readonly greedy: boolean;
  readonly defaults: readonly string[];
  readonly lines: readonly SourceText[];
}

export interface MacroCall {
  readonly macro: Macro;
  readonly values: readonly string[];
  /** A label in front, with its colon. */
  readonly label: string;
}

/** The program's macros, by name in any case and number of parameters. */
export class Macros {
  private readonly macros = new Map<string, Macro[]>();
  private expansions = 0;
  private unique = 0;

  constructor(private readonly definitions: Definitions) {}

  has(name: string): boolean {
    return this.macros.has(name.toLowerCase());
  }
  delete(name: string): void {
    this.macros.delete(name.toLowerCase());
  }

  /** `%macro NAME 1-3+ defaults` with its lines. Gives the name. */
  define(rest: string, lines: readonly SourceText[]): string {
    const parsed = new RegExp(`^(${NAME.source})\\s*(?:(\\d+)(?:-(\\d+|\\*))?(\\+)?)?(?:\\s*\\.nolist)?\\s*(.*)$`).exec(rest);
    const name = parsed?.[1] ?? '';
    if (!WHOLE_NAME.test(name)) throw missingName();
    const minimum = Number(parsed?.[2] ?? 0);
    const upper = parsed?.[3];
    const macro: Macro = {
      name,
      minimum,
      maximum: upper === undefined ? minimum : upper === '*' ? Number.MAX_SAFE_INTEGER : Number(upper),
      greedy: parsed?.[4] !== undefined,
      defaults: splitArguments(parsed?.[5] ?? ''),
      lines,
    };
    const key = name.toLowerCase();
    this.macros.set(key, [macro, ...(this.macros.get(key) ?? [])]);
    return name;
  }

  /** The call that a line is; undefined for another line. */
  callIn(text: string): MacroCall | undefined {
    const parsed = new RegExp(`^\\s*((?:${NAME.source}\\s*:)?)\\s*(${NAME.source})(?:\\s+(.*))?$`).exec(text);
    const overloads = this.macros.get((parsed?.[2] ?? '').toLowerCase());
    if (!parsed || !overloads) return undefined;
    const all = splitArguments(this.definitions.expand(parsed[3] ?? ''));
    for (const macro of overloads) {
      let values = all;
      if (macro.greedy && values.length > macro.maximum && macro.maximum > 0)
        values = [...values.slice(0, macro.maximum - 1), values.slice(macro.maximum - 1).join(',')];
      if (values.length < macro.minimum || values.length > macro.maximum) continue;
      if (++this.expansions > MAX_EXPANSIONS)
        throw new AssemblyError('Macros are expanded without end.', 'Give their recursion an end with %if.');
      const defaults = macro.defaults.slice(values.length - macro.minimum);
      const limit = Math.min(macro.maximum, macro.minimum + macro.defaults.length);
      return { macro, values: [...values, ...defaults].slice(0, Math.max(values.length, limit)), label: parsed[1] ?? '' };
    }
    throw new AssemblyError(`The macro ${parsed[2]} doesn't take ${all.length} parameter${all.length === 1 ? '' : 's'}.`);
  }

  /** The lines of a call, with its parameters in them; all belong to where it stands. */
  linesOf(call: MacroCall, place: SourcePlace): readonly SourceText[] {
    const id = ++this.unique;
    const { lines } = call.macro;
    const isIn = (pattern: RegExp) => lines.some(({ text }) => pattern.test(text));
    if (isIn(/^\s*%rotate/i) && isIn(/^\s*%rep\b/i)) return this.unrolled(call, place, id);
    let parameters = call.values;
    return lines.flatMap(({ text }): SourceText[] => {
      const by = /^\s*%rotate\s+(.*)$/i.exec(text)?.[1];
      if (by === undefined) return [{ text: substitute(text, parameters, id), place }];
      parameters = this.rotated(parameters, by, id);
      return [];
    });
  }

  private rotated(parameters: readonly string[], text: string, id: number): readonly string[] {
    const by = Number(this.definitions.evaluate(substitute(text, parameters, id)));
    const count = parameters.length || 1;
    const shift = ((by % count) + count) % count;
    return [...parameters.slice(shift), ...parameters.slice(0, shift)];
  }

  /** Loops of a macro that rotates its parameters are unrolled here, since each pass sees others. */
  private unrolled(call: MacroCall, place: SourcePlace, id: number): readonly SourceText[] {
    const result: SourceText[] = [];
    let parameters = call.values;
    const visit = (body: readonly SourceText[]): void => {
      for (let index = 0; index < body.length; index++) {
        const text = body[index]?.text ?? '';
        const loop = /^\s*%rep\s+(.*)$/i.exec(text)?.[1];
        const rotation = /^\s*%rotate\s+(.*)$/i.exec(text)?.[1];
        if (loop !== undefined) {
          const end = blockEnd(body, index, 'rep');
          const count = Number(this.definitions.evaluate(substitute(loop, parameters, id)));
          for (let pass = 0; pass < Math.min(count, MAX_LINES) && result.length < MAX_LINES; pass++)
            visit(body.slice(index + 1, end));
          index = end;
        } else if (rotation !== undefined) parameters = this.rotated(parameters, rotation, id);
        else result.push({ text: substitute(text, parameters, id), place });
      }
    };
    visit(call.macro.lines);
    return result;
  }
}

/** Puts parameters into a macro's line: %1, %{1}, %0, %%label, %-1 (inverted condition is left out), %1-last ranges. */
function substitute(text: string, values: readonly string[], id: number): string {
  return text.replaceAll(
    /%(?:\{(\d+|%[A-Za-z_][\w.]*)\}|(\d+)|%([A-Za-z_][\w.]*)|\{-1:-?(\d+)\})/g,
    (_whole, braced?: string, plain?: string, local?: string) => {
      if (local !== undefined) return `..@${id}.${local}`;
      if (braced?.startsWith('%')) return `..@${id}.${braced.slice(1)}`;
      const number = Number(braced ?? plain ?? 0);
      return number === 0 ? String(values.length) : (values[number - 1] ?? '');
    },
  );
}
