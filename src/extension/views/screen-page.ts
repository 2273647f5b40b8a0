import * as vscode from 'vscode';

/** The page of the Screen view without what it shows: its script fills it. `folder` has the script and the style. */
export function screenPage(webview: vscode.Webview, folder: vscode.Uri, nonce: string): string {
  const resource = (name: string) => webview.asWebviewUri(vscode.Uri.joinPath(folder, name)).toString();
  return `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src ${webview.cspSource}; script-src 'nonce-${nonce}'">
<title>Screen</title><link rel="stylesheet" href="${resource('screen.style.css')}"></head><body>
<div class="bar">
  <select id="screens" aria-label="Guest" hidden></select>
  <span class="moving" id="moving" role="status" hidden>The guest runs.</span>
</div>
<p id="note" hidden></p>
<main><canvas id="screen" role="img" hidden></canvas></main>
<script nonce="${nonce}" src="${resource('screen.js')}"></script></body></html>`;
}
