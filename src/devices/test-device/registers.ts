/** A device for tests of processors and hypervisors, at the places of QEMU's pc-testdev. */

/** Four bytes of memory behind ports. */
export const PORTS = 0xe0;
export const PORTS_LENGTH = 4;
/** A write of a physical address asks the host to drop the mapping of its page: nothing that a guest could see. */
export const FLUSH = 0xe4;
export const FLUSH_LENGTH = 4;
/** Port N of these is the level of interrupt line N. */
export const LINES = 0x2000;
export const LINE_COUNT = 24;
/** Memory that is reached as a device is. */
export const MEMORY = 0xff00_0000n;
export const MEMORY_LENGTH = 0x1_0000;
