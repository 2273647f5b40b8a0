// Makes plain functions of the exit handlers and of what devices do in stages, which are generators so that a debugger can stop in them:
// the same statements without the stages. They serve what nobody steps through, several times as fast.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
/** Folders, each with one as deep for what is made of it, so that relative imports mean the same. */
const HANDLERS = [
  { source: 'src/platforms/exits/handlers', target: 'src/platforms/exits/generated', servesExits: true },
  { source: 'src/platforms/kvm/handlers', target: 'src/platforms/kvm/generated', servesExits: true },
  { source: 'src/platforms/hyperv/handlers', target: 'src/platforms/hyperv/generated', servesExits: true },
  { source: 'src/platforms/hyperv/hypercalls/handlers', target: 'src/platforms/hyperv/hypercalls/generated', servesExits: false },
  { source: 'src/platforms/hyperv/synic/handlers', target: 'src/platforms/hyperv/synic/generated', servesExits: false },
  { source: 'src/platforms/hyperv/vmbus/handlers', target: 'src/platforms/hyperv/vmbus/generated', servesExits: false },
  { source: 'src/platforms/hyperv/vsps/handlers', target: 'src/platforms/hyperv/vsps/generated', servesExits: false },
  { source: 'src/devices/virtio/handlers', target: 'src/devices/virtio/generated', servesExits: false },
];

/** What brackets inside mean nothing: comments, strings, templates (without nested ones). */
const OPAQUE = /\/\/.*|\/\*[\s\S]*?\*\/|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`(?:\\.|[^`\\])*`/g;
const OPAQUE_HERE = new RegExp(OPAQUE, 'y');

const EXPORTED_HANDLER = /^export function\* (\w+)\(([^)]*)\): Handler {\n/gm;

/** Where the arguments behind a bracket end, and where each of them begins. */
function argumentsAt(text, open) {
  const starts = [open + 1];
  let depth = 0;
  for (let at = open; at < text.length; at++) {
    OPAQUE_HERE.lastIndex = at;
    const skipped = OPAQUE_HERE.exec(text)?.[0];
    if (skipped) at += skipped.length - 1;
    else if ('([{'.includes(text[at])) depth++;
    else if (')]}'.includes(text[at]) && --depth === 0) return { starts, end: at };
    else if (text[at] === ',' && depth === 1) starts.push(at + 1);
  }
  throw new Error('a bracket is not closed');
}

/** The id of the first stage of a generator function, its own or that of the first one it calls. */
function firstStage(text, name) {
  const body = text.slice(text.indexOf(`function* ${name}(`));
  const [found] = body.matchAll(/\bstage\(\s*'([^']+)'|\byield\* inFrame\(/g);
  if (found?.[1] !== undefined) return found[1];
  if (!found) throw new Error(`${name} has no stage`);
  const { starts } = argumentsAt(body, found.index + found[0].length - 1);
  const called = /^\s*(\w+)\(/.exec(body.slice(starts[1]))?.[1];
  return firstStage(text, called);
}

/** Drops the statements that are stages. */
function withoutStages(text) {
  let result = text;
  for (;;) {
    const match = /^ *yield stage\(/m.exec(result);
    if (!match) return result;
    const { end } = argumentsAt(result, match.index + match[0].length - 1);
    if (!result.startsWith(';\n', end + 1)) throw new Error(`a stage is no statement of its own: ${match[0].trim()}`);
    result = result.slice(0, match.index) + result.slice(end + 3);
  }
}

/** Calls what runs in a frame of its own without that frame. */
function withoutFrames(text) {
  let result = text;
  for (;;) {
    const match = /\byield\* inFrame\(/.exec(result);
    if (!match) return result;
    const { starts, end } = argumentsAt(result, match.index + match[0].length - 1);
    if (starts.length < 2) throw new Error('a frame has no body');
    result = result.slice(0, match.index) + result.slice(starts[1], end).trim().replace(/,$/, '') + result.slice(end + 1);
  }
}

/** The head of an exported function that serves exits: it says in the record what it would have begun with. */
function exitServer(text, name, parameters) {
  if (!/\bcontext: /.test(parameters)) throw new Error(`${name} has no parameter 'context'`);
  return `export function ${name}(${parameters}): void {\n  context.record.stage = '${firstStage(text, name)}';\n`;
}

/**
 * The source of a file of handlers without their stages: what it imports of other folders of handlers is that of theirs. A method `xInStages` has a twin `x` that does the same without. An exported
 * handler of exits, which must have its exit as `context`, says in the record which stage it would have begun with. Throws one sentence
 * where a handler isn't written as it must be.
 */
export function unstaged(text, file, servesExits = true) {
  try {
    const plain = withoutFrames(withoutStages(text))
      .replaceAll(/(from '[^']*\/)handlers\//g, '$1generated/')
      .replaceAll(/\byield\* ([\w.]+)InStages\(/g, '$1(')
      .replaceAll(/\byield\* /g, '')
      .replaceAll(EXPORTED_HANDLER, (head, name, parameters) => (servesExits ? exitServer(text, name, parameters) : head))
      .replaceAll(/\bfunction\* /g, 'function ')
      .replaceAll(/\): Handler<([^>]+)> {$/gm, '): $1 {')
      .replaceAll(/\): Handler {$/gm, '): void {');
    const left = /^(?!import).*(?:\byield\b|\binFrame\b|\bstage\(|: Handler\b).*$/m.exec(plain.replaceAll(OPAQUE, "''"));
    if (left) throw new Error(`this can't be said without stages: ${left[0].trim()}`);
    return plain;
  } catch (error) {
    throw new Error(`${file}: ${error.message}.`);
  }
}

export default async function generate() {
  for (const { source, target, servesExits } of HANDLERS) {
    rmSync(path.join(root, target), { recursive: true, force: true });
    mkdirSync(path.join(root, target), { recursive: true });
    for (const file of readdirSync(path.join(root, source))
      .filter((name) => name.endsWith('.ts'))
      .sort()) {
      const text = readFileSync(path.join(root, source, file), 'utf8');
      const head = `// Made of ${source}/${file} by tools/generate/unstaged-handlers.mjs. Do not edit.\n`;
      writeFileSync(path.join(root, target, file), head + unstaged(text, `${source}/${file}`, servesExits));
    }
  }
}
