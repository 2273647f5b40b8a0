import { handlerSources } from '../../debugger/breakpoints/stage-breakpoints.ts';
import type { Guest } from '../../debugger/launch-guest.ts';
import type { Program } from '../../programs/program.ts';
import { hex } from '../../x86/address.ts';
import { errors } from '../errors.ts';
import { kernelModules } from '../module-book.ts';
import { describeSource } from '../sources.ts';
import { optionalNumber, type RequestHandler } from './handler.ts';

/** What is known of a program besides its bytes. */
function symbolStatus({ sourceLines, sections, symbols }: Program): string {
  if (sourceLines) return 'Lines and labels, from the assembler';
  if (sections.has('.debug_info')) return 'Lines, functions, variables and types, from DWARF';
  if (sections.has('.debug_line')) return 'Lines, from DWARF';
  return symbols.length > 0 ? `${symbols.length} symbols, no lines` : 'No symbols';
}

/** The guest programs, and the handlers of the hypervisor below them. */
const modules: RequestHandler = (adapter, parameters) => {
  const { guests } = adapter.launched;
  const programs = guests.map(({ program, configuration }) => ({
    ...describeSource(adapter, program.path),
    name: guests.length > 1 ? `${configuration.name}: ${fileName(program.path)}` : fileName(program.path),
    version: `${program.kind}, ${program.mode}-bit`,
    isUserCode: true,
    symbolStatus: symbolStatus(program),
    symbolFilePath: program.sourceLines || program.sections.size > 0 ? adapter.dialect.writePath(program.path) : undefined,
    addressRange: program.segments.map(({ gpa, size }) => `${hex(gpa)}-${hex(gpa + BigInt(size))}`).join(', '),
  }));
  const handlers = platformsOf(guests).flatMap((platform) => {
    const sources = handlerSources(platform);
    if (sources.length === 0) return [];
    return { name: `${platform}: exit handlers`, isUserCode: false, symbolStatus: `${sources.length} sources` };
  });
  const fixed = [...programs, ...handlers].map((module, index) => ({ id: index + 1, ...module }));
  const all = [...fixed, ...kernelModules(guests)];
  const start = optionalNumber(parameters, 'startModule') ?? 0;
  const count = optionalNumber(parameters, 'moduleCount') ?? 0;
  return { body: { modules: all.slice(start, count > 0 ? start + count : undefined), totalModules: all.length } };
};

const fileName = (path: string) => path.split(/[\\/]/).at(-1) ?? path;

/** The platforms of the guests, each once. */
function platformsOf(guests: readonly Guest[]): readonly string[] {
  return [...new Set(guests.map(({ partition }) => partition.platform))];
}

/** The guests' sources, then those of the exit handlers that can serve them. */
const loadedSources: RequestHandler = (adapter) => {
  const { guests } = adapter.launched;
  const own = new Set(guests.flatMap(({ session }) => session.symbols.files));
  const shipped = new Set(platformsOf(guests).flatMap(handlerSources));
  return {
    body: {
      sources: [
        ...[...own].map((path) => describeSource(adapter, path)),
        ...[...shipped].map((path) => describeSource(adapter, path, true)),
      ],
    },
  };
};

const source: RequestHandler = () => {
  throw errors.noSource();
};

export const programRequests: Readonly<Record<string, RequestHandler>> = { modules, loadedSources, source };
