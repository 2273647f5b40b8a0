// A guest's serial console as a terminal: what is typed there reaches the guest, and its answer comes back.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { openWindow } from './window.mjs';

/** Prints a prompt, and each key in brackets; Ctrl+D ends it. */
const ECHO = `bits 64
_start:
    mov rsi, prompt
.next:
    lodsb
    test al, al
    jz read
    mov dx, 0x3f8
    out dx, al
    jmp .next
read:
    mov dx, 0x3fd
.wait:
    in al, dx
    test al, 1
    jz .wait
    mov dx, 0x3f8
    in al, dx
    mov bl, al
    mov al, '<'
    out dx, al
    mov al, bl
    out dx, al
    mov al, '>'
    out dx, al
    cmp bl, 4
    jne read
    mov dx, 0x604
    mov ax, 0x2000
    out dx, ax
    hlt
prompt: db 27, "[32mguest", 27, "[0m of ", 0xc3, 0xbc, "bung 1> ", 0
`;

let window;
beforeAll(async () => {
  const settings = { 'terminal.integrated.gpuAcceleration': 'off', 'accessibility.support': 'off' };
  window = await openWindow(
    (workspace) => {
      writeFileSync(path.join(workspace, 'echo.asm'), ECHO);
      const program = `\${workspaceFolder}/echo.asm`;
      const launch = { type: 'hyperscope', request: 'launch', name: 'Echo', program, console: 'terminal', stopOnEntry: false };
      mkdirSync(path.join(workspace, '.vscode'), { recursive: true });
      const text = JSON.stringify({ version: '0.2.0', configurations: [launch] }, null, 2);
      writeFileSync(path.join(workspace, '.vscode/launch.json'), text);
    },
    { settings },
  );
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await window?.screenshot('failed guest terminal');
});
afterAll(() => window?.close());

/** What the terminal in front shows, without spaces at the ends of lines and empty lines at its end. */
async function shown() {
  const rows = await window.page.locator('.terminal-wrapper.active .xterm-rows > div').allInnerTexts();
  return rows
    .map((row) => row.replaceAll('\u00a0', ' ').trimEnd())
    .join('\n')
    .trimEnd();
}

test('F5 opens it without taking the focus; what is typed is answered, over a restart, to the end', async () => {
  const { page } = window;
  await window.openFile('echo.asm');
  await page.locator('.statusbar-item', { hasText: 'Guest Assembly' }).waitFor();
  await window.focusEditor();
  await window.press('F5', () => page.locator('.debug-toolbar').waitFor({ timeout: 20_000 }));
  await expect.poll(shown, { timeout: 20_000 }).toContain('guest of übung 1>');
  expect(await page.locator('.terminal-wrapper.active .xterm.focus').count()).toBe(0);
  await page.locator('.terminal-wrapper.active .xterm').click();
  await page.keyboard.type('hi');
  await page.keyboard.press('Control+C');
  await expect.poll(shown).toContain('1> <h><i><');
  await window.screenshot('12-guest-terminal');

  await page.keyboard.press('Control+Shift+F5');
  await expect.poll(shown, { timeout: 20_000 }).toMatch(/<h><i>[\s\S]*The guest starts anew\.[\s\S]*guest of übung 1>$/);
  await page.locator('.terminal-wrapper.active .xterm').click();
  await page.keyboard.type('x');
  await page.keyboard.press('Control+D');
  await expect.poll(shown, { timeout: 20_000 }).toMatch(/1> <x><[\s\S]*The guest has ended\./);
  await window.screenshot('12-guest-terminal-ended');
  await page.locator('.debug-toolbar').waitFor({ state: 'hidden' });
});
