/** Paths as debug information has them: of the machine that compiled, with `/` or `\`. */

function isAbsolute(path: string): boolean {
  return /^([/\\]|[A-Za-z]:[/\\])/.test(path);
}

/** `path` as seen from `directory`, without `.` and `..`. */
export function joinPath(directory: string, path: string): string {
  if (path === '') return '';
  const whole = isAbsolute(path) || directory === '' ? path : `${directory}/${path}`;
  if (!/(^|[/\\])\.{0,2}([/\\]|$)/.test(whole.slice(1))) return whole;
  const parts: string[] = [];
  for (const part of whole.split(/[/\\]/)) {
    if (part === '.' || (part === '' && parts.length > 0)) continue;
    if (part === '..' && parts.length > 0 && parts.at(-1) !== '..' && parts.at(-1) !== '') parts.pop();
    else if (!(part === '..' && parts.at(-1) === '')) parts.push(part);
  }
  return parts.join('/');
}

function parts(path: string): string[] {
  return path.split(/[/\\]/).filter((part) => part !== '' && part !== '.');
}

/**
 * The paths among `candidates` that an editor's path means: the same path; else those that share the longest tail with it
 * (a workspace and a build directory differ in what stands before). At least the file's name must agree.
 */
export function matchingPaths(candidates: Iterable<string>, wanted: string): string[] {
  const target = parts(wanted);
  let best = 0;
  let found: string[] = [];
  for (const candidate of candidates) {
    const own = parts(candidate);
    let length = 0;
    while (length < own.length && length < target.length && own.at(-1 - length) === target.at(-1 - length)) length++;
    // The whole path agrees: better than any tail.
    const score = length === own.length && length === target.length ? Number.MAX_SAFE_INTEGER : length;
    if (score === 0 || score < best) continue;
    if (score > best) found = [];
    best = score;
    if (!found.includes(candidate)) found.push(candidate);
  }
  return found;
}
