import { closeSync } from 'node:fs';
import type { Capture } from '../network/partition-network.ts';
import { pcapHeader, pcapRecord } from '../network/pcap.ts';
import { DEFAULT_START_SECONDS } from '../platforms/configuration.ts';
import { writeAll } from './journal-file.ts';
import { openForWriting } from './node-files.ts';

/** A file of the frames of a network card, with their times of the guest. `name`: what it is called in the UsageError that this throws. */
export function captureFile(file: string, name = '--pcap'): Capture {
  const descriptor = openForWriting(file, name);
  writeAll(descriptor, pcapHeader());
  return {
    write: (ticks, frame) => writeAll(descriptor, pcapRecord(DEFAULT_START_SECONDS, ticks, frame)),
    close: () => closeSync(descriptor),
  };
}
