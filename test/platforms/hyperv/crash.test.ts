import { describe, expect, test } from 'vitest';
import type { InspectNode } from '../../../src/devices/inspect.ts';
import { Msr } from '../../../src/platforms/hyperv/abi/msrs.ts';
import { guest, runToEnd } from '../run-guest.ts';
import { withMsrs, write } from './msr-guest.ts';

const LINUX = 0x8100_0006_0100_0000n;
const NOTIFY = 1n << 63n;
const MESSAGE = 1n << 62n;

const parameters = (...values: readonly (bigint | string)[]) =>
  values.map((value, number) => write(Msr.CRASH_P0 + number, value)).join('');

function crash(code: string, more = '', vendor: 'intel' | 'amd' = 'intel') {
  const partition = guest(withMsrs(code, more), { platform: 'hyperv', vendor });
  const { end } = runToEnd(partition);
  const find = (node: InspectNode): InspectNode | undefined =>
    node.name === 'crash report' ? node : (node.children ?? []).map(find).find((found) => found !== undefined);
  return { end, report: find(partition.inspect()) };
}

describe('a crash that the guest reports', () => {
  test.each(['intel', 'amd'] as const)('ends the run with its message on %s', (vendor) => {
    const text = [
      'message: db "<6>[    1.000000] Run /init", 10',
      'db "<6>[    1.000000]     panic=-1", 10',
      'db "<0>[    1.500000] Kernel panic - not syncing: Attempted to kill init!", 10',
      'db 27, 1, "<0>[    1.600000] ---[ end Kernel panic - not syncing ]---", 10',
      'message_end:',
    ].join('\n');
    const { end, report } = crash(
      write(Msr.GUEST_OS_ID, LINUX) +
        parameters(0n, 0n, 0n, 'message', 'message_end - message') +
        write(Msr.CRASH_CTL, NOTIFY | MESSAGE),
      text,
      vendor,
    );
    expect(end).toMatchObject({
      kind: 'crash',
      status: 126,
      message: 'The guest (Linux 6.1.0) reported a crash on VP 0: "Kernel panic - not syncing: Attempted to kill init!".',
    });
    expect(end.details).toHaveLength(4);
    expect(report?.children?.at(-1)?.value).toBe('<0>[    1.600000] ---[ end Kernel panic - not syncing ]---');
  });

  test('ends the run with its parameters', () => {
    const { end, report } = crash(
      write(Msr.GUEST_OS_ID, LINUX) + parameters(1n, 2n, 0xffff_ffff_8100_0000n, 4n, 5n) + write(Msr.CRASH_CTL, NOTIFY),
    );
    expect(end.message).toBe(
      'The guest (Linux 6.1.0) reported a crash on VP 0: error 0x1, guest OS id 0x2, RIP 0xffffffff81000000, RAX 0x4, RSP 0x5.',
    );
    expect(report?.children?.[2]).toEqual({ name: 'P2', value: '0xffffffff81000000', detail: 'RIP' });
  });

  test('may have a message that isn’t there, or a hostile one', () => {
    for (const [gpa, length] of [
      [0xffff_ffff_ffff_f000n, 0xffff_ffff_ffff_ffffn],
      [(1n << 52n) - 1n, 4096n],
      [0x9f000n, 1n << 40n],
      [0n, 0n],
    ] as const) {
      const { end } = crash(parameters(0n, 0n, 0n, gpa, length) + write(Msr.CRASH_CTL, NOTIFY | MESSAGE));
      expect(end.kind).toBe('crash');
      expect(end.message).toMatch(/^The guest reported a crash on VP 0: /);
    }
  });

  test('is told to the worker process of the parent, step by step', () => {
    const source = withMsrs(write(Msr.CRASH_CTL, NOTIFY));
    const partition = guest(source, { platform: 'hyperv' });
    const seen = new Set<string>();
    const stages: string[] = [];
    for (;;) {
      const stop = partition.run({ instructions: 100_000, stopAtStage: true });
      if (stop.kind === 'ended') break;
      const frames = partition.vcpus[0]?.activity?.frames ?? [];
      seen.add(frames.map(({ frame }) => `${frame.component}: ${frame.name}`).join(' | '));
      stages.push(frames.at(-1)?.stage?.id ?? '');
    }
    expect([...seen].at(-1)).toBe('hvix64: VM exit | hvix64: write MSR | vmwp.exe: guest crash notification');
    expect(stages.slice(-4)).toEqual([
      'hyperv-crash.notify',
      'hyperv-crash.parameters',
      'hyperv-crash.end',
      'hyperv-msr.write-complete',
    ]);
    expect(partition.end?.message).toBe(crash(write(Msr.CRASH_CTL, NOTIFY)).end.message);
  });

  test('is none without the bit that says so', () => {
    expect(crash(write(Msr.CRASH_CTL, MESSAGE)).end.kind).toBe('power-off');
  });
});
