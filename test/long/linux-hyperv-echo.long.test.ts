import { expect, test } from 'vitest';
import { parseGuestForward } from '../../src/network/user/options.ts';
import { networkPlan } from '../../src/platforms/network.ts';
import { BootedGuest, hypervGuest } from '../linux/hyperv-guest.ts';

test('Linux has a queue for each vCPU on Hyper-V’s network, and what it sends comes back whole', (context) => {
  const guest = hypervGuest({ init: 'echo-init.sh', modules: ['hv_vmbus', 'hv_netvsc'] });
  if ('reason' in guest) return context.skip(guest.reason);
  let longest = 0;
  const capture = {
    write: (_at: bigint, frame: Uint8Array) => {
      longest = Math.max(longest, frame.length);
    },
    close() {},
  };
  const plan = networkPlan({ net: 'user', guestForward: [parseGuestForward('tcp:7:echo')] });
  const linux = new BootedGuest(guest, { vcpus: 2, network: plan && { ...plan, capture } });
  expect(linux.untilReady()).toBe(true);
  const [card, sum, back] = linux.marks;
  expect(card).toBe('card 52:54:00:12:34:56 2');
  expect(back).toBe(sum?.replace('sum', 'back'));
  expect(longest).toBe(1514);
});
