import { type Part, patch } from '../parts.ts';
import { type Column, columnsOf, columnWidths, NARROWEST, sortedBy } from './columns.ts';
import { FilterBox } from './filter-box.ts';
import { contextOf, headParts, linePart } from './line-parts.ts';
import { ACTIONS, type Action, type HostMessage, type PageMessage } from './messages.ts';
import { type Line, type Move, number, referenceOf, TableModel } from './table-model.ts';
import { isAtEdge, ROW_HEIGHT, rowsInSight, rowsOfPage, scrolledTo } from './visible-rows.ts';

/** The editor, as a page in one of its views sees it. */
declare function acquireVsCodeApi(): {
  postMessage(message: PageMessage): void;
  getState(): unknown;
  setState(state: unknown): void;
};

const MOVES: Readonly<Record<string, Move>> = {
  ArrowUp: 'up',
  ArrowDown: 'down',
  PageUp: 'pageUp',
  PageDown: 'pageDown',
  Home: 'first',
  End: 'last',
};

/** The page of the VM Exits view: takes what the extension sends, draws the rows in sight, and sends what the user does. */
class ExitsTablePage {
  private readonly editor = acquireVsCodeApi();
  private readonly model = new TableModel();
  private readonly filter: FilterBox;
  private readonly grid = element('grid');
  private readonly head = element('head');
  private readonly headRow = element('head-row');
  private readonly body = element('body');
  private readonly rows = element('rows');
  private readonly empty = element('empty');
  private readonly countText = element('count');
  private readonly follow = element('follow');
  private readonly groupBy: HTMLSelectElement;
  private headPart: Part = { tag: 'div' };
  private rowsPart: Part = { tag: 'div' };
  private willDraw = false;
  /** Key of the row that the pointer went down on: it may be another one when it goes up. */
  private pressed: string | undefined;
  private columns: readonly Column[] = [];

  constructor() {
    const select = element('group-by');
    if (!(select instanceof HTMLSelectElement)) throw new Error('the page has no list of fields');
    this.groupBy = select;
    this.filter = new FilterBox(element('filter'), (text) => this.tell({ kind: 'filter', text }));
    this.listen();
    this.restore();
    this.tell({ kind: 'ready' });
  }

  private tell(message: PageMessage): void {
    this.editor.postMessage(message);
  }

  /** What was unfolded before the page was hidden. */
  private restore(): void {
    const state = this.editor.getState();
    const unfolded = typeof state === 'object' && state !== null && 'unfolded' in state ? state.unfolded : undefined;
    if (!Array.isArray(unfolded)) return;
    for (const value of unfolded) if (typeof value === 'string') this.model.unfolded.add(value);
    this.tellUnfolded();
  }

  private tellUnfolded(): void {
    const values = [...this.model.unfolded];
    this.editor.setState({ unfolded: values });
    this.tell({ kind: 'unfold', values });
  }

  private listen(): void {
    window.addEventListener('message', ({ data }: MessageEvent<HostMessage>) => this.take(data));
    new ResizeObserver(() => this.drawSoon()).observe(this.body);
    this.body.addEventListener('scroll', () => this.scrolled());
    for (const [event, focused] of [
      ['focus', true],
      ['blur', false],
    ] as const)
      this.grid.addEventListener(event, () => this.tell({ kind: 'focus', focused }));
    this.grid.addEventListener('keydown', (event) => this.keyDown(event));
    this.rows.addEventListener('pointerdown', (event) => this.pointerDown(event));
    this.rows.addEventListener('click', (event) => this.clicked(event));
    this.head.addEventListener('click', (event) => this.sort(event));
    this.head.addEventListener('keydown', (event) => this.headKeyDown(event));
    this.head.addEventListener('pointerdown', (event) => this.resize(event));
    this.head.addEventListener('dblclick', (event) => this.resetWidth(event));
    this.follow.addEventListener('click', () => this.setFollowing(true));
    this.groupBy.addEventListener('change', () => this.tell({ kind: 'choose', choice: { by: this.groupBy.value } }));
    document.addEventListener('copy', (event) => this.copy(event));
  }

  private take(message: HostMessage): void {
    const { model } = this;
    if (message.kind === 'focusFilter') this.filter.focus();
    if (message.kind === 'filterProblem') this.filter.complain(message.text);
    const wasFollowing = model.following;
    model.take(message);
    if (message.kind === 'choice') {
      this.filter.fields = model.fields;
      this.filter.show(model.choice.filter);
      this.showFields();
    }
    if (model.following !== wasFollowing) this.tell({ kind: 'follow', follow: model.following });
    this.drawSoon();
  }

