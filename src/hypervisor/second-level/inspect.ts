import type { InspectNode } from '../../devices/inspect.ts';
import { hex } from '../../x86/address.ts';
import type { DirtyLog } from './dirty-log.ts';
import { eptPointer } from './ept.ts';
import { nestedCr3 } from './npt.ts';
import type { Permissions } from './page-word.ts';
import type { SecondLevelMap, SecondLevelRange } from './second-level-map.ts';

/** Ranges that are shown one by one. */
const MOST_RANGES = 200;

/** Second-level translation as a live tree: its root, and RAM in ranges of like pages. */
export function inspectSecondLevel(map: SecondLevelMap, log: DirtyLog): InspectNode {
  const nodes: InspectNode[] = [];
  let more = 0;
  for (const range of map.ranges())
    if (nodes.length < MOST_RANGES) nodes.push(rangeNode(range));
    else more++;
  if (more > 0) nodes.push({ name: `${more} more ranges` });
  const logging = log.method === undefined ? '' : `, dirty log by ${log.method}`;
  return {
    name: 'second level',
    value: hex(map.vendor === 'intel' ? eptPointer(map) : nestedCr3(map)),
    detail: `${map.vendor === 'intel' ? 'EPT pointer' : 'nCR3'}${logging}`,
    children: nodes,
  };
}

function rangeNode({ gpa, size, pageSize, state, permissions, memoryType, withheld }: SecondLevelRange): InspectNode {
  const count = size / BigInt(pageSize);
  const pages = `${count} ${count === 1n ? 'page' : 'pages'} of ${sizeText(pageSize)}`;
  const isPresent = state === 'present';
  return {
    name: `${hex(gpa)}–${hex(gpa + size - 1n)}`,
    value: isPresent ? rightsText(permissions) : state,
    detail: isPresent ? `${pages}, ${memoryType}${withheld ? ', writes withheld by the dirty log' : ''}` : pages,
    memory: { space: 'gpa', address: gpa },
  };
}

function rightsText({ read, write, execute }: Permissions): string {
  return `${read ? 'R' : '-'}${write ? 'W' : '-'}${execute ? 'X' : '-'}`;
}

function sizeText(bytes: number): string {
  if (bytes >= 0x4000_0000) return `${bytes / 0x4000_0000} GiB`;
  return bytes >= 0x10_0000 ? `${bytes / 0x10_0000} MiB` : `${bytes / 0x400} KiB`;
}
