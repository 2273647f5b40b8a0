import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Client, sample } from './client.ts';

let folder = '';
let image = '';
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-disk-'));
  image = path.join(folder, 'disk.img');
  writeFileSync(
    image,
    Uint8Array.from({ length: 4 * 512 }, (_, at) => 1 + Math.floor(at / 512)),
  );
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const lastByte = () => readFileSync(image).at(-1);

/** The sample copies the first sector to the last one. */
function launch(disk: unknown, more = {}) {
  const client = new Client();
  client.launch(sample('kvm/virtio-blk.asm'), { disk: [disk], ...more });
  client.ask('configurationDone');
  return client;
}

test('a file stays as it is, where it is not to be written', () => {
  launch(image, { stopOnEntry: false }).run();
  expect(lastByte()).toBe(4);
});

test('a disk is written back when its guest ends', () => {
  launch({ file: image, write: true }, { stopOnEntry: false }).run();
  expect(lastByte()).toBe(1);
  expect(readFileSync(image)).toHaveLength(4 * 512);
});

test('a session that is ended, or started anew, keeps what its guest has written so far', () => {
  for (const request of ['disconnect', 'restart']) {
    writeFileSync(image, readFileSync(image).fill(4, 3 * 512));
    const client = launch({ file: image, write: true });
    client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'exit:io' }] });
    client.move('continue');
    expect(lastByte()).toBe(4);
    client.ask(request);
    expect(lastByte()).toBe(1);
  }
});
