import type { Decoded } from '../decoder/decode.ts';

/** An instruction of a region, at its offset in CS. */
export interface RegionInstruction {
  readonly rip: bigint;
  readonly decoded: Decoded;
}

/** Instructions that run one after the other. */
export interface BasicBlock {
  readonly rip: bigint;
  readonly instructions: readonly RegionInstruction[];
  /** Blocks of the region that may follow by a known jump or by falling through. */
  readonly successors: readonly bigint[];
  /** It ends with a jump to a place that is only known when it runs. */
  readonly dispatches: boolean;
  /** Where it goes on when its last instruction doesn't jump; undefined when it always does. */
  readonly next: bigint | undefined;
}

/** The control flow of code that is translated together. */
export interface RegionGraph {
  readonly entry: bigint;
  readonly blocks: ReadonlyMap<bigint, BasicBlock>;
  /** Blocks that are entered by jumps to places that are only known when they run; the entry first. */
  readonly targets: readonly bigint[];
  readonly instructions: number;
}

export type Transfer = 'none' | 'jump' | 'conditional' | 'call' | 'indirect' | 'indirect-call' | 'return';

/** How an instruction goes on. */
export function transferOf({ form, instruction }: Decoded): Transfer {
  const relative = form.places === 'J';
  switch (instruction.mnemonic) {
    case 'JMP':
      return relative ? 'jump' : 'indirect';
    case 'CALL':
      return relative ? 'call' : 'indirect-call';
    case 'RET':
      return 'return';
    default:
      return relative ? 'conditional' : 'none';
  }
}

/** What a region is made from: code that has been run, in the mode that the vCPU is in. */
export interface CodeView {
  /** The instruction there; undefined where there is none, or none that may be translated without being run first. */
  decode(rip: bigint): Decoded | undefined;
  /** A block that has been run starts there. */
  wasRun(rip: bigint): boolean;
  /** Blocks in the page of an offset in CS that are often reached by jumps to computed places. */
  warmTargets(rip: bigint): Iterable<bigint>;
  /** RIP plus bytes, wrapped as the mode does. */
  advance(rip: bigint, bytes: number): bigint;
}

const MOST_TARGETS = 256;

/** Where code is looked for, and the start of the function or loop that it belongs to. */
interface Start {
  readonly rip: bigint;
  readonly origin: bigint;
}

/** A place where an instruction leads to by a known jump. */
function targetOf(view: CodeView, rip: bigint, { instruction, request }: Decoded): bigint {
  return BigInt.asUintN(request.size, view.advance(rip, instruction.length) + instruction.immediate);
}

/** How much code an instruction becomes, in usual instructions. */
function weightOf({ form, request }: Decoded): number {
  const { weight, registers } = form.definition;
  return (weight ?? (registers ? 2 : 1)) * (request.vectorLength === 256 ? 2 : 1);
}

/**
 * Finds the code that belongs together with the code at `entry`, `most` instructions of it; undefined when nothing there can be
 * translated.
 */
export function discoverRegion(view: CodeView, entry: bigint, most: number): RegionGraph | undefined {
  const found = new Map<bigint, Decoded>();
  const leaders = new Set<bigint>([entry]);
  const targets = new Set<bigint>([entry]);
  let size = 0;
  const work: Start[] = [{ rip: entry, origin: entry }];
  const lead = (rip: bigint, origin: bigint): void => {
    if (leaders.has(rip)) return;
    leaders.add(rip);
    work.push({ rip, origin });
  };
  /** A jump to a place before the start of its code leads to a loop around it: that becomes a region with this one inside. */
  const jump = (rip: bigint, origin: bigint): void => {
    if (rip >= origin && (leaders.has(rip) || view.wasRun(rip))) lead(rip, origin);
  };
  const target = (rip: bigint, origin: bigint): void => {
    // The table of targets looks at the low halves of addresses.
    if (targets.has(rip) || targets.size >= MOST_TARGETS || rip >> 32n !== entry >> 32n || !view.wasRun(rip)) return;
    targets.add(rip);
    lead(rip, origin);
  };
  for (let start = work.shift(); start !== undefined; start = work.shift()) {
    const { origin } = start;
    let { rip } = start;
    while (size < most) {
      if (found.has(rip)) {
        leaders.add(rip);
        break;
      }
      const decoded = view.decode(rip);
      if (!decoded) break;
      found.set(rip, decoded);
      size += weightOf(decoded);
      const next = view.advance(rip, decoded.instruction.length);
      const transfer = transferOf(decoded);
      const to = targetOf(view, rip, decoded);
      if (transfer === 'jump' || transfer === 'conditional') jump(to, origin);
      if (transfer === 'call') jump(to, to);
      if (transfer === 'call' || transfer === 'indirect-call') target(next, origin);
      if (transfer === 'indirect' || transfer === 'indirect-call')
        for (const place of view.warmTargets(rip)) target(place, origin);
      if (transfer === 'conditional') lead(next, origin);
      if (transfer !== 'none') break;
      rip = next;
    }
  }
  if (!found.has(entry)) return undefined;
  return assemble(view, entry, found, leaders, targets);
}

/** Cuts the instructions into blocks. */
function assemble(
  view: CodeView,
  entry: bigint,
  found: ReadonlyMap<bigint, Decoded>,
  leaders: ReadonlySet<bigint>,
  targets: ReadonlySet<bigint>,
): RegionGraph {
  const blocks = new Map<bigint, BasicBlock>();
  for (const start of leaders) {
    if (!found.has(start)) continue;
    const instructions: RegionInstruction[] = [];
    const successors: bigint[] = [];
    let dispatches = false;
    let next: bigint | undefined;
    for (let rip = start, decoded = found.get(rip); decoded; decoded = found.get(rip)) {
      instructions.push({ rip, decoded });
      const transfer = transferOf(decoded);
      const following = view.advance(rip, decoded.instruction.length);
      if (transfer === 'jump' || transfer === 'call' || transfer === 'conditional') successors.push(targetOf(view, rip, decoded));
      dispatches = transfer === 'return' || transfer === 'indirect' || transfer === 'indirect-call';
      next = transfer === 'none' || transfer === 'conditional' ? following : undefined;
      rip = following;
      if (transfer !== 'none' || leaders.has(rip)) break;
    }
    if (next !== undefined) successors.push(next);
    const inside = successors.filter((rip) => leaders.has(rip) && found.has(rip));
    blocks.set(start, { rip: start, instructions, successors: inside, dispatches, next });
  }
  const entered = [...targets].filter((rip) => blocks.has(rip));
  return { entry, blocks, targets: entered, instructions: found.size };
}
