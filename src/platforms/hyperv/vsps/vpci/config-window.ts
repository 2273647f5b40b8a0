import type { MmioDecoder, NamedMmioDevice } from '../../../../devices/bus/mmio-bus.ts';
import type { PciFunction } from '../../../../devices/pci/function.ts';
import { registerName } from '../../../../devices/pci/inspect.ts';
import { type Handler, stage } from '../../../../stages/stage.ts';
import { hex } from '../../../../x86/address.ts';
import { slotText, WINDOW_LENGTH, WINDOW_PAGE } from '../../abi/vpci.ts';

type Size = 1 | 2 | 4 | 8;

/**
 * Configuration space of a virtual PCI bus, where the guest wants it: the first word of one page selects a slot, and the page behind has the
 * registers of the function that is there. Where none is they read as ones.
 */
export class ConfigWindow implements MmioDecoder, NamedMmioDevice {
  /** Guest physical address; undefined while the bus is off. */
  at: bigint | undefined;
  private slot = 0;

  constructor(
    readonly name: string,
    private readonly pci: PciFunction,
  ) {}

  get mmio(): readonly { readonly base: bigint; readonly length: bigint }[] {
    return this.at === undefined ? [] : [{ base: this.at, length: BigInt(WINDOW_LENGTH) }];
  }
  find(gpa: bigint): NamedMmioDevice | undefined {
    const { at } = this;
    return at !== undefined && gpa >= at && gpa < at + BigInt(WINDOW_LENGTH) ? this : undefined;
  }
  private offset(gpa: bigint): number {
    return Number(gpa - (this.at ?? gpa));
  }
  /** The bus has one function, in slot 0. */
  private get selected(): PciFunction | undefined {
    return this.slot === 0 ? this.pci : undefined;
  }

  readMmio(gpa: bigint, size: Size): bigint {
    if (size === 8) return this.readMmio(gpa, 4) | (this.readMmio(gpa + 4n, 4) << 32n);
    const offset = this.offset(gpa);
    if (offset < WINDOW_PAGE) return BigInt.asUintN(8 * size, offset === 0 ? BigInt(this.slot) : 0n);
    const ones = 0xffff_ffff >>> (32 - 8 * size);
    return BigInt(this.selected?.configuration.read(offset - WINDOW_PAGE, size) ?? ones);
  }

  writeMmio(gpa: bigint, size: Size, value: bigint): void {
    if (size === 8) {
      this.writeMmio(gpa, 4, value & 0xffff_ffffn);
      this.writeMmio(gpa + 4n, 4, value >> 32n);
      return;
    }
    const offset = this.offset(gpa);
    const number = Number(BigInt.asUintN(8 * size, value));
    if (offset >= WINDOW_PAGE) this.selected?.configuration.write(offset - WINDOW_PAGE, size, number);
    else if (offset === 0 && size === 4) this.slot = number;
  }

  *writeMmioInStages(gpa: bigint, size: Size, value: bigint): Handler {
    const offset = this.offset(gpa);
    if (offset < WINDOW_PAGE) {
      this.writeMmio(gpa, size, value);
      yield stage('vpci-window.select', { slot: slotText(this.slot), function: this.selected?.name ?? 'none' });
      return;
    }
    const { selected } = this;
    const at = offset - WINDOW_PAGE;
    const register = selected ? registerName(selected.configuration, at) : 'none';
    yield stage('vpci-window.write', { function: selected?.name ?? 'none', register: `${hex(at, 2)} ${register}`, value, size });
    this.writeMmio(gpa, size, value);
    yield stage('vpci-window.written', { now: this.readMmio(gpa, size) });
  }

  reset(): void {
    this.at = undefined;
    this.slot = 0;
  }
}
