// Runs a bench program on v86: `node v86.mjs PATH-OF-V86 IMAGE`. What the guest sends to its first serial port goes to standard output.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [, , library, image] = process.argv;
const { V86 } = await import(pathToFileURL(library).href);
const END = 3;

const { buffer, byteOffset, byteLength } = readFileSync(image);
const emulator = new V86({
  wasm_path: path.join(path.dirname(library), 'v86.wasm'),
  memory_size: 64 << 20,
  multiboot: { buffer: buffer.slice(byteOffset, byteOffset + byteLength) },
  autostart: true,
});
emulator.add_listener('serial0-output-byte', (byte) => {
  process.stdout.write(Buffer.from([byte]), () => {
    if (byte === END) process.exit(0);
  });
});
