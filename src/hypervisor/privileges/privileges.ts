/**
 * What a partition may ask of the hypervisor and of what the host gives it. A platform whose guests see their privileges (as
 * Hyper-V's do, in a mask) maps its bits to these names in its own tables.
 */
export const PRIVILEGES = [
  { name: 'serial-console', grants: 'print on the serial console' },
  { name: 'debug-console', grants: 'print on the debug console, port 0xE9' },
  { name: 'debug-exit', grants: 'end the run with a status of its own, port 0xF4' },
  { name: 'power', grants: 'switch itself off, or reset itself' },
  { name: 'timers', grants: 'arm timers' },
  { name: 'send-ipis', grants: 'send interrupts from one of its vCPUs to another' },
  { name: 'start-vcpus', grants: 'start and reset its vCPUs with INIT and start-up messages' },
  { name: 'hypercalls', grants: 'call the hypervisor' },
  { name: 'create-partitions', grants: 'have partitions made' },
  { name: 'debugging', grants: 'exchange data with a debugger through the hypervisor' },
] as const;

export type PrivilegeName = (typeof PRIVILEGES)[number]['name'];

const UNUSUAL: ReadonlySet<string> = new Set(['create-partitions', 'debugging']);

/** All but making other partitions and talking to a debugger: what a guest has unless it is said otherwise. */
export const USUAL_PRIVILEGES: ReadonlySet<PrivilegeName> = new Set(
  PRIVILEGES.map(({ name }) => name).filter((name) => !UNUSUAL.has(name)),
);

/** I/O ports from the first to the last. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** How much of what is shared a partition may have. */
export interface PartitionLimits {
  /** I/O ports that it reaches; all when missing. What it does to others has no effect, and they read as ones. */
  readonly ports?: readonly PortRange[];
  /** Hundredths of each slot of the host's time in which it may run, 1 to 100; 100 when missing. */
  readonly timeShare?: number;
}

/** What a partition may do: plain data. */
export interface PartitionGrant {
  readonly privileges: ReadonlySet<PrivilegeName>;
  readonly limits: PartitionLimits;
}

export const USUAL_GRANT: PartitionGrant = { privileges: USUAL_PRIVILEGES, limits: {} };

/** What is wrong with a grant, as one sentence; undefined when nothing is. */
export function problemOfGrant({ privileges, limits: { ports = [], timeShare = 100 } }: PartitionGrant): string | undefined {
  const unknown = [...privileges].find((name) => !PRIVILEGES.some((row) => row.name === name));
  if (unknown !== undefined)
    return `There is no privilege "${unknown}"; there are ${PRIVILEGES.map(({ name }) => name).join(', ')}.`;
  const isPort = (port: number) => Number.isInteger(port) && port >= 0 && port <= 0xffff;
  const bad = ports.find(({ first, last }) => !isPort(first) || !isPort(last) || first > last);
  if (bad) return `A range of I/O ports goes from one to another of 0 to 65535; ${bad.first} to ${bad.last} does not.`;
  if (!Number.isInteger(timeShare) || timeShare < 1 || timeShare > 100)
    return `A partition's share of the host's time is 1 to 100 hundredths; ${timeShare} were asked for.`;
  return undefined;
}
