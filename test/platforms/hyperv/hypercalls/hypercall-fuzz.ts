import { createHash } from 'node:crypto';
import { Host } from '../../../../src/hypervisor/host/host.ts';
import type { GuestPartition } from '../../../../src/hypervisor/partition/guest-partition.ts';
import { USUAL_PRIVILEGES } from '../../../../src/hypervisor/privileges/privileges.ts';
import { HYPERCALL_REFERENCE, type HypercallRow } from '../../../../src/platforms/hyperv/abi/hypercalls.ts';
import { HvRegister } from '../../../../src/platforms/hyperv/abi/registers.ts';
import { HvStatus } from '../../../../src/platforms/hyperv/abi/status.ts';
import type { Processor } from '../../../../src/processor/processor.ts';
import {
  ARCHITECTURAL_END,
  FPU,
  FPU_ARCHITECTURAL_END,
  ICOUNT,
  IDLE_TICKS,
  VECTOR_SIZE,
  VECTORS,
} from '../../../../src/processor/state/layout.ts';
import { Random } from '../../../support/random.ts';
import { guest } from '../../run-guest.ts';
import { bytesOf, control, SETUP_INSTRUCTIONS, sourceOf, type Vendor } from './caller.ts';

const MEMORY = 4 * 2 ** 20;
const INPUT = 0x20_0000n;
const OUTPUT = 0x20_1000n;
const SELF = 0xffff_ffff_ffff_ffffn;
const SELF_VP = 0xffff_fffen;
const PAGE = 0x1000;
/** Rounds in which the vCPU must have left for its call. */
const PATIENCE = 12;
const STATUSES: ReadonlySet<number> = new Set(Object.values(HvStatus));
const SERVED = HYPERCALL_REFERENCE.filter(({ isUnserved }) => !isUnserved);
const REGISTERS = Object.values(HvRegister);

/** What became of the calls, so that a test sees that they were not all refused. */
export interface FuzzCount {
  calls: number;
  /** Those with HV_STATUS_SUCCESS, and the codes that had it. */
  succeeded: number;
  readonly codes: Set<number>;
  continued: number;
  /** Partitions that ended, or stood still, and were reset. */
  ends: number;
}

/** Values that a field of a name may have when it is right. */
function likely(random: Random, name: string, child: bigint): bigint {
  if (/partition|parent|previous/i.test(name))
    return random.pick([SELF, SELF, child, child, child + BigInt(random.below(3)), random.u64()]);
  if (name === 'vp') return random.pick([SELF_VP, 0n, 1n, 2n, BigInt(random.next())]);
  if (name === 'register') return BigInt(random.pick(REGISTERS) + random.below(18));
  if (/page|range/i.test(name)) return random.pick([BigInt(random.below(0x500)), random.value()]);
  if (name === 'gpa') return random.pick([BigInt(random.below(MEMORY)), random.value()]);
  if (name === 'byteCount') return BigInt(random.below(18));
  if (name === 'vector') return BigInt(random.below(0x104));
  if (name === 'validBanks') return random.pick([1n, 3n, 0n, random.u64()]);
  if (/vtl|setFormat/i.test(name)) return BigInt(random.below(3) === 0 ? random.below(4) : 0);
  if (/flags|mask/i.test(name)) return random.pick([0n, 1n, 3n, BigInt(random.below(16)), random.value()]);
  if (/connection|port/i.test(name)) return BigInt(random.pick([1, 2, 3, 4, 0x10001, random.below(32)]));
  return random.pick([0n, 1n, BigInt(random.below(256)), random.value()]);
}

/** A guest that is a parent, and makes one random call after the other; beside it a partition that must not notice. */
export class HypercallFuzzer {
  readonly count: FuzzCount = { calls: 0, succeeded: 0, codes: new Set(), continued: 0, ends: 0 };
  private readonly random: Random;
  private readonly partition: GuestPartition;
  private readonly neighbour: GuestPartition;
  private readonly processor: Processor;
  private child = 0n;
  private snapshot: BigUint64Array<ArrayBuffer> | undefined;
  /** What came of vCPU 0's last hypercall, until somebody has seen it. */
  private lastResult: string | undefined;

