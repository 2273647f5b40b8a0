import type { InspectNode } from '../../../devices/inspect.ts';
import { hex } from '../../../x86/address.ts';
import {
  type IcEnvelope,
  IcMessage,
  IcStatus,
  KVP_ADDRESSES_HEADER,
  KVP_HEADER,
  KVP_LONGEST_KEY,
  KVP_LONGEST_VALUE,
  KVP_POOL_NAMES,
  KVP_VALUE_SIZE,
  KvpAddresses,
  KvpOperation,
  KvpPool,
  KvpType,
  version,
} from '../abi/integration.ts';
import type { IntegrationService } from './integration-component.ts';

/** What the host asks of the guest's pairs. */
export type KvpRequest =
  | { readonly operation: 'read' }
  | { readonly operation: 'set'; readonly key: string; readonly value: string }
  | { readonly operation: 'get'; readonly key: string }
  | { readonly operation: 'delete'; readonly key: string }
  /** What addresses a network card has; the key is its Ethernet address. */
  | { readonly operation: 'addresses'; readonly key: string };

type Step = PairStep | AddressesStep;
interface AddressesStep {
  readonly operation: typeof KvpOperation.GET_IP_INFO;
  readonly key: string;
}
type PairStep =
  | { readonly operation: typeof KvpOperation.ENUMERATE; readonly pool: number; readonly index: number }
  | { readonly operation: typeof KvpOperation.SET; readonly pool: number; readonly key: string; readonly value: string }
  | { readonly operation: typeof KvpOperation.GET | typeof KvpOperation.DELETE; readonly pool: number; readonly key: string };

/** Pools in the order in which they are read. */
const READ = [KvpPool.AUTO, KvpPool.GUEST, KvpPool.EXTERNAL] as const;
/** Pairs that a pool may have, and requests that may wait: more are passed over. */
const MOST_PAIRS = 512;
const MOST_STEPS = 64;
/** Network cards whose addresses are kept. */
const MOST_CARDS = 16;

/** Exchanges key-value pairs with a service in the guest: what it says of its system, and what the host wants it to know. */
export class KeyValueExchange implements IntegrationService {
  readonly name = 'kvp';
  readonly messageType = IcMessage.KVP_EXCHANGE;
  readonly versions = [version(3), version(4), version(5)];
  private readonly pools = new Map<number, Map<string, string>>();
  /** Names and values of what network cards have, by their Ethernet addresses. */
  private readonly cards = new Map<string, readonly (readonly [name: string, value: string])[]>();
  private steps: Step[] = [];
  /** What the guest was asked and hasn't answered yet. */
  private pending: Step | undefined;
  private lastStatus: number = IcStatus.OK;

  constructor(private readonly ask: (body: Uint8Array) => void) {}

  begin(): readonly Uint8Array[] {
    this.add({ operation: 'read' });
    return this.next();
  }

  request(request: KvpRequest): void {
    this.add(request);
    for (const body of this.next()) this.ask(body);
  }

  private add(request: KvpRequest): void {
    if (this.steps.length >= MOST_STEPS) return;
    const pool = KvpPool.EXTERNAL;
    if (request.operation === 'read') {
      this.steps.push(...READ.map((from) => ({ operation: KvpOperation.ENUMERATE, pool: from, index: 0 })));
    } else if (request.operation === 'set') {
      this.steps.push({ operation: KvpOperation.SET, pool, key: request.key, value: request.value });
    } else if (request.operation === 'addresses') {
      this.steps.push({ operation: KvpOperation.GET_IP_INFO, key: request.key });
    } else {
      const operation = request.operation === 'get' ? KvpOperation.GET : KvpOperation.DELETE;
      this.steps.push({ operation, pool, key: request.key });
    }
  }

  /** Linux's driver takes one request at a time. */
  private next(): readonly Uint8Array[] {
    if (this.pending) return [];
    this.pending = this.steps.shift();
    if (!this.pending) return [];
    if (this.pending.operation === KvpOperation.ENUMERATE && this.pending.index === 0) this.pools.delete(this.pending.pool);
    return [encodeStep(this.pending)];
  }

  answered({ status, body }: IcEnvelope): readonly Uint8Array[] {
    const { pending } = this;
    if (!pending) return [];
    this.pending = undefined;
    this.lastStatus = status;
    if (status !== IcStatus.OK) return this.next();
    if (pending.operation === KvpOperation.GET_IP_INFO) this.takeAddresses(pending.key, body);
    else this.take(pending, body);
    return this.next();
  }

  private takeAddresses(card: string, body: Uint8Array): void {
    const addresses = decodeAddresses(body.subarray(KVP_ADDRESSES_HEADER));
    if (addresses && (this.cards.has(card) || this.cards.size < MOST_CARDS)) this.cards.set(card, addresses);
  }

