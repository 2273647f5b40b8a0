import type { PcDevices } from '../../../devices/pc/pc.ts';
import { type MessageSignal, sendMessage } from '../../../devices/pci/message.ts';
import { CHIP_PINS, IrqChip, MOST_ROUTES } from '../abi/flags.ts';
import { KvmError } from '../api/errors.ts';
import type { RoutingEntry } from '../api/vm.ts';

const ISA_LINES = 16;
const SLAVE_FIRST = 8;

type Controllers = Pick<PcDevices, 'pic' | 'ioApic' | 'apicBus'>;

/** Where each global system interrupt of a virtual machine leads: to pins of the interrupt chip, or to a message. */
export class GsiRouting {
  private routes: readonly RoutingEntry[] = usualRoutes();

  constructor(private readonly controllers: Controllers) {}

  /** KVM_SET_GSI_ROUTING. */
  set(entries: readonly RoutingEntry[]): void {
    const fail = (why: string) => new KvmError('EINVAL', why);
    if (entries.length > MOST_ROUTES) throw fail(`A routing table has at most ${MOST_ROUTES} entries`);
    for (const [index, entry] of entries.entries()) {
      const { gsi } = entry;
      if (gsi < 0 || gsi >= MOST_ROUTES) throw fail(`GSI ${gsi} is none of 0 to ${MOST_ROUTES - 1}`);
      const others = entries.slice(0, index).filter((other) => other.gsi === gsi);
      if ('msi' in entry) {
        if (others.length > 0) throw fail(`GSI ${gsi} leads to a message and somewhere else`);
        continue;
      }
      const { chip, pin } = entry;
      if (pin < 0 || pin >= (CHIP_PINS[chip] ?? 0))
        throw fail(`GSI ${gsi} leads to pin ${pin} of chip ${chip}, which isn't there`);
      if (others.some((other) => 'msi' in other || other.chip === chip)) throw fail(`GSI ${gsi} leads to chip ${chip} twice`);
    }
    this.routes = [...entries];
  }

  /** Level of a line. A message is sent as it rises. Gives the number of places that it led to. */
  setLine(gsi: number, level: boolean): number {
    const routes = this.routes.filter((route) => route.gsi === gsi);
    for (const route of routes) {
      if ('msi' in route) {
        if (level) this.send(route.msi);
      } else if (route.chip === IrqChip.IOAPIC) this.controllers.ioApic.setLine(route.pin, level);
      else this.controllers.pic.setLine(route.pin + (route.chip === IrqChip.PIC_SLAVE ? SLAVE_FIRST : 0), level);
    }
    return routes.length;
  }

  /** KVM_SIGNAL_MSI. Gives the number of vCPUs that it reached. */
  send(message: MessageSignal): number {
    return sendMessage(this.controllers.apicBus, message);
  }
}

/** As KVM_CREATE_IRQCHIP leaves it: ISA lines to both kinds of chips, the others to the I/O APIC. */
function usualRoutes(): RoutingEntry[] {
  const routes: RoutingEntry[] = [];
  for (let gsi = 0; gsi < (CHIP_PINS[IrqChip.IOAPIC] ?? 0); gsi++) {
    if (gsi < SLAVE_FIRST) routes.push({ gsi, chip: IrqChip.PIC_MASTER, pin: gsi });
    else if (gsi < ISA_LINES) routes.push({ gsi, chip: IrqChip.PIC_SLAVE, pin: gsi - SLAVE_FIRST });
    routes.push({ gsi, chip: IrqChip.IOAPIC, pin: gsi });
  }
  return routes;
}