  constructor(
    readonly seed: number,
    vendor: Vendor,
    private readonly mode: 32 | 64,
  ) {
    this.random = new Random(seed);
    const host = new Host();
    const source = sourceOf(mode, vendor === 'intel' ? 'vmcall' : 'vmmcall');
    const privileges = [...USUAL_PRIVILEGES, 'create-partitions', 'debugging'] as const;
    const configuration = { platform: 'hyperv', vendor, memory: MEMORY, vcpus: 2, exitsKept: 16, privileges } as const;
    this.partition = guest(source, configuration, host);
    this.neighbour = guest(source, { ...configuration, privileges: undefined }, host);
    const [processor] = this.partition.processors;
    if (!processor) throw new Error('no vCPU');
    this.processor = processor;
    this.partition.journal.onRecord(({ reason, vcpu, result }) => {
      if (reason === 'hypercall' && vcpu === 0) this.lastResult = result ?? '';
    });
    this.neighbour.processors[0]?.writeMemory('gpa', 0x10_8000n, this.random.bytes(0x10_0000));
    this.begin();
  }

  /** All that the other partition has, as text: the same before and behind any number of calls. */
  neighbourHash(): string {
    const hash = createHash('sha256');
    hash.update(this.neighbour.memory.read(0n, MEMORY));
    for (const processor of this.neighbour.processors) hash.update(processor.stateHash().toString());
    return hash.digest('hex');
  }

  /** Behind its beginning the guest has an active child with a vCPU and memory, so that calls about one get anywhere. */
  private begin(): void {
    this.partition.run({ instructions: SETUP_INSTRUCTIONS });
    this.snapshot = this.processor.state.u64.slice();
    this.make(control(0x40), [0, 8], [0, 8], [0x609, 4], [0, 36]);
    this.child = new DataView(this.processor.readMemory('gpa', OUTPUT, 8).slice().buffer).getBigUint64(0, true);
    const pages = (first: number, count: number) => Array.from({ length: count }, (_, index) => [first + index, 8] as const);
    this.make(control(0x48, { reps: 16 }), [this.child, 8], ...pages(0x300, 16));
    this.make(control(0x41), [this.child, 8]);
    this.make(control(0x4e), [this.child, 8], [0, 32]);
    this.make(control(0x4b, { reps: 8 }), [this.child, 8], [0, 8], [15, 8], ...pages(0x320, 8));
    const register = (name: number, value: number) => [[name, 4] as const, [0, 12] as const, [value, 16] as const];
    const synic = [
      register(0xa_0013, 0x30_0001),
      register(0xa_0012, 0x30_1001),
      register(0xa_0015, 0x30_2001),
      register(0xa_0010, 1),
    ];
    this.make(control(0x51, { reps: 4 }), [SELF, 8], [0, 8], ...synic.flat());
    const ports = [
      [1, 2],
      [2, 2, 0x8_0000],
      [3, 0x33_0000],
      [4, 5],
    ] as const;
    for (const [kind, where, flags = 0] of ports)
      this.make(control(0x95), [SELF, 8], [kind, 8], [0, 8], [kind, 8], [where, 8], [flags, 8], [0, 8]);
  }

  /** Makes a call with its input in memory. */
  private make(word: bigint, ...fields: (readonly [bigint | number, number])[]): void {
    this.restore();
    this.processor.writeMemory('gpa', INPUT, bytesOf(...fields));
    this.setRegisters(word, INPUT, OUTPUT);
    this.processor.stateChanged();
    for (let result = this.nextResult(); result?.startsWith('continued'); result = this.nextResult());
  }

