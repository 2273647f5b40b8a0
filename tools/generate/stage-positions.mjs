// Finds each `stage('id'` in the sources, so that a stage of an exit handler has a file, a line and a function to show.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const target = path.join(root, 'src/hypervisor/exits/generated/stage-positions.ts');

/** Lines on which a generator function begins, and its name. */
const FUNCTION = /(?:function\s*\*\s*|^\s*(?:private\s+|protected\s+|static\s+)*\*\s*)([A-Za-z_$][\w$]*)\s*[(<]/;
const STAGE = /\bstage\(\s*'([^']+)'/g;

export function findStages(text, file) {
  const found = [];
  let name = '';
  const lines = text.split('\n');
  lines.forEach((line, index) => {
    name = FUNCTION.exec(line)?.[1] ?? name;
    for (const match of line.matchAll(STAGE)) found.push({ id: match[1], path: file, line: index + 1, function: name });
    // A formatter may have put the id on the line after the bracket.
    if (/\bstage\(\s*$/.test(line)) {
      const id = /^\s*'([^']+)'/.exec(lines[index + 1] ?? '')?.[1];
      if (id !== undefined) found.push({ id, path: file, line: index + 1, function: name });
    }
  });
  return found;
}

/** Throws one sentence when two stages have the same id. */
export function collectStages(files) {
  const stages = new Map();
  for (const { text, file } of files)
    for (const stage of findStages(text, file)) {
      const other = stages.get(stage.id);
      if (other)
        throw new Error(
          `Stage '${stage.id}' is at both ${other.path}:${other.line} and ${stage.path}:${stage.line}; give one of them another id.`,
        );
      stages.set(stage.id, stage);
    }
  return [...stages.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

export default async function generate() {
  const files = readdirSync(path.join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => path.join(entry.parentPath, entry.name))
    // The definition of stage() itself shows an example in its comment.
    .filter((file) => !file.includes(`${path.sep}generated${path.sep}`) && !file.endsWith(path.join('stages', 'stage.ts')))
    .sort()
    .map((file) => ({ file: path.relative(root, file).split(path.sep).join('/'), text: readFileSync(file, 'utf8') }));
  const rows = collectStages(files).map(
    ({ id, path: file, line, function: name }) =>
      `  ${JSON.stringify(id)}: { path: ${JSON.stringify(file)}, line: ${line}, function: ${JSON.stringify(name)} },`,
  );
  const text = [
    '// Made by tools/generate/stage-positions.mjs. Do not edit.',
    "import type { StagePosition } from '../stage-position.ts';",
    '',
    'export const STAGE_POSITIONS: Readonly<Record<string, StagePosition>> = {',
    ...rows,
    '};',
    '',
  ].join('\n');
  mkdirSync(path.dirname(target), { recursive: true });
  writeFileSync(target, text);
}
