// A window of a real VS Code with the samples open, and what a person does in it.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { launchBrowser } from '../../tools/vscode-host/browser.mjs';
import { registerExtensions, startServer, workbenchUrl } from '../../tools/vscode-host/server.mjs';

export const root = path.resolve(import.meta.dirname, '../..');
const results = path.join(root, 'test-results');

/** The editor's themes, as screenshots are named after them: setting, and class of the workbench. */
const THEMES = {
  dark: ['Default Dark Modern', '.vs-dark'],
  light: ['Default Light Modern', '.vs'],
  'high-contrast': ['Default High Contrast', '.hc-black'],
  'high-contrast-light': ['Default High Contrast Light', '.hc-light'],
};

/**
 * Opens the window on a copy of the samples; `prepare` may change the copy first. `extensions` are folders of other extensions to
 * have beside this one.
 */
export async function openWindow(prepare = () => {}, { settings = {}, extensions = [] } = {}) {
  mkdirSync(results, { recursive: true });
  const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-ui-'));
  const workspace = path.join(folder, 'samples');
  cpSync(path.join(root, 'samples'), workspace, { recursive: true });
  prepare(workspace);
  const extensionsFolder = path.join(folder, 'extensions');
  registerExtensions(extensionsFolder, [root, ...extensions]);
  const server = await startServer({ dataFolder: path.join(folder, 'vscode'), extensionsFolder, settings });
  const browser = await launchBrowser();
  const page = await browser.newPage({ viewport: { width: 1400, height: 1150 } });
  page.setDefaultTimeout(30_000);
  await page.goto(workbenchUrl(server, { workspace }));
  return new Window(page, workspace, async () => {
    await browser.close();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });
}

class Window {
  constructor(page, workspace, close) {
    this.page = page;
    this.workspace = workspace;
    this.close = close;
  }

  screenshot(name) {
    return this.page.screenshot({ path: path.join(results, `${name}.png`) });
  }

  /** Takes a screenshot in each of the editor's themes, and leaves the dark one. */
  async screenshots(name) {
    // What the mouse points at shows more than the view does.
    await this.page.mouse.move(20, 700);
    const file = path.join(this.workspace, '.vscode/settings.json');
    const settings = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
    mkdirSync(path.dirname(file), { recursive: true });
    for (const theme of ['light', 'high-contrast', 'high-contrast-light', 'dark']) {
      const [colorTheme, shown] = THEMES[theme];
      writeFileSync(file, JSON.stringify({ ...settings, 'workbench.colorTheme': colorTheme }));
      await this.page.locator(`.monaco-workbench${shown}`).waitFor();
      await this.screenshot(`${name}-${theme}`);
    }
  }

  /** A row of the call stack with a text. */
  frame(text) {
    return this.page.locator('.debug-call-stack .monaco-list-row', { hasText: text }).first();
  }
  frames() {
    return this.page.locator('.debug-call-stack .monaco-list-row').allInnerTexts();
  }
  /** A row of the Variables view with a text. */
  variable(text) {
    return this.page.locator('.debug-variables .monaco-list-row', { hasText: text }).first();
  }

  /** A row of an own view with a text. */
  row(text) {
    return this.page.locator('.sidebar .customview-tree .monaco-list-row', { hasText: text }).first();
  }

  /** Makes the side bar so many pixels wide. */
  async widenSideBar(width) {
    const { x, y, width: now, height } = await this.page.locator('.part.sidebar').boundingBox();
    await this.page.mouse.move(x + now, y + height / 2);
    await this.page.mouse.down();
    await this.page.mouse.move(x + width, y + height / 2, { steps: 4 });
    await this.page.mouse.up();
  }

  /** Presses a key until what it should bring is there: the workbench may still be getting ready. */
  async press(key, ready) {
    for (let attempt = 0; ; attempt++) {
      await this.page.keyboard.press(key);
      try {
        return await ready(attempt < 3 ? 5000 : 20_000);
      } catch (error) {
        if (attempt === 3) throw error;
      }
    }
  }

  /** Takes a line of Quick Open: a command behind `>`, a line behind `:`. */
  async quickOpen(key, text) {
    const input = this.page.locator('.quick-input-widget input').first();
    const wanted = /^(?:>|debug )(.+)$/.exec(text)?.[1];
    const row = this.page.locator('.quick-input-list .monaco-list-row', { hasText: wanted }).first();
    for (let attempt = 0; ; attempt++)
      try {
        await this.press(key, (timeout) => input.waitFor({ timeout }));
        await input.fill(text, { timeout: 5000 });
        // The list follows what is typed, on a busy machine late.
        if (wanted) await row.waitFor({ timeout: 10_000 });
        break;
      } catch (error) {
        // What takes the focus, as a session that ends does, closes it.
        if (attempt === 3) throw error;
      }
    await this.page.waitForTimeout(700);
    await this.page.keyboard.press('Enter');
  }

