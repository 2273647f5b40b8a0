import * as vscode from 'vscode';
import type { VirtqueuesBody } from '../../adapter/requests/virtqueues.ts';
import { chosenDevice, firstChoice, type QueueChoice, type QueuesMessage } from '../../webview/virtqueues/messages.ts';
import { Command, Context, View } from '../names.ts';
import type { GuestActivity } from './guest-activity.ts';
import { type PartitionRow, queueOfRow } from './partition-rows.ts';
import { type RingKind, RingView } from './ring-view.ts';
import { virtqueuesPage } from './virtqueues-page.ts';

const REQUEST = 'hyperscope/virtqueues';

const QUEUES: RingKind<QueueChoice, number> = {
  view: View.VIRTQUEUES,
  context: Context.HAS_VIRTQUEUES,
  page: virtqueuesPage,
  async hasAny(session) {
    const { partitions }: VirtqueuesBody = await session.customRequest(REQUEST);
    return partitions.some(({ devices }) => devices.length > 0);
  },
  async look(session, choice, unfold, moving): Promise<QueuesMessage> {
    const { partitions }: VirtqueuesBody = await session.customRequest(REQUEST);
    const chosen = chosenDevice(partitions, choice) ? choice : firstChoice(partitions);
    const answer: VirtqueuesBody = chosen ? await session.customRequest(REQUEST, { ...chosen, unfold }) : { partitions };
    return { kind: 'queues', moving, partitions: answer.partitions, chosen, queue: answer.queue };
  },
};

/** The view of virtqueues: the rings of one queue as tables. */
export function registerVirtqueuesView(context: vscode.ExtensionContext, activity: GuestActivity): vscode.Disposable {
  const view = new RingView(QUEUES, context, activity);
  return vscode.Disposable.from(
    view.register(),
    vscode.commands.registerCommand(Command.SHOW_VIRTQUEUE, (row?: PartitionRow) => view.show(row && queueOfRow(row.id))),
  );
}
