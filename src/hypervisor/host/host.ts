import type { PartitionMemory, RamRegion } from '../../processor/memory/partition-memory.ts';
import type { HostedPartition } from '../partition/partition.ts';
import type { RunRequest, RunStop } from '../partition/run.ts';
import { type HostEvent, HostJournal } from './host-journal.ts';
import { HostMemory } from './host-memory.ts';

/** Guest time that each partition gets in its turn: 0.1 ms, or as many instructions. */
export const TURN = 100_000n;
/** Turns in one call of `run`, so that it ends soon where all have nothing to do. */
const TURNS_PER_CALL = 2000;

/** How {@link Host.run} came back: as the partition's own run did, or `idle` when all wait for input, or `budget`. */
export interface HostStop {
  /** Whom the stop is about; undefined for `budget` and `idle`. */
  readonly partition: HostedPartition | undefined;
  readonly stop: RunStop;
}

/**
 * The machine that the hypervisor runs on: its partitions, and their turns. Time of the host goes in slots; in each slot every
 * partition runs until its own time has come to the slot's end, in the order in which they were made. So which instructions run
 * between two of another partition is the same in every run, wherever a call of `run` stops.
 */
export class Host {
  readonly journal = new HostJournal();
  private readonly memory = new HostMemory();
  private members: HostedPartition[] = [];
  private made = 0;
  /** Whose turn it is, and the end of the slot. */
  private turn = 0;
  private slotEnd = TURN;
  /** Partitions that had nothing to do in their last turn. */
  private readonly waiting = new Set<HostedPartition>();

  /** Those that were not destroyed, in the order of their turns. */
  get partitions(): readonly HostedPartition[] {
    return this.members;
  }

  /** The number that the next partition gets: from 1, never given twice. */
  nextId(): number {
    return ++this.made;
  }

  /** Memory for a partition, with nothing in it. Throws a plain sentence for sizes that are not possible. */
  takeMemory(ram: readonly RamRegion[], vcpuCount: number): PartitionMemory {
    return this.memory.take(ram, vcpuCount);
  }

  add(partition: HostedPartition): void {
    this.members.push(partition);
    this.note(partition, 'created', `Partition ${partition.id} was made: ${partition.name}, ${partition.vcpus.length} vCPUs.`);
  }

  /** Takes a partition away. Its memory is scrubbed before anybody else gets it. */
  destroy(partition: HostedPartition): void {
    const index = this.members.indexOf(partition);
    if (index < 0) return;
    this.members.splice(index, 1);
    this.waiting.delete(partition);
    if (index < this.turn) this.turn--;
    if (this.turn >= this.members.length) this.turn = 0;
    partition.destroy();
    const scrubbed = this.memory.giveBack(partition.memory);
    this.note(partition, 'memory-scrubbed', `${scrubbed} bytes of partition ${partition.id} were scrubbed.`);
    this.note(partition, 'destroyed', `Partition ${partition.id} was destroyed.`);
  }

  private note(partition: HostedPartition, kind: HostEvent['kind'], text: string): void {
    this.journal.enter({ time: this.slotEnd - TURN, partition: partition.id, kind, text });
  }

  /** Runs the partitions for so many instructions in all, or until one of them stops for a reason of its own. Never blocks. */
  run(request: Omit<RunRequest, 'onlyVcpu' | 'until'>): HostStop {
    let left = request.instructions;
    // Input may have come for any of them.
    this.waiting.clear();
    for (let turns = 0; turns < TURNS_PER_CALL; turns++) {
      const partition = this.members[this.turn];
      if (!partition || this.members.every(({ end }) => end !== undefined))
        return { partition: undefined, stop: { kind: 'idle' } };
      if (partition.end !== undefined) {
        this.nextTurn();
        continue;
      }
      const before = partition.icount;
      const stop = partition.run({ ...request, instructions: left, until: this.slotEnd });
      left -= Number(partition.icount - before);
      if (stop.kind === 'idle' || stop.kind === 'time') {
        if (stop.kind === 'idle') this.waiting.add(partition);
        else this.waiting.delete(partition);
        partition.passTime(this.slotEnd);
        this.nextTurn();
        if (this.members.every((member) => member.end !== undefined || this.waiting.has(member)))
          return { partition: undefined, stop: { kind: 'idle' } };
        continue;
      }
      this.waiting.delete(partition);
      if (stop.kind === 'ended') this.note(partition, 'ended', stop.end.message);
      if (stop.kind !== 'budget' || left <= 0) return { partition, stop };
    }
    return { partition: undefined, stop: { kind: 'budget' } };
  }

  private nextTurn(): void {
    this.turn++;
    if (this.turn < this.members.length) return;
    this.turn = 0;
    this.slotEnd += TURN;
  }
}
