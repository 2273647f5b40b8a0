import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { Client, sample } from './client.ts';

const SCREEN = 'hyperscope/screen';
const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-screen-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The sample's driver of a network card, made one of a screen: it has an image of 64 × 48 pixels, of which the first line is red. */
function screenGuest(): string {
  const source = readFileSync(sample('hyperv/vmbus.asm'), 'utf8');
  const replace = (text: string, from: RegExp, to: string) => {
    if (!from.test(text)) throw new Error(`the sample has changed: ${from}`);
    return text.replace(from, to);
  };
  let text = replace(
    source,
    / {4}call start_card\n%ifdef ANSWERS\n[^%]*%else\n {4}call send_packet\n {4}call receive_packet\n%endif\n/,
    `    mov rdi, image
    mov ecx, 64
    mov eax, 0xff0000
    rep stosd
    mov r8, version_request
    mov r9d, 24
    call ask_screen
    mov r8, memory_location
    mov r9d, 40
    call ask_screen
    mov r8, situation
    mov r9d, 48
    call ask_screen
    call take_packet
drawn:
    mov dword [image + 256], 0x0000ff
    mov r8, changes
    mov r9d, 40
    call tell_screen
changed:
`,
  );
  text = replace(
    text,
    /; --- the network card -+\n/,
    `ask_screen:
    call tell_screen
    jmp take_packet
tell_screen:
    mov eax, IN_BAND
    xor edx, edx
    xor ebx, ebx
    xor ecx, ecx
    jmp put_packet
`,
  );
  text = replace(
    text,
    / {4}dd 0xf8615163\n {4}dw 0xdf3e, 0x46c5\n {4}db 0x91, 0x3f, 0xf2, 0xd2, 0xf9, 0x65, 0xed, 0x0e\n/,
    `    dd 0xda0a7802
    dw 0xe377, 0x4aac
    db 0x8e, 0x77, 0x05, 0x58, 0xeb, 0x10, 0x73, 0xf8
align 8
version_request:
    dd 1, 12, 1, 12, 0x50003, 0
memory_location:
    dd 1, 25, 3, 25
    dq 5
    db 1
    dq image
    times 7 db 0
situation:
    dd 1, 35, 5, 35
    dq 6
    db 1, 1
    dd 0
    db 32
    dd 64, 48, 256
    times 5 db 0
changes:
    dd 1, 26, 10, 26
    db 0, 1
    dd 0, 0, 64, 48
    times 6 db 0
`,
  );
  return replace(text, /alignb 4096\n/, 'alignb 4096\nimage: resb 64 * 48 * 4\nalignb 4096\n');
}

test('a screen that a guest draws on is shown, and again only when it is another picture', () => {
  const program = path.join(folder, 'screen.asm');
  writeFileSync(program, screenGuest());
  copyFileSync(sample('hyperv/hyperv.inc'), path.join(folder, 'hyperv.inc'));
  const client = new Client();
  client.launch(program, { platform: 'hyperv', screen: true, memory: '16M' });
  client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'drawn' }, { name: 'changed' }] });
  client.ask('configurationDone');
  const [{ partition, isLit }] = client.ask(SCREEN).screens;
  expect(isLit).toBe(false);
  expect(client.ask(SCREEN, { partition }).picture).toBeUndefined();
  client.run();
  client.move('continue');
  expect(client.frames()[0].name).toBe('drawn');
  const { screens, picture } = client.ask(SCREEN, { partition });
  expect(screens).toEqual([{ partition, name: expect.any(String), isLit: true }]);
  expect([picture.width, picture.height]).toEqual([64, 48]);
  const pixels = Buffer.from(picture.pixels, 'base64');
  expect([pixels.length, [...pixels.subarray(0, 3)], [...pixels.subarray(192, 195)]]).toEqual([
    64 * 48 * 3,
    [255, 0, 0],
    [0, 0, 0],
  ]);
  expect(client.ask(SCREEN, { partition, since: picture.mark }).picture).toBeUndefined();
  client.move('continue');
  const after = client.ask(SCREEN, { partition, since: picture.mark }).picture;
  expect([...Buffer.from(after.pixels, 'base64').subarray(192, 195)]).toEqual([0, 0, 255]);
});

test('guests without a screen have none, and a platform without refuses it', () => {
  const client = new Client();
  client.launch(sample('hyperv/discover.asm'), { platform: 'hyperv', memory: '16M' });
  client.ask('configurationDone');
  expect(client.ask(SCREEN)).toEqual({ screens: [] });
});
