import { disassembleAround } from '../../debugger/inspection/disassembly.ts';
import { errors } from '../errors.ts';
import { fromBase64, gvaReference, type MemoryReference, parseReference, toBase64, writeReference } from '../references.ts';
import { describeSource } from '../sources.ts';
import { guestOf, numberOf, optionalNumber, type RequestHandler, textOf } from './handler.ts';

/** Bytes of one read: a few milliseconds' work. A client that wants more asks again. */
const MAX_READ = 1024 * 1024;
const MAX_INSTRUCTIONS = 10_000;

/** The number of a reference: clients put no space before an address. */
const addressText = ({ guest = 0, address }: MemoryReference) => gvaReference(guest, address);

const readMemory: RequestHandler = (adapter, parameters) => {
  const place = parseReference(parameters.memoryReference, parameters.offset);
  const count = Math.min(Math.max(0, numberOf(parameters, 'count', 'readMemory')), MAX_READ);
  const bytes = guestOf(adapter, place).session.vcpu().processor.readMemory(place.space, place.address, count);
  return { body: { address: addressText(place), data: toBase64(bytes), unreadableBytes: count - bytes.length } };
};

const writeMemory: RequestHandler = (adapter, parameters) => {
  const place = parseReference(parameters.memoryReference, parameters.offset);
  const bytes = fromBase64(textOf(parameters, 'data', 'writeMemory'));
  const { session } = guestOf(adapter, place);
  if (session.running) throw errors.running();
  const written = session.vcpu().processor.writeMemory(place.space, place.address, bytes);
  if (written < bytes.length && parameters.allowPartial !== true && written === 0)
    throw errors.notSettable(`The memory at ${writeReference(place)}`);
  return {
    body: { bytesWritten: written },
    after: () => {
      adapter.event('memory', { memoryReference: writeReference(place), offset: 0, count: written });
      adapter.event('invalidated', { areas: ['variables'] });
    },
  };
};

const disassemble: RequestHandler = (adapter, parameters) => {
  const place = parseReference(parameters.memoryReference, parameters.offset);
  const { address } = place;
  const { session, index } = guestOf(adapter, place);
  const count = Math.min(Math.max(0, numberOf(parameters, 'instructionCount', 'disassemble')), MAX_INSTRUCTIONS);
  const offset = Math.max(-MAX_INSTRUCTIONS, Math.min(MAX_INSTRUCTIONS, optionalNumber(parameters, 'instructionOffset') ?? 0));
  const { symbols } = session;
  const lines = disassembleAround(session.vcpu().processor, symbols, address, offset, count);
  const instructions = lines.map((line) => {
    const position = line.valid ? symbols.lineAt(line.address)?.position : undefined;
    return {
      address: gvaReference(index, line.address),
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