  /** Takes an entry of a list that is open. */
  async pick(text) {
    await this.page.locator('.quick-input-list .monaco-list-row', { hasText: text }).first().click();
  }

  /** Opens a file by its path in the samples, from the explorer's tree. */
  async openFile(...steps) {
    for (const [index, name] of steps.entries()) {
      const row = this.page
        .locator('.explorer-folders-view .monaco-list-row', { hasText: new RegExp(`^\\s*${name.replaceAll('.', '\\.')}\\s*$`) })
        .first();
      if (index === steps.length - 1) await row.dblclick();
      else if ((await row.getAttribute('aria-expanded')) !== 'true') await row.click();
    }
    await this.page.locator('.tab.active', { hasText: steps.at(-1) }).waitFor();
    await this.page.locator('.monaco-editor .view-line').first().waitFor();
  }

  focusEditor() {
    return this.page.locator('.monaco-editor textarea, .monaco-editor .native-edit-context').first().focus();
  }

  /** Sets a breakpoint on a line of the file that is open. */
  async setBreakpoint(line) {
    await this.quickOpen('Control+G', `:${line}`);
    await this.focusEditor();
    await this.press('F9', (timeout) => this.page.locator('.codicon-debug-breakpoint').first().waitFor({ timeout }));
  }

  /** Starts the file that is open, and waits for the stop at its entry in the view of the side bar. */
  async startFile() {
    await this.page.locator('.statusbar-item', { hasText: 'Guest Assembly' }).waitFor();
    await this.focusEditor();
    // Until the window knows of debuggers, the key only opens their view; pressed too often it starts the guest twice.
    await this.press('F5', () => this.page.locator('.debug-toolbar').waitFor({ timeout: 20_000 }));
    await this.page.locator('.debug-top-stack-frame-line').first().waitFor();
    const header = this.page.locator('.pane-header[aria-label^="Call Stack"]');
    await this.press('Control+Shift+D', (timeout) => header.waitFor({ timeout }));
  }

  /** Unfolds a view of the side bar by its name, with the others folded so that there is room. */
  async openView(name) {
    const header = (title) => this.page.locator(`.pane-header[aria-label^="${title}"]`);
    for (const other of ['Variables', 'Watch', 'Call Stack', 'Breakpoints', 'Loaded Scripts', 'Partitions', 'Page Tables'])
      if (other !== name && (await header(other).count()) > 0) await header(other).press('ArrowLeft');
    await header(name).press('ArrowRight');
    const pane = this.page.locator('.pane', { has: header(name) });
    const row = (text) => pane.locator('.monaco-list-row', { hasText: text }).first();
    return {
      pane,
      row,
      unfold: async (text) => {
        await row(text).waitFor();
        const isUnfolded = async () => (await row(text).getAttribute('aria-expanded')) === 'true';
        // A tree that gets new values in this moment may forget it.
        for (let attempt = 0; attempt < 10 && !(await isUnfolded()); attempt++) {
          await row(text).click();
          await this.page.waitForTimeout(500);
        }
        await pane.locator('.monaco-list-row[aria-expanded="true"]', { hasText: text }).first().waitFor();
      },
    };
  }

  /** Opens the table of VM exits in the panel. */
  async openExits() {
    await this.page.locator('.panel .composite-bar .action-item', { hasText: 'VM Exits' }).click();
    const frame = this.page.frameLocator('iframe.webview.ready').frameLocator('iframe#active-frame');
    await frame.locator('#group-by option').first().waitFor({ state: 'attached' });
    return {
      frame,
      grid: frame.locator('#grid'),
      rows: frame.locator('#rows .row'),
      /** The first row with a text, a regular expression where it should stand alone. */
      row: (text) => frame.locator('#rows .row', { hasText: text }).first(),
      filter: frame.locator('#filter input'),
      follow: frame.locator('#follow'),
      count: frame.locator('#count'),
      groupBy: (field) => frame.locator('#group-by').selectOption(field),
    };
  }

  async stop() {
    await this.page.keyboard.press('Shift+F5');
    await this.page.locator('.debug-toolbar').waitFor({ state: 'hidden' });
  }
}
