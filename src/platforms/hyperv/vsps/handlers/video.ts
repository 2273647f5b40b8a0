import { type Handler, inFrame, stage } from '../../../../stages/stage.ts';
import { readVideo, type VideoRequest, videoMessageName } from '../../abi/synthvid.ts';
import { parentFrame } from '../../hyperv.ts';
import type { GuestPacket, HostPacket, VspChannel } from '../../vmbus/vsp.ts';

/** The video service as it takes messages of the guest. */
export interface VideoService {
  /** Follows a message: what is to be sent for it. */
  follow(request: VideoRequest): { readonly outcome: string; readonly answers: readonly HostPacket[] };
  /** Enters what the guest did wrong. */
  refuse(what: string): void;
  /** Keeps a packet until there is room in the ring. */
  park(packet: HostPacket): void;
}

/** The video service takes a packet of the guest's driver. */
export function* serveVideo(service: VideoService, channel: VspChannel, packet: GuestPacket): Handler {
  const request = readVideo(packet.payload);
  yield stage('synthvid.packet', {
    channel: channel.id,
    bytes: packet.payload.length,
    type: request ? videoMessageName(request.type) : 'none',
  });
  if (request === undefined) {
    service.refuse('sent a packet that is no whole message');
    return;
  }
  yield* inFrame(parentFrame('vmwp.exe', `synthvid: ${videoMessageName(request.type)}`), serveMessage(service, channel, request));
}

function* serveMessage(service: VideoService, channel: VspChannel, request: VideoRequest): Handler {
  yield stage('synthvid.message', { type: videoMessageName(request.type), bytes: request.body.byteLength });
  const { outcome, answers } = service.follow(request);
  yield stage('synthvid.outcome', { outcome, answers: answers.length });
  for (const answer of answers) {
    const isSent = yield* channel.sendInStages(answer);
    if (!isSent) service.park(answer);
  }
}
