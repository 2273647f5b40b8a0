import { type Handler, inFrame, stage } from '../../../../stages/stage.ts';
import {
  decodeChoice,
  decodeIc,
  type IcEnvelope,
  IcFlag,
  IcMessage,
  type IcVersion,
  versionText,
} from '../../abi/integration.ts';
import { parentFrame } from '../../hyperv.ts';
import type { GuestPacket, HostPacket, VspChannel } from '../../vmbus/vsp.ts';

/** An integration component as it takes what the guest sends: each step gives the packets to send then. */
export interface IntegrationWork {
  readonly name: string;
  readonly messageType: number;
  /** The guest has chosen versions, or none where it knows none of them. */
  agreed(choice: { readonly framework: IcVersion; readonly message: IcVersion } | undefined): readonly HostPacket[];
  /** The guest's answer to a request. */
  answered(answer: IcEnvelope): readonly HostPacket[];
  /** There was no room in the ring for a packet. */
  waitForRoom(packet: HostPacket): void;
  /** It is nothing that can be answered: a sentence that says why. */
  refused(why: string): void;
}

/** Takes a packet that the guest has sent to an integration component. */
export function* takeAnswer(work: IntegrationWork, channel: VspChannel, packet: GuestPacket): Handler {
  yield stage('integration.packet', { component: work.name, channel: channel.id, bytes: packet.payload.length });
  const message = decodeIc(packet.payload);
  if (message === undefined) {
    work.refused(`a packet of ${packet.payload.length} bytes is no whole message`);
    yield stage('integration.malformed', { component: work.name, bytes: packet.payload.length });
    return;
  }
  const { type, status, transaction, flags } = message;
  yield stage('integration.message', { type, status, transaction, flags, bytes: message.body.length });
  let next: readonly HostPacket[] = [];
  if ((flags & IcFlag.RESPONSE) === 0) work.refused('a guest only answers, and this is no answer');
  else if (type === IcMessage.NEGOTIATE)
    next = yield* inFrame(parentFrame('vmwp.exe', `${work.name}: agree`), agree(work, message));
  else if (type === work.messageType)
    next = yield* inFrame(parentFrame('vmwp.exe', `${work.name}: take answer`), answer(work, message));
  else work.refused(`messages of type ${type} belong to another component`);
  for (const request of next) {
    const isSent = yield* channel.sendInStages(request);
    if (!isSent) work.waitForRoom(request);
  }
}

/** The guest chooses one version of each; none, where it doesn't know any. */
function* agree(work: IntegrationWork, { body }: IcEnvelope): Handler<readonly HostPacket[]> {
  const choice = decodeChoice(body);
  yield stage('integration.versions', {
    framework: choice ? versionText(choice.framework) : 'none',
    messages: choice ? versionText(choice.message) : 'none',
  });
  return work.agreed(choice);
}

function* answer(work: IntegrationWork, message: IcEnvelope): Handler<readonly HostPacket[]> {
  yield stage('integration.answer', { component: work.name, status: message.status, transaction: message.transaction });
  return work.answered(message);
}
