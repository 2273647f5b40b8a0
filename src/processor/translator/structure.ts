import type { BasicBlock, RegionGraph } from './region-graph.ts';

/** Number of the node that stands for the dispatcher, which computed jumps and the region's entries go through. */
export const DISPATCHER = 0;

/** A node of the control flow: a basic block, or the dispatcher. */
export interface FlowNode {
  readonly number: number;
  /** Undefined for the dispatcher. */
  readonly block: BasicBlock | undefined;
  /** Place in reverse postorder. */
  order: number;
  /** Immediate dominator; the dispatcher's is itself. */
  dominator: number;
  /** Nodes that it dominates immediately, in their order. */
  children: number[];
  /** An edge from a node that it dominates leads back to it. */
  isLoop: boolean;
  /** Several forward edges lead to it, so that it needs a label. */
  isMerge: boolean;
  /** It is entered through the dispatcher. */
  isTarget: boolean;
  /** Most instructions from its start to the next place where the budget is looked at. */
  cost: number;
}

/**
 * The control flow of a region as nested loops and labels, which is all that WebAssembly has (the method: Ramsey, Beyond Relooper,
 * ICFP 2022). Everything hangs below the dispatcher; an edge that would jump into the middle of a loop goes through it.
 */
export class RegionStructure {
  readonly nodes: readonly FlowNode[];
  /** Blocks that are entered through the dispatcher, the region's entry first. */
  readonly targets: readonly FlowNode[];
  /** Something in the region jumps to the dispatcher. */
  readonly returns: boolean;
  private readonly byRip = new Map<bigint, FlowNode>();
  /** Forward edges, from and to. */
  private readonly ways: { readonly from: number; readonly to: number }[] = [];

  constructor(graph: RegionGraph) {
    const blocks = [...graph.blocks.values()];
    const make = (block: BasicBlock | undefined, number: number): FlowNode => ({
      number,
      block,
      order: -1,
      dominator: -1,
      children: [],
      isLoop: false,
      isMerge: false,
      isTarget: false,
      cost: 0,
    });
    this.nodes = [make(undefined, DISPATCHER), ...blocks.map((block, index) => make(block, index + 1))];
    for (const node of this.nodes) if (node.block) this.byRip.set(node.block.rip, node);
    const targets = new Set(graph.targets.map((rip) => this.node(rip).number));
    let bypasses = false;
    for (;;) {
      const intruded = this.arrange([...targets]);
      if (intruded.length === 0) break;
      bypasses = true;
      for (const number of intruded) targets.add(number);
    }
    this.targets = [...targets].map((number) => this.at(number)).filter(({ order }) => order >= 0);
    // Where the entry is the only target, a computed jump leaves the region.
    this.returns = bypasses || (targets.size > 1 && blocks.some((block) => block.dispatches));
    this.measure();
  }

  at(number: number): FlowNode {
    const node = this.nodes[number];
    if (!node) throw new Error(`no node ${number}`);
    return node;
  }

  node(rip: bigint): FlowNode {
    const node = this.find(rip);
    if (!node) throw new Error(`no block at ${rip.toString(16)}`);
    return node;
  }
  /** The block's node, if it is in the region. */
  find(rip: bigint): FlowNode | undefined {
    return this.byRip.get(rip);
  }

  /** The edge leads back to a loop around its start. */
  isBack(from: FlowNode, to: FlowNode): boolean {
    return to.order <= from.order && this.dominates(to, from);
  }
  /** The edge has to go through the dispatcher. */
  isBypass(from: FlowNode, to: FlowNode): boolean {
    return to.order <= from.order && !this.dominates(to, from);
  }

  private dominates(one: FlowNode, other: FlowNode): boolean {
    let node = other;
    while (node.order > one.order) node = this.at(node.dominator);
    return node === one;
  }

  private successors(node: FlowNode, targets: readonly number[]): readonly number[] {
    if (!node.block) return targets;
    return node.block.successors.map((rip) => this.node(rip).number);
  }