  private showFields(): void {
    const { fields, choice } = this.model;
    const names = ['', ...fields.filter(({ groups }) => groups).map(({ name }) => name)];
    this.groupBy.replaceChildren(
      ...names.map((name) => new Option(name === '' ? 'nothing' : name, name, false, name === choice.by)),
    );
  }

  // --- drawing ---------------------------------------------------------------------------------------------------------

  private drawSoon(): void {
    if (this.willDraw) return;
    this.willDraw = true;
    requestAnimationFrame(() => {
      this.willDraw = false;
      this.draw();
    });
  }

  private draw(): void {
    const { model, body } = this;
    const { choice, lines } = model;
    this.columns = columnsOf(choice, model.severalPartitions);
    const { template, least } = columnWidths(this.columns, choice.widths);
    this.grid.style.setProperty('--columns', template);
    this.grid.style.setProperty('--least', `${least}px`);
    this.grid.setAttribute('role', model.isGrouped ? 'treegrid' : 'grid');
    this.grid.setAttribute('aria-rowcount', String(lines.length + 1));
    this.headPart = this.show(this.headRow, this.headPart, headParts(this.columns, choice));
    // The head has no scrollbar, and is as wide as what has one.
    this.head.style.setProperty('padding-right', `${body.offsetWidth - body.clientWidth}px`);
    this.rows.style.setProperty('height', `${lines.length * ROW_HEIGHT}px`);
    if (model.following && !model.isGrouped) body.scrollTop = model.newestFirst ? 0 : body.scrollHeight;
    this.drawRows();
    this.showSelection();
    this.empty.textContent = model.emptyText ?? '';
    this.countText.textContent = model.countText;
    this.follow.hidden = model.following || model.isGrouped;
    const newer = model.newer > 0 ? ` (${number(model.newer)} newer)` : '';
    this.follow.textContent = `Follow${newer}`;
  }

  private drawRows(): void {
    const { lines, selected } = this.model;
    const { first, end } = rowsInSight(this.body.scrollTop, this.body.clientHeight, lines.length);
    const parts = lines
      .slice(first, end)
      .map((line, index) => linePart(line, first + index, this.columns, line.key === selected));
    this.rowsPart = this.show(this.rows, this.rowsPart, parts);
  }

  /** Has an element show some parts where it showed others. */
  private show(target: HTMLElement, before: Part, children: readonly Part[]): Part {
    const after: Part = { tag: before.tag, children };
    patch(target, before, after);
    return after;
  }

  private showSelection(): void {
    const { selectedIndex, selectedLine } = this.model;
    const isDrawn = document.getElementById(`line-${selectedIndex}`) !== null;
    if (isDrawn) this.grid.setAttribute('aria-activedescendant', `line-${selectedIndex}`);
    else this.grid.removeAttribute('aria-activedescendant');
    // A context menu that the keyboard opens is about the selected row.
    if (selectedLine) this.grid.dataset.vscodeContext = contextOf(selectedLine);
    else delete this.grid.dataset.vscodeContext;
  }

  private scrolled(): void {
    const { body, model } = this;
    this.head.scrollLeft = body.scrollLeft;
    if (!model.isGrouped) {
      const atEdge = isAtEdge(model.newestFirst, body.scrollTop, body.clientHeight, body.scrollHeight);
      // What was selected in a guest that runs stays in sight.
      const isHeld = model.moving && model.selected !== undefined;
      if (atEdge !== model.following && !(atEdge && isHeld)) this.setFollowing(atEdge);
    }
    this.drawRows();
    this.showSelection();
  }

  private setFollowing(following: boolean): void {
    this.model.following = following;
    if (following && this.model.moving) this.model.select(undefined);
    this.model.following = following;
    this.tell({ kind: 'follow', follow: following });
    this.drawSoon();
  }

  // --- rows ------------------------------------------------------------------------------------------------------------

  private select(key: string | undefined, scroll: boolean): void {
    const { model, body } = this;
    const wasFollowing = model.following;
    model.select(key);
    this.selectionChanged(wasFollowing);
    if (scroll && model.selectedIndex >= 0) body.scrollTop = scrolledTo(model.selectedIndex, body.scrollTop, body.clientHeight);
  }

  private selectionChanged(wasFollowing: boolean): void {
    const { selectedLine, following } = this.model;
    if (following !== wasFollowing) this.tell({ kind: 'follow', follow: following });
    this.tell({ kind: 'select', row: selectedLine && referenceOf(selectedLine) });
    this.drawSoon();
  }

  private act(action: Action, line: Line | undefined = this.model.selectedLine): void {
    if (line) this.tell({ kind: 'act', action, row: referenceOf(line) });
  }

  private fold(line: Line, unfolded: boolean): void {
    if (line.kind === 'group' && this.model.setUnfolded(line.row.value, unfolded)) this.tellUnfolded();
    this.drawSoon();
  }

