/**
 * What a page shows, as plain data: made by functions that know no browser. Text is set as text and attributes as attributes, so what a
 * guest calls something is never read as HTML.
 */
export interface Part {
  readonly tag: string;
  /** An attribute that is undefined is left out. */
  readonly attributes?: Readonly<Record<string, string | undefined>>;
  /** CSS properties that differ from part to part: sizes and places. */
  readonly style?: Readonly<Record<string, string>>;
  /** In place of children. */
  readonly text?: string;
  readonly children?: readonly Part[];
}

const SVG = 'http://www.w3.org/2000/svg';
const SVG_TAGS: ReadonlySet<string> = new Set(['svg', 'path']);

type Shown = HTMLElement | SVGElement;

/** The element of a part. */
export function create(part: Part): Shown {
  const element = SVG_TAGS.has(part.tag) ? document.createElementNS(SVG, part.tag) : document.createElement(part.tag);
  if (!(element instanceof HTMLElement || element instanceof SVGElement)) throw new Error(`"${part.tag}" is no element to show.`);
  update(element, { tag: part.tag }, part);
  return element;
}

/** Changes an element that shows one part so that it shows another. Returns the element that does: a new one for another tag. */
export function patch(element: Shown, before: Part, after: Part): Shown {
  if (before === after) return element;
  if (before.tag !== after.tag) {
    const replacement = create(after);
    element.replaceWith(replacement);
    return replacement;
  }
  update(element, before, after);
  return element;
}

function update(element: Shown, before: Part, after: Part): void {
  for (const name of Object.keys({ ...before.attributes, ...after.attributes })) {
    const value = after.attributes?.[name];
    if (value === before.attributes?.[name]) continue;
    if (value === undefined) element.removeAttribute(name);
    else element.setAttribute(name, value);
  }
  for (const name of Object.keys({ ...before.style, ...after.style })) {
    const value = after.style?.[name];
    if (value !== before.style?.[name]) element.style.setProperty(name, value ?? '');
  }
  if (after.text !== before.text) element.textContent = after.text ?? '';
  updateChildren(element, before.children ?? [], after.children ?? []);
}

function updateChildren(element: Shown, before: readonly Part[], after: readonly Part[]): void {
  const elements = [...element.children].filter((child): child is Shown => 'style' in child);
  for (const [index, part] of after.entries()) {
    const [shown, old] = [elements[index], before[index]];
    if (shown && old) patch(shown, old, part);
    else element.append(create(part));
  }
  for (const extra of elements.slice(after.length)) extra.remove();
}
