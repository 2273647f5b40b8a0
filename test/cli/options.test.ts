import { describe, expect, test } from 'vitest';
import { FramingError, frame, MessageReader } from '../../src/cli/dap-framing.ts';
import { parseRunOptions, parseSize } from '../../src/cli/options.ts';

describe('the options of run', () => {
  test('have the defaults of the contract', () => {
    expect(parseRunOptions(['a.asm'])).toMatchObject({
      program: 'a.asm',
      configuration: { platform: 'kvm', vendor: 'intel', vcpus: 1, commandLine: undefined },
      stats: false,
      stateHash: false,
    });
  });

  test('join --append and the arguments behind --', () => {
    const { configuration } = parseRunOptions(['k.elf', '--append', 'console=ttyS0', '--', '--quiet', 'x']);
    expect(configuration.commandLine).toBe('console=ttyS0 --quiet x');
  });

  test('set how many exits are kept', () => {
    expect(parseRunOptions(['a.asm', '--exits-kept', '10']).configuration.exitsKept).toBe(10);
    expect(parseRunOptions(['a.asm']).configuration.exitsKept).toBeUndefined();
    expect(parseRunOptions(['a.asm', '--test-device']).configuration.testDevice).toBe(true);
    expect(parseRunOptions(['a.asm', '--ioeventfd']).configuration.ioeventfd).toBe(true);
    expect(parseRunOptions(['a.asm', '--disk', 'one.img', '--disk', 'two.img']).disks).toEqual(['one.img', 'two.img']);
    expect(parseRunOptions(['a.asm', '--disk', 'a,b.img,ro,serial=A 1,queues=4']).disks).toEqual([
      { file: 'a,b.img', readOnly: true, serial: 'A 1', queues: 4 },
    ]);
    expect(parseRunOptions(['a.asm', '--disk', 'a.img,write=on', '--disk', 'b.img,write=off']).disks).toEqual([
      { file: 'a.img', write: true },
      { file: 'b.img', write: false },
    ]);
    expect(() => parseRunOptions(['a.asm', '--disk', 'a.img,write=yes'])).toThrow('--disk write takes on, off, not "yes".');
    const { configuration, channelFiles } = parseRunOptions(['a.asm', '--channel', 'a', '--channel', 'b=out.txt']);
    expect(configuration.virtio).toEqual({ channels: ['a', 'b'], balloon: false });
    expect([...channelFiles]).toEqual([['b', 'out.txt']]);
    expect(parseRunOptions(['a.asm', '--share', 'a=b=c', '--share', 'd=e,ro']).shares).toEqual([
      { tag: 'a', folder: 'b=c' },
      { tag: 'd', folder: 'e', readOnly: true },
    ]);
    expect(() => parseRunOptions(['a.asm', '--share', 'folder'])).toThrow('--share takes a tag and a folder');
    const sockets = ['a.asm', '--vsock', '3', '--vsock-forward', '8000:80', '--vsock-guest-forward', '90:9000'];
    expect(parseRunOptions(sockets).vsockPorts).toEqual({
      forwards: [{ hostPort: 8000, port: 80 }],
      guestForwards: [{ port: 90, hostPort: 9000 }],
    });
    expect(() => parseRunOptions(['a.asm', '--vsock', '3', '--vsock-forward', '70000:2'])).toThrow(
      '--vsock-forward has the TCP port 70000 in "70000:2"',
    );
    expect(() => parseRunOptions(['a.asm', '--disk', 'a.img,seriel=1'])).toThrow('not "seriel="');
  });

  test('say what the guest may do', () => {
    const { privileges, limits } = parseRunOptions([
      'a.asm',
      '--privileges=timers, power',
      '--ports',
      '0x3f8..0x3ff,0x604',
    ]).configuration;
    expect(privileges).toEqual(['power', 'timers']);
    expect(limits).toEqual({
      ports: [
        { first: 0x3f8, last: 0x3ff },
        { first: 0x604, last: 0x604 },
      ],
    });
    expect(parseRunOptions(['a.asm']).configuration).toMatchObject({ privileges: undefined, limits: { ports: undefined } });
  });

  test('collect what is to be intercepted', () => {
    const { configuration } = parseRunOptions(['a.asm', '--intercept', 'rdtsc', '--intercept=-hlt']);
    expect(configuration.intercepts).toEqual(['rdtsc', '-hlt']);
  });

  test.each([
    ['4096', 4096],
    ['64M', 64 << 20],
    ['1g', 1 << 30],
    ['512KiB', 512 << 10],
  ])('read the size %s', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  test.each([
    [[], 'run needs the path of a program'],
    [['a', 'b'], 'run takes one program; "b" is too many'],
    [['a', '--memory', 'lots'], '--memory takes a size such as 64M or 1G, not "lots".'],
    [['a', '--platform', 'vmware'], '--platform takes bare, kvm, hyperv'],
    [['a', '--vendor', 'via'], '--vendor takes intel, amd, not "via".'],
    [['a', '--net', 'tap'], '--net takes none, user, switch, switch+user, not "tap".'],
    [['a', '--mac', '01:00:5e:00:00:01'], '--mac takes an address of one station, such as 52:54:00:12:34:56'],
    [['a', '--forward', '80'], '--forward must be like tcp:8080:80 (a port of this machine, then one of the guest), not "80".'],
    [['a', '--guest-forward', 'tcp:0'], '--guest-forward has the port 0 in "tcp:0", but ports are 1 to 65535.'],
    [['a', '--host', '=x'], '--host must be like server.test or server.test=10.0.2.2, not "=x".'],
    [
      ['a', '--net', 'none', '--forward', 'tcp:1:1'],
      'Forwards, names and served files belong to a user network, but the network is none',
    ],
    [['a', '--processor', 'kvm'], 'use --processor emulated.'],
    [['a', '--timeout', '-1'], '--timeout'],
    [['a', '--timeout=0'], '--timeout takes a number of seconds above 0'],
    [['a', '--exits-kept', 'all'], '--exits-kept takes a whole number, not "all".'],
    [['a', '--privileges', '-power'], 'A value of --privileges that begins with "-" needs an equals sign: --privileges=-…'],
    [['a', '--privileges', 'usual,-hypercal'], '--privileges has "hypercal", which is no privilege; did you mean "hypercalls"?'],
    [['a', '--privileges', 'fly'], /^--privileges has "fly", which is no privilege; there are serial-console, .*debugging\.$/],
    [['a', '--ports', '0x3ff..0x3f8'], '--ports has "0x3ff..0x3f8", which is neither a port from 0 to 0xffff nor a range'],
    [['a', '--vcpus', 'two'], '--vcpus takes a whole number, not "two".'],
    [['a', '--load-address', 'top'], '--load-address takes an address such as 0x100000'],
    [['a', '--nonsense'], 'see `hyperscope help run`.'],
  ])('refuse %j with a sentence', (args, sentence) => {
    expect(() => parseRunOptions(args)).toThrow(sentence);
  });
});

describe('DAP framing', () => {
  test('takes messages apart wherever the stream is cut', () => {
    const stream = Buffer.concat([frame({ seq: 1, text: 'ä' }), frame({ seq: 2 })]);
    for (let cut = 0; cut < stream.length; cut++) {
      const seen: string[] = [];
      const reader = new MessageReader((text) => seen.push(text));
      reader.push(stream.subarray(0, cut));
      reader.push(stream.subarray(cut));
      expect(seen).toEqual(['{"seq":1,"text":"ä"}', '{"seq":2}']);
    }
  });

  test('gives up on what is no header', () => {
    const reader = new MessageReader(() => {});
    expect(() => reader.push(Buffer.from('GET / HTTP/1.1\r\n\r\n'))).toThrow(FramingError);
    expect(() => new MessageReader(() => {}).push(Buffer.alloc(5000, 'x'))).toThrow('Content-Length');
    expect(() => new MessageReader(() => {}).push(Buffer.from('Content-Length: 999999999\r\n\r\n'))).toThrow(FramingError);
  });
});