  private restart(): void {
    this.count.ends++;
    this.partition.reset();
    this.begin();
  }

  /** Registers as they were behind the guest's beginning; time goes on. */
  private restore(): void {
    const { state } = this.processor;
    const { snapshot } = this;
    if (!snapshot) return;
    const [icount, idle] = [state.get64(ICOUNT), state.get64(IDLE_TICKS)];
    state.u64.set(snapshot.subarray(0, ARCHITECTURAL_END / 8), 0);
    state.u64.set(snapshot.subarray(FPU / 8, FPU_ARCHITECTURAL_END / 8), FPU / 8);
    state.set64(ICOUNT, icount);
    state.set64(IDLE_TICKS, idle);
  }

  /** Makes so many calls. Throws what is wrong, with the seed that leads there. */
  run(calls: number): void {
    for (let done = 0; done < calls; done++) {
      try {
        this.oneCall();
      } catch (error) {
        throw new Error(`seed ${this.seed}, call ${this.count.calls}: ${error instanceof Error ? error.message : error}`, {
          cause: error,
        });
      }
    }
  }

  private oneCall(): void {
    const { random, processor, count } = this;
    count.calls++;
    this.restore();
    const row = random.chance(0.97) ? this.anyRow() : undefined;
    const word = this.controlWord(row);
    const input = this.inputBlock(row, word);
    const isFast = ((word >> 16n) & 1n) !== 0n;
    const view = new DataView(input.buffer);
    if (!isFast) processor.writeMemory('gpa', INPUT, input);
    this.setRegisters(
      word,
      isFast ? view.getBigUint64(0, true) : this.place(INPUT),
      isFast ? view.getBigUint64(8, true) : this.place(OUTPUT),
    );
    if (isFast)
      for (let at = 16; at < 112; at += 8)
        processor.state.set64(VECTORS + ((at - 16) >> 4) * VECTOR_SIZE + (at & 8), view.getBigUint64(at, true));
    processor.stateChanged();
    this.makeCall(word);
  }

  /** Partitions come and go seldom: each takes as long as thousands of calls. */
  private anyRow(): HypercallRow {
    const { random } = this;
    const row = random.pick(random.chance(0.9) ? SERVED : HYPERCALL_REFERENCE);
    return row.code >= 0x40 && row.code <= 0x43 && random.chance(0.95) ? this.anyRow() : row;
  }

  private controlWord(row: HypercallRow | undefined): bigint {
    const { random } = this;
    if (row === undefined) return random.u64();
    const reps = row.isRep ? random.pick([1, 1, 2, 3, random.below(100), random.between(65, 500), random.below(0x1000)]) : 0;
    const start = row.isRep && random.chance(0.1) ? random.below(reps + 1) : 0;
    const variable = row.isVariable && random.chance(0.8) ? random.below(4) : 0;
    let word = control(row.code, { fast: random.chance(0.2), reps, start, variable });
    if (random.chance(0.08)) word ^= 1n << BigInt(random.below(64));
    return word;
  }

  private inputBlock(row: HypercallRow | undefined, word: bigint): Uint8Array<ArrayBuffer> {
    const { random } = this;
    const bytes = new Uint8Array(PAGE);
    if (row === undefined) return bytes;
    const view = new DataView(bytes.buffer);
    const put = (at: number, size: number, value: bigint) => {
      for (let index = 0; index < Math.min(size, 8) && at + index < PAGE; index++)
        view.setUint8(at + index, Number((value >> BigInt(index * 8)) & 0xffn));
    };
    for (const { name, offset, size } of row.input.fields) put(offset, size, likely(random, name, this.child));
    this.describePort(row, put);
    const variable = Number((word >> 17n) & 0x3ffn) * 8;
    for (let at = 0; at < variable && at < 64; at += 8) put(row.input.size + at, 8, random.pick([1n, 3n, random.u64()]));
    const reps = Math.min(Number((word >> 32n) & 0xfffn), 8);
    for (let index = 0; index < reps; index++)
      for (const { name, offset, size } of row.element.fields)
        put(row.input.size + variable + index * row.element.size + offset, size, likely(random, name, this.child));
    if (random.chance(0.1)) bytes.set(random.bytes(random.below(64)), random.below(256));
    return bytes;
  }

