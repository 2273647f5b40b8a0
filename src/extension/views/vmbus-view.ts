import * as vscode from 'vscode';
import type { VmbusBody } from '../../adapter/requests/vmbus.ts';
import { type ChannelChoice, type ChannelsMessage, chosenChannel, firstChoice } from '../../webview/vmbus/messages.ts';
import { Command, Context, View } from '../names.ts';
import type { GuestActivity } from './guest-activity.ts';
import { channelOfRow, type PartitionRow } from './partition-rows.ts';
import { type RingKind, RingView } from './ring-view.ts';
import { vmbusPage } from './vmbus-page.ts';

const REQUEST = 'hyperscope/vmbus';

const CHANNELS: RingKind<ChannelChoice, string> = {
  view: View.VMBUS,
  context: Context.HAS_VMBUS,
  page: vmbusPage,
  async hasAny(session) {
    const { partitions }: VmbusBody = await session.customRequest(REQUEST);
    return partitions.some(({ bus }) => bus.channels.length > 0);
  },
  async look(session, choice, unfold, moving): Promise<ChannelsMessage> {
    const { partitions }: VmbusBody = await session.customRequest(REQUEST);
    const chosen = chosenChannel(partitions, choice) ? choice : firstChoice(partitions);
    const answer: VmbusBody = chosen ? await session.customRequest(REQUEST, { ...chosen, unfold }) : { partitions };
    return { kind: 'channels', moving, partitions: answer.partitions, chosen, channel: answer.channel };
  },
};

/** The view of VMBus channels: the rings of one channel with their packets. */
export function registerVmbusView(context: vscode.ExtensionContext, activity: GuestActivity): vscode.Disposable {
  const view = new RingView(CHANNELS, context, activity);
  return vscode.Disposable.from(
    view.register(),
    vscode.commands.registerCommand(Command.SHOW_CHANNEL, (row?: PartitionRow) => view.show(row && channelOfRow(row.id))),
  );
}
