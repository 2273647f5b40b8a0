import type { VirtioModel } from '../../../src/devices/virtio/model.ts';
import { VirtioP9 } from '../../../src/devices/virtio/p9/device.ts';
import { FieldWriter, Request } from '../../../src/devices/virtio/p9/protocol.ts';
import { VirtioVsock } from '../../../src/devices/virtio/vsock/device.ts';
import { packetBytes } from '../../../src/devices/virtio/vsock/packet.ts';
import type { Random } from '../../support/random.ts';

const BLOCK_REQUESTS = [0, 1, 4, 8, 11, 13, 99] as const;
const P9_REQUESTS = Object.values(Request);

/** What a driver of the device may send: nearly right, so that more than its first check is met. */
export function someMessage(model: VirtioModel, random: Random): Uint8Array {
  if (model instanceof VirtioVsock) return somePacket(random);
  if (model instanceof VirtioP9) return someRequest(random);
  const view = new DataView(new ArrayBuffer(16));
  view.setUint32(0, random.pick(BLOCK_REQUESTS), true);
  view.setUint32(8, random.below(70), true);
  return new Uint8Array(view.buffer);
}

function somePacket(random: Random): Uint8Array {
  return packetBytes({
    from: random.below(16) === 0 ? 4n : 3n,
    to: random.below(16) === 0 ? 4n : 2n,
    fromPort: random.below(4),
    toPort: random.between(6, 7),
    type: random.below(4),
    operation: random.below(9),
    flags: random.below(4),
    room: random.pick([0, 10, 0x1_0000, 0xffff_ffff]),
    passedOn: random.pick([0, random.below(4000)]),
    data: random.bytes(random.pick([0, 0, 100, 400])),
  });
}

/** Fields as most requests have them: numbers of few files, names of few, small numbers, in the order of the type or in any. */
function someRequest(random: Random): Uint8Array {
  const type = random.pick(P9_REQUESTS);
  const fields = new FieldWriter();
  const fid = () => fields.u32(random.below(4));
  const name = () => fields.text(random.pick(['n0', 'n1', 'n2', 'n3', '..', '', 'a/b']));
  const number = () => fields.u32(random.pick([0, 1, 2, 0x200, 0x1000, 0xffff_ffff]));
  const place = () => fields.u64(random.pick([0n, 1n, 5000n, 100_000n, 0xffff_ffff_ffff_ffffn]));
  if (type === Request.VERSION) fields.u32(random.pick([0, 4096, 0x8000])).text('9P2000.L');
  else if (type === Request.WALK) {
    fid();
    fid();
    const count = random.below(4);
    fields.u16(count);
    for (let names = 0; names < count; names++) name();
  } else {
    fid();
    for (let more = 0; more < 3; more++) random.pick([fid, name, number, place])();
    if (random.below(2) === 0) fields.raw(random.bytes(random.below(60)));
  }
  const known: Partial<Record<number, readonly (() => unknown)[]>> = {
    [Request.ATTACH]: [fid, number, name, name, number],
    [Request.LOPEN]: [fid, number],
    [Request.LCREATE]: [fid, name, number, number, number],
    [Request.READ]: [fid, place, number],
    [Request.READDIR]: [fid, place, number],
    [Request.WRITE]: [fid, place, () => fields.u32(20).raw(random.bytes(20))],
    [Request.MKDIR]: [fid, name, number, number],
    [Request.SYMLINK]: [fid, name, name, number],
    [Request.RENAMEAT]: [fid, name, fid, name],
    [Request.UNLINKAT]: [fid, name, number],
    [Request.GETATTR]: [fid, place],
    [Request.SETATTR]: [fid, number, number, number, number, place, place, place, place, place],
  };
  const order = random.below(4) === 0 ? undefined : known[type];
  const body = order ? wellFormed(fields, order) : fields.bytes();
  return new FieldWriter()
    .u32(random.below(16) === 0 ? random.below(999) : 7 + body.length)
    .u8(type)
    .u16(random.below(9))
    .raw(body)
    .bytes();
}

/** The fields of a request in its order, without what was written before. */
function wellFormed(fields: FieldWriter, order: readonly (() => unknown)[]): Uint8Array {
  const before = fields.length;
  for (const write of order) write();
  return fields.bytes().subarray(before);
}
