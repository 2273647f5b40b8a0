import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { nodeFolder } from '../../src/cli/node-folder.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'hyperscope-folder-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const root = path.join(scratch, 'shared');
mkdirSync(path.join(root, 'sub'), { recursive: true });
writeFileSync(path.join(scratch, 'secret'), 'secret');
writeFileSync(path.join(root, 'a.txt'), 'content');
writeFileSync(path.join(root, 'sub/run.sh'), '#!/bin/sh');
chmodSync(path.join(root, 'sub/run.sh'), 0o755);
symlinkSync('../secret', path.join(root, 'out'));
symlinkSync('..', path.join(root, 'up'));
if (process.platform !== 'win32') execFileSync('mkfifo', [path.join(root, 'pipe')]);
const text = (bytes: Uint8Array | undefined) => bytes && new TextDecoder().decode(bytes);

test('files, folders and links are seen, pipes are not', () => {
  const folder = nodeFolder(root);
  expect(folder.look(['a.txt'])).toEqual({ kind: 'file', size: 7, isExecutable: false });
  expect(folder.look(['sub', 'run.sh'])).toMatchObject({ kind: 'file', isExecutable: true });
  expect(folder.look(['sub'])?.kind).toBe('folder');
  expect(folder.look(['out'])).toMatchObject({ kind: 'link', size: 0 });
  expect(folder.target(['out'])).toBe('../secret');
  expect([folder.look(['pipe']), folder.look(['missing'])]).toEqual([undefined, undefined]);
  expect([...(folder.list([]) ?? [])].sort()).toEqual(expect.arrayContaining(['a.txt', 'out', 'sub', 'up']));
  expect([text(folder.read(['a.txt'], 3, 2)), text(folder.read(['a.txt'], 5, 100))]).toEqual(['te', 'nt']);
});

test.each([[['..', 'secret']], [['out']], [['up', 'secret']], [['sub', '..', '..', 'secret']], [['../secret']], [['']], [['.']]])(
  'nothing is read through %j',
  (names) => {
    const folder = nodeFolder(root);
    expect([folder.read(names, 0, 10), folder.list(names)]).toEqual([undefined, undefined]);
  },
);

test('nothing is seen behind a link, also one that took the place of a folder', () => {
  const folder = nodeFolder(root);
  expect(folder.look(['up', 'secret'])).toBeUndefined();
  mkdirSync(path.join(root, 'later'));
  writeFileSync(path.join(root, 'later/secret'), 'own');
  expect(text(folder.read(['later', 'secret'], 0, 9))).toBe('own');
  renameSync(path.join(root, 'later'), path.join(scratch, 'moved'));
  symlinkSync(scratch, path.join(root, 'later'));
  expect(folder.read(['later', 'secret'], 0, 9)).toBeUndefined();
});

test('what is no folder is refused', () => {
  expect(() => nodeFolder(path.join(root, 'a.txt'))).toThrow("a.txt can't be shared: it is no folder.");
  expect(() => nodeFolder(path.join(root, 'missing'))).toThrow('there is no such file or folder');
});
