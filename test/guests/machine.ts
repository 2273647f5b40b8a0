import { createProcessor } from '../../src/processor/cpu.ts';
import type { VmExit } from '../../src/processor/exit.ts';
import { PartitionMemory } from '../../src/processor/memory/partition-memory.ts';
import { cpuModel } from '../../src/processor/models/cpu-models.ts';
import type { Processor } from '../../src/processor/processor.ts';
import * as L from '../../src/processor/state/layout.ts';

const RAM = 32 * 1024 * 1024;
const LOAD_ADDRESS = 0x10_0000n;
const ENTRY_FIELD = 0x1c;
const SERIAL_DATA = 0x3f8;
const SERIAL_STATUS = 0x3fd;
const DEBUG_EXIT = 0xf4;
const BUDGET = 2_000_000;

/** What a guest printed, and why it ended when it didn't do so itself. */
export interface GuestOutcome {
  readonly output: string;
  readonly problem?: string;
  readonly tripleFault?: boolean;
}

/** Runs a flat Multiboot image on a bare processor with a serial port, as the boot protocol enters it. */
export function runGuest(image: Uint8Array, vendor: 'intel' | 'amd'): GuestOutcome {
  const memory = new PartitionMemory([{ gpa: 0n, length: RAM }], 1);
  const processor = createProcessor({ index: 0, memory, model: cpuModel(vendor) });
  memory.write(LOAD_ADDRESS, image);
  const { state } = processor;
  const flat = (selector: number, rights: number) => ({ selector, base: 0n, limit: 0xffff_ffff, rights });
  for (const index of [L.Segment.ES, L.Segment.SS, L.Segment.DS, L.Segment.FS, L.Segment.GS])
    state.setSegment(index, flat(0x10, 0xc093));
  state.setSegment(L.Segment.CS, flat(0x08, 0xc09b));
  state.set64(L.CR0, 0x11n);
  state.setGpr(0, 0x2bad_b002n);
  state.rip = BigInt(new DataView(image.buffer, image.byteOffset).getUint32(ENTRY_FIELD, true));
  let priority = 0;
  processor.setInterruptSource({
    hasInterrupt: () => false,
    acknowledge: () => 0,
    getTpr: () => priority,
    setTpr: (value) => {
      priority = value;
    },
  });
  processor.intercepts.tripleFault = true;
  processor.stateChanged();
  return run(processor);
}

function run(processor: Processor): GuestOutcome {
  let output = '';
  for (let left = BUDGET; left > 0; ) {
    const before = processor.icount;
    const result = processor.run(left);
    left -= Number(processor.icount - before);
    if (result.kind === 'stop-requested') left -= 1000;
    else if (result.kind !== 'exit') return { output, problem: `The run ended with ${result.kind}.` };
    else if (result.exit.reason === 'io' && result.exit.write && result.exit.port === DEBUG_EXIT) return { output };
    else if (result.exit.reason === 'triple-fault')
      return {
        output,
        tripleFault: true,
        problem: `Triple fault at ${result.exit.rip.toString(16)}: ${JSON.stringify(result.exit.chain, hexadecimal)}`,
      };
    else output += serve(processor, result.exit);
  }
  return { output, problem: 'The guest did not end.' };
}

function hexadecimal(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString(16) : value;
}

/** Does what the devices do; gives what was printed. */
function serve(processor: Processor, exit: VmExit): string {
  switch (exit.reason) {
    case 'io':
      processor.completeAccess(exit.port === SERIAL_STATUS ? 0x60n : 0n);
      return exit.write && exit.port === SERIAL_DATA ? String.fromCharCode(exit.value & 0xff) : '';
    case 'mmio':
      processor.completeAccess(0xffff_ffff_ffff_ffffn);
      return '';
    default:
      processor.inject({ vector: 13, type: 'exception', errorCode: 0 });
      return '';
  }
}
