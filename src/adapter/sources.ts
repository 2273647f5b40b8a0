import type { Guest } from '../debugger/launch-guest.ts';
import { parseAddress } from '../x86/address.ts';
import type { AdapterSession } from './adapter-session.ts';
import type { Parameters } from './requests/handler.ts';

const plain = (path: string) => path.replaceAll('\\', '/');

/** A source as the protocol has it. */
export interface ShownSource {
  readonly name?: string;
  readonly path: string;
  readonly origin?: string;
}

/** A source as the client is told of it. The sources of exit handlers ship with the program and lie in its folder. */
export function describeSource({ options, dialect }: AdapterSession, path: string, shipped = false): ShownSource {
  const full = shipped ? `${options.sourceRoot}/${path}` : path;
  return {
    name: path.split(/[\\/]/).at(-1),
    path: dialect.writePath(full),
    origin: shipped ? 'hypervisor' : undefined,
  };
}

/** The path that a client means with the `source` of a request; empty where it gives none. */
export function sourcePath({ dialect }: AdapterSession, { source }: Parameters): string {
  const path = typeof source === 'object' && source !== null && 'path' in source ? source.path : undefined;
  return typeof path === 'string' ? dialect.readPath(path) : '';
}

/** A reference to the source line that a shown value leads to: a register or a pointer that holds an address of code. */
export function locationOf(adapter: AdapterSession, guest: Guest, value: string): number | undefined {
  const address = parseAddress(/^0x[0-9a-f]{1,16}(?![0-9a-f])/i.exec(value)?.[0] ?? '');
  if (address === undefined || !guest.session.symbols.lineAt(address)) return undefined;
  return adapter.locations.add({ guest, address });
}

/** Path from the project's folder, for a file that ships with the program; undefined for another one. */
export function shippedPath({ options }: AdapterSession, path: string): string | undefined {
  const root = `${plain(options.sourceRoot).replace(/\/$/, '')}/src/`;
  return plain(path).toLowerCase().startsWith(root.toLowerCase()) ? plain(path).slice(root.length - 'src/'.length) : undefined;
}
