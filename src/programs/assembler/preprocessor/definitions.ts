import { AssemblyError } from '../diagnostic.ts';
import { ExpressionParser } from '../expression.ts';
import { tokenize } from '../lexer.ts';
import { matchingParenthesis, NAME, splitArguments, WHOLE_NAME } from './arguments.ts';

const MAX_DEPTH = 64;
const MAX_EXPANSIONS = 1_000_000;
const MAX_LENGTH = 100_000;

interface Define {
  readonly parameters?: readonly string[];
  readonly body: string;
}

export function missingName(): AssemblyError {
  return new AssemblyError('A name is missing here.', 'For example: %define SIZE 16');
}

/** What %define, %assign and their kin have defined, and what texts become by it. */
export class Definitions {
  private readonly defines = new Map<string, Define>();
  private expansions = 0;

  has(name: string): boolean {
    return this.defines.has(name);
  }
  set(name: string, body: string): void {
    this.defines.set(name, { body });
  }
  delete(name: string): void {
    this.defines.delete(name);
  }

  /** `%define NAME(PARAMETERS) BODY`, expanded when it is used, or `now`. Gives the name. */
  define(rest: string, now: boolean): string {
    const parsed = new RegExp(`^(${NAME.source})(\\(([^)]*)\\))?\\s*(.*)$`).exec(rest);
    const name = parsed?.[1] ?? '';
    if (!WHOLE_NAME.test(name)) throw missingName();
    const body = parsed?.[4] ?? '';
    const parameters = parsed?.[3]
      ?.split(',')
      .map((parameter) => parameter.trim().replace(/^=/, ''))
      .filter((parameter) => parameter !== '');
    this.defines.set(name, {
      parameters: parsed?.[2] === undefined ? undefined : (parameters ?? []),
      body: now ? this.expand(body) : body,
    });
    return name;
  }

  /** A number that is known now. */
  evaluate(text: string): bigint {
    const tokens = tokenize(this.expand(text));
    const refuse = (name: string, column: number): never => {
      throw new AssemblyError(
        `"${name}" is not known to the preprocessor.`,
        'Only numbers and %define and %assign names can be used here, no labels.',
        column,
        name.length,
      );
    };
    const parser = new ExpressionParser(tokens, 0, {
      symbol: refuse,
      here: () => refuse('$', 1),
      sectionStart: () => refuse('$$', 1),
    });
    const value = parser.parse();
    if (parser.at < tokens.length)
      throw new AssemblyError('Something is left over after this expression.', undefined, tokens[parser.at]?.column);
    return value.number;
  }

  /** Replaces names of %define until nothing changes; a name isn't replaced inside its own expansion. */
  expand(text: string, hidden: ReadonlySet<string> = new Set(), depth = 0): string {
    if (depth > MAX_DEPTH || !NAME.test(text)) return text;
    let result = '';
    let at = 0;
    while (at < text.length) {
      const rest = text.slice(at);
      const string = /^(['"])(?:(?!\1).)*\1?|^`(?:\\.|[^`\\])*`?/.exec(rest);
      const number = /^\$?[0-9][0-9A-Za-z_.$]*/.exec(rest);
      const name = new RegExp(`^${NAME.source}`).exec(rest);
      const taken = string ?? number ?? name;
      if (!taken) {
        const join = /^%\+/.exec(rest);
        if (join) result = result.trimEnd();
        else result += rest[0] ?? '';
        at += join ? join[0].length + (/^\s*/.exec(rest.slice(2))?.[0].length ?? 0) : 1;
        continue;
      }
      at += taken[0].length;
      const define = taken === name && taken[0] !== undefined && !hidden.has(taken[0]) ? this.defines.get(taken[0]) : undefined;
      if (!define || taken !== name) {
        result += taken[0];
        continue;
      }
      let { body } = define;
      if (define.parameters) {
        const close = matchingParenthesis(text, at);
        if (close === undefined) {
          result += taken[0];
          continue;
        }
        const values = splitArguments(text.slice(text.indexOf('(', at) + 1, close));
        at = close + 1;
        define.parameters.forEach((parameter, index) => {
          body = body.replaceAll(
            new RegExp(`(?<![A-Za-z0-9_.$@?#~])${parameter.replaceAll('$', '\\$')}(?![A-Za-z0-9_.$@?#~])`, 'g'),
            () => values[index] ?? '',
          );
        });
      }
      if (++this.expansions > MAX_EXPANSIONS)
        throw new AssemblyError('Definitions are expanded without end.', 'Two %define may contain each other.');
      result += this.expand(body, new Set([...hidden, taken[0]]), depth + 1);
      if (result.length > MAX_LENGTH) throw new AssemblyError('This line becomes too long when its definitions are expanded.');
    }
    return result;
  }
}
