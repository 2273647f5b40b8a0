import { canvasPixels, darkText, type HostMessage, type PageMessage, type ScreenMessage, shownScreen } from './messages.ts';

/** The editor, as a page in one of its views sees it. */
declare function acquireVsCodeApi(): { postMessage(message: PageMessage): void };

/** The page of the Screen view: draws what is on a guest's screen. */
class ScreenPage {
  private readonly editor = acquireVsCodeApi();
  private readonly moving = element('moving', HTMLElement);
  private readonly note = element('note', HTMLElement);
  private readonly choices = element('screens', HTMLSelectElement);
  private readonly canvas = element('screen', HTMLCanvasElement);
  /** The list of screens as text: it is left alone while nothing is new, since it may be open. */
  private listed = '';

  constructor() {
    window.addEventListener('message', ({ data }: MessageEvent<HostMessage>) => this.take(data));
    this.choices.addEventListener('change', () =>
      this.editor.postMessage({ kind: 'choose', partition: Number(this.choices.value) }),
    );
    this.editor.postMessage({ kind: 'ready' });
  }

  private take(message: HostMessage): void {
    if (message.kind === 'problem') {
      this.say(message.text);
      return;
    }
    const { screens, chosen, picture, moving } = message;
    this.moving.hidden = !moving;
    this.list(message);
    if (picture) this.draw(picture);
    this.say(darkText(screens, chosen));
  }

  private list({ screens, chosen }: ScreenMessage): void {
    this.choices.hidden = screens.length < 2;
    const shown = shownScreen(screens, chosen)?.partition;
    const text = JSON.stringify([screens, shown]);
    if (text === this.listed) return;
    this.listed = text;
    this.choices.replaceChildren(
      ...screens.map(({ partition, name }) => new Option(name, String(partition), false, partition === shown)),
    );
  }

  private draw({ width, height, pixels }: NonNullable<ScreenMessage['picture']>): void {
    this.canvas.width = width;
    this.canvas.height = height;
    this.canvas.setAttribute('aria-label', `The guest's screen, ${width} × ${height}`);
    this.canvas.getContext('2d')?.putImageData(new ImageData(canvasPixels(pixels, width, height), width, height), 0, 0);
  }

  /** Says something in the place of the picture; shows the picture when there is nothing to say. */
  private say(text: string | undefined): void {
    this.note.textContent = text ?? '';
    this.note.hidden = text === undefined;
    this.canvas.hidden = text !== undefined;
  }
}

function element<Kind extends HTMLElement>(id: string, kind: new () => Kind): Kind {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${id}`);
  return found;
}

new ScreenPage();
