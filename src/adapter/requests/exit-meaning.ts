import { Reg } from '../../devices/local-apic/registers.ts';
import { portReference } from '../../devices/port-reference.ts';
import type { ExitRecord } from '../../hypervisor/journal/exit-journal.ts';
import { hypercallOf, leafOf, msrOf, pageOf, portOf } from '../../hypervisor/journal/exit-subject.ts';
import { LEAF_REFERENCE } from '../../platforms/hyperv/abi/cpuid.ts';
import { HYPERCALL_REFERENCE as HYPERV_CALLS } from '../../platforms/hyperv/abi/hypercalls.ts';
import { MSR_REFERENCE as HYPERV_MSRS } from '../../platforms/hyperv/abi/msrs.ts';
import { SIGNATURE_LEAF } from '../../platforms/kvm/abi/cpuid.ts';
import { HYPERCALL_REFERENCE } from '../../platforms/kvm/abi/hypercalls.ts';
import { MSR_REFERENCE } from '../../platforms/kvm/abi/msrs.ts';
import { leafReference } from '../../processor/models/leaf-reference.ts';
import { msrReference } from '../../processor/models/msr-table.ts';

const msrs = new Map([...msrReference(), ...MSR_REFERENCE, ...HYPERV_MSRS].map((row) => [row.index, row]));
const hypercalls = new Map([...HYPERCALL_REFERENCE, ...HYPERV_CALLS].map(({ name, description }) => [name, description]));
const hypervLeaves = new Map(LEAF_REFERENCE);
const apicRegisters = new Map<number, string>(Object.entries(Reg).map(([name, offset]) => [offset, name.replaceAll('_', ' ')]));

/** What the port, MSR, leaf, register or hypercall of an exit is, in words; undefined where the tables have none. */
export function meaningOf(record: ExitRecord): string | undefined {
  switch (record.reason) {
    case 'io':
      return portReference(Number(portOf(record)))?.description;
    case 'msr-read':
    case 'msr-write':
      return meaningOfMsr(msrOf(record));
    case 'cpuid':
      return meaningOfLeaf(Number(leafOf(record)), record.handler ?? '');
    case 'hypercall':
      return hypercalls.get(hypercallOf(record) ?? '');
    case 'apic':
      return apicRegisters.get(Number(pageOf(record)?.split(' ')[1]));
    default:
      return undefined;
  }
}

function meaningOfMsr(msr: string | undefined): string | undefined {
  const row = msrs.get(Number(msr?.split(' ')[0]));
  return row && `${row.name}: ${row.description}`;
}

/** Hypervisors of several makes have the same numbers: who served the exit tells whose it is. */
function meaningOfLeaf(leaf: number, handler: string): string | undefined {
  const own = /^hv[ia]x64 /.test(handler) ? hypervLeaves.get(leaf) : undefined;
  if (own !== undefined) return `Hyper-V: ${own}`;
  if (leaf === SIGNATURE_LEAF) return 'signature of the hypervisor';
  return leaf === SIGNATURE_LEAF + 1 ? 'features of the hypervisor' : leafReference(leaf);
}
