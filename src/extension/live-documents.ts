import * as vscode from 'vscode';
import { DEBUG_TYPE } from './names.ts';

/**
 * Texts about the guest, in editors beside the source, that are brought up to date at each stop. Each has a scheme of its own, and a
 * path that says what it shows; `content` writes it.
 */
export class LiveDocuments implements vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  private readonly shown = new Set<string>();
  private readonly registrations: vscode.Disposable;

  constructor(
    private readonly scheme: string,
    content: (path: string) => Promise<string>,
  ) {
    this.registrations = vscode.Disposable.from(
      this.changed,
      vscode.workspace.registerTextDocumentContentProvider(scheme, {
        onDidChange: this.changed.event,
        provideTextDocumentContent: (uri) => content(uri.path.slice(1)),
      }),
      vscode.workspace.onDidCloseTextDocument(({ uri }) => this.shown.delete(uri.toString())),
      vscode.debug.onDidChangeActiveStackItem(() => {
        for (const uri of this.shown) this.changed.fire(vscode.Uri.parse(uri));
      }),
    );
  }

  async show(path: string): Promise<void> {
    const uri = vscode.Uri.from({ scheme: this.scheme, path: `/${path}` });
    this.shown.add(uri.toString());
    await vscode.window.showTextDocument(uri, { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true, preview: false });
  }

  dispose(): void {
    this.registrations.dispose();
  }
}

/** The guest that is being debugged; without one the user is told, if there is something to say. */
export function activeGuest(complaint?: string): vscode.DebugSession | undefined {
  const session = vscode.debug.activeDebugSession;
  if (session?.type === DEBUG_TYPE) return session;
  if (complaint !== undefined) void vscode.window.showErrorMessage(complaint);
  return undefined;
}

/** The stack frame that the user looks at. */
export function selectedFrame(): number | undefined {
  const item = vscode.debug.activeStackItem;
  return item && 'frameId' in item ? item.frameId : undefined;
}
