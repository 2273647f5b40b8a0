import { MmioBus } from '../../../../src/devices/bus/mmio-bus.ts';
import type { DmaMemory } from '../../../../src/devices/dma.ts';
import type { LocalApic } from '../../../../src/devices/local-apic/device.ts';
import { makeAssigned } from '../../../../src/devices/virtio/assignable.ts';
import { PacketType } from '../../../../src/platforms/hyperv/abi/ring.ts';
import { VpciMessage, VpciVersion } from '../../../../src/platforms/hyperv/abi/vpci.ts';
import { DeviceInterrupts } from '../../../../src/platforms/hyperv/interrupts/device-interrupts.ts';
import { VpciVsp } from '../../../../src/platforms/hyperv/vsps/vpci/vpci-vsp.ts';
import { FakeClock } from '../../../devices/fake-clock.ts';
import { bytesOf } from '../hypercalls/caller.ts';
import { FakeChannel, guestPacket } from './fake-channel.ts';

type Fields = readonly (readonly [value: bigint | number, size: number])[];

export const WINDOW = 0xf000_0000n;
const NO_MEMORY: DmaMemory = { covers: () => false, read: (_gpa, length) => new Uint8Array(length), write() {} };

/** A driver of the virtual PCI bus made by hand, of a partition with two vCPUs. */
export class VpciDriver {
  readonly channel = new FakeChannel(7);
  readonly mmio = new MmioBus();
  readonly clock = new FakeClock();
  /** `vector to vCPU` of interrupts that came. */
  readonly came: string[] = [];
  readonly interrupts = new DeviceInterrupts(() =>
    [0, 1].map(
      (vp) =>
        ({
          ppr: 0,
          softwareEnabled: true,
          accept: (_mode: number, vector: number) => this.came.push(`${vector} to ${vp}`),
        }) as unknown as LocalApic,
    ),
  );
  readonly vsp: VpciVsp;
  readonly assigned = makeAssigned(['rng'], NO_MEMORY)[0] ?? noFunction();

  constructor(private readonly isStaged = false) {
    const { assigned, interrupts, mmio, clock } = this;
    mmio.attachMovable(assigned);
    this.vsp = new VpciVsp({ assigned, index: 0, interrupts, mmio, clock, vcpus: 2 });
    this.vsp.reset();
    this.vsp.open(this.channel);
  }

  /** Sends bytes; what comes back. */
  put(payload: Uint8Array, wantsCompletion = true): readonly { readonly type: number; readonly view: DataView }[] {
    const packet = guestPacket(payload, { wantsCompletion });
    if (this.isStaged) for (const _ of this.vsp.receiveInStages(this.channel, packet));
    else this.vsp.receive(this.channel, packet);
    return this.channel.sent.splice(0).map(({ type, payload: { buffer, byteOffset, byteLength } }) => ({
      type,
      view: new DataView(buffer, byteOffset, byteLength),
    }));
  }

  /** Sends a message that is to be answered: the answer, and its status. */
  ask(type: number, ...fields: Fields): { readonly status: number; readonly view: DataView } {
    const [answer] = this.put(bytesOf([type, 4], ...fields));
    if (answer?.type !== PacketType.COMPLETION) throw new Error('no answer');
    return { status: answer.view.getUint32(0, true), view: answer.view };
  }
  /** Sends one that isn't: messages that come. */
  tell(type: number, ...fields: Fields): readonly DataView[] {
    return this.put(bytesOf([type, 4], ...fields), false).map(({ view }) => view);
  }

  agree(version: number = VpciVersion.V1_4): number {
    return this.ask(VpciMessage.QUERY_PROTOCOL_VERSION, [version, 4]).status;
  }
  powerOn(at = WINDOW): number {
    return this.ask(VpciMessage.BUS_D0ENTRY, [0, 4], [at, 8]).status;
  }
  /** By the form of 1.4. */
  createInterrupt({ slot = 0, vector = 0x31, mode = 0, count = 1, vps = [0] as readonly number[] } = {}) {
    const { status, view } = this.ask(
      VpciMessage.CREATE_INTERRUPT_MESSAGE3,
      [slot, 4],
      [vector, 4],
      [mode, 1],
      [0, 1],
      [count, 2],
      [vps.length, 2],
      ...Array.from({ length: 32 }, (_, index) => [vps[index] ?? 0, 2] as const),
    );
    const hasMessage = view.byteLength >= 24;
    return {
      status,
      data: hasMessage ? view.getUint32(12, true) : -1,
      address: hasMessage ? view.getBigUint64(16, true) : -1n,
    };
  }
  /** A register of the function in a slot, through the window. */
  read(offset: number, size: 1 | 2 | 4, slot = 0, at = WINDOW): bigint {
    this.mmio.write(at, 4, BigInt(slot));
    return this.mmio.read(at + 0x1000n + BigInt(offset), size);
  }
  write(offset: number, size: 1 | 2 | 4, value: bigint, slot = 0): void {
    this.mmio.write(WINDOW, 4, BigInt(slot));
    this.mmio.write(WINDOW + 0x1000n + BigInt(offset), size, value);
  }
}

function noFunction(): never {
  throw new Error('no function was made');
}
