import { hex } from '../../../x86/address.ts';
import { HvStatus } from '../abi/status.ts';
import { ANY_VP, EVENT_FLAGS, PortType, SOURCES } from '../abi/synic.ts';
import { type Refused, refused } from '../partitions/refused.ts';

/** What a port is to be (HV_PORT_INFO). */
export type PortInformation =
  | { readonly kind: 'message'; readonly source: number; readonly vp: number }
  | {
      readonly kind: 'event';
      readonly source: number;
      readonly vp: number;
      /** The flag of the source that flag 0 of the port is, and how many flags the port has. */
      readonly baseFlag: number;
      readonly flagCount: number;
    }
  | { readonly kind: 'monitor'; readonly gpa: bigint }
  | { readonly kind: 'doorbell'; readonly source: number; readonly vp: number };

/** Reads the type and the 16 bytes that depend on it; says what is wrong with them. */
export function portInformation(type: number, view: DataView): PortInformation | Refused {
  const information = read(type, view);
  return typeof information === 'string' ? refused(HvStatus.INVALID_PARAMETER, information) : information;
}

function read(type: number, view: DataView): PortInformation | Refused | string {
  const source = view.getUint32(0, true);
  const vp = view.getUint32(4, true);
  switch (type) {
    case PortType.MESSAGE:
    case PortType.DOORBELL:
      if (view.getBigUint64(8, true) !== 0n) return 'reserved parts of what it says of the port are not 0';
      return problemOfSource(source) ?? { kind: type === PortType.MESSAGE ? 'message' : 'doorbell', source, vp };
    case PortType.EVENT: {
      const baseFlag = view.getUint16(8, true);
      const flagCount = view.getUint16(10, true);
      if (view.getUint32(12, true) !== 0) return 'reserved parts of what it says of the port are not 0';
      if (flagCount === 0 || baseFlag + flagCount > EVENT_FLAGS)
        return `a source has flags 0 to ${EVENT_FLAGS - 1}, not ${flagCount} from ${baseFlag} on`;
      return problemOfSource(source) ?? { kind: 'event', source, vp, baseFlag, flagCount };
    }
    case PortType.MONITOR: {
      const gpa = view.getBigUint64(0, true);
      if (view.getBigUint64(8, true) !== 0n) return 'reserved parts of what it says of the port are not 0';
      return problemOfMonitor(gpa) ?? { kind: 'monitor', gpa };
    }
    default:
      return `there are no ports of type ${type}`;
  }
}

/** Why a monitor page can't lie at a guest physical address, as far as the address says. */
export function problemOfMonitor(gpa: bigint): Refused | undefined {
  return (gpa & 0xfffn) === 0n
    ? undefined
    : refused(HvStatus.INVALID_ALIGNMENT, `a monitor page does not begin at ${hex(gpa)}, which is not page-aligned`);
}

/** Source 0 is the hypervisor's own. */
function problemOfSource(source: number): string | undefined {
  return source === 0 || source >= SOURCES ? `a port can have source 1 to ${SOURCES - 1}, not ${source}` : undefined;
}

/** Whether a partition with so many vCPUs has the one that a port names. */
export function hasTarget(information: PortInformation, vcpus: number): boolean {
  return information.kind === 'monitor' || information.vp === ANY_VP || information.vp < vcpus;
}
