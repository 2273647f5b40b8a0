import { describe, expect, test } from 'vitest';
import { HvStatus } from '../../../../src/platforms/hyperv/abi/status.ts';
import { bytesOf, Caller, control, INPUT, OUTPUT } from './caller.ts';

const SELF = 0xffff_ffff_ffff_ffffn;
const SELF_VP = 0xffff_fffe;
const OTHER = 77n;

/** Makes one call with its input in memory. */
function make(caller: Caller, word: bigint, ...input: (readonly [bigint | number, number])[]) {
  caller.write(INPUT, bytesOf(...input));
  return caller.call(word);
}

describe('a flush', () => {
  test('of an address space takes a mask or all', () => {
    const caller = new Caller('intel', 64, { vcpus: 2 });
    expect(make(caller, control(0x02), [0x1000, 8], [0, 8], [3, 8]).record).toMatchObject({
      request: 'vmcall HvCallFlushVirtualAddressSpace(addressSpace 0x1000, flags 0, processorMask 3)',
      result: 'HV_STATUS_SUCCESS',
    });
    expect(make(caller, control(0x02), [0, 8], [7, 8], [0, 8]).status).toBe(HvStatus.SUCCESS);
    expect(make(caller, control(0x02), [0, 8], [0, 8], [4, 8]).record.result).toBe(
      'HV_STATUS_SUCCESS: the partition has no vCPU 0x2',
    );
  });

  test('refuses flags that mean nothing, and ranges that are not global only', () => {
    expect(make(new Caller('amd'), control(0x02), [0, 8], [0x10, 8], [1, 8]).status).toBe(HvStatus.INVALID_PARAMETER);
    expect(make(new Caller('amd'), control(0x03, { reps: 1 }), [0, 8], [4, 8], [1, 8], [0x1000, 8]).status).toBe(
      HvStatus.INVALID_PARAMETER,
    );
  });

  test.each([32, 64] as const)('of a long list from %s-bit code goes on in rounds, between which others run', (mode) => {
    const caller = new Caller('intel', mode);
    const ranges = Array.from({ length: 200 }, (_, index) => [0x1000 * index, 8] as const);
    caller.write(INPUT, bytesOf([0, 8], [1, 8], [0, 8], ...ranges));
    const { state } = caller.processor;
    const before = state.rip;
    const word = control(0x03, { reps: 200 });
    const first = caller.round(word);
    expect(first.record.result).toBe('continued behind 64 of 200');
    expect(state.rip).toBe(before);
    const now = mode === 64 ? state.gpr(1) : (state.gpr(2) << 32n) | state.gpr(0);
    expect(now).toBe(control(0x03, { reps: 200, start: 64 }));
    expect(caller.partition.now()).toBeGreaterThanOrEqual(50_000n);
    caller.next();
    caller.next();
    expect(caller.next()).toMatchObject({ status: HvStatus.SUCCESS, reps: 200 });
  });

  test('takes a set of vCPUs with its banks in the variable part', () => {
    const caller = new Caller('intel', 64, { vcpus: 2 });
    expect(make(caller, control(0x13, { variable: 1 }), [0, 8], [0, 8], [0, 8], [1, 8], [3, 8]).status).toBe(HvStatus.SUCCESS);
    expect(make(caller, control(0x13), [0, 8], [0, 8], [0, 8], [1, 8]).status).toBe(HvStatus.INVALID_HYPERCALL_INPUT);
    expect(make(caller, control(0x13), [0, 8], [0, 8], [1, 8], [0, 8]).status).toBe(HvStatus.SUCCESS);
    expect(make(caller, control(0x13), [0, 8], [0, 8], [2, 8], [0, 8]).status).toBe(HvStatus.INVALID_PARAMETER);
    expect(
      make(caller, control(0x14, { variable: 1, reps: 2 }), [0, 8], [0, 8], [0, 8], [1, 8], [3, 8], [0, 8], [0, 8]),
    ).toMatchObject({ status: HvStatus.SUCCESS, reps: 2 });
  });

  test('of nested address spaces is refused: there are none', () => {
    expect(make(new Caller('intel'), control(0xaf), [0x1000, 8], [0, 8]).status).toBe(HvStatus.INVALID_PARAMETER);
  });
});

