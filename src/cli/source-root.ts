import { existsSync } from 'node:fs';
import path from 'node:path';

/**
 * Folder in which the sources of exit handlers are found by their paths (`src/platforms/…`): the project itself when the
 * program runs from there, else the copy that ships beside the bundle.
 */
export function sourceRoot(): string {
  const bundle = __dirname;
  const project = path.dirname(bundle);
  return existsSync(path.join(project, 'src/hypervisor')) ? project : bundle;
}