  /** What a port or a connection is for goes with its number, mostly: port 1 takes messages, 2 events, 3 has a monitor page, 4 doorbells. */
  private describePort(row: HypercallRow, put: (at: number, size: number, value: bigint) => void): void {
    const { random } = this;
    const at = (name: string) => row.input.byName.get(name)?.offset;
    const page = BigInt(random.below(random.chance(0.5) ? 8 : 0x340)) << 12n;
    const [type, port, information] = [at('connectionType'), at('port'), at('connectionInformation') ?? at('portInformation')];
    if (information === undefined || random.chance(0.3)) return;
    put(information, 8, random.pick([page, page, BigInt(random.below(17))]));
    if (type === undefined || port === undefined) return;
    const kind = BigInt(1 + random.below(4));
    put(port, 4, kind);
    put(type, 4, kind);
    put(information + 16, 8, BigInt(random.below(6)) | (random.chance(0.5) ? 0x8000_0000n : 0n));
  }

  private place(usual: bigint): bigint {
    const { random } = this;
    if (random.chance(0.985)) return usual;
    return random.pick([
      usual + BigInt(random.below(PAGE)),
      usual + 8n * BigInt(random.below(PAGE / 8)),
      random.value(),
      0xd000_0000n,
    ]);
  }

  private setRegisters(word: bigint, input: bigint, output: bigint): void {
    const { state } = this.processor;
    const pair = (high: number, low: number, value: bigint) => {
      state.setGpr(high, value >> 32n);
      state.setGpr(low, value & 0xffff_ffffn);
    };
    if (this.mode === 64) {
      state.setGpr(1, word);
      state.setGpr(2, input);
      state.setGpr(8, output);
      return;
    }
    pair(2, 0, word);
    pair(3, 1, input);
    pair(7, 6, output);
  }

  /** Runs until the call is served, and its continuations are. */
  private makeCall(word: bigint): void {
    const { partition, count } = this;
    for (let rounds = 0; rounds <= 0x1000; rounds++) {
      const result = this.nextResult();
      if (result === undefined) {
        if (partition.end?.kind === 'internal-error') throw new Error(partition.end.message);
        this.restart();
        return;
      }
      if (!result.startsWith('continued')) {
        if (result.startsWith('HV_STATUS') && partition.end === undefined) this.checkResult(word);
        if (partition.end) this.restart();
        return;
      }
      count.continued++;
    }
    throw new Error('a call does not come to its end');
  }

  /** The result of vCPU 0's next hypercall; undefined when the partition ended or stood still before. */
  private nextResult(): string | undefined {
    const { partition } = this;
    this.lastResult = undefined;
    for (let tries = 0; tries < PATIENCE && !partition.end; tries++) {
      partition.run({ instructions: 4, stopAtEntry: true });
      if (this.lastResult !== undefined) return this.lastResult;
    }
    return undefined;
  }

  private checkResult(word: bigint): void {
    const { state } = this.processor;
    const { count } = this;
    const result = this.mode === 64 ? state.gpr(0) : (state.gpr(2) << 32n) | state.gpr(0);
    const status = Number(result & 0xffffn);
    const reps = Number((result >> 32n) & 0xfffn);
    if (!STATUSES.has(status)) throw new Error(`status ${status} is none`);
    if (reps > Number((word >> 32n) & 0xfffn) && status === HvStatus.SUCCESS)
      throw new Error(`${reps} elements of fewer are done`);
    if (status !== HvStatus.SUCCESS) return;
    count.succeeded++;
    count.codes.add(Number(word & 0xffffn));
  }
}
