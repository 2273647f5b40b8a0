import { existsSync } from 'node:fs';
import path from 'node:path';

/** Folder whose `src/` holds the sources of exit handlers: beside the bundle, or the project's own when it is not bundled. */
export function shippedSources(): string {
  const beside = path.join(__dirname, 'src');
  return existsSync(beside) ? __dirname : path.dirname(__dirname);
}
