import type { WalkResult } from '../../processor/processor.ts';
import { hex } from '../../x86/address.ts';
import type { AddressMap, MappedRange } from './address-map.ts';
import { sizeText } from './translation.ts';

/** `writable, supervisor, no-execute`. */
export function rightsText({ writable, user, executable }: Pick<WalkResult, 'writable' | 'user' | 'executable'>): string {
  return [writable ? 'writable' : 'read-only', user ? 'user' : 'supervisor', executable ? 'executable' : 'no-execute'].join(', ');
}

/** `rwx u`, `r-- s`: the same for columns. */
export function rightsColumn({ writable, user, executable }: Pick<WalkResult, 'writable' | 'user' | 'executable'>): string {
  return `r${writable ? 'w' : '-'}${executable ? 'x' : '-'} ${user ? 'u' : 's'}`;
}

/** A size that need not be a power of two: `4 KiB`, `1.5 GiB`. */
export function rangeSize({ start, last }: Pick<MappedRange, 'start' | 'last'>): string {
  const bytes = last - start + 1n;
  const text = sizeText(bytes);
  if (text.length <= 9) return text;
  for (const unit of [1n << 40n, 1n << 30n, 1n << 20n])
    if (bytes >= unit) return `${(Number((bytes * 10n) / unit) / 10).toFixed(1)} ${sizeText(unit).slice(2)}`;
  return text;
}

/** One line for each range of a map, in columns. */
export function mapLines({ ranges, mode }: AddressMap): string[] {
  const digits = mode === '4-level' ? 16 : 8;
  return ranges.map((range) =>
    [
      `${hex(range.start, digits)}-${hex(range.last, digits)}`,
      rangeSize(range).padStart(9),
      rightsColumn(range),
      (mode === 'off' ? 'paging is off' : range.pageSizes.map(sizeText).join(' and ')).padEnd(5),
      range.gpa === undefined ? '' : `→ gpa ${hex(range.gpa)}`,
    ]
      .join('  ')
      .trimEnd(),
  );
}
