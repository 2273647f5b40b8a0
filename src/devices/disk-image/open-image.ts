import { type DiskImage, ImageError, type ImageFile, type ImageFiles } from './disk-image.ts';
import { isQcow2, readHeader } from './qcow2/header.ts';
import { Qcow2Image } from './qcow2/qcow2-image.ts';
import { RawImage } from './raw-image.ts';

/** Images that are based on each other, the first one included. */
const LONGEST_CHAIN = 32;

/** Opens a disk image: qcow2 where its content says so, else raw. Throws ImageError, and what `files` throws. */
export function openImage(path: string, files: ImageFiles): DiskImage {
  return openInChain(path, files, [], undefined);
}

/** `above`: the images that are based on this one. `format`: what they say it is. */
function openInChain(path: string, files: ImageFiles, above: readonly string[], format: string | undefined): DiskImage {
  const [first = path] = above;
  if (above.includes(path)) throw new ImageError(`The disk image ${first} is based on itself, through ${above.at(-1)}.`);
  if (above.length === LONGEST_CHAIN)
    throw new ImageError(
      `The disk image ${first} is based on more than ${LONGEST_CHAIN - 1} others; make one of them with \`qemu-img convert\`.`,
    );
  const file = files.open(path);
  if (format === 'raw' || !isQcow2(file)) return openRaw(file, format);
  const header = readHeader(file);
  const { backing } = header;
  if (backing !== undefined && /^[a-z][\w+.-]+:/i.test(backing))
    throw new ImageError(
      `The disk image ${path} is based on ${backing}, which is no file; make one image of them with \`qemu-img convert\`.`,
    );
  // Who made the image may be anybody: it must not hand other files of the user's to the guest.
  if (backing !== undefined && leadsOut(backing))
    throw new ImageError(
      `The disk image ${path} is based on ${backing}, which is not in its folder; put that beside it with \`qemu-img rebase -u -b\`, or make one image of them with \`qemu-img convert\`.`,
    );
  const base =
    backing === undefined ? undefined : openInChain(files.resolve(path, backing), files, [...above, path], header.backingFormat);
  return new Qcow2Image(file, header, base);
}

/** Whether a name may lead out of the folder that it is seen from. */
function leadsOut(name: string): boolean {
  return /^[/\\]|^[a-z]:/i.test(name) || name.split(/[/\\]/).includes('..');
}

function openRaw(file: ImageFile, format: string | undefined): DiskImage {
  if (format !== undefined && format !== 'raw')
    throw new ImageError(
      `The disk image ${file.path} should be ${format}, says the one that is based on it, but it is ${
        format === 'qcow2' ? 'not' : 'in a format that is not supported'
      }.`,
    );
  return new RawImage(file);
}
