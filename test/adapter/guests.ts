import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client } from './client.ts';

let folder: string | undefined;
let count = 0;

/** Writes guest assembly to a file of its own; gives its path. */
export function assembly(text: string): string {
  folder ??= mkdtempSync(path.join(tmpdir(), 'hyperscope-adapter-'));
  const file = path.join(folder, `guest${count++}.asm`);
  writeFileSync(file, text);
  return file;
}

/** A guest that stands at its entry. */
export function atEntry(text: string, options: object = {}): { readonly client: Client; readonly file: string } {
  const file = assembly(text);
  const client = new Client();
  client.launch(file, options);
  client.ask('configurationDone');
  client.run();
  return { client, file };
}