  private take(step: PairStep, body: Uint8Array): void {
    const pool = this.pools.get(step.pool) ?? new Map<string, string>();
    this.pools.set(step.pool, pool);
    switch (step.operation) {
      case KvpOperation.ENUMERATE: {
        const pair = decodePair(body.subarray(KVP_HEADER + 4));
        if (!pair) return;
        pool.set(pair.key, pair.value);
        if (step.index + 1 < MOST_PAIRS) this.steps.unshift({ ...step, index: step.index + 1 });
        return;
      }
      case KvpOperation.GET: {
        const pair = decodePair(body.subarray(KVP_HEADER));
        if (pair && pool.size < MOST_PAIRS) pool.set(step.key, pair.value);
        return;
      }
      case KvpOperation.SET:
        if (pool.size < MOST_PAIRS) pool.set(step.key, step.value);
        return;
      case KvpOperation.DELETE:
        pool.delete(step.key);
    }
  }

  end(): void {
    this.pools.clear();
    this.cards.clear();
    this.steps = [];
    this.pending = undefined;
    this.lastStatus = IcStatus.OK;
  }

  inspect(): readonly InspectNode[] {
    const pools = [...this.pools].map(([pool, pairs]) => ({
      name: KVP_POOL_NAMES[pool] ?? String(pool),
      children: [...pairs].map(([name, value]) => ({ name, value })),
    }));
    const cards = [...this.cards].map(([card, values]) => ({
      name: `card ${card}`,
      children: values.map(([name, value]) => ({ name, value })),
    }));
    const isDone = this.pending === undefined;
    const status = isDone ? 'idle' : 'waits for an answer';
    return [{ name: 'request', value: status, detail: `last status ${hex(this.lastStatus)}` }, ...pools, ...cards];
  }
}

function encodeStep(step: Step): Uint8Array {
  if (step.operation !== KvpOperation.GET_IP_INFO) return encodePairStep(step);
  const bytes = new Uint8Array(KVP_ADDRESSES_HEADER + KvpAddresses.SIZE);
  bytes[0] = step.operation;
  // Linux's service compares with upper-case digits.
  bytes.set(utf16(step.key.toUpperCase(), KvpAddresses.ADAPTER.size), KVP_ADDRESSES_HEADER + KvpAddresses.ADAPTER.at);
  return bytes;
}

/** What a network card has, as the guest tells it; undefined where it is too short. */
function decodeAddresses(bytes: Uint8Array): readonly (readonly [name: string, value: string])[] | undefined {
  if (bytes.length < KvpAddresses.SIZE) return undefined;
  const part = ({ at, size }: { readonly at: number; readonly size: number }) =>
    text(bytes.subarray(at, at + size))
      .split(';')
      .filter(Boolean)
      .join(', ');
  return [
    ['addresses', part(KvpAddresses.ADDRESSES)],
    ['subnets', part(KvpAddresses.SUBNETS)],
    ['gateways', part(KvpAddresses.GATEWAYS)],
    ['name servers', part(KvpAddresses.NAME_SERVERS)],
    ['by DHCP', bytes[KvpAddresses.DHCP] ? 'yes' : 'no'],
  ];
}

function encodePairStep(step: PairStep): Uint8Array {
  const isEnumeration = step.operation === KvpOperation.ENUMERATE;
  const at = KVP_HEADER + (isEnumeration ? 4 : 0);
  const bytes = new Uint8Array(at + KVP_VALUE_SIZE);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, step.operation);
  view.setUint8(1, step.pool);
  if (isEnumeration) {
    view.setUint32(KVP_HEADER, step.index, true);
    return bytes;
  }
  const key = utf16(step.key, KVP_LONGEST_KEY);
  if (step.operation === KvpOperation.DELETE) {
    view.setUint32(at, key.length, true);
    bytes.set(key, at + 4);
    return bytes;
  }
  const value = utf16(step.operation === KvpOperation.SET ? step.value : '', KVP_LONGEST_VALUE);
  view.setUint32(at, KvpType.TEXT, true);
  view.setUint32(at + 4, key.length, true);
  view.setUint32(at + 8, value.length, true);
  bytes.set(key, at + 12);
  bytes.set(value, at + 12 + KVP_LONGEST_KEY);
  return bytes;
}

/** A pair as the guest tells it; undefined where it says sizes that can't be. */
function decodePair(bytes: Uint8Array): { readonly key: string; readonly value: string } | undefined {
  if (bytes.length < KVP_VALUE_SIZE) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [type, keySize, valueSize] = [0, 4, 8].map((at) => view.getUint32(at, true));
  if (keySize === undefined || valueSize === undefined || keySize > KVP_LONGEST_KEY || valueSize > KVP_LONGEST_VALUE)
    return undefined;
  const at = 12 + KVP_LONGEST_KEY;
  const key = text(bytes.subarray(12, 12 + keySize));
  if (type === KvpType.U32) return { key, value: String(view.getUint32(at, true)) };
  if (type === KvpType.U64) return { key, value: String(view.getBigUint64(at, true)) };
  return { key, value: text(bytes.subarray(at, at + valueSize)) };
}

/** A text in UTF-16 with its NUL, cut to the room there is. */
function utf16(from: string, room: number): Uint8Array {
  const units = [...from.slice(0, room / 2 - 1)].flatMap((letter) =>
    [...Array(letter.length).keys()].map((at) => letter.charCodeAt(at)),
  );
  return Uint8Array.from([...units, 0].flatMap((unit) => [unit & 0xff, unit >> 8]));
}

function text(bytes: Uint8Array): string {
  const [whole = ''] = new TextDecoder('utf-16le').decode(bytes).split('\0');
  return whole;
}
