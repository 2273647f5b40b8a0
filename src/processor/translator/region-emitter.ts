import { emitPlainRounding } from '../generator/vector-builder.ts';
import * as O from '../interpreter/operation.ts';
import * as L from '../state/layout.ts';
import { type Code, I32, I64, Op, V128 } from '../wasm/code.ts';
import { hashDispatch } from './dispatch-hash.ts';
import { mutedFlags } from './flag-liveness.ts';
import { RegionBuilder, type RegionMode } from './region-builder.ts';
import { FLAG_WORDS } from './region-flags.ts';
import type { RegionGraph } from './region-graph.ts';
import { Local, NARROW_LOCALS, VECTOR_LOCALS } from './region-locals.ts';
import { DISPATCHER, type FlowNode, RegionStructure } from './structure.ts';

/** The function of a region. */
export interface RegionCode {
  readonly body: Code;
  /** Locals behind the parameters. */
  readonly locals: readonly { readonly count: number; readonly type: number }[];
}

/** Makes the function of a region. `flagBitsFunction` is the index of the module's function for flags. */
export function emitRegion(graph: RegionGraph, mode: RegionMode, flagBitsFunction: number): RegionCode {
  return new RegionEmitter(graph, mode, flagBitsFunction).emit();
}

class RegionEmitter {
  private readonly structure: RegionStructure;
  private readonly builder: RegionBuilder;
  /** Label of the dispatcher's loop, where there is one. */
  private dispatcher: number | undefined;
  /** Labels that lead to the start of a node. */
  private readonly labels = new Map<number, number>();
  /** The node that code is made for. */
  private node: FlowNode;

  constructor(
    private readonly graph: RegionGraph,
    private readonly mode: RegionMode,
    flagBitsFunction: number,
  ) {
    this.structure = new RegionStructure(graph);
    this.node = this.structure.at(DISPATCHER);
    const exits = { goTo: (rip: bigint) => this.goTo(rip), dispatch: () => this.dispatch() };
    const hasVectors = [...graph.blocks.values()].some((block) =>
      block.instructions.some(({ decoded }) => decoded.form.definition.registers !== undefined),
    );
    this.builder = new RegionBuilder(mode, exits, flagBitsFunction, hasVectors);
  }

  emit(): RegionCode {
    const { builder } = this;
    // Label 0: the way out.
    builder.open(Op.block);
    builder.enter();
    builder.flags.settle();
    this.root();
    builder.close();
    const body = this.frame(builder.code);
    const vectors = builder.hasVectors ? VECTOR_LOCALS : 0;
    return {
      body,
      locals: [
        { count: NARROW_LOCALS, type: I32 },
        { count: Local.FIRST_FREE - Local.RIP, type: I64 },
        { count: vectors, type: V128 },
        { count: builder.locals - Local.FIRST_FREE - vectors, type: I64 },
      ],
    };
  }

  /** Puts the loads and stores of the registers around the code. */
  private frame(inner: Code): Code {
    const { builder } = this;
    const { code } = new RegionBuilder(this.mode, { goTo: () => {}, dispatch: () => {} }, builder.flagBitsFunction);
    if (this.mode.mode !== 64) {
      // Nothing of the region may lie beyond the limit of CS.
      let last = 0n;
      for (const { instructions } of this.graph.blocks.values())
        for (const { rip, decoded } of instructions) {
          const end = rip + BigInt(decoded.instruction.length - 1);
          if (end > last) last = end;
        }
      code.get(Local.BASE).memory(Op.i64_load32_u, O.ENGINE_CODE_LIMIT).i64(last).op(Op.i64_lt_u, Op.if, 0x40);
      code.get(Local.BUDGET).op(Op.return, Op.end);
    }
    code.get(Local.BASE).memory(Op.i32_load, O.ENGINE_TLB_READ).set(Local.TLB_READ);
    code.get(Local.BASE).memory(Op.i32_load, O.ENGINE_TLB_WRITE).set(Local.TLB_WRITE);
    if (builder.hasVectors) {
      emitPlainRounding(code);
      code.set(Local.PLAIN);
    }
    code.get(Local.BASE).memory(Op.i64_load, L.RIP).set(Local.RIP);
    code.get(Local.BASE).memory(Op.i64_load, L.FLAG_RESULT).set(Local.FLAG_RESULT);
    code.get(Local.BASE).memory(Op.i64_load, L.FLAG_BITS).set(Local.FLAG_BITS);
    for (const number of builder.used)
      code
        .get(Local.BASE)
        .memory(Op.i64_load, L.GPR + number * 8)
        .set(Local.GPR + number);
    code.append(inner);
    for (const number of builder.written)
      code
        .get(Local.BASE)
        .get(Local.GPR + number)
        .memory(Op.i64_store, L.GPR + number * 8);
    code.get(Local.BASE).get(Local.RIP).memory(Op.i64_store, L.RIP);
    code.get(Local.BASE).get(Local.FLAG_RESULT).memory(Op.i64_store, L.FLAG_RESULT);
    code.get(Local.BASE);
    for (const index of FLAG_WORDS) code.get(index);
    code.op(Op.call).u(builder.flagBitsFunction).memory(Op.i64_store, L.FLAG_BITS);
    code.get(Local.BUDGET);
    return code;
  }

  // --- structure ------------------------------------------------------------------------------------------------------

