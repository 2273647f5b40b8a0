import { type Handler, type StageValue, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import {
  CHANNEL_MESSAGE,
  NO_TARGET_VCPU,
  NtStatus,
  REDIRECT_CONNECTION,
  SPOKEN_VERSIONS,
  VMBUS_SINT,
  type VmbusTypeName,
  VmbusVersion,
  versionText,
} from '../../abi/vmbus.ts';
import type { PostedMessage } from '../../synic/connections.ts';
import { connectionFor, sintOf, type VmbusConnection } from '../connection.ts';
import { Gpadl, problemOfSizes } from '../gpadl.ts';
import { decodeMessage, type VmbusMessage } from '../message.ts';
import { MOST_GPADLS, type VmbusServer } from '../server.ts';

/** A message of the guest has come in at one of the bus's ports. Gives the status of the hypercall that posted it. */
export function* receiveMessage(bus: VmbusServer, { type, payload }: PostedMessage): Handler<number> {
  yield stage('vmbus-message.take', { type, bytes: payload.length });
  if (bus.outbox.isFull) {
    yield stage('vmbus-message.full', { note: 'the guest has not read what it was sent yet' });
    return HvStatus.INSUFFICIENT_BUFFERS;
  }
  const message = type === CHANNEL_MESSAGE ? decodeMessage(payload) : `a message of type ${type} is none of the bus's`;
  if (typeof message === 'string') yield* ignore(bus, message);
  else yield* dispatch(bus, message);
  return HvStatus.SUCCESS;
}

/** What the guest must not do has no effect; who looks at the bus is told why. */
function* ignore(bus: VmbusServer, why: string): Handler {
  yield stage('vmbus-message.ignore', { why });
  bus.notes.add(why);
}

/** Sends an answer. */
function* answer(
  bus: VmbusServer,
  name: VmbusTypeName,
  values: Readonly<Record<string, StageValue>> = {},
  to: VmbusConnection | undefined = bus.connection,
): Handler {
  yield stage('vmbus-message.answer', { message: name, ...values });
  bus.send(name, values, to);
}

function* dispatch(bus: VmbusServer, message: VmbusMessage): Handler {
  yield stage('vmbus-message.decode', { message: message.name, ...message.shown() });
  bus.noteReceived(message);
  if (message.name === 'INITIATE_CONTACT') {
    yield* initiateContact(bus, message);
    return;
  }
  if (bus.connection === undefined) {
    yield* ignore(bus, `${message.name} came without a connection`);
    return;
  }
  switch (message.name) {
    case 'REQUEST_OFFERS':
      yield* requestOffers(bus, bus.connection);
      return;
    case 'GPADL_HEADER':
      yield* gpadlHeader(bus, message);
      return;
    case 'GPADL_BODY':
      yield* gpadlBody(bus, message);
      return;
    case 'GPADL_TEARDOWN':
      yield* gpadlTeardown(bus, message);
      return;
    case 'OPEN_CHANNEL':
      yield* openChannel(bus, message);
      return;
    case 'CLOSE_CHANNEL':
      yield* closeChannel(bus, message);
      return;
    case 'RELID_RELEASED':
      yield* relidReleased(bus, message);
      return;
    case 'MODIFY_CHANNEL':
      yield* modifyChannel(bus, message, bus.connection.version);
      return;
    case 'UNLOAD':
      yield* unload(bus, bus.connection);
      return;
    case 'CLOSE_RESERVED_CHANNEL':
      // No channel is reserved: it is closed already. The answer goes where the guest wants it, since it may be about to crash.
      yield* closeReserved(bus, message, bus.connection);
      return;
    case 'TL_CONNECT_REQUEST':
      yield* connectSocket(bus, message);
      return;
    default:
      yield* ignore(bus, `${message.name} is no message that this host takes`);
  }
}

/** The guest asks for a version of the protocol, and says where messages are to go. What was agreed on before ends. */
function* initiateContact(bus: VmbusServer, message: VmbusMessage): Handler {
  const version = message.number('version');
  const vcpu = message.number('vcpu');
  const target = message.long('target');
  const request = { version, vcpu, target, guestMonitorPage: message.long('guest_monitor_page') };
  if (!bus.hasVcpu(vcpu)) {
    yield* ignore(bus, `INITIATE_CONTACT names vCPU ${vcpu}, which there is not`);
    return;
  }
  bus.disconnect();
  if (!SPOKEN_VERSIONS.includes(version)) {
    yield stage('vmbus-message.unknown-version', { version: versionText(version) });
    const sint = version >= VmbusVersion.COPPER ? sintOf(target) : VMBUS_SINT;
    yield* answer(bus, 'VERSION_RESPONSE', { supported: 0 }, { ...connectionFor(request), sint });
    return;
  }
  const connection = connectionFor(request);
  yield stage('vmbus-message.version', { version: versionText(version), vcpu, sint: connection.sint });
  bus.connect(connection);
  // From 5.0 on the guest is told where its messages go from now on; before, the version again.
  const selected = version >= VmbusVersion.WIN10_5_0 ? REDIRECT_CONNECTION : version;
  yield* answer(bus, 'VERSION_RESPONSE', { supported: 1, state: 0, connection: selected }, connection);
}

/** The guest asks which devices there are. */
function* requestOffers(bus: VmbusServer, connection: VmbusConnection): Handler {
  if (connection.hasOffers) {
    yield* ignore(bus, 'REQUEST_OFFERS came a second time');
    return;
  }
  connection.hasOffers = true;
  for (const channel of bus.channels) {
    yield stage('vmbus-message.offer', {
      message: 'OFFER_CHANNEL',
      channel: channel.id,
      device: channel.name,
      interface: channel.device.vsp.offer.interfaceId,
    });
    bus.offer(channel);
  }
  yield* answer(bus, 'ALL_OFFERS_DELIVERED');
}

/** The guest describes memory: a ring, or a buffer. */
function* gpadlHeader(bus: VmbusServer, message: VmbusMessage): Handler {
  const id = message.number('gpadl');
  const channel = message.number('channel');
  const size = message.number('range_bytes');
  const ranges = message.number('ranges');
  const target = bus.channel(channel);
  const problem =
    target === undefined || !target.isOffered || target.isRescinded
      ? `channel ${channel} is not offered`
      : bus.gpadls.has(id)
        ? 'it is in use already'
        : bus.gpadls.size >= MOST_GPADLS
          ? 'the guest has too many of them'
          : problemOfSizes(size, ranges, bus.pagesDescribed);
  if (problem !== undefined) {
    yield* refuseGpadl(bus, channel, id, problem);
    return;
  }
  const gpadl = new Gpadl(id, channel, size, ranges);
  bus.gpadls.set(id, gpadl);
  const isWhole = gpadl.add(message.rest('data'));
  yield stage('vmbus-message.gpadl', { gpadl: id, channel, bytes: size, ranges, whole: isWhole });
  if (isWhole) yield* finishGpadl(bus, gpadl);
}

/** More page numbers of memory that the guest describes. */
function* gpadlBody(bus: VmbusServer, message: VmbusMessage): Handler {
  const id = message.number('gpadl');
  const gpadl = bus.gpadls.get(id);
  if (gpadl === undefined || gpadl.isWhole) {
    yield* ignore(bus, `GPADL_BODY is for GPADL ${id}, of which nothing is missing`);
    return;
  }
  const isWhole = gpadl.add(message.rest('data'));
  yield stage('vmbus-message.gpadl-body', { gpadl: id, whole: isWhole });
  if (isWhole) yield* finishGpadl(bus, gpadl);
}

function* finishGpadl(bus: VmbusServer, gpadl: Gpadl): Handler {
  const problem = gpadl.finish(bus.dma);
  if (problem !== undefined) {
    bus.gpadls.delete(gpadl.id);
    yield* refuseGpadl(bus, gpadl.channel, gpadl.id, problem);
    return;
  }
  yield stage('vmbus-message.gpadl-whole', { gpadl: gpadl.id, bytes: gpadl.buffer?.length ?? 0 });
  yield* answer(bus, 'GPADL_CREATED', { channel: gpadl.channel, gpadl: gpadl.id, status: NtStatus.SUCCESS });
}

function* refuseGpadl(bus: VmbusServer, channel: number, gpadl: number, problem: string): Handler {
  yield* ignore(bus, `GPADL ${gpadl} can't be: ${problem}`);
  yield* answer(bus, 'GPADL_CREATED', { channel, gpadl, status: NtStatus.INVALID_PARAMETER });
}

/** The guest takes memory back that it described. A channel that has its rings there can't go on. */
function* gpadlTeardown(bus: VmbusServer, message: VmbusMessage): Handler {
  const id = message.number('gpadl');
  const gpadl = bus.gpadls.get(id);
  if (gpadl === undefined) {
    yield* ignore(bus, `GPADL_TEARDOWN is for GPADL ${id}, which there is not`);
    return;
  }
  if (gpadl.user !== undefined) bus.notes.add(`GPADL ${id} was taken back while channel ${gpadl.user} had its rings there`);
  yield stage('vmbus-message.teardown', { gpadl: id, channel: gpadl.channel });
  gpadl.end();
  bus.gpadls.delete(id);
  yield* answer(bus, 'GPADL_TORNDOWN', { gpadl: id });
}

/** The guest opens a channel on rings in memory that it described. */
function* openChannel(bus: VmbusServer, message: VmbusMessage): Handler {
  const id = message.number('channel');
  const openId = message.number('open_id');
  const gpadl = bus.gpadls.get(message.number('gpadl'));
  const vcpu = message.number('vcpu');
  const downstreamPage = message.number('downstream_page');
  const channel = bus.channel(id);
  const problem =
    channel === undefined || !channel.isOffered || channel.isRescinded
      ? 'it is not offered'
      : channel.open !== undefined
        ? 'it is open already'
        : vcpu !== NO_TARGET_VCPU && !bus.hasVcpu(vcpu)
          ? `there is no vCPU ${vcpu} to interrupt`
          : problemOfRings(gpadl, id, downstreamPage);
  if (channel === undefined || gpadl === undefined || problem !== undefined) {
    yield* ignore(bus, `channel ${id} can't be opened: ${problem ?? 'it has no rings'}`);
    yield* answer(bus, 'OPEN_CHANNEL_RESULT', { channel: id, open_id: openId, status: NtStatus.UNSUCCESSFUL });
    return;
  }
  yield stage('vmbus-message.open', { channel: id, device: channel.name, ring_bytes: gpadl.buffer?.length ?? 0, vcpu });
  bus.open(channel, { openId, gpadl, downstreamPage, vcpu, userData: message.rest('user_data').slice() });
  yield* answer(bus, 'OPEN_CHANNEL_RESULT', { channel: id, open_id: openId, status: NtStatus.SUCCESS });
}

/** What is wrong with memory for rings: it has two of a control page and data each, in one range of whole pages. */
function problemOfRings(gpadl: Gpadl | undefined, channel: number, downstreamPage: number): string | undefined {
  const buffer = gpadl?.buffer;
  if (gpadl === undefined || buffer === undefined) return 'there is no such GPADL';
  if (gpadl.channel !== channel) return `its GPADL is of channel ${gpadl.channel}`;
  if (gpadl.user !== undefined) return `its GPADL has the rings of channel ${gpadl.user}`;
  const [range] = buffer.ranges;
  if (buffer.ranges.length !== 1 || range === undefined || range.offset !== 0 || range.length % 4096 !== 0)
    return 'its GPADL is not one range of whole pages';
  const pages = range.length / 4096;
  return downstreamPage >= 2 && pages - downstreamPage >= 2
    ? undefined
    : `${pages} pages divided at page ${downstreamPage} are not two rings`;
}

function* closeChannel(bus: VmbusServer, message: VmbusMessage): Handler {
  const id = message.number('channel');
  const channel = bus.channel(id);
  // What was taken away from the guest was closed by that.
  if (channel?.isRescinded) return;
  if (channel?.open === undefined) {
    yield* ignore(bus, `CLOSE_CHANNEL is for channel ${id}, which is not open`);
    return;
  }
  yield stage('vmbus-message.close', { channel: id, device: channel.name });
  bus.close(channel);
  if (channel.subchannelIndex !== 0) return;
  // Subchannels go with the channel that they were asked for on.
  for (const subchannel of channel.device.channels.slice(1)) {
    yield stage('vmbus-message.rescind', { message: 'RESCIND_CHANNEL_OFFER', channel: subchannel.id, device: subchannel.name });
    bus.rescind(subchannel);
  }
}

/** The guest has forgotten a channel that was taken away from it, or that it doesn't want. */
function* relidReleased(bus: VmbusServer, message: VmbusMessage): Handler {
  const id = message.number('channel');
  const channel = bus.channel(id);
  if (channel === undefined || !channel.isOffered) {
    yield* ignore(bus, `RELID_RELEASED is for channel ${id}, which is not offered`);
    return;
  }
  yield stage('vmbus-message.released', { channel: id, device: channel.name });
  bus.release(channel);
}

/** The guest has another vCPU interrupted for a channel. */
function* modifyChannel(bus: VmbusServer, message: VmbusMessage, version: number): Handler {
  const id = message.number('channel');
  const vcpu = message.number('vcpu');
  const open = bus.channel(id)?.open;
  const isPossible = open !== undefined && (vcpu === NO_TARGET_VCPU || bus.hasVcpu(vcpu));
  if (isPossible) {
    yield stage('vmbus-message.modify', { channel: id, vcpu, before: open.vcpu });
    open.vcpu = vcpu;
  } else yield* ignore(bus, `channel ${id} can't interrupt vCPU ${vcpu}`);
  const status = isPossible ? NtStatus.SUCCESS : NtStatus.UNSUCCESSFUL;
  if (version >= VmbusVersion.IRON) yield* answer(bus, 'MODIFY_CHANNEL_RESPONSE', { channel: id, status });
}

/** The guest leaves the bus. */
function* unload(bus: VmbusServer, connection: VmbusConnection): Handler {
  yield stage('vmbus-message.unload', { version: versionText(connection.version) });
  bus.disconnect();
  yield* answer(bus, 'UNLOAD_COMPLETE', {}, connection);
}

function* closeReserved(bus: VmbusServer, message: VmbusMessage, connection: VmbusConnection): Handler {
  const vcpu = message.number('vcpu');
  const sint = message.number('sint');
  if (!bus.hasVcpu(vcpu) || sint > 15) {
    yield* ignore(bus, `CLOSE_RESERVED_CHANNEL wants its answer at SINT ${sint} of vCPU ${vcpu}`);
    return;
  }
  yield* answer(bus, 'CLOSE_RESERVED_RESPONSE', { channel: message.number('channel') }, { ...connection, vcpu, sint });
}

/** The guest connects a socket to the host, where nobody listens. */
function* connectSocket(bus: VmbusServer, message: VmbusMessage): Handler {
  const endpoint = message.guid('endpoint');
  const service = message.guid('service');
  yield* answer(bus, 'TL_CONNECT_RESULT', { endpoint, service, status: NtStatus.CONNECTION_REFUSED });
}
