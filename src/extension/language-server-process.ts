// The process of the language server: connects src/language-server with VS Code's pipe and this machine's files.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { createConnection, ProposedFeatures } from 'vscode-languageserver/node';
import { serve } from '../language-server/server.ts';
import { ProgramError } from '../programs/program.ts';

serve(createConnection(ProposedFeatures.all), {
  files: {
    read(file) {
      try {
        return new Uint8Array(readFileSync(file));
      } catch (error) {
        throw new ProgramError(`${file} can't be read: ${error instanceof Error ? error.message : String(error)}`, file);
      }
    },
    exists: (file) => existsSync(file),
    resolve: (from, relative) => path.resolve(path.dirname(from), relative),
  },
  // Documents that aren't files, such as unsaved ones, keep their URI as their path.
  pathOf: (uri) => (uri.startsWith('file:') ? fileURLToPath(uri) : uri),
  uriOf: (file) => (path.isAbsolute(file) ? pathToFileURL(file).href : file),
  later: (milliseconds, callback) => void setTimeout(callback, milliseconds),
});
