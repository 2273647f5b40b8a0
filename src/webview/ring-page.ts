import { type Part, patch } from './parts.ts';

/** A message with the rings that there are and the chosen one. */
interface RingsMessage {
  readonly kind: string;
  /** Guests run: what is shown may have changed already. */
  readonly moving: boolean;
}
interface ProblemMessage {
  readonly kind: 'problem';
  readonly text: string;
}

/** The editor, as a page in one of its views sees it. */
declare function acquireVsCodeApi(): {
  postMessage(message: object): void;
  getState(): unknown;
  setState(state: unknown): void;
};

/** What sort of rings a page shows. */
export interface RingPageKind<Message extends RingsMessage> {
  /** Id of the list of rings on the page. */
  readonly list: string;
  /** The rings that there are, each with its choice as JSON, and the chosen one; undefined where the chosen one isn't among them. */
  options(message: Message): { readonly all: readonly RingOption[]; readonly chosen: string | undefined };
  /** What is drawn of the chosen ring; `unfolded`: keys of the entries whose bytes are to be seen. */
  parts(message: Message, unfolded: ReadonlySet<string>): readonly Part[];
  /** A key as the extension knows it. */
  key(key: string): string | number;
}

export interface RingOption {
  readonly value: string;
  readonly text: string;
}

/** A page that shows one ring of many: draws what the extension sends, and sends what the user does. */
export class RingPage<Message extends RingsMessage> {
  private readonly editor = acquireVsCodeApi();
  private readonly content = element('content');
  private readonly moving = element('moving');
  private readonly choices: HTMLSelectElement;
  private readonly unfolded = new Set<string>();
  private shown: Part = { tag: 'main' };
  private message: Message | undefined;
  /** The list of rings as text: it is left alone while nothing is new, since it may be open. */
  private listed = '';

  constructor(private readonly kind: RingPageKind<Message>) {
    const select = element(kind.list);
    if (!(select instanceof HTMLSelectElement)) throw new Error(`the page has no list of ${kind.list}`);
    this.choices = select;
    window.addEventListener('message', ({ data }: MessageEvent<Message | ProblemMessage>) => this.take(data));
    select.addEventListener('change', () => this.choose());
    this.content.addEventListener('click', (event) => this.clicked(event));
    this.restore();
    this.editor.postMessage({ kind: 'ready' });
  }

  /** What was unfolded before the page was hidden. */
  private restore(): void {
    const state = this.editor.getState();
    if (!Array.isArray(state)) return;
    for (const key of state) if (typeof key === 'string') this.unfolded.add(key);
    this.tellUnfolded();
  }

  private tellUnfolded(): void {
    const keys = [...this.unfolded];
    this.editor.setState(keys);
    this.editor.postMessage({ kind: 'unfold', keys: keys.map((key) => this.kind.key(key)) });
  }

  private take(message: Message | ProblemMessage): void {
    if (isProblem(message)) {
      this.draw([{ tag: 'p', attributes: { class: 'problem' }, text: message.text }]);
      return;
    }
    this.message = message;
    this.moving.hidden = !message.moving;
    this.list(message);
    this.draw(this.kind.parts(message, this.unfolded));
  }

  private list(message: Message): void {
    const { all, chosen } = this.kind.options(message);
    const text = JSON.stringify([all, chosen]);
    this.choices.hidden = all.length === 0;
    if (text === this.listed || chosen === undefined) return;
    this.listed = text;
    this.choices.replaceChildren(...all.map(({ text: name, value }) => new Option(name, value, false, value === chosen)));
  }

  private draw(children: readonly Part[]): void {
    const after: Part = { tag: 'main', children };
    patch(this.content, this.shown, after);
    this.shown = after;
  }

  private choose(): void {
    this.unfolded.clear();
    this.tellUnfolded();
    this.editor.postMessage({ kind: 'choose', choice: JSON.parse(this.choices.value) });
  }

  private clicked({ target }: MouseEvent): void {
    const button = target instanceof Element ? target.closest<HTMLElement>('[data-memory], [data-unfold]') : null;
    const { memory, unfold } = button?.dataset ?? {};
    if (memory !== undefined) this.editor.postMessage({ kind: 'showMemory', memoryReference: memory });
    if (unfold === undefined) return;
    if (!this.unfolded.delete(unfold)) this.unfolded.add(unfold);
    this.tellUnfolded();
    if (this.message) this.draw(this.kind.parts(this.message, this.unfolded));
  }
}

function isProblem(message: RingsMessage | ProblemMessage): message is ProblemMessage {
  return message.kind === 'problem';
}

function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no ${id}`);
  return found;
}
