import { viewOf, withHeader } from './bytes.ts';

export const DNS_PORT = 53;

/** Types of records (RFC 1035, 3.2.2). */
export const DnsType = { A: 1, PTR: 12, AAAA: 28, ANY: 255 } as const;
/** Codes of answers (RFC 1035, 4.1.1). */
export const DnsCode = { OK: 0, FORMAT_ERROR: 1, NO_SUCH_NAME: 3, NOT_IMPLEMENTED: 4 } as const;

const HEADER = 12;
const INTERNET = 1;
const RESPONSE = 0x8000;
const AUTHORITATIVE = 0x0400;
const RECURSION_DESIRED = 0x0100;
const RECURSION_AVAILABLE = 0x0080;
const LONGEST_LABEL = 63;
const LONGEST_NAME = 255;
/** A name that stands at the beginning of the question (RFC 1035, 4.1.4). */
const NAME_OF_QUESTION = 0xc000 | HEADER;
/** Seconds for which an answer may be kept. */
const TIME_TO_LIVE = 60;

/** A question of a client: one for the Internet's class, as all resolvers ask. */
export interface DnsQuery {
  readonly id: number;
  readonly wantsRecursion: boolean;
  /** In lower case, without the dot at its end. */
  readonly name: string;
  readonly type: number;
  /** The question as it came, for the answer to repeat. */
  readonly question: Uint8Array;
}

/** What can't be answered as a question: with what code to say so, or undefined to say nothing. */
export type DnsProblem = { readonly id: number; readonly code: number } | undefined;

/** Reads a message of a client. */
export function parseDns(bytes: Uint8Array): { readonly query: DnsQuery } | { readonly problem: DnsProblem } {
  if (bytes.length < HEADER) return { problem: undefined };
  const view = viewOf(bytes);
  const id = view.getUint16(0);
  const flags = view.getUint16(2);
  if (flags & RESPONSE) return { problem: undefined };
  const problem = (code: number) => ({ problem: { id, code } });
  if ((flags >> 11) & 15) return problem(DnsCode.NOT_IMPLEMENTED);
  if (view.getUint16(4) !== 1) return problem(DnsCode.FORMAT_ERROR);
  const labels: string[] = [];
  let at = HEADER;
  for (;;) {
    const length = bytes[at] ?? 0;
    if (at >= bytes.length || length > LONGEST_LABEL || at + 1 + length - HEADER > LONGEST_NAME)
      return problem(DnsCode.FORMAT_ERROR);
    at++;
    if (length === 0) break;
    labels.push(String.fromCharCode(...bytes.subarray(at, at + length)));
    at += length;
  }
  if (at + 4 > bytes.length) return problem(DnsCode.FORMAT_ERROR);
  if (view.getUint16(at + 2) !== INTERNET) return problem(DnsCode.NOT_IMPLEMENTED);
  const question = bytes.slice(HEADER, at + 4);
  const name = labels.join('.').toLowerCase();
  return { query: { id, wantsRecursion: (flags & RECURSION_DESIRED) !== 0, name, type: view.getUint16(at), question } };
}

/** A record of an answer: the bytes of its value. */
export interface DnsRecord {
  readonly type: number;
  readonly value: Uint8Array;
}

export function buildDnsAnswer(query: DnsQuery, code: number, records: readonly DnsRecord[] = []): Uint8Array {
  const RECORD = 12;
  const length = records.reduce((sum, { value }) => sum + RECORD + value.length, 0);
  const { bytes, view } = withHeader(HEADER, new Uint8Array(query.question.length + length));
  view.setUint16(0, query.id);
  view.setUint16(2, RESPONSE | AUTHORITATIVE | RECURSION_AVAILABLE | (query.wantsRecursion ? RECURSION_DESIRED : 0) | code);
  view.setUint16(4, 1);
  view.setUint16(6, records.length);
  bytes.set(query.question, HEADER);
  let at = HEADER + query.question.length;
  for (const { type, value } of records) {
    view.setUint16(at, NAME_OF_QUESTION);
    view.setUint16(at + 2, type);
    view.setUint16(at + 4, INTERNET);
    view.setUint32(at + 6, TIME_TO_LIVE);
    view.setUint16(at + 10, value.length);
    bytes.set(value, at + RECORD);
    at += RECORD + value.length;
  }
  return bytes;
}

/** The answer to what is no question. */
export function buildDnsProblem({ id, code }: { readonly id: number; readonly code: number }): Uint8Array {
  const { bytes, view } = withHeader(HEADER, new Uint8Array(0));
  view.setUint16(0, id);
  view.setUint16(2, RESPONSE | code);
  return bytes;
}

/** A name as records have it. */
export function encodeName(name: string): Uint8Array {
  const labels = name.split('.').filter((label) => label !== '');
  return Uint8Array.from([...labels.flatMap((label) => [label.length, ...new TextEncoder().encode(label)]), 0]);
}
