import { create } from '../parts.ts';
import type { Field } from './messages.ts';
import { type Suggestions, suggestions } from './suggestions.ts';

/** The input for the filter, with what could stand next below it. */
export class FilterBox {
  private readonly input: HTMLInputElement;
  private readonly list: HTMLElement;
  private readonly clearButton: HTMLElement;
  private readonly problem: HTMLElement;
  private shown: Suggestions | undefined;
  private active = -1;
  fields: readonly Field[] = [];

  /** `changed`: told of every text while it is typed. */
  constructor(
    container: HTMLElement,
    private readonly changed: (text: string) => void,
  ) {
    const parts = {
      input: create({
        tag: 'input',
        attributes: {
          type: 'text',
          role: 'combobox',
          'aria-label': 'Filter of VM exits',
          'aria-autocomplete': 'list',
          'aria-expanded': 'false',
          'aria-controls': 'suggestions',
          placeholder: 'Filter: reason=io,mmio  port=0x3f8  !to=device  rip=0x1000..0x1fff  request~text',
          spellcheck: 'false',
          autocomplete: 'off',
        },
      }),
      clear: create({ tag: 'button', attributes: { type: 'button', class: 'clear', title: 'Show All VM Exits' }, text: '×' }),
      list: create({
        tag: 'div',
        attributes: { id: 'suggestions', role: 'listbox', 'aria-label': 'Fields', class: 'suggestions' },
      }),
      problem: create({ tag: 'div', attributes: { id: 'problem', role: 'alert', class: 'problem' } }),
    };
    const { input, clear, list, problem } = parts;
    if (!(input instanceof HTMLInputElement && clear instanceof HTMLElement)) throw new Error('the filter has no input');
    if (!(list instanceof HTMLElement && problem instanceof HTMLElement)) throw new Error('the filter has no list');
    [this.input, this.clearButton, this.list, this.problem] = [input, clear, list, problem];
    container.append(input, clear, problem, list);
    input.addEventListener('input', () => this.typed());
    input.addEventListener('keydown', (event) => this.pressed(event));
    input.addEventListener('blur', () => this.suggest(undefined));
    clear.addEventListener('click', () => this.set('', true));
    // The input keeps the focus.
    list.addEventListener('mousedown', (event) => {
      event.preventDefault();
      const item = event.target instanceof Element ? event.target.closest<HTMLElement>('[data-item]') : null;
      if (item) this.accept(Number(item.dataset.item));
    });
    this.setText('');
  }

  focus(): void {
    this.input.focus();
    this.input.select();
  }

  /** Shows the filter that holds; what is being typed stays: it may be ahead of what holds. */
  show(text: string): void {
    const isTyping = document.hasFocus() && document.activeElement === this.input;
    if (isTyping || text === this.input.value.trim()) return;
    this.setText(text);
    this.complain(undefined);
  }

  /** Says what is wrong with the text; undefined for nothing. */
  complain(text: string | undefined): void {
    this.problem.textContent = text ?? '';
    this.input.setAttribute('aria-invalid', String(text !== undefined));
    if (text === undefined) this.input.removeAttribute('aria-describedby');
    else this.input.setAttribute('aria-describedby', 'problem');
  }

  private setText(text: string): void {
    this.input.value = text;
    this.clearButton.hidden = text === '';
  }

  private set(text: string, focus: boolean): void {
    this.setText(text);
    if (focus) this.input.focus();
    this.suggest(undefined);
    this.changed(text);
  }

  private typed(): void {
    this.clearButton.hidden = this.input.value === '';
    this.changed(this.input.value);
    this.suggestHere();
    // Nothing begun: a list of all fields would only be in the way.
    const { from = 0, to = 0 } = this.shown ?? {};
    if (from === to && !/[=,]$/.test(this.input.value.slice(0, from))) this.suggest(undefined);
  }

  private suggestHere(): void {
    const { value, selectionStart } = this.input;
    this.suggest(suggestions(value, selectionStart ?? value.length, this.fields));
  }

  private pressed(event: KeyboardEvent): void {
    const { key, ctrlKey } = event;
    const count = this.shown?.items.length ?? 0;
    if (ctrlKey && key === ' ') this.suggestHere();
    else if (key === 'ArrowDown' && count === 0) this.suggestHere();
    else if (key === 'ArrowDown') this.activate((this.active + 1) % count);
    else if (key === 'ArrowUp' && count > 0) this.activate((this.active <= 0 ? count : this.active) - 1);
    else if ((key === 'Enter' || key === 'Tab') && this.active >= 0) this.accept(this.active);
    else if (key === 'Enter') this.suggest(undefined);
    else if (key === 'Escape' && count > 0) this.suggest(undefined);
    else if (key === 'Escape') this.set('', true);
    else return;
    event.preventDefault();
  }

  private accept(index: number): void {
    const item = this.shown?.items[index];
    if (!this.shown || !item) return;
    const { value } = this.input;
    const caret = this.shown.from + item.text.length;
    this.setText(value.slice(0, this.shown.from) + item.text + value.slice(this.shown.to));
    this.input.setSelectionRange(caret, caret);
    this.typed();
  }

  private activate(index: number): void {
    this.active = index;
    for (const [at, item] of [...this.list.children].entries()) {
      item.setAttribute('aria-selected', String(at === index));
      if (at === index) item.scrollIntoView({ block: 'nearest' });
    }
    if (index < 0) this.input.removeAttribute('aria-activedescendant');
    else this.input.setAttribute('aria-activedescendant', `suggestion-${index}`);
  }

  private suggest(shown: Suggestions | undefined): void {
    this.shown = shown && shown.items.length > 0 ? shown : undefined;
    const items = this.shown?.items ?? [];
    this.list.replaceChildren(
      ...items.map(({ text, description }, index) =>
        create({
          tag: 'div',
          attributes: { id: `suggestion-${index}`, role: 'option', 'aria-selected': 'false', 'data-item': String(index) },
          children: [
            { tag: 'span', text },
            { tag: 'span', attributes: { class: 'dim' }, text: description },
          ],
        }),
      ),
    );
    this.list.hidden = items.length === 0;
    this.input.setAttribute('aria-expanded', String(items.length > 0));
    this.activate(-1);
  }
}
