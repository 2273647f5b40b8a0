import type { InspectNode } from '../../../devices/inspect.ts';
import type { Processor } from '../../../processor/processor.ts';
import { hex } from '../../../x86/address.ts';
import { describeGuestOs } from '../abi/guest-os-id.ts';
import { Msr, PAGE_ADDRESS } from '../abi/msrs.ts';
import type { Hyperv } from '../hyperv.ts';
import { type OverlayPage, PAGE_BYTES } from '../overlay/overlays.ts';
import type { MsrGroup } from './msr-group.ts';

/** Bits of HV_X64_MSR_HYPERCALL. */
const ENABLED = 1n;
const LOCKED = 2n;

const RET = 0xc3;
const INT3 = 0xcc;
/** VMCALL and VMMCALL. */
const CALL = { intel: [0x0f, 0x01, 0xc1], amd: [0x0f, 0x01, 0xd9] } as const;

/**
 * Who the guest is, and the page through which it calls the hypervisor: an overlay page with the vendor's instruction (TLFS, "Establishing
 * the hypercall interface"). There are no virtual trust levels, hence no code for their calls and returns: all else is INT3.
 */
export class HypercallPage implements MsrGroup {
  readonly msrs = [Msr.GUEST_OS_ID, Msr.HYPERCALL];
  /** As the guest has written it. */
  guestOsId = 0n;
  private control = 0n;
  private readonly page: OverlayPage;

  constructor(private readonly hyperv: Pick<Hyperv, 'vendor' | 'overlays'>) {
    this.page = hyperv.overlays.make('hypercall page', { writable: false });
  }

  get isEnabled(): boolean {
    return (this.control & ENABLED) !== 0n;
  }

  /** Whether a guest physical address lies in the page. */
  isAt(gpa: bigint): boolean {
    return this.isEnabled && (gpa & PAGE_ADDRESS) === (this.control & PAGE_ADDRESS);
  }

  read(_processor: Processor, msr: number): bigint {
    return msr === Msr.GUEST_OS_ID ? this.guestOsId : this.control;
  }

  write(_processor: Processor, msr: number, value: bigint): boolean {
    if (msr === Msr.HYPERCALL) return this.setControl(value);
    this.guestOsId = value;
    if (value === 0n && this.isEnabled) {
      this.control &= ~ENABLED;
      this.page.remove();
    }
    return true;
  }

  private setControl(value: bigint): boolean {
    if ((this.control & LOCKED) !== 0n) return false;
    // Who hasn't said which system it is has no hypercalls.
    const wanted = this.guestOsId === 0n ? value & ~ENABLED : value;
    if ((wanted & ENABLED) === 0n) this.page.remove();
    else if (!this.page.place(wanted & PAGE_ADDRESS)) return false;
    this.control = wanted;
    return true;
  }

  reset(vcpu: number): void {
    if (vcpu !== 0) return;
    this.guestOsId = 0n;
    this.control = 0n;
    const code = new Uint8Array(PAGE_BYTES).fill(INT3);
    code.set([...CALL[this.hyperv.vendor], RET]);
    this.page.write(0, code);
  }

  inspect(): readonly InspectNode[] {
    const { gpa } = this.page;
    return [
      { name: 'guest OS id', value: hex(this.guestOsId), detail: describeGuestOs(this.guestOsId) },
      {
        name: 'hypercall page',
        value: this.isEnabled ? hex(this.control & PAGE_ADDRESS) : 'off',
        detail: (this.control & LOCKED) === 0n ? undefined : 'locked until the next reset',
        memory: gpa === undefined ? undefined : { space: 'gpa', address: gpa },
      },
    ];
  }
}
