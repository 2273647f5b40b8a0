import type { DebugSession } from '../debugger/debug-session.ts';
import type { StopEvent } from '../debugger/run-control/events.ts';
import type { CodePoint, WatchedAccess } from './stop-reply.ts';

/** A breakpoint or watchpoint of a client. */
interface Point {
  readonly id: number;
  /** 0 and 1 code, 2 write, 3 read, 4 either (GDB manual, "Packets", `Z`). */
  readonly type: number;
  readonly address: bigint;
  readonly length: bigint;
}

const KINDS = ['watch', 'rwatch', 'awatch'] as const;

/** A client's breakpoints and watchpoints, kept in the engine. */
export class Points {
  private readonly points = new Map<string, Point>();
  private nextId = 1;

  constructor(private readonly session: DebugSession) {}

  /** `Z` and `z` packets. False for one that isn't well formed. */
  change(insert: boolean, text: string): boolean {
    const [, type, address, kind] = /^([0-4]),([0-9a-f]{1,16}),([0-9a-f]{1,8})(?:;.*)?$/i.exec(text) ?? [];
    if (type === undefined || address === undefined || kind === undefined) return false;
    const point: Point = {
      id: this.nextId++,
      type: Number(type),
      address: BigInt(`0x${address}`),
      length: BigInt(`0x${kind}`) || 1n,
    };
    // The length of a software breakpoint is that of the instruction to be written there, which nothing writes.
    const key = `${point.type}:${point.address}:${point.type < 2 ? 0 : point.length}`;
    if (insert) this.points.set(key, point);
    else this.points.delete(key);
    this.apply();
    return true;
  }

  clear(): void {
    this.points.clear();
    this.apply();
  }

  private apply(): void {
    const all = [...this.points.values()];
    const code = all.filter(({ type }) => type < 2);
    const data = all.filter(({ type }) => type >= 2);
    this.session.setCodeBreakpoints(
      'gdb',
      code.map(({ id, address }) => ({ id, addresses: [address], counter: { hits: 0 } })),
    );
    this.session.setDataBreakpoints(
      data.map(({ id, type, address, length }) => ({
        id,
        space: 'gva',
        address,
        length,
        access: type === 2 ? 'write' : type === 3 ? 'read' : 'readWrite',
        counter: { hits: 0 },
      })),
    );
  }

  /** The kind of breakpoint that a stop is about; undefined when it is about none. */
  reached({ reason, hitBreakpoints }: StopEvent): CodePoint | undefined {
    if (reason !== 'breakpoint') return undefined;
    const hits = [...this.points.values()].filter(({ id }) => hitBreakpoints?.includes(id));
    if (hits.length === 0) return undefined;
    return hits.some(({ type }) => type === 0) ? 'swbreak' : 'hwbreak';
  }

  /** The watchpoint that a stop is about, with the first of its bytes that are accessed; undefined when it is about none. */
  watched({ reason, hitBreakpoints, watch }: StopEvent): WatchedAccess | undefined {
    if (reason !== 'data breakpoint') return undefined;
    const point = [...this.points.values()].find(({ id }) => hitBreakpoints?.includes(id));
    const kind = KINDS[(point?.type ?? 0) - 2];
    if (!point || !kind) return undefined;
    return { kind, address: watch && watch.address > point.address ? watch.address : point.address };
  }
}
