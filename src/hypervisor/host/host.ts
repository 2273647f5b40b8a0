import type { PartitionMemory, RamRegion } from '../../processor/memory/partition-memory.ts';
import { ExitOrder } from '../journal/exit-order.ts';
import type { HostedPartition } from '../partition/partition.ts';
import type { PartitionEnd, RunRequest, RunStop } from '../partition/run.ts';
import type { Refusal } from '../privileges/request-door.ts';
import { type HostEvent, HostJournal } from './host-journal.ts';
import { type HostLimits, HostMemory, HostRefusal, USUAL_LIMITS } from './host-memory.ts';

/** Guest time that each partition gets in its turn: 0.1 ms, or as many instructions. */
export const TURN = 100_000n;
/** Turns in one call of `run`, and work of the partitions in it, so that it ends soon whatever they do. */
const TURNS_PER_CALL = 2000;
const WORK_PER_CALL = 4000;

/** How {@link Host.run} came back: as the partition's own run did, or `idle` when all wait for input, or `budget`. */
export interface HostStop {
  /** Whom the stop is about; undefined for `budget` and `idle`. */
  readonly partition: HostedPartition | undefined;
  readonly stop: RunStop;
}

/** A partition that may run now. */
export interface Turn<P extends HostedPartition = HostedPartition> {
  readonly partition: P;
  /** Time of the partition at which its turn ends. */
  readonly until: bigint;
  /** Time of the partition at which the slot ends: what its share doesn't reach to passes without it. */
  readonly slotEnd: bigint;
}

/**
 * The machine that the hypervisor runs on: its partitions, and their turns. Time of the host goes in slots; in each slot every
 * partition that takes part runs until its own time has come to the slot's end, in the order in which they were made. So which
 * instructions run between two of another partition is the same in every run, wherever a call of `run` stops.
 */
export class Host {
  readonly journal = new HostJournal();
  readonly exitOrder = new ExitOrder();
  private members: HostedPartition[] = [];
  private made = 0;
  private readonly addListeners: ((partition: HostedPartition) => void)[] = [];
  /** Whose turn it is, and the end of the slot. */
  private turn = 0;
  private slotEnd = TURN;
  /** Time of the host at which each partition's own time began: it stood still, or wasn't there, before. */
  private readonly began = new Map<HostedPartition, bigint>();
  /** Partitions that had nothing to do in their last turn. */
  private readonly waiting = new Set<HostedPartition>();

  constructor(
    limits: HostLimits = USUAL_LIMITS,
    private readonly memory = new HostMemory(limits),
  ) {}

  /** The host as it is for a new run: with no partitions and at time 0. It gets the memory of those that are destroyed here. */
  successor(): Host {
    return new Host(undefined, this.memory.successor());
  }

  /** Told of each partition that is made from now on. */
  onAdd(listener: (partition: HostedPartition) => void): void {
    this.addListeners.push(listener);
  }

  /** Those that were not destroyed, in the order of their turns. */
  get partitions(): readonly HostedPartition[] {
    return this.members;
  }

  /** The number that the next partition gets: from 1, never given twice. */
  nextId(): number {
    return ++this.made;
  }

  /**
   * Memory for a partition, with nothing in it. Throws HostRefusal where the host has no room, and a plain sentence for sizes that are
   * not possible.
   */
  takeMemory(ram: readonly RamRegion[], vcpuCount: number, vcpuSize?: number): PartitionMemory {
    try {
      return this.memory.take(ram, vcpuCount, vcpuSize);
    } catch (error) {
      if (error instanceof HostRefusal) {
        const { message } = error;
        this.journal.refuse(this.slotBegin, 0, 'host', () => `No partition was made. ${message}`);
      }
      throw error;
    }
  }

  /** Takes back the memory of a partition that was not made after all. */
  returnMemory(memory: PartitionMemory): void {
    this.memory.giveBack(memory);
  }

  /** Enters what a vCPU of a partition asked for in vain. */
  noteRefusal(partition: number, vcpu: number, { subject, asked, why }: Refusal): void {
    const text = () => `vCPU ${vcpu} of partition ${partition} was refused ${asked()}: ${why}.`;
    this.journal.refuse(this.slotBegin, partition, subject, text);
  }

  private get slotBegin(): bigint {
    return this.slotEnd - TURN;
  }

