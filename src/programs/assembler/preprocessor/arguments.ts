/** A name of the preprocessor or of the program. */
export const NAME = /[A-Za-z_?.@][A-Za-z0-9_$#@~.?]*/;
export const WHOLE_NAME = new RegExp(`^${NAME.source}$`);

/** Splits arguments at commas outside strings, brackets and braces. */
export function splitArguments(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let quote = '';
  let current = '';
  for (const character of text) {
    if (quote) {
      if (character === quote) quote = '';
    } else if (character === '"' || character === "'" || character === '`') quote = character;
    else if ('([{'.includes(character)) depth++;
    else if (')]}'.includes(character)) depth--;
    if (character === ',' && depth === 0 && !quote) {
      parts.push(current.trim());
      current = '';
    } else current += character;
  }
  if (current.trim() !== '' || parts.length > 0) parts.push(current.trim());
  return parts.map((part) => (part.startsWith('{') && part.endsWith('}') ? part.slice(1, -1) : part));
}

/** Index of the parenthesis that closes the one that comes next from an index on; undefined when none comes next. */
export function matchingParenthesis(text: string, from: number): number | undefined {
  const start = /^\s*\(/.exec(text.slice(from));
  if (!start) return undefined;
  let depth = 0;
  for (let index = from; index < text.length; index++) {
    if (text[index] === '(') depth++;
    else if (text[index] === ')' && --depth === 0) return index;
  }
  return undefined;
}

/** The contents of a string in quotes; another text as it is. */
export function unquoted(text: string): string {
  return text.trim().replace(/^(['"`])(.*)\1$/, '$2');
}
