import * as vscode from 'vscode';

/** The page of the VMBus Channels view without what it shows: its script fills it. `folder` has the script and the style. */
export function vmbusPage(webview: vscode.Webview, folder: vscode.Uri, nonce: string): string {
  const resource = (name: string) => webview.asWebviewUri(vscode.Uri.joinPath(folder, name)).toString();
  return `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src ${webview.cspSource}; script-src 'nonce-${nonce}'">
<title>VMBus Channels</title><link rel="stylesheet" href="${resource('vmbus.style.css')}"></head><body>
<div class="bar">
  <select id="channels" aria-label="Channel" hidden></select>
  <span class="moving" id="moving" role="status" hidden>The guest runs.</span>
</div>
<main id="content"></main>
<script nonce="${nonce}" src="${resource('vmbus.js')}"></script></body></html>`;
}