describe('an interrupt for others', () => {
  const fast = (caller: Caller, vector: bigint, mask: bigint) => caller.call(control(0x0b, { fast: true }), vector, mask);

  test('reaches each vCPU of the mask', () => {
    const caller = new Caller('intel', 64, { vcpus: 2 });
    const apic = caller.partition.devices.localApics[1];
    apic?.writeMmio(0xfee0_00f0n, 4, 0x1ffn);
    expect(fast(caller, 0x40n, 2n).status).toBe(HvStatus.SUCCESS);
    expect(apic?.highestRequest).toBe(0x40);
  });

  test('has a vector from 0x10 to 0xff, and no other trust level', () => {
    expect(fast(new Caller('intel'), 0xfn, 1n).status).toBe(HvStatus.INVALID_PARAMETER);
    expect(fast(new Caller('intel'), 0x100n, 1n).status).toBe(HvStatus.INVALID_PARAMETER);
    expect(fast(new Caller('intel'), 0x1_0000_0040n, 1n).status).toBe(HvStatus.INVALID_PARAMETER);
  });

  test('needs a partition that may be named', () => {
    expect(make(new Caller('intel'), control(0x94), [OTHER, 8], [0, 8], [0, 8], [0x40, 8]).status).toBe(HvStatus.ACCESS_DENIED);
  });

  test('of a device that is not there can be moved nowhere', () => {
    const fields = [
      [SELF, 8],
      [5, 8],
      [1, 8],
      [0xfee0_0000, 4],
      [0x40, 4],
      [0, 8],
      [0x40, 4],
      [0, 4],
      [1, 8],
    ] as const;
    expect(make(new Caller('intel'), control(0x7e), ...fields).status).toBe(HvStatus.INVALID_DEVICE_ID);
  });
});

describe('registers', () => {
  const get = (caller: Caller, ...registers: number[]) =>
    make(
      caller,
      control(0x50, { reps: registers.length }),
      [SELF, 8],
      [SELF_VP, 4],
      [0, 4],
      ...registers.map((it) => [it, 4] as const),
    );
  const set = (caller: Caller, register: number, low: bigint, high = 0n) =>
    make(caller, control(0x51, { reps: 1 }), [SELF, 8], [SELF_VP, 4], [0, 4], [register, 4], [0, 12], [low, 8], [high, 8]);

  test('are read by their numbers', () => {
    const caller = new Caller('intel');
    const rip = caller.processor.state.rip;
    caller.processor.state.setGpr(5, 0x1234_5678_9abcn);
    expect(get(caller, 0x2_0005, 0x2_0010, 0x6_0001)).toMatchObject({ status: HvStatus.SUCCESS, reps: 3 });
    const view = caller.read(OUTPUT, 48);
    expect(view.getBigUint64(0, true)).toBe(0x1234_5678_9abcn);
    expect(view.getBigUint64(16, true)).toBe(rip);
    // CS: flat, 64-bit code.
    expect(view.getBigUint64(32, true)).toBe(0n);
    expect(view.getUint16(46, true) & 0x20ff).toBe(0x209b);
  });

  test('end with the first one that is none', () => {
    const { status, reps, record } = get(new Caller('intel'), 0x2_0000, 0x9999, 0x2_0000);
    expect({ status, reps }).toEqual({ status: HvStatus.INVALID_PARAMETER, reps: 1 });
    expect(record.result).toContain('a vCPU has no register 0x9999');
  });

  test('are written', () => {
    const caller = new Caller('amd');
    expect(set(caller, 0x2_000b, 0xabcn).status).toBe(HvStatus.SUCCESS);
    expect(caller.processor.state.gpr(11)).toBe(0xabcn);
    expect(set(caller, 0x3_0002, 1n, 2n).status).toBe(HvStatus.SUCCESS);
    expect(get(caller, 0x3_0002).status).toBe(HvStatus.SUCCESS);
    expect(caller.read(OUTPUT, 16).getBigUint64(8, true)).toBe(2n);
  });

  test.each([
    ['CR4 with bits that nothing has', 0x4_0003, 1n << 40n],
    ['RIP that is not canonical', 0x2_0010, 1n << 62n],
    ['MXCSR in reserved bits', 0x3_0019, 0n],
    ['EFER with reserved bits', 0x8_0001, 1n << 5n],
    ['PAT with a type that is none', 0x8_0004, 2n],
    ['RFLAGS without bit 1', 0x2_0011, 0n],
  ])('are not written: %s', (_, register, low) => {
    const high = register === 0x3_0019 ? 0x10000n : 0n;
    const { status, record } = set(new Caller('intel'), register, low, high);
    expect(status).toBe(HvStatus.INVALID_REGISTER_VALUE);
    expect(record.result).toContain("can't be");
  });

  test('that do not go together end the vCPU’s partition', () => {
    const caller = new Caller('intel');
    expect(set(caller, 0x8_0001, 0n).status).toBe(HvStatus.SUCCESS);
    expect(caller.partition.run({ instructions: 1 })).toMatchObject({
      kind: 'ended',
      end: {
        kind: 'crash',
        status: 126,
        message: 'vCPU 0 was given registers that no processor can run with: a 64-bit code segment outside long mode.',
      },
    });
  });

  test('of others are not to be had', () => {
    const words = [
      [OTHER, 8],
      [0, 4],
      [0, 4],
      [0x2_0000, 4],
    ] as const;
    expect(make(new Caller('intel'), control(0x50, { reps: 1 }), ...words).status).toBe(HvStatus.ACCESS_DENIED);
    const own = [
      [SELF, 8],
      [9, 4],
      [0, 4],
      [0x2_0000, 4],
    ] as const;
    expect(make(new Caller('intel'), control(0x50, { reps: 1 }), ...own).status).toBe(HvStatus.INVALID_VP_INDEX);
  });
});

