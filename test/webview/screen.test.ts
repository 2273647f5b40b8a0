import { expect, test } from 'vitest';
import { canvasPixels, darkText, shownScreen } from '../../src/webview/screen/messages.ts';

const dark = { partition: 1, name: 'one', isLit: false };
const lit = { partition: 2, name: 'two', isLit: true };

test('the chosen screen is shown, else the first that is lit, else the first', () => {
  expect(shownScreen([dark, lit], 1)).toBe(dark);
  expect(shownScreen([dark, lit], undefined)).toBe(lit);
  expect(shownScreen([dark, lit], 7)).toBe(lit);
  expect(shownScreen([dark], undefined)).toBe(dark);
  expect(shownScreen([], undefined)).toBeUndefined();
});

test('what stands in the place of a picture', () => {
  expect(darkText([], undefined)).toMatch(/^This guest has no screen/);
  expect(darkText([dark], 1)).toMatch(/^The screen is dark/);
  expect(darkText([lit], 2)).toBeUndefined();
});

test('pixels as a canvas takes them', () => {
  expect([...canvasPixels(btoa('\x01\x02\x03\xff\x00\x80'), 2, 1)]).toEqual([1, 2, 3, 255, 255, 0, 128, 255]);
});
