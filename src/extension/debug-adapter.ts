import * as vscode from 'vscode';
import { DEBUG_TYPE } from './names.ts';

/**
 * The debug adapter is a process of its own: the editor never runs guest code. It is the command line's `dap`, run by the
 * Node that VS Code itself runs on.
 */
export function registerDebugAdapter({ extensionUri, globalStorageUri }: vscode.ExtensionContext): vscode.Disposable {
  const cli = vscode.Uri.joinPath(extensionUri, 'dist', 'cli.js').fsPath;
  return vscode.debug.registerDebugAdapterDescriptorFactory(DEBUG_TYPE, {
    createDebugAdapterDescriptor() {
      const env = {
        // On the desktop, the executable is Electron, and this makes a plain Node of it.
        ELECTRON_RUN_AS_NODE: '1',
        // Node 22 and later keep compiled code there, which makes the first stop come sooner.
        NODE_COMPILE_CACHE: vscode.Uri.joinPath(globalStorageUri, 'compile-cache').fsPath,
      };
      return new vscode.DebugAdapterExecutable(process.execPath, [cli, 'dap'], { env });
    },
  });
}
