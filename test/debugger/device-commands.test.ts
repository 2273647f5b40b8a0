import { expect, test } from 'vitest';
import { runConsoleCommand } from '../../src/debugger/console/console.ts';
import { launchGuest } from '../../src/debugger/launch-guest.ts';
import { oneFile } from '../support/files.ts';

const SOURCE = new TextEncoder().encode('bits 64\n_start: hlt\n');
const start = (more: object) => launchGuest({ program: 'a.asm', memory: '16M', ...more }, oneFile('a.asm', SOURCE));
const shown = ({ partition }: ReturnType<typeof start>, name: string) =>
  partition.devices
    .inspect()
    .children?.find((device) => device.name === 'virtio-console')
    ?.children?.find((node) => node.name === name);

test('channel sends to a port, through the input door', () => {
  const guest = start({ channels: ['org.hyperscope.agent'] });
  expect(runConsoleCommand(guest.session, 'channel org.hyperscope.agent ping\\t')).toBe('');
  expect(shown(guest, 'port 1: org.hyperscope.agent')?.detail).toBe('0 bytes came, 6 wait outside');
  expect(guest.partition.input.log).toMatchObject([{ to: 'channel org.hyperscope.agent', bytes: { length: 6 } }]);
  expect(() => runConsoleCommand(guest.session, 'channel other x')).toThrow('"channels": ["other"] in launch.json');
  expect(() => runConsoleCommand(guest.session, 'channel')).toThrow('The name of a channel is missing');
});

test('inputs of devices are repeated where they came', () => {
  const first = start({ channels: ['a'] });
  runConsoleCommand(first.session, 'resize 132x43');
  const second = start({ channels: ['a'] });
  second.partition.input.replay(first.partition.input.log);
  second.partition.run({ instructions: 1 });
  expect(shown(second, 'size')?.value).toBe('132 × 43');
});

test('balloon asks for memory and shows what was given back', () => {
  const guest = start({ balloon: true });
  expect(runConsoleCommand(guest.session, 'balloon 32M')).toBe('');
  expect(runConsoleCommand(guest.session, 'balloon hints')).toBe('');
  expect(runConsoleCommand(guest.session, 'balloon')?.split('\n')).toEqual([
    'target  32 MiB                  that the guest is asked to give back',
    'actual  0 MiB                   that it says it has given back',
    'pages   0 inflated, 0 deflated  0 reported free, 0 hinted',
  ]);
  expect(() => runConsoleCommand(guest.session, 'balloon 5')).toThrow('"5" is no size of whole pages such as 32M');
  expect(() => runConsoleCommand(start({}).session, 'balloon')).toThrow('The machine has no memory balloon');
});

test('resize is refused for what is no size, and where no console is', () => {
  expect(() => runConsoleCommand(start({ channels: ['a'] }).session, 'resize big')).toThrow('"big" is no size such as 132x43');
  expect(() => runConsoleCommand(start({}).session, 'resize 80x25')).toThrow('The machine has no virtio console');
});

test('network shows what the card is plugged into, and pulls out its cable through the input door', () => {
  const guest = start({ net: 'user', guestForward: ['tcp:80:8000'] });
  const link = () =>
    guest.partition.devices
      .inspect()
      .children?.find(({ name }) => name === 'virtio-net')
      ?.children?.find(({ name }) => name === 'link')?.value;
  const lines = runConsoleCommand(guest.session, 'network')?.split('\n');
  expect(lines?.[0]).toMatch(/^user network +10\.0\.2\.0\/24 +gateway 10\.0\.2\.2/);
  expect(lines?.some((line) => /^ {4}tcp 10\.0\.2\.2:80 +127\.0\.0\.1:8000/.test(line))).toBe(true);
  expect([link(), runConsoleCommand(guest.session, 'network link down'), link()]).toEqual(['up', '', 'down']);
  expect(guest.partition.input.log).toMatchObject([{ to: 'network' }]);
  runConsoleCommand(guest.session, 'network link up');
  expect(link()).toBe('up');
  expect(() => runConsoleCommand(guest.session, 'network cut')).toThrow('"cut" is nothing to do to a network');
  for (const command of ['network', 'network link up'])
    expect(() => runConsoleCommand(start({}).session, command)).toThrow('The machine has no network card');
});

test('pageout puts memory on the disk of the host, whose guest does not notice', () => {
  const guest = start({});
  const { session, partition } = guest;
  expect(runConsoleCommand(session, 'pageout gpa:0x400010')).toBe('4 KiB from gpa 0x400000 on: paged-out');
  expect(runConsoleCommand(session, 'pageout 0x500000 64K')).toBe('64 KiB from gpa 0x500000 on: paged-out');
  expect([0x40_1000n, 0x50_f000n].map((gpa) => partition.secondLevel.stateAt(gpa))).toEqual(['present', 'paged-out']);
  expect(partition.input.log).toMatchObject([{ to: 'host page-out' }, { to: 'host page-out' }]);
  expect(() => runConsoleCommand(session, 'pageout gpa:0xfee00000')).toThrow('gpa 0xfee00000 has no memory');
  expect(() => runConsoleCommand(session, 'pageout')).toThrow('An address is missing');
  expect(() => runConsoleCommand(start({ platform: 'bare' }).session, 'pageout 0x1000')).toThrow('A bare machine has no host');
});

test('a guest of Hyper-V is asked by its integration components, where its drivers are ready', () => {
  const guest = start({ platform: 'hyperv' });
  const lines = runConsoleCommand(guest.session, 'integration')?.split('\n');
  expect(lines).toEqual([
    'heartbeat  closed',
    'shutdown   closed',
    'timesync   closed',
    'kvp        closed',
    'vss        closed',
  ]);
  expect(runConsoleCommand(guest.session, 'kvp')).toBe('');
  for (const command of ['shutdown', 'shutdown restart', 'timesync', 'kvp set a b', 'kvp addresses 52:54:00:12:34:56', 'backup'])
    expect(() => runConsoleCommand(guest.session, command)).toThrow("Linux's is hv_utils");
  expect(() => runConsoleCommand(guest.session, 'shutdown now')).toThrow('"now" is no way to shut down');
  expect(() => runConsoleCommand(guest.session, 'kvp set a')).toThrow('"set a" is nothing to do to key-value pairs');
  expect(() => runConsoleCommand(start({}).session, 'shutdown')).toThrow('this one runs on kvm');
  expect(() => runConsoleCommand(start({}).session, 'integration')).toThrow('Only a guest of platform hyperv');
  expect(guest.partition.input.log).toEqual([]);
});

test('type and keys say why nothing can be typed', () => {
  const onHyperv = start({ platform: 'hyperv' });
  expect(() => runConsoleCommand(onHyperv.session, 'type root')).toThrow("Linux's is hyperv_keyboard");
  expect(() => runConsoleCommand(onHyperv.session, 'keys ctrl+hyper')).toThrow('That can\'t be typed: there is no key "hyper"');
  expect(() => runConsoleCommand(onHyperv.session, 'keys')).toThrow('A key is missing');
  expect(() => runConsoleCommand(start({}).session, 'keys enter')).toThrow('this one runs on kvm');
});
