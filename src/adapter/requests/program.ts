import { handlerSources } from '../../debugger/breakpoints/stage-breakpoints.ts';
import type { Program } from '../../programs/program.ts';
import { hex } from '../../x86/address.ts';
import { errors } from '../errors.ts';
import { describeSource } from '../sources.ts';
import { optionalNumber, type RequestHandler } from './handler.ts';

/** What is known of a program besides its bytes. */
function symbolStatus({ sourceLines, sections, symbols }: Program): string {
  if (sourceLines) return 'Lines and labels, from the assembler';
  if (sections.has('.debug_info')) return 'Lines, functions, variables and types, from DWARF';
  if (sections.has('.debug_line')) return 'Lines, from DWARF';
  return symbols.length > 0 ? `${symbols.length} symbols, no lines` : 'No symbols';
}

/** The guest program, and the handlers of the hypervisor below it. */
const modules: RequestHandler = (adapter, parameters) => {
  const { program, partition } = adapter.launched;
  const { platform } = partition;
  const guest = {
    id: 1,
    ...describeSource(adapter, program.path),
    version: `${program.kind}, ${program.mode}-bit`,
    isUserCode: true,
    symbolStatus: symbolStatus(program),
    symbolFilePath: program.sourceLines || program.sections.size > 0 ? adapter.dialect.writePath(program.path) : undefined,
    addressRange: program.segments.map(({ gpa, size }) => `${hex(gpa)}-${hex(gpa + BigInt(size))}`).join(', '),
  };
  const sources = handlerSources(platform);
  const hypervisor = { id: 2, name: `${platform}: exit handlers`, isUserCode: false, symbolStatus: `${sources.length} sources` };
  const all = sources.length > 0 ? [guest, hypervisor] : [guest];
  const start = optionalNumber(parameters, 'startModule') ?? 0;
  const count = optionalNumber(parameters, 'moduleCount') ?? 0;
  return { body: { modules: all.slice(start, count > 0 ? start + count : undefined), totalModules: all.length } };
};

/** The guest's sources, then those of the exit handlers that can serve it. */
const loadedSources: RequestHandler = (adapter) => {
  const { session, partition } = adapter.launched;
  return {
    body: {
      sources: [
        ...session.symbols.files.map((path) => describeSource(adapter, path)),
        ...handlerSources(partition.platform).map((path) => describeSource(adapter, path, true)),
      ],
    },
  };
};

const source: RequestHandler = () => {
  throw errors.noSource();
};

export const programRequests: Readonly<Record<string, RequestHandler>> = { modules, loadedSources, source };
