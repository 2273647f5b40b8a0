import { expect, test } from 'vitest';
import { screenOf, screenPicture } from '../../src/debugger/inspection/screens.ts';
import { BootedGuest, hypervGuest } from '../linux/hyperv-guest.ts';

test('Linux draws on the screen of a child of Hyper-V', (context) => {
  const guest = hypervGuest({ init: 'screen-init.sh', modules: ['hv_vmbus', 'hyperv_fb'] });
  if ('reason' in guest) return context.skip(guest.reason);
  const linux = new BootedGuest(guest, { machine: 'pc', screen: true });
  const screen = screenOf(linux.partition);
  expect(linux.untilReady()).toBe(true);
  const picture = screen && screenPicture(screen);
  expect(linux.text).toMatch(/hyperv_fb: Synthvid Version major 3, minor 5/);
  expect(linux.text).toMatch(/hyperv_fb: Screen resolution: 1024x768, Color depth: 32, Frame buffer size: 4194304/);
  expect(linux.marks).toContain('screen hyperv_fb 1024,768 32');
  expect([picture?.width, picture?.height]).toEqual([1024, 768]);
  // The first character's place may have the console's cursor on it.
  expect([...(picture?.pixels.subarray(24, 30) ?? [])]).toEqual([0x55, 0x55, 0x55, 0x55, 0x55, 0x55]);
  expect(screen?.generation).toBeGreaterThan(1);
});