  /** Orders the nodes and finds who dominates whom; gives nodes that loops are entered at besides their heads. */
  private arrange(targets: readonly number[]): number[] {
    for (const node of this.nodes) {
      node.order = -1;
      node.dominator = -1;
      node.children = [];
      node.isLoop = node.isMerge = false;
      node.isTarget = targets.includes(node.number);
    }
    const sequence = this.reversePostorder(targets);
    const predecessors = new Map<number, number[]>();
    for (const node of sequence)
      for (const next of this.successors(node, targets)) {
        const list = predecessors.get(next);
        if (list) list.push(node.number);
        else predecessors.set(next, [node.number]);
      }
    this.findDominators(sequence, predecessors);
    const intruded: number[] = [];
    this.ways.length = 0;
    for (const node of sequence) {
      let forward = 0;
      for (const number of predecessors.get(node.number) ?? []) {
        const from = this.at(number);
        if (from.order < node.order) {
          forward++;
          this.ways.push({ from: number, to: node.number });
        } else if (this.dominates(node, from)) node.isLoop = true;
        else if (!node.isTarget) intruded.push(node.number);
      }
      node.isMerge = forward > 1;
      if (node.number !== DISPATCHER) this.at(node.dominator).children.push(node.number);
    }
    return intruded;
  }

  private reversePostorder(targets: readonly number[]): FlowNode[] {
    const postorder: FlowNode[] = [];
    const seen = new Set<number>([DISPATCHER]);
    const stack: { readonly node: FlowNode; readonly rest: number[] }[] = [
      { node: this.at(DISPATCHER), rest: [...this.successors(this.at(DISPATCHER), targets)].reverse() },
    ];
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const next = top.rest.shift();
      if (next === undefined) {
        postorder.push(top.node);
        stack.pop();
      } else if (!seen.has(next)) {
        seen.add(next);
        const node = this.at(next);
        stack.push({ node, rest: [...this.successors(node, targets)] });
      }
    }
    const sequence = postorder.reverse();
    sequence.forEach((node, order) => {
      node.order = order;
    });
    return sequence;
  }

  /** Cooper, Harvey, Kennedy: A Simple, Fast Dominance Algorithm. */
  private findDominators(sequence: readonly FlowNode[], predecessors: ReadonlyMap<number, number[]>): void {
    const root = this.at(DISPATCHER);
    root.dominator = DISPATCHER;
    const meet = (a: FlowNode, b: FlowNode): FlowNode => {
      let one = a;
      let other = b;
      while (one !== other) {
        while (one.order > other.order) one = this.at(one.dominator);
        while (other.order > one.order) other = this.at(other.dominator);
      }
      return one;
    };
    for (let changed = true; changed; ) {
      changed = false;
      for (const node of sequence) {
        if (node === root) continue;
        let common: FlowNode | undefined;
        for (const number of predecessors.get(node.number) ?? []) {
          const from = this.at(number);
          if (from.dominator >= 0) common = common ? meet(common, from) : from;
        }
        if (common && node.dominator !== common.number) {
          node.dominator = common.number;
          changed = true;
        }
      }
    }
  }

  /** Finds what a path costs at most before the budget is looked at again: at loop heads and in the dispatcher. */
  private measure(): void {
    const last = [...this.nodes].filter(({ order }) => order >= 0).sort((a, b) => b.order - a.order);
    const following = new Map<number, number[]>();
    for (const { from, to } of this.ways) {
      const list = following.get(from);
      if (list) list.push(to);
      else following.set(from, [to]);
    }
    for (const node of last) {
      let longest = 0;
      for (const number of following.get(node.number) ?? []) {
        const next = this.at(number);
        if (!next.isLoop) longest = Math.max(longest, next.cost);
      }
      node.cost = longest + (node.block?.instructions.length ?? 0);
    }
  }
}
