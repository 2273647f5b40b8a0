// Renders media/icon.svg to the PNG that package.json needs: `node tools/render-icon.mjs`, after a change of the picture.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './steps.mjs';
import { launchBrowser } from './vscode-host/browser.mjs';

const browser = await launchBrowser();
const page = await browser.newPage({ viewport: { width: 128, height: 128 } });
await page.setContent(`<body style="margin:0">${readFileSync(path.join(root, 'media/icon.svg'), 'utf8')}</body>`);
await page.screenshot({ path: path.join(root, 'media/icon.png'), omitBackground: true });
await browser.close();
