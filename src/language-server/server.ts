import {
  type Connection,
  type DocumentUri,
  ErrorCodes,
  type InitializeResult,
  type Location,
  ResponseError,
  TextDocumentSyncKind,
  TextDocuments,
  type WorkspaceEdit,
} from 'vscode-languageserver';
import { TextDocument } from 'vscode-languageserver-textdocument';
import type { FileAccess } from '../programs/program.ts';
import { complete, resolveCompletion } from './completion.ts';
import { diagnose } from './diagnostics.ts';
import { hover } from './hover.ts';
import { definition, type PathLocation, prepareRename, RenameError, references, rename } from './navigation.ts';
import { documentSymbols, foldingRanges } from './outline.ts';
import { Sources } from './sources.ts';

/** What the server needs of the process that it runs in. */
export interface Host {
  /** Files that aren't open in the editor. */
  readonly files: FileAccess;
  pathOf(uri: DocumentUri): string;
  uriOf(path: string): DocumentUri;
  /** Calls back once, after so many milliseconds. */
  later(milliseconds: number, callback: () => void): void;
}

/** Typing pauses that long before a source is assembled. */
const CHECK_DELAY_MS = 150;

const CAPABILITIES: InitializeResult = {
  capabilities: {
    textDocumentSync: TextDocumentSyncKind.Incremental,
    completionProvider: { triggerCharacters: ['%', '.'], resolveProvider: true },
    hoverProvider: true,
    definitionProvider: true,
    referencesProvider: true,
    renameProvider: { prepareProvider: true },
    documentSymbolProvider: true,
    foldingRangeProvider: true,
  },
  serverInfo: { name: 'hyperscope' },
};

/** Answers the Language Server Protocol on a connection. */
export function serve(connection: Connection, host: Host): void {
  const documents = new TextDocuments(TextDocument);
  const sources = new Sources(host.files);
  /** Files that have diagnostics, by the source that they were found from. */
  const reported = new Map<string, ReadonlySet<string>>();
  const waiting = new Set<string>();

  const publish = (path: string) => {
    waiting.delete(path);
    if (!sources.openPaths().includes(path)) return;
    const found = diagnose(sources, path);
    const before = reported.get(path) ?? new Set();
    for (const file of new Set([...before, ...found.keys()]))
      void connection.sendDiagnostics({ uri: host.uriOf(file), diagnostics: found.get(file) ?? [] });
    reported.set(path, new Set(found.keys()));
  };
  const check = (path: string) => {
    if (waiting.has(path)) return;
    waiting.add(path);
    host.later(CHECK_DELAY_MS, () => publish(path));
  };

  documents.onDidChangeContent(({ document }) => {
    const path = host.pathOf(document.uri);
    sources.set(path, document.getText());
    // What includes this source may have become right, or wrong.
    for (const open of sources.openPaths()) if (sources.withIncludes(open).includes(path)) check(open);
  });
  documents.onDidClose(({ document }) => {
    const path = host.pathOf(document.uri);
    sources.delete(path);
    for (const file of reported.get(path) ?? []) void connection.sendDiagnostics({ uri: host.uriOf(file), diagnostics: [] });
    reported.delete(path);
  });

  const locate = ({ path, range }: PathLocation): Location => ({ uri: host.uriOf(path), range });
  const indexOf = (uri: DocumentUri) => sources.index(host.pathOf(uri));
  /** Turns a refusal to rename into an answer that the editor shows. */
  const refusable = <Result>(work: () => Result): Result | ResponseError<void> => {
    try {
      return work();
    } catch (error) {
      if (error instanceof RenameError) return new ResponseError<void>(ErrorCodes.InvalidRequest, error.message);
      throw error;
    }
  };

  connection.onInitialize(() => CAPABILITIES);
  connection.onCompletion(({ textDocument, position }) => complete(sources, host.pathOf(textDocument.uri), position));
  connection.onCompletionResolve(resolveCompletion);
  connection.onHover(({ textDocument, position }) => hover(sources, host.pathOf(textDocument.uri), position));
  connection.onDefinition(({ textDocument, position }) => {
    const found = definition(sources, host.pathOf(textDocument.uri), position);
    return found && locate(found);
  });
  connection.onReferences(({ textDocument, position, context }) =>
    references(sources, host.pathOf(textDocument.uri), position, context.includeDeclaration).map(locate),
  );
  connection.onPrepareRename(({ textDocument, position }) =>
    refusable(() => prepareRename(sources, host.pathOf(textDocument.uri), position)),
  );
  connection.onRenameRequest(({ textDocument, position, newName }) =>
    refusable((): WorkspaceEdit => {
      const edits = rename(sources, host.pathOf(textDocument.uri), position, newName);
      return { changes: Object.fromEntries([...edits].map(([path, changes]) => [host.uriOf(path), changes])) };
    }),
  );
  connection.onDocumentSymbol(({ textDocument }) => {
    const index = indexOf(textDocument.uri);
    return index ? documentSymbols(index) : [];
  });
  connection.onFoldingRanges(({ textDocument }) => {
    const index = indexOf(textDocument.uri);
    return index ? foldingRanges(index) : [];
  });
  documents.listen(connection);
  connection.listen();
}
