import { describe, expect, test } from 'vitest';
import { USUAL_PRIVILEGES } from '../../../../src/hypervisor/privileges/privileges.ts';
import { statusName } from '../../../../src/platforms/hyperv/abi/status.ts';
import { bytesOf, Caller, control, INPUT, OUTPUT } from '../hypercalls/caller.ts';

const SELF = -1;
type Fields = readonly (readonly [value: bigint | number, size: number])[];

/** Port information: of a source of a vCPU, or of a monitor page. */
const message = (source: number, vp: number): Fields => [
  [1, 4],
  [0, 4],
  [source, 4],
  [vp, 4],
  [0, 8],
];
const event = (source: number, vp: number, base: number, count: number): Fields => [
  ...([
    [2, 4],
    [0, 4],
    [source, 4],
    [vp, 4],
    [base, 2],
    [count, 2],
    [0, 4],
  ] as const),
];
const monitor = (gpa: number): Fields => [
  [3, 4],
  [0, 4],
  [gpa, 8],
  [0, 8],
];

const createPort = (id: number, information: Fields, { owner = SELF, from = 0, vtl = 0 } = {}): Fields => [
  ...([
    [owner, 8],
    [id, 4],
    [vtl, 1],
    [0, 3],
    [from, 8],
  ] as const),
  ...information,
  [0, 8],
];
const connectPort = (connection: number, port: number, type: number, { from = SELF, to = SELF } = {}): Fields => [
  ...([
    [from, 8],
    [connection, 4],
    [0, 4],
    [to, 8],
    [port, 4],
    [0, 4],
    [type, 4],
    [0, 4],
    [0, 24],
    [0, 8],
  ] as const),
];
const post = (connection: number, type: number, size: number): Fields => [
  [connection, 4],
  [0, 4],
  [type, 4],
  [size, 4],
  [0, 240],
];

const parent = () => new Caller('intel', 64, { privileges: [...USUAL_PRIVILEGES, 'create-partitions'] });

/** Makes a call; the name of its status. */
function status(caller: Caller, code: number, fields: Fields): string {
  caller.write(INPUT, bytesOf(...fields));
  return statusName(caller.call(control(code)).status).replace('HV_STATUS_', '');
}
const signal = (caller: Caller, connection: number, flag: number) =>
  statusName(caller.call(control(0x5d, { fast: true }), BigInt(connection) | (BigInt(flag) << 32n)).status).replace(
    'HV_STATUS_',
    '',
  );

