import { disassembleAround } from '../../debugger/inspection/disassembly.ts';
import { errors } from '../errors.ts';
import { type MemoryRange, readFrom } from '../memory-views.ts';
import {
  fromBase64,
  type MemoryReference,
  parseMovedReference,
  parseReference,
  toBase64,
  writeReference,
} from '../references.ts';
import { describeSource } from '../sources.ts';
import { guestOf, numberOf, optionalNumber, type Parameters, type RequestHandler, textOf } from './handler.ts';

/** Bytes of one read: a tenth of a second's work. A client that wants more asks again. */
const MAX_READ = 16 * 1024 * 1024;
const MAX_INSTRUCTIONS = 10_000;
/** Symbols are about linear addresses. */
const NO_SYMBOLS = { describe: () => undefined, functionAt: () => undefined, lineAt: () => undefined };

/** The range that a request is about. Throws RequestError. */
function rangeOf(parameters: Parameters, count: number): { readonly place: MemoryReference; readonly range: MemoryRange } {
  const memoryReference = String(parameters.memoryReference);
  const asked = optionalNumber(parameters, 'offset') ?? 0;
  const offset = Number.isSafeInteger(asked) ? asked : 0;
  return { place: parseReference(parameters.memoryReference), range: { memoryReference, offset, count } };
}

/** The reference of the first byte of a range. */
function startOf(place: MemoryReference, offset: number): string {
  const { address } = place;
  return writeReference({ ...place, address: BigInt.asUintN(64, address + BigInt(offset)) });
}

const readMemory: RequestHandler = (adapter, parameters) => {
  const count = Math.trunc(Math.max(0, numberOf(parameters, 'count', 'readMemory')));
  const { place, range } = rangeOf(parameters, Math.min(count, MAX_READ));
  const { processor } = guestOf(adapter, place).session.vcpu();
  const bytes = readFrom(processor, place, range.offset, range.count);
  adapter.memoryViews.shown(range, place, bytes);
  // Clients fill up what is neither there nor counted here with zeroes.
  return { body: { address: startOf(place, range.offset), data: toBase64(bytes), unreadableBytes: count - bytes.length } };
};

const writeMemory: RequestHandler = (adapter, parameters) => {
  const bytes = fromBase64(textOf(parameters, 'data', 'writeMemory'));
  const { place, range } = rangeOf(parameters, bytes.length);
  const { session } = guestOf(adapter, place);
  if (session.running) throw errors.running();
  const { processor } = session.vcpu();
  const { offset } = range;
  // What can be read is RAM that can be written.
  const room = readFrom(processor, place, offset, bytes.length).length;
  if (room === 0 && bytes.length > 0) throw errors.notWritable(startOf(place, offset));
  if (room < bytes.length && parameters.allowPartial !== true) throw errors.partlyWritable(room, bytes.length);
  const address = BigInt.asUintN(64, place.address + BigInt(offset));
  const count = processor.writeMemory(place.space, address, bytes.subarray(0, room));
  const plain = { memoryReference: startOf(place, offset), offset: 0, count };
  const isPlain = offset === 0 && range.memoryReference === plain.memoryReference;
  return {
    body: { offset: 0, bytesWritten: count },
    after: () => {
      adapter.tellChangedMemory(isPlain ? [plain] : [{ ...range, count }, plain]);
      adapter.event('invalidated', { areas: ['variables'] });
    },
  };
};

const disassemble: RequestHandler = (adapter, parameters) => {
  const place = parseMovedReference(parameters.memoryReference, parameters.offset);
  const { session } = guestOf(adapter, place);
  const count = Math.min(Math.max(0, numberOf(parameters, 'instructionCount', 'disassemble')), MAX_INSTRUCTIONS);
  const offset = Math.max(-MAX_INSTRUCTIONS, Math.min(MAX_INSTRUCTIONS, optionalNumber(parameters, 'instructionOffset') ?? 0));
  const symbols = place.space === 'gva' ? session.symbols : NO_SYMBOLS;
  const lines = disassembleAround(session.vcpu().processor, symbols, place.address, offset, count, place.space);
  const instructions = lines.map((line) => {
    const position = line.valid ? symbols.lineAt(line.address)?.position : undefined;
    return {
      address: writeReference({ ...place, address: line.address }),
      instruction: line.text,
      instructionBytes: [...line.bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' '),
      symbol: line.symbol,
      location: position && describeSource(adapter, position.path),
      line: position && adapter.dialect.writeLine(position.line),
      presentationHint: line.valid ? undefined : 'invalid',
    };
  });
  return { body: { instructions } };
};

export const memoryRequests: Readonly<Record<string, RequestHandler>> = {
  readMemory,
  writeMemory,
  disassemble,
};
