import type { InspectNode } from '../../../devices/inspect.ts';
import type { Processor } from '../../../processor/processor.ts';
import { hex } from '../../../x86/address.ts';
import { type EoiWord, offerSkippedEoi, takeSkippedEoi } from '../../skipped-eoi.ts';
import { Msr, PAGE_ADDRESS, PAGE_ENABLED } from '../abi/msrs.ts';
import { VpAssistPage } from '../abi/structures.ts';
import type { Hyperv } from '../hyperv.ts';
import type { OverlayPage } from '../overlay/overlays.ts';
import type { MsrGroup } from './msr-group.ts';

const WORD = 4;

interface Assist {
  readonly page: OverlayPage;
  readonly word: EoiWord;
  control: bigint;
  /** The page says that the interrupt in service needs no EOI. */
  isOffered: boolean;
}

/** The VP assist pages, each with the word that saves its guest exits for the end of interrupts (TLFS, "EOI assist"). */
export class VpAssistPages implements MsrGroup {
  readonly msrs = [Msr.VP_ASSIST_PAGE];
  private readonly assists: readonly Assist[];

  constructor(private readonly hyperv: Pick<Hyperv, 'machine' | 'overlays' | 'apic' | 'hasApicv'>) {
    this.assists = hyperv.machine.processors.map(({ index }): Assist => {
      const page = hyperv.overlays.make(`VP assist page of VP ${index}`, { writable: true });
      return { page, word: wordOf(page), control: 0n, isOffered: false };
    });
  }

  read({ index }: Processor): bigint {
    return this.assists[index]?.control ?? 0n;
  }

  write({ index }: Processor, _msr: number, value: bigint): boolean {
    const assist = this.assists[index];
    if (assist === undefined) return false;
    this.takeSkippedEoi(index);
    if ((value & PAGE_ENABLED) === 0n) assist.page.remove();
    else if (!assist.page.place(value & PAGE_ADDRESS)) return false;
    assist.control = value;
    return true;
  }

  reset(vcpu: number): void {
    const assist = this.assists[vcpu];
    if (assist === undefined) return;
    assist.control = 0n;
    assist.isOffered = false;
  }

  /** Before an entry. With APICv no EOI needs an exit, and the word is left alone. */
  offerSkippedEoi(index: number): void {
    const assist = this.assists[index];
    if (!assist || (assist.control & PAGE_ENABLED) === 0n || this.hyperv.hasApicv || assist.isOffered) return;
    assist.isOffered = offerSkippedEoi(this.hyperv.apic(index), assist.word);
  }

  /** Whether the guest may skip the EOI of the interrupt in service. */
  isOffered(index: number): boolean {
    return this.assists[index]?.isOffered === true;
  }

  /** Behind an exit, and where an interrupt waits. */
  takeSkippedEoi(index: number): void {
    const assist = this.assists[index];
    if (!assist?.isOffered) return;
    assist.isOffered = false;
    takeSkippedEoi(this.hyperv.apic(index), assist.word);
  }

  /** The unhalted timer of a virtual processor has expired. Its guest takes the mark away. */
  markUnhaltedTimer(index: number): void {
    const assist = this.assists[index];
    if (assist && (assist.control & PAGE_ENABLED) !== 0n)
      assist.page.write(VpAssistPage.UNHALTED_TIMER_EXPIRED, Uint8Array.of(1));
  }

  inspect(): readonly InspectNode[] {
    return this.assists.map(({ page: { gpa }, control }, index) => ({
      name: `VP assist page of VP ${index}`,
      value: (control & PAGE_ENABLED) === 0n ? 'off' : hex(control & PAGE_ADDRESS),
      memory: gpa === undefined ? undefined : { space: 'gpa', address: gpa },
    }));
  }
}

function wordOf(page: OverlayPage): EoiWord {
  return {
    read: () => {
      const bytes = page.read(VpAssistPage.APIC_ASSIST, WORD);
      return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
    },
    write: (value) => {
      const bytes = new Uint8Array(WORD);
      new DataView(bytes.buffer).setUint32(0, value, true);
      page.write(VpAssistPage.APIC_ASSIST, bytes);
      return true;
    },
  };
}