describe('addresses', () => {
  const translate = (caller: Caller, gva: bigint, flags: number) =>
    make(caller, control(0x52), [SELF, 8], [SELF_VP, 4], [0, 4], [flags, 8], [gva >> 12n, 8]);

  test('are translated by the tables of the vCPU', () => {
    const caller = new Caller('intel');
    expect(translate(caller, INPUT, 1).status).toBe(HvStatus.SUCCESS);
    const view = caller.read(OUTPUT, 16);
    expect([view.getUint32(0, true), view.getUint8(4), view.getBigUint64(8, true)]).toEqual([0, 6, INPUT >> 12n]);
    make(caller, control(0xac), [SELF, 8], [SELF_VP, 4], [0, 4], [1, 8], [INPUT >> 12n, 8]);
    expect(caller.read(OUTPUT, 64).getBigUint64(48, true)).toBe(INPUT >> 12n);
    translate(caller, 1n << 40n, 1);
    expect(caller.read(OUTPUT, 4).getUint32(0, true)).toBe(1);
    translate(caller, 0xd000_0000n, 1);
    expect(caller.read(OUTPUT, 4).getUint32(0, true)).toBe(4);
    translate(caller, INPUT, 0x81);
    expect(caller.read(OUTPUT, 4).getUint32(0, true)).toBe(2);
  });

  test('are read and written up to 16 bytes at a time', () => {
    const caller = new Caller('intel');
    const target = 0x30_0000n;
    const head = [
      [SELF, 8],
      [SELF_VP, 4],
      [4, 4],
      [target, 8],
      [0, 8],
    ] as const;
    expect(make(caller, control(0x54), ...head, [0xcafe_f00d, 16]).status).toBe(HvStatus.SUCCESS);
    expect(caller.read(target, 8).getBigUint64(0, true)).toBe(0xcafe_f00dn);
    expect(make(caller, control(0x53), ...head).status).toBe(HvStatus.SUCCESS);
    const view = caller.read(OUTPUT, 24);
    expect([view.getUint32(0, true), view.getUint32(8, true)]).toEqual([0, 0xcafe_f00d]);
    expect(make(caller, control(0x53), [SELF, 8], [0, 4], [17, 4], [target, 8], [0, 8]).status).toBe(HvStatus.INVALID_PARAMETER);
    expect(make(caller, control(0x53), [SELF, 8], [0, 4], [8, 4], [target + 0xffcn, 8], [0, 8]).status).toBe(
      HvStatus.INVALID_PARAMETER,
    );
    make(caller, control(0x53), [SELF, 8], [0, 4], [8, 4], [0xd000_0000, 8], [0, 8]);
    expect(caller.read(OUTPUT, 4).getUint32(0, true)).toBe(1);
  });
});

