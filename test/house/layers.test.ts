import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

const root = path.resolve(import.meta.dirname, '../..');

/** The floors of docs/architecture.md, top to bottom. A room may import only from floors below its own. */
const floors = [
  ['extension', 'cli'],
  ['adapter', 'gdb-remote', 'language-server', 'webview'],
  ['debugger'],
  ['platforms'],
  ['hypervisor', 'network', 'programs', 'symbols'],
  ['devices', 'processor'],
  ['x86', 'stages'],
];
const rooms = floors.flat();
const floorOf = (room: string) => floors.findIndex((floor) => floor.includes(room));

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => path.join(entry.parentPath, entry.name));
}

/** Folders of platforms/ that are no platform. They import none either. */
const SHARED_BY_PLATFORMS: ReadonlySet<string> = new Set(['acpi', 'exits']);

describe('the layer rule', () => {
  test('each folder of src/ is a room with a floor', () => {
    expect(readdirSync(path.join(root, 'src')).sort()).toEqual([...rooms].sort());
  });

  test.each(rooms)('src/%s may refer to exactly the rooms on the floors below it', (room) => {
    const { references } = JSON.parse(readFileSync(path.join(root, 'src', room, 'tsconfig.json'), 'utf8'));
    const referred = references.map((reference: { path: string }) => path.basename(reference.path));
    expect(referred.sort()).toEqual(rooms.filter((other) => floorOf(other) > floorOf(room)).sort());
  });

  test.each(rooms)('src/%s imports nothing from its own floor or above', (room) => {
    const wrong: string[] = [];
    for (const file of sources(path.join(root, 'src', room))) {
      for (const [, specifier] of readFileSync(file, 'utf8').matchAll(/(?:from|import)\s*\(?\s*'(\.[^']*)'/g)) {
        if (specifier === undefined) continue;
        const [, target] = path.relative(root, path.resolve(path.dirname(file), specifier)).split(path.sep);
        if (target !== undefined && target !== room && floorOf(target) <= floorOf(room))
          wrong.push(`${path.relative(root, file)}: ${specifier}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test('platforms do not import each other', () => {
    const folder = path.join(root, 'src/platforms');
    const platforms = readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
    const wrong: string[] = [];
    for (const platform of platforms)
      for (const file of sources(path.join(folder, platform)))
        for (const other of platforms)
          if (other !== platform && !SHARED_BY_PLATFORMS.has(other) && readFileSync(file, 'utf8').includes(`../${other}/`))
            wrong.push(`${path.relative(root, file)} imports ${other}`);
    expect(wrong).toEqual([]);
  });
});

test('no source file has more than 800 lines', () => {
  const long = sources(path.join(root, 'src'))
    .filter((file) => !file.includes(`${path.sep}generated${path.sep}`))
    .filter((file) => readFileSync(file, 'utf8').split('\n').length > 800)
    .map((file) => path.relative(root, file));
  expect(long).toEqual([]);
});

test('no lockfile names a registry host', () => {
  for (const file of ['package-lock.json', 'tools/vscode-host/package-lock.json'])
    expect(readFileSync(path.join(root, file), 'utf8')).not.toMatch(/https?:\/\/[^"]*registry/);
});
