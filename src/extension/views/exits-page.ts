import * as vscode from 'vscode';

/** The page of the VM Exits view without what it shows: its script fills it. `folder` has the script and the style. */
export function exitsPage(webview: vscode.Webview, folder: vscode.Uri, nonce: string): string {
  const resource = (name: string) => webview.asWebviewUri(vscode.Uri.joinPath(folder, name)).toString();
  return `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src ${webview.cspSource}; script-src 'nonce-${nonce}'">
<title>VM Exits</title><link rel="stylesheet" href="${resource('exits-table.style.css')}"></head><body>
<div class="bar">
  <div class="filter" id="filter"></div>
  <label class="by">Group by <select id="group-by"></select></label>
  <span class="count" id="count"></span>
  <button type="button" class="follow" id="follow" title="Show new exits as they happen" hidden>Follow</button>
</div>
<div class="grid" id="grid" role="grid" tabindex="0" aria-label="VM exits">
  <div class="head" id="head" role="rowgroup"><div class="head-row" id="head-row" role="row" aria-rowindex="1"></div></div>
  <div class="body" id="body" role="rowgroup" tabindex="-1"><div class="rows" id="rows" role="presentation"></div></div>
  <div class="empty" id="empty" role="status"></div>
</div>
<script nonce="${nonce}" src="${resource('exits-table.js')}"></script></body></html>`;
}
