import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { assemble } from '../../programs/assembler/assemble.ts';
import { nodeFiles } from '../node-files.ts';
import { UsageError } from '../usage.ts';

/** Where in an image the number of iterations stands (bench.inc). */
const ITERATIONS = 8;
/** A floppy disk of 1.44 MB. */
const FLOPPY = 1_474_560;
/** The sectors behind the boot sector that boot-floppy.asm loads. */
const LARGEST = 64 * 512;

/** Folder of the bench programs: beside the bundle. */
export function programFolder(): string {
  return path.join(__dirname, 'bench', 'programs');
}

function assembled(name: string): Uint8Array {
  const file = path.join(programFolder(), `${name}.asm`);
  const { bytes, diagnostics } = assemble(file, nodeFiles, { format: 'bin' });
  const [first] = diagnostics;
  if (!bytes) throw new UsageError(`${first?.path}:${first?.line}: ${first?.message}`);
  return bytes;
}

/** The images of one program, as files in a folder of their own. */
export class ProgramImages {
  private readonly folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-bench-'));
  private readonly bytes: Uint8Array;

  constructor(readonly name: string) {
    this.bytes = assembled(name);
    if (this.bytes.length > LARGEST) throw new UsageError(`The bench program ${name} is larger than ${LARGEST} bytes.`);
  }

  /** A path in the folder. */
  file(name: string): string {
    return path.join(this.folder, name);
  }

  private withIterations(iterations: number): Uint8Array {
    const image = Uint8Array.from(this.bytes);
    new DataView(image.buffer).setBigUint64(ITERATIONS, BigInt(iterations), true);
    return image;
  }

  /** A Multiboot image that is also a flat binary for 100000h in 32-bit mode. */
  multiboot(iterations: number): string {
    const file = this.file('guest.bin');
    writeFileSync(file, this.withIterations(iterations));
    return file;
  }

  /** A floppy disk that loads the image and jumps to it. */
  floppy(iterations: number): string {
    const disk = new Uint8Array(FLOPPY);
    disk.set(assembled('boot-floppy'));
    disk.set(this.withIterations(iterations), 512);
    const file = this.file('floppy.img');
    writeFileSync(file, disk);
    return file;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
