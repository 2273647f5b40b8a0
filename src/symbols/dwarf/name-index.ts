import { At, Tag } from './constants.ts';
import type { DebugInfo } from './debug-info.ts';
import type { Die } from './die.ts';
import type { Unit } from './unit.ts';

export type NameKind = 'function' | 'variable' | 'type' | 'enumerator';

interface Entry {
  readonly unit: Unit;
  readonly offset: number;
  readonly tag: number;
  readonly kind: NameKind;
  readonly isDeclaration: boolean;
}

const KINDS: Readonly<Record<number, NameKind>> = {
  [Tag.SUBPROGRAM]: 'function',
  [Tag.VARIABLE]: 'variable',
  [Tag.BASE_TYPE]: 'type',
  [Tag.TYPEDEF]: 'type',
  [Tag.STRUCTURE_TYPE]: 'type',
  [Tag.CLASS_TYPE]: 'type',
  [Tag.UNION_TYPE]: 'type',
  [Tag.ENUMERATION_TYPE]: 'type',
  [Tag.ENUMERATOR]: 'enumerator',
};
const SCOPES: readonly number[] = [Tag.NAMESPACE, Tag.MODULE, Tag.ENUMERATION_TYPE];
const CLASSES: readonly number[] = [Tag.STRUCTURE_TYPE, Tag.CLASS_TYPE, Tag.UNION_TYPE];
/** Units beyond this many don't keep their entries once their names are known. */
const MAX_KEPT_UNITS = 64;
const MAX_SCOPES = 32;

/** Names of the outermost scope of units (namespaces included), each unit read when it is first asked. */
export class NameIndex {
  private readonly perUnit = new Map<Unit, ReadonlyMap<string, readonly Entry[]>>();
  private readonly names = new Set<string>();
  private isComplete = false;

  constructor(private readonly info: DebugInfo) {}

  /** Entries of a name in one unit. */
  inUnit(unit: Unit, name: string, kind: NameKind): Die[] {
    const entries = this.namesOf(unit).get(name) ?? [];
    return this.dies(entries, kind);
  }

  /** Entries of a name in all units, definitions before declarations. */
  everywhere(name: string, kind: NameKind): Die[] {
    this.readAll();
    if (!this.names.has(name)) return [];
    const entries = this.info.units.flatMap((unit) => this.namesOf(unit).get(name) ?? []);
    return this.dies(entries, kind);
  }

  functionNames(): string[] {
    this.readAll();
    const found = new Set<string>();
    for (const names of this.perUnit.values())
      for (const [name, entries] of names) if (entries.some(({ kind }) => kind === 'function')) found.add(name);
    return [...found];
  }

  private readAll(): void {
    if (this.isComplete) return;
    for (const unit of this.info.units) for (const name of this.namesOf(unit).keys()) this.names.add(name);
    this.isComplete = true;
  }

  private dies(entries: readonly Entry[], kind: NameKind): Die[] {
    const found: Die[] = [];
    const own = entries.filter((entry) => entry.kind === kind);
    for (const wanted of [false, true])
      for (const { unit, offset, isDeclaration } of own) {
        const die = isDeclaration === wanted ? unit.guard(undefined, () => unit.dieAt(offset)) : undefined;
        if (die) found.push(die);
      }
    return found;
  }

  private namesOf(unit: Unit): ReadonlyMap<string, readonly Entry[]> {
    let names = this.perUnit.get(unit);
    if (!names) {
      const made = new Map<string, Entry[]>();
      unit.guard(undefined, () => this.collect(unit, made));
      names = made;
      this.perUnit.set(unit, names);
      if (this.info.units.length > MAX_KEPT_UNITS) unit.forgetEntries();
    }
    return names;
  }

  private collect(unit: Unit, names: Map<string, Entry[]>): void {
    const isC = unit.language === 'c';
    const add = (name: string, die: Die, kind: NameKind) => {
      const list = names.get(name);
      const entry = { unit, offset: die.offset, tag: die.tag, kind, isDeclaration: die.flag(At.DECLARATION) };
      if (!list) names.set(name, [entry]);
      else if (!list.some(({ offset }) => offset === die.offset)) list.push(entry);
    };
    const visit = (from: number, to: number, scope: string, depth: number): void => {
      for (let index = from; index < to; index = unit.endIndex(index)) {
        const tag = unit.tagAtIndex(index);
        const kind = KINDS[tag];
        const isScope = SCOPES.includes(tag) || (!isC && CLASSES.includes(tag));
        if (!kind && !isScope) continue;
        const die = unit.dieAtIndex(index);
        if (!die) continue;
        const name = unit.guard(undefined, () => die.name);
        // A definition outside of its class has the class's scope; those are found by their plain names.
        if (name !== undefined && kind) {
          add(name, die, kind);
          if (scope !== '' && !isC) add(`${scope}::${name}`, die, kind);
        }
        if (isScope && depth < MAX_SCOPES) {
          const isPlain = tag === Tag.ENUMERATION_TYPE && !unit.guard(false, () => die.flag(At.ENUM_CLASS));
          const inner = isPlain || name === undefined ? scope : scope === '' ? name : `${scope}::${name}`;
          visit(index + 1, unit.endIndex(index), inner, depth + 1);
        }
      }
    };
    // Row 0 is the unit itself.
    visit(1, unit.endIndex(0), '', 0);
  }
}