  /** The dispatcher and everything below it. */
  private root(): void {
    const { builder, structure } = this;
    const root = structure.at(DISPATCHER);
    const only = structure.targets.length === 1 ? structure.targets[0] : undefined;
    if (only && !structure.returns) {
      if (!only.isLoop) this.charge(only);
      this.tree(only);
      return;
    }
    this.dispatcher = builder.open(Op.loop);
    this.charge(root);
    this.within(
      root,
      root.children.map((number) => structure.at(number)),
    );
    builder.close();
  }

  /** Leaves when the budget doesn't suffice for every path to the next look at it. */
  private charge(node: FlowNode): void {
    const { builder } = this;
    builder.code.get(Local.BUDGET).i32(node.cost).op(Op.i32_lt_s).rarely();
    builder.open(Op.if);
    if (node.block) builder.leave(node.block.rip, 0);
    else builder.branch(0);
    builder.close();
  }

  /** The code of a node and of what it dominates. */
  private tree(node: FlowNode): void {
    const { builder, structure } = this;
    const merges = node.children.map((number) => structure.at(number)).filter((child) => child.isMerge);
    const { labels } = this;
    if (!node.isLoop) {
      this.within(node, merges);
      return;
    }
    // Another path may go on to the node's start: its label, if it has one, lies outside.
    const outer = labels.get(node.number);
    builder.flags.settle();
    labels.set(node.number, builder.open(Op.loop));
    builder.join();
    this.charge(node);
    this.within(node, merges);
    builder.close();
    if (outer === undefined) labels.delete(node.number);
    else labels.set(node.number, outer);
  }

  /** Puts the labels of the nodes that come later around the node's own code; the first of them is the innermost. */
  private within(node: FlowNode, later: readonly FlowNode[]): void {
    const last = later.at(-1);
    if (!last) {
      if (node.block) this.block(node);
      else this.table();
      return;
    }
    const { builder, labels } = this;
    if (node.number === DISPATCHER) {
      const direct = last.isMerge ? builder.open(Op.block) : undefined;
      if (direct !== undefined) labels.set(last.number, direct);
      const arm = builder.open(Op.block);
      this.arms.set(last.number, arm);
      this.within(node, later.slice(0, -1));
      builder.close();
      builder.join();
      if (last.isTarget) this.confirm(last);
      if (direct !== undefined) {
        builder.close();
        labels.delete(last.number);
      }
    } else {
      labels.set(last.number, builder.open(Op.block));
      this.within(node, later.slice(0, -1));
      builder.close();
      labels.delete(last.number);
    }
    builder.join();
    this.tree(last);
  }

  // --- dispatch -------------------------------------------------------------------------------------------------------

  private readonly arms = new Map<number, number>();

  /** Branches by the RIP local. */
  private table(): void {
    const { builder, structure, arms } = this;
    const { code } = builder;
    const rips = structure.targets.map(({ block }) => block?.rip ?? 0n);
    const hash = hashDispatch(rips);
    code.get(Local.RIP).op(Op.i32_wrap_i64).i32(hash.multiplier).op(Op.i32_mul).i32(hash.shift).op(Op.i32_shr_u);
    const depthOf = (label: number) => builder.labels - 1 - label;
    code.op(Op.br_table).u(hash.slots.length);
    for (const slot of hash.slots) {
      const target = slot === undefined ? undefined : structure.targets[slot];
      code.u(depthOf(target ? (arms.get(target.number) ?? 0) : 0));
    }
    code.u(depthOf(0));
  }

  /** Leaves unless RIP is the node's: other places share its slot of the table. */
  private confirm(node: FlowNode): void {
    const { builder } = this;
    builder.code
      .get(Local.RIP)
      .i64(node.block?.rip ?? 0n)
      .op(Op.i64_ne)
      .rarely();
    builder.branch(0, Op.br_if);
  }

  private dispatch(): void {
    const { builder } = this;
    builder.flags.settle();
    builder.branch(this.dispatcher ?? 0);
  }

  // --- blocks ---------------------------------------------------------------------------------------------------------

  private block(node: FlowNode): void {
    const { builder } = this;
    const { block } = node;
    if (!block) return;
    const count = block.instructions.length;
    builder.code.get(Local.BUDGET).i32(count).op(Op.i32_sub).set(Local.BUDGET);
    builder.ended = false;
    const muted = mutedFlags(block.instructions, this.mode);
    for (const [index, { rip, decoded }] of block.instructions.entries()) {
      this.node = node;
      builder.instruction({ rip, decoded, charged: count - index }, muted[index]);
    }
    this.node = node;
    if (block.next !== undefined && !builder.ended) this.goTo(block.next);
    builder.ended = true;
  }

  /** Goes on at a known place: a label, the code itself when nobody else goes there, or outside. */
  private goTo(rip: bigint): void {
    const { builder, structure, node } = this;
    const to = structure.find(rip);
    if (!to || to.order < 0) {
      builder.leave(rip, 0);
      return;
    }
    if (structure.isBypass(node, to)) {
      builder.code.i64(rip).set(Local.RIP);
      this.dispatch();
      return;
    }
    const label = this.labels.get(to.number);
    if (to.isMerge || structure.isBack(node, to)) {
      if (label === undefined) throw new Error(`no label for ${rip.toString(16)}`);
      builder.flags.settle();
      builder.branch(label);
      return;
    }
    const { state } = builder.flags;
    const { narrow } = builder;
    this.tree(to);
    this.node = node;
    builder.flags.state = state;
    builder.narrow = narrow;
  }
}
