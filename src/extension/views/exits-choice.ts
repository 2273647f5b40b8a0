import { FACETS, facetByName } from '../../hypervisor/journal/exit-facets.ts';
import { filterFields, whyNoFilter } from '../../hypervisor/journal/exit-filter.ts';
import { USUAL_CHOICE } from '../../webview/exits-table/columns.ts';
import type { Field, Sort, TableChoice } from '../../webview/exits-table/messages.ts';

/** The fields that a filter has, those first that exits are grouped by. */
export function exitFields(): readonly Field[] {
  return filterFields().map(({ name, words }) => {
    const facet = facetByName(name);
    return { name, description: facet?.description ?? `text of the ${name}`, groups: facet !== undefined, words };
  });
}

/** A choice that was kept from an earlier window: what is none any more is as usual. */
export function keptChoice(kept: unknown): TableChoice {
  if (typeof kept !== 'object' || kept === null) return USUAL_CHOICE;
  const { by, filter, recordSort, groupSort, widths }: Partial<Record<keyof TableChoice, unknown>> = kept;
  return {
    by: typeof by === 'string' && facetByName(by) ? by : USUAL_CHOICE.by,
    filter: typeof filter === 'string' && whyNoFilter(filter) === undefined ? filter : USUAL_CHOICE.filter,
    recordSort: isSort(recordSort) ? recordSort : USUAL_CHOICE.recordSort,
    groupSort: isSort(groupSort) ? groupSort : USUAL_CHOICE.groupSort,
    widths: Object.fromEntries(
      Object.entries(typeof widths === 'object' && widths !== null ? widths : {}).filter(([, width]) => Number.isFinite(width)),
    ),
  };
}

function isSort(sort: unknown): sort is Sort {
  if (typeof sort !== 'object' || sort === null) return false;
  return 'column' in sort && typeof sort.column === 'string' && 'descending' in sort && typeof sort.descending === 'boolean';
}

/** A filter with one more term: exits with one value of a field. */
export function narrowedFilter(filter: string, field: string, value: string): string {
  return `${filter} ${field}="${value}"`.trim();
}

/** Facets for lists of what to group by. */
export const GROUPINGS = [{ name: '', description: 'one row an exit, in the order in which they happened' }, ...FACETS];