describe('vCPUs', () => {
  const segment = (attributes: number, selector = 8) =>
    [0n | (0xffff_ffffn << 64n) | (BigInt(selector) << 96n) | (BigInt(attributes) << 112n), 16] as const;

  function start(caller: Caller, vp: number, { rip = 0x10_0000n, efer = 0x500n } = {}) {
    const { state } = caller.processor;
    const data = segment(0xc093, 16);
    return make(
      caller,
      control(0x99),
      [SELF, 8],
      [vp, 4],
      [0, 4],
      [rip, 8],
      [0x7_0000, 8],
      [2, 8],
      segment(0xa09b),
      data,
      data,
      data,
      data,
      data,
      segment(0x8b, 24),
      segment(0x82, 32),
      [0, 16],
      [0, 16],
      [efer, 8],
      [state.cr0, 8],
      [state.cr3, 8],
      [state.cr4, 8],
      [0x0007_0406_0007_0406n, 8],
    );
  }

  test('start with the registers that they are given', () => {
    const caller = new Caller('intel', 64, { vcpus: 2 });
    const [, other] = caller.partition.processors;
    expect(start(caller, 1, { rip: 0x1234n }).record.result).toBe('HV_STATUS_SUCCESS');
    expect([other?.state.rip, other?.state.gpr(4), other?.mode]).toEqual([0x1234n, 0x7_0000n, 64]);
    expect(start(caller, 1).status).toBe(HvStatus.INVALID_VP_STATE);
    expect(start(caller, 2).status).toBe(HvStatus.INVALID_VP_INDEX);
  });

  test('do not start with registers that no processor can have', () => {
    const caller = new Caller('amd', 64, { vcpus: 2 });
    const hash = caller.partition.processors[1]?.stateHash();
    expect(start(caller, 1, { efer: 0n }).status).toBe(HvStatus.INVALID_REGISTER_VALUE);
    expect(start(caller, 1, { rip: 1n << 60n }).status).toBe(HvStatus.INVALID_REGISTER_VALUE);
    expect(caller.partition.processors[1]?.stateHash()).toBe(hash);
  });

  test('are found by their APIC ids', () => {
    const caller = new Caller('intel', 64, { vcpus: 2 });
    expect(make(caller, control(0x9a, { reps: 2 }), [SELF, 8], [0, 8], [1, 4], [0, 4])).toMatchObject({ status: 0, reps: 2 });
    expect(caller.read(OUTPUT, 8).getBigUint64(0, true)).toBe(1n);
    expect(make(caller, control(0x9a, { reps: 2 }), [SELF, 8], [0, 8], [1, 4], [7, 4])).toMatchObject({
      status: HvStatus.INVALID_PARAMETER,
      reps: 1,
    });
  });

  test('say what CPUID gives them', () => {
    const caller = new Caller('intel');
    make(caller, control(0xf4, { reps: 1 }), [SELF, 8], [SELF_VP, 4], [0, 12], [0x4000_0000, 4], [0, 20]);
    expect(caller.read(OUTPUT, 16).getUint32(4, true)).toBe(0x7263_694d);
  });
});

describe('the partition', () => {
  test('has a number for who may know it', () => {
    expect(new Caller('intel').call(control(0x46)).status).toBe(HvStatus.ACCESS_DENIED);
  });

  test('prints characters for a debugger on the debug console', () => {
    const caller = new Caller('intel');
    let text = '';
    caller.partition.onConsole((_source, bytes) => {
      text += new TextDecoder().decode(bytes);
    });
    expect(caller.call(control(0x71, { fast: true }), 0x41n).status).toBe(HvStatus.SUCCESS);
    expect(text).toBe('A');
  });

  test('has its I/O intercepted', () => {
    const caller = new Caller('intel');
    const input = [
      [SELF, 8],
      [SELF_VP, 4],
      [0, 2],
      [0x3f8, 2],
      [1, 1],
      [1, 7],
    ] as const;
    expect(make(caller, control(0xad), ...input).status).toBe(HvStatus.SUCCESS);
    expect(caller.read(OUTPUT, 1).getUint8(0)).toBe(1);
  });

  test('has extended calls', () => {
    const caller = new Caller('intel');
    caller.call(control(0x8001));
    expect(caller.read(OUTPUT, 8).getBigUint64(0, true)).toBe(1n);
    expect(caller.call(control(0x8002), 0n, OUTPUT).status).toBe(HvStatus.SUCCESS);
    const zeroed = caller.read(OUTPUT, 8 + 16);
    const [count, page, pages] = [0, 8, 16].map((at) => zeroed.getBigUint64(at, true));
    // The guest's own page is at 1 MiB; behind it nothing is up to the end of its 64 MiB.
    expect([count, (page ?? 0n) > 0x100n, (page ?? 0n) + (pages ?? 0n)]).toEqual([1n, true, 0x4000n]);
    expect(caller.call(control(0x8002), 0n, OUTPUT + 0x10n).status).toBe(HvStatus.INVALID_ALIGNMENT);
  });

  test('loads CR3, and gives way to others', () => {
    const caller = new Caller('intel');
    const { cr3 } = caller.processor.state;
    expect(caller.call(control(0x01, { fast: true }), cr3).status).toBe(HvStatus.SUCCESS);
    expect(caller.call(control(0x01, { fast: true }), 1n << 60n).status).toBe(HvStatus.INVALID_PARAMETER);
    expect(caller.call(control(0x08, { fast: true }), 5n).status).toBe(HvStatus.SUCCESS);
  });

  test.each([
    ['a debugger’s data', 0x69],
    ['trust levels', 0x0d],
    ['the event log', 0x60],
    ['other partitions', 0x40],
    ['memory of the pool', 0x48],
  ])('may not have %s', (_, code) => {
    expect(new Caller('intel').call(control(code, { reps: code === 0x48 ? 1 : 0 })).status).toBe(HvStatus.ACCESS_DENIED);
  });
});
