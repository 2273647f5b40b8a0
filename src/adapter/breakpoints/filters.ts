import { filterById } from '../../debugger/breakpoints/exit-filters.ts';
import { listOf, optionalText, type Parameters } from '../requests/handler.ts';
import { answer, type GiveBreakpoints, itemOf, problemOf } from './breakpoint-book.ts';

/** The exit filters that a client wants, those without a condition first, as items of a group. */
export function filterItems(parameters: Parameters): readonly Parameters[] {
  const plain = Array.isArray(parameters.filters) ? parameters.filters.filter((id): id is string => typeof id === 'string') : [];
  return [...plain.map((filterId) => ({ filterId })), ...listOf(parameters, 'filterOptions')];
}

/** VM exit filters, which the protocol has as exception breakpoints. */
export const exitFilterBreakpoints: GiveBreakpoints = ({ session }, asked) => {
  const filters = new Map<string, string | undefined>();
  const answers = asked.map((one) => {
    const id = optionalText(one.item, 'filterId') ?? '';
    if (!filterById(id)) return answer(one, `There is no exit filter "${id}".`);
    const problem = problemOf(one);
    if (problem === undefined) filters.set(id, optionalText(itemOf(one), 'condition'));
    return answer(one, problem);
  });
  session.setFilters(filters);
  return answers;
};