  add(partition: HostedPartition): void {
    this.members.push(partition);
    partition.onWake(() => this.waiting.delete(partition));
    const { id, name, vcpus } = partition;
    this.note(partition, 'created', `Partition ${id} was made: ${name}, ${vcpus.length} vCPU${vcpus.length === 1 ? '' : 's'}.`);
    for (const listener of this.addListeners) listener(partition);
  }

  /** Takes a partition away. Its memory is scrubbed before anybody else gets it. */
  destroy(partition: HostedPartition): void {
    const index = this.members.indexOf(partition);
    if (index < 0) return;
    this.members.splice(index, 1);
    this.waiting.delete(partition);
    this.began.delete(partition);
    if (index < this.turn) this.turn--;
    if (this.turn >= this.members.length) this.turn = 0;
    partition.destroy();
    const scrubbed = this.memory.giveBack(partition.memory);
    this.note(partition, 'memory-scrubbed', `${scrubbed} bytes of partition ${partition.id} were scrubbed.`);
    this.note(partition, 'destroyed', `Partition ${partition.id} was destroyed.`);
  }

  /** Enters the end of a partition, which stays until it is destroyed. */
  noteEnd(partition: HostedPartition, { message }: PartitionEnd): void {
    this.note(partition, 'ended', message);
  }

  private note(partition: HostedPartition, kind: HostEvent['kind'], text: string): void {
    this.journal.enter({ time: this.slotBegin, partition: partition.id, kind, text });
  }

  /**
   * Whose turn it is among those that take part, who have not ended; undefined when nobody does. A partition that stood still
   * finds its own time as it left it.
   */
  whoseTurn(takesPart: (partition: HostedPartition) => boolean = () => true): Turn | undefined {
    for (let asked = 0; asked < this.members.length; asked++) {
      const partition = this.members[this.turn];
      if (partition && partition.end === undefined && takesPart(partition)) {
        const begin = this.beginOf(partition);
        this.began.set(partition, begin);
        const unused = (TURN * BigInt(100 - partition.timeShare)) / 100n;
        const slotEnd = this.slotEnd - begin;
        return { partition, until: slotEnd - unused, slotEnd };
      }
      this.advance();
    }
    return undefined;
  }

  /** Time of the host at which a partition's own time began, if it goes on now: what stood still is late by as much. */
  private beginOf(partition: HostedPartition): bigint {
    const began = this.began.get(partition) ?? 0n;
    const behind = this.slotBegin - began - partition.now();
    return behind > 0n ? began + behind : began;
  }

  /** Time of the host that a partition has come to. */
  timeOf(partition: HostedPartition): bigint {
    return this.beginOf(partition) + partition.now();
  }

  /** The partition's own time at a time of the host. */
  localTime(partition: HostedPartition, time: bigint): bigint {
    return time - this.beginOf(partition);
  }

  /** Ends a turn; for a partition that had nothing to do, time passes. */
  endTurn({ partition, slotEnd }: Turn): void {
    partition.passTime(slotEnd);
    this.advance();
  }

  private advance(): void {
    this.turn++;
    if (this.turn < this.members.length) return;
    this.turn = 0;
    this.slotEnd += TURN;
  }

  /** Runs the partitions for so many instructions in all, or until one of them stops for a reason of its own. Never blocks. */
  run(request: Omit<RunRequest, 'onlyVcpu' | 'held' | 'until'>): HostStop {
    let left = request.instructions;
    // Input may have come for any of them.
    this.waiting.clear();
    let work = 0;
    for (let turns = 0; turns < TURNS_PER_CALL; turns++) {
      const turn = this.whoseTurn();
      if (!turn) return { partition: undefined, stop: { kind: 'idle' } };
      const { partition, until } = turn;
      const before = partition.icount;
      const workBefore = partition.workDone;
      const stop = partition.run({ ...request, instructions: left, until });
      left -= Number(partition.icount - before);
      work += partition.workDone - workBefore;
      if (stop.kind === 'idle' || stop.kind === 'time') {
        if (stop.kind === 'idle') this.waiting.add(partition);
        else this.waiting.delete(partition);
        this.endTurn(turn);
        if (this.members.every((member) => member.end !== undefined || this.waiting.has(member)))
          return { partition: undefined, stop: { kind: 'idle' } };
        if (work > WORK_PER_CALL) break;
        continue;
      }
      this.waiting.delete(partition);
      if (stop.kind === 'ended') this.noteEnd(partition, stop.end);
      if (stop.kind !== 'budget' || left <= 0) return { partition, stop };
      if (work > WORK_PER_CALL) break;
    }
    return { partition: undefined, stop: { kind: 'budget' } };
  }
}
