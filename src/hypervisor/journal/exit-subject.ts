import { msrName } from '../../processor/models/msr-table.ts';
import { hex } from '../../x86/address.ts';
import type { ExitRecord } from './exit-journal.ts';

/**
 * What an exit is about, taken from its record alone: from the qualification, or from the request as exits/describe.ts and the
 * platforms' hypercalls write it.
 * Each function gives undefined where an exit has no such thing.
 */
type OfRecord = (record: ExitRecord) => string | undefined;

/** An access to an I/O port. */
export interface IoAccess {
  readonly port: number;
  /** Bytes: 1, 2 or 4. */
  readonly size: number;
  readonly write: boolean;
}

/**
 * The access that a qualification tells of, whichever vendor's it is. EXITINFO1 has one of the address size bits 9:7 set (AMD APM
 * vol. 2, 15.10.2), which VMX keeps 0 (Intel SDM vol. 3, table 28-5); both have the port in bits 31:16.
 */
export function ioAccess(qualification: bigint): IoAccess {
  const bits = Number(qualification & 0xffff_ffffn);
  const port = bits >>> 16;
  if ((bits & 0x380) !== 0) return { port, size: (bits >> 4) & 7, write: (bits & 1) === 0 };
  return { port, size: (bits & 7) + 1, write: (bits & 8) === 0 };
}

/** What stands in a request where the parentheses of a pattern are. */
function argument({ request }: ExitRecord, pattern: RegExp): string | undefined {
  return pattern.exec(request)?.[1];
}

/** Its index, and its name where the platform or the processor has one: `0x40000020 HV_X64_MSR_TIME_REF_COUNT`. */
export const msrOf: OfRecord = (record) => {
  if (record.reason !== 'msr-read' && record.reason !== 'msr-write') return undefined;
  const [, index, ofPlatform] = /^(?:rd|wr)msr (0x[0-9a-f]+)(?: (\w+))?/.exec(record.request) ?? [];
  if (index === undefined) return undefined;
  const name = ofPlatform ?? msrName(Number(index));
  return name === undefined ? index : `${index} ${name}`;
};

const HAVE_PAGES: ReadonlySet<string> = new Set(['mmio', 'second-level-violation', 'second-level-misconfiguration', 'dirty-log']);

/** The page of guest physical memory, or the register of the local APIC. */
export const pageOf: OfRecord = (record) => {
  if (record.reason === 'apic') {
    const register = argument(record, /^apic (?:read|write) (0x[0-9a-f]+)/);
    return register === undefined ? undefined : `APIC ${register}`;
  }
  if (!HAVE_PAGES.has(record.reason)) return undefined;
  const address = argument(record, /^(?:fetch|read|write|execute|page walk) (0x[0-9a-f]+)/);
  return address === undefined ? undefined : hex(BigInt(address) & ~0xfffn);
};

export const portOf: OfRecord = ({ reason, qualification }) =>
  reason === 'io' ? hex(ioAccess(BigInt(qualification)).port) : undefined;

/** Its name where the platform that served it has one, `KVM_HC_KICK_CPU`; otherwise its number. */
export const hypercallOf: OfRecord = (record) => {
  if (record.reason !== 'hypercall') return undefined;
  const [, number, word] = /^vmm?call (?:hypercall (\d+)|(\w+))/.exec(record.request) ?? [];
  return number === undefined ? word : hex(BigInt(number));
};

export const leafOf: OfRecord = (record) => (record.reason === 'cpuid' ? argument(record, /^cpuid (0x[0-9a-f]+)/) : undefined);

/** `cr3`; CLTS, LMSW and SMSW are about CR0. */
export const controlRegisterOf: OfRecord = (record) =>
  record.reason === 'cr' ? (argument(record, /^mov (?:from )?(cr\d)/) ?? 'cr0') : undefined;

/** An exception without its error code, `#PF`; the vector of an interrupt, `0x20`. */
export const vectorOf: OfRecord = (record) => {
  if (record.reason === 'exception') return argument(record, /^([^(,]+)/);
  return record.reason === 'external-interrupt' ? argument(record, /^external-interrupt (0x[0-9a-f]+)/) : undefined;
};

/**
 * What the guest did, without the values that differ from one time to the next: `out 0x3f8 (1 byte)`, `wrmsr 0xc0000082 LSTAR`,
 * `write 0xfee00000`, `mov to cr3`, `#PF`, `hlt`.
 */
export function subjectOf(record: ExitRecord): string {
  const { reason, request } = record;
  const verb = /^\S*/.exec(request)?.[0] ?? '';
  switch (reason) {
    case 'io': {
      const { port, size, write } = ioAccess(BigInt(record.qualification));
      return `${write ? 'out' : 'in'} ${hex(port)} (${size === 1 ? '1 byte' : `${size} bytes`})`;
    }
    case 'msr-read':
    case 'msr-write':
      return `${verb} ${msrOf(record) ?? '?'}`;
    case 'mmio':
    case 'second-level-violation':
    case 'second-level-misconfiguration':
    case 'dirty-log':
      return `${request.startsWith('page walk') ? 'page walk' : verb} ${pageOf(record) ?? '?'}`;
    case 'hypercall':
      return `${verb} ${hypercallOf(record) ?? '?'}`;
    case 'cpuid':
      return `cpuid ${leafOf(record) ?? '?'}`;
    case 'cr':
      return request.replace(/^mov (cr\d), .*$/, 'mov to $1');
    case 'exception':
    case 'external-interrupt':
      return vectorOf(record) ?? reason;
    default:
      // Values stand behind a comma.
      return request.split(',', 1)[0] || reason;
  }
}
