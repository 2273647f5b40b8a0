import { type Part, patch } from '../parts.ts';
import { chosenDevice, type HostMessage, type PageMessage, type QueueChoice, type QueuesMessage } from './messages.ts';
import { queueParts } from './queue-parts.ts';

/** The editor, as a page in one of its views sees it. */
declare function acquireVsCodeApi(): {
  postMessage(message: PageMessage): void;
  getState(): unknown;
  setState(state: unknown): void;
};

/** The page of the Virtqueues view: draws what the extension sends, and sends what the user does. */
class VirtqueuesPage {
  private readonly editor = acquireVsCodeApi();
  private readonly content = element('content');
  private readonly moving = element('moving');
  private readonly choices: HTMLSelectElement;
  private readonly unfolded = new Set<number>();
  private shown: Part = { tag: 'main' };
  private message: QueuesMessage | undefined;
  /** The list of queues as text: it is left alone while nothing is new, since it may be open. */
  private listed = '';

  constructor() {
    const select = element('queues');
    if (!(select instanceof HTMLSelectElement)) throw new Error('the page has no list of queues');
    this.choices = select;
    window.addEventListener('message', ({ data }: MessageEvent<HostMessage>) => this.take(data));
    select.addEventListener('change', () => this.choose());
    this.content.addEventListener('click', (event) => this.clicked(event));
    this.restore();
    this.editor.postMessage({ kind: 'ready' });
  }

  /** What was unfolded before the page was hidden. */
  private restore(): void {
    const state = this.editor.getState();
    if (!Array.isArray(state)) return;
    for (const id of state) if (typeof id === 'number') this.unfolded.add(id);
    this.tellUnfolded();
  }

  private tellUnfolded(): void {
    const ids = [...this.unfolded];
    this.editor.setState(ids);
    this.editor.postMessage({ kind: 'unfold', keys: ids });
  }

  private take(message: HostMessage): void {
    if (message.kind === 'problem') {
      this.draw([{ tag: 'p', attributes: { class: 'problem' }, text: message.text }]);
      return;
    }
    this.message = message;
    this.moving.hidden = !message.moving;
    this.list(message);
    this.draw(queueParts(message, this.unfolded));
  }

  private list({ partitions, chosen }: QueuesMessage): void {
    const options = partitions.flatMap(({ id, name, devices }) =>
      devices.flatMap(({ name: device, needsReset, queues }) =>
        queues.map(({ index, name: queue, isReady, waiting, taken }) => {
          const where = partitions.length > 1 ? `${name}: ` : '';
          const state = isReady ? `${waiting} wait, ${taken} in flight` : 'not ready';
          const choice: QueueChoice = { partition: id, device, queue: index };
          const reset = needsReset === undefined ? '' : ', needs a reset';
          return { value: JSON.stringify(choice), text: `${where}${device} ${index} ${queue} (${state}${reset})` };
        }),
      ),
    );
    const value = JSON.stringify(chosen);
    const text = JSON.stringify([options, value]);
    this.choices.hidden = options.length === 0;
    if (text === this.listed || chosenDevice(partitions, chosen) === undefined) return;
    this.listed = text;
    this.choices.replaceChildren(
      ...options.map((option) => new Option(option.text, option.value, false, option.value === value)),
    );
  }

  private draw(children: readonly Part[]): void {
    const after: Part = { tag: 'main', children };
    patch(this.content, this.shown, after);
    this.shown = after;
  }

  private choose(): void {
    const chosen: unknown = JSON.parse(this.choices.value);
    const isChoice = (one: unknown): one is QueueChoice =>
      typeof one === 'object' && one !== null && 'partition' in one && 'device' in one && 'queue' in one;
    if (!isChoice(chosen)) return;
    this.unfolded.clear();
    this.tellUnfolded();
    this.editor.postMessage({ kind: 'choose', choice: chosen });
  }

  private clicked({ target }: MouseEvent): void {
    const button = target instanceof Element ? target.closest<HTMLElement>('[data-memory], [data-unfold]') : null;
    const { memory, unfold } = button?.dataset ?? {};
    if (memory !== undefined) this.editor.postMessage({ kind: 'showMemory', memoryReference: memory });
    if (unfold === undefined) return;
    const id = Number(unfold);
    if (!this.unfolded.delete(id)) this.unfolded.add(id);
    this.tellUnfolded();
    if (this.message) this.draw(queueParts(this.message, this.unfolded));
  }
}

function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no ${id}`);
  return found;
}

new VirtqueuesPage();