describe('ports', () => {
  test('are made, connected to, used, and deleted, each once', () => {
    const caller = parent();
    expect(status(caller, 0x95, createPort(7, message(2, 0)))).toBe('SUCCESS');
    expect(status(caller, 0x95, createPort(7, message(2, 0)))).toBe('INVALID_PORT_ID');
    expect(status(caller, 0x96, connectPort(0x10, 7, 1))).toBe('SUCCESS');
    expect(status(caller, 0x96, connectPort(0x10, 7, 1))).toBe('INVALID_CONNECTION_ID');
    // Its SynIC is off.
    expect(status(caller, 0x5c, post(0x10, 1, 8))).toBe('INVALID_SYNIC_STATE');
    expect(
      status(caller, 0x58, [
        [SELF, 8],
        [7, 8],
      ]),
    ).toBe('SUCCESS');
    expect(
      status(caller, 0x58, [
        [SELF, 8],
        [7, 8],
      ]),
    ).toBe('INVALID_PORT_ID');
    expect(status(caller, 0x5c, post(0x10, 1, 8))).toBe('INVALID_PORT_ID');
    expect(
      status(caller, 0x5b, [
        [SELF, 8],
        [0x10, 8],
      ]),
    ).toBe('SUCCESS');
    expect(
      status(caller, 0x5b, [
        [SELF, 8],
        [0x10, 8],
      ]),
    ).toBe('INVALID_CONNECTION_ID');
    expect(status(caller, 0x5c, post(0x10, 1, 8))).toBe('INVALID_CONNECTION_ID');
  });

  test('are refused where they can be nowhere, with the reason', () => {
    const caller = parent();
    const refused = [
      createPort(1, message(0, 0)),
      createPort(1, message(16, 0)),
      createPort(1, event(2, 0, 2000, 49)),
      createPort(1, event(2, 0, 0, 0)),
      createPort(1, monitor(0x1001)),
      createPort(1, [
        [5, 4],
        [0, 20],
      ]),
      createPort(1, message(2, 1)),
      createPort(0x100_0000, message(2, 0)),
      createPort(1, message(2, 0), { vtl: 1 }),
      createPort(1, message(2, 0), { owner: 77 }),
    ];
    expect(refused.map((fields) => status(caller, 0x95, fields))).toEqual([
      ...Array.from({ length: 4 }, () => 'INVALID_PARAMETER'),
      ...['INVALID_ALIGNMENT', 'INVALID_PARAMETER'],
      ...['INVALID_VP_INDEX', 'INVALID_PORT_ID', 'INVALID_VTL_STATE', 'INVALID_PARTITION_ID'],
    ]);
    expect(caller.partition.journal.latest(1)[0]?.result).toContain('the caller has no child 77');
  });

  test('are connected to by whom they are for, as what they are', () => {
    const caller = parent();
    for (const fields of [
      createPort(1, message(2, -1), { from: 77 }),
      createPort(2, event(2, 0, 0, 8)),
      createPort(3, monitor(0x1000)),
    ])
      expect(status(caller, 0x95, fields)).toBe('SUCCESS');
    expect(status(caller, 0x96, connectPort(5, 1, 1))).toBe('ACCESS_DENIED');
    expect(status(caller, 0x96, connectPort(5, 2, 1))).toBe('INVALID_PARAMETER');
    expect(status(caller, 0x96, connectPort(5, 3, 3))).toBe('INVALID_PARTITION_ID');
    expect(status(caller, 0x96, connectPort(5, 9, 1))).toBe('INVALID_PORT_ID');
    expect(status(caller, 0x96, connectPort(0x100_0000, 2, 2))).toBe('INVALID_CONNECTION_ID');
    expect(status(caller, 0x96, connectPort(5, 2, 2))).toBe('SUCCESS');
    expect(status(caller, 0x96, connectPort(6, 2, 2))).toBe('INVALID_PORT_ID');
    expect(status(caller, 0x5c, post(5, 1, 8))).toBe('INVALID_PORT_ID');
    expect([signal(caller, 5, 8), signal(caller, 5, 7), signal(caller, 6, 0)]).toEqual([
      ...['INVALID_PARAMETER', 'INVALID_SYNIC_STATE', 'INVALID_CONNECTION_ID'],
    ]);
  });

  test('say their properties', () => {
    const caller = parent();
    status(caller, 0x95, createPort(1, message(2, 0)));
    status(caller, 0x95, createPort(3, monitor(0x4000)));
    const property = (port: number, code: number) => {
      const result = status(caller, 0x5a, [
        [SELF, 8],
        [port, 8],
        [code, 8],
      ]);
      return result === 'SUCCESS' ? caller.read(OUTPUT, 8).getBigUint64(0, true) : result;
    };
    expect([property(1, 0), property(1, 4), property(3, 2), property(3, 0), property(2, 0)]).toEqual([
      ...[0n, 0n, 0x4000n, 'UNKNOWN_PROPERTY', 'INVALID_PORT_ID'],
    ]);
  });

  test("are not a child's to make", () => {
    const caller = new Caller('amd');
    expect([0x95, 0x96, 0x58, 0x5b, 0x5a].map((code) => status(caller, code, createPort(1, message(2, 0))))).toEqual(
      Array.from({ length: 5 }, () => 'ACCESS_DENIED'),
    );
  });
});

test('a message has a type of its own and at most 240 bytes', () => {
  const caller = parent();
  const wrong = [post(9, 0, 8), post(9, 0x8000_0001, 8), post(9, 1, 241), post(9, 1, 240)];
  expect(wrong.map((fields) => status(caller, 0x5c, fields))).toEqual([
    ...['INVALID_PARAMETER', 'INVALID_PARAMETER', 'INVALID_PARAMETER', 'INVALID_CONNECTION_ID'],
  ]);
});