  private keyDown(event: KeyboardEvent): void {
    const { model, body } = this;
    const { key, ctrlKey, metaKey, altKey, shiftKey } = event;
    // Keys with others held down are the editor's: it has them as keybindings.
    if (event.target !== this.grid || ctrlKey || metaKey || altKey || shiftKey) return;
    const move = MOVES[key];
    const wasFollowing = model.following;
    const line = model.selectedLine;
    if (move) model.move(move, rowsOfPage(body.clientHeight));
    else if (key === 'ArrowLeft' && model.foldOrLeave()) this.tellUnfolded();
    else if (key === 'ArrowRight' && model.unfoldOrEnter()) this.tellUnfolded();
    else if (key === 'Enter' && line?.kind === 'group') this.fold(line, !line.isUnfolded);
    else if (key === 'Enter') this.act('goToInstruction');
    else if (key !== 'ArrowLeft' && key !== 'ArrowRight') return;
    event.preventDefault();
    const index = model.selectedIndex;
    if (index >= 0) body.scrollTop = scrolledTo(index, body.scrollTop, body.clientHeight);
    this.selectionChanged(wasFollowing);
  }

  private lineAt({ target }: Event): Line | undefined {
    const row = target instanceof Element ? target.closest<HTMLElement>('[data-key]') : null;
    return row ? this.model.lines.find(({ key }) => key === row.dataset.key) : undefined;
  }

  private pointerDown(event: PointerEvent): void {
    const line = this.lineAt(event);
    this.pressed = line?.key;
    if (!line) return;
    this.select(line.key, false);
    // A press on the row or a button of it leaves the focus where the arrow keys work.
    event.preventDefault();
    this.grid.focus({ preventScroll: true });
  }

  private clicked(event: MouseEvent): void {
    const line = this.lineAt(event);
    if (!line || line.key !== this.pressed || !(event.target instanceof Element)) return;
    const button = event.target.closest<HTMLElement>('[data-action]');
    const action = ACTIONS.find((one) => one === button?.dataset.action);
    if (action) this.act(action, line);
    else if (line.kind === 'group') this.fold(line, !line.isUnfolded);
    else this.act('goToInstruction', line);
  }

  private copy(event: ClipboardEvent): void {
    const { selectedLine } = this.model;
    if (document.activeElement !== this.grid || !selectedLine || !event.clipboardData) return;
    event.preventDefault();
    event.clipboardData.setData('text/plain', selectedLine.row.details);
  }

  // --- columns ---------------------------------------------------------------------------------------------------------

  private columnOf({ target }: Event, attribute: 'sort' | 'resize'): Column | undefined {
    const found = target instanceof Element ? target.closest<HTMLElement>(`[data-${attribute}]`) : null;
    return this.columns.find(({ id }) => id === found?.dataset[attribute]);
  }

  private sort(event: MouseEvent): void {
    const column = this.columnOf(event, 'sort');
    if (column) this.tell({ kind: 'choose', choice: sortedBy(this.model.choice, column) });
  }

  private headKeyDown(event: KeyboardEvent): void {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === 'ArrowDown') this.grid.focus();
    else if (step !== undefined) {
      const buttons = [...this.head.querySelectorAll<HTMLElement>('[data-sort]')];
      const now = buttons.findIndex((button) => button.matches(':focus'));
      buttons[Math.max(0, Math.min(now + step, buttons.length - 1))]?.focus();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  private resize(event: PointerEvent): void {
    const column = this.columnOf(event, 'resize');
    const cell = event.target instanceof Element ? event.target.closest('.cell') : null;
    if (!column || !cell) return;
    event.preventDefault();
    const { width } = cell.getBoundingClientRect();
    const from = event.clientX;
    const drag = ({ clientX }: PointerEvent) => this.setWidth(column, width + clientX - from);
    const end = () => {
      window.removeEventListener('pointermove', drag);
      this.tell({ kind: 'choose', choice: { widths: this.model.choice.widths } });
    };
    window.addEventListener('pointermove', drag);
    window.addEventListener('pointerup', end, { once: true });
  }

  private setWidth({ id }: Column, width: number): void {
    const { choice } = this.model;
    this.model.choice = { ...choice, widths: { ...choice.widths, [id]: Math.max(NARROWEST, Math.round(width)) } };
    this.drawSoon();
  }

  private resetWidth(event: MouseEvent): void {
    const column = this.columnOf(event, 'resize');
    if (!column) return;
    const { [column.id]: _, ...widths } = this.model.choice.widths;
    this.tell({ kind: 'choose', choice: { widths } });
  }
}

function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no ${id}`);
  return found;
}

new ExitsTablePage();
