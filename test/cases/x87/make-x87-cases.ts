import { Code, CodeExt, Decoder, DecoderOptions, Mnemonic } from 'iced-x86';
import { randomCase } from '../../processor/x87/cases.ts';
import { EmulatedFpu } from '../../processor/x87/emulated.ts';
import { runX87 } from '../../processor/x87/x87-native.ts';
import { Random } from '../../support/random.ts';
import type { PublishedCase } from '../case-file.ts';
import { emptyFolder, writeCases } from '../recording.ts';
import { publish } from './case-file.ts';

/** Cases of each form. */
const COUNT = 4;
const SEED = 0x87;

interface Form {
  readonly mnemonic: string;
  readonly text: string;
  readonly encodings: Uint8Array[];
  readonly memorySize: number;
}

/** Bytes of the memory operand, by opcode and ModRM.reg; environments and whole states as the operand size says. */
function memorySizeOf(opcode: number, digit: number, isShort: boolean): number {
  if (opcode === 0xd9 && digit >= 4) return digit & 1 ? 2 : isShort ? 14 : 28;
  if (opcode === 0xdd && digit >= 4) return digit === 7 ? 2 : isShort ? 94 : 108;
  if ((opcode === 0xdb && digit >= 4) || (opcode === 0xdf && (digit === 4 || digit === 6))) return 10;
  if (opcode === 0xde || (opcode === 0xdf && digit < 4)) return 2;
  return opcode === 0xdc || opcode >= 0xdd ? 8 : 4;
}

/** All forms, each with its encodings for [RBX] and for all registers. */
function allForms(): Form[] {
  const forms = new Map<Code, Form>();
  const add = (bytes: Uint8Array, memorySize: number): void => {
    const decoder = new Decoder(64, bytes, DecoderOptions.None);
    const instruction = decoder.decode();
    const { code, mnemonic } = instruction;
    instruction.free();
    decoder.free();
    if (code === Code.INVALID) return;
    const info = CodeExt.opCode(code);
    const form = forms.get(code) ?? {
      mnemonic: (Mnemonic[mnemonic] ?? '').toLowerCase(),
      text: info.instructionString,
      encodings: [],
      memorySize,
    };
    info.free();
    form.encodings.push(bytes);
    forms.set(code, form);
  };
  for (let opcode = 0xd8; opcode <= 0xdf; opcode++) {
    for (let digit = 0; digit < 8; digit++) {
      const modrm = (digit << 3) | 3;
      add(Uint8Array.of(opcode, modrm), memorySizeOf(opcode, digit, false));
      const hasImage = (opcode === 0xd9 || opcode === 0xdd) && (digit === 4 || digit === 6);
      if (hasImage) add(Uint8Array.of(0x66, opcode, modrm), memorySizeOf(opcode, digit, true));
    }
    for (let modrm = 0xc0; modrm <= 0xff; modrm++) add(Uint8Array.of(opcode, modrm), 0);
  }
  add(Uint8Array.of(0x9b), 0);
  return [...forms.values()];
}

function casesOf(form: Form, random: Random, fpu: EmulatedFpu): PublishedCase[] {
  const cases = Array.from({ length: COUNT }, () => {
    const made = randomCase(random.pick(form.encodings), random);
    return { ...made, image: fpu.settled(made.image) };
  });
  return runX87(cases).flatMap((native, index) => {
    const given = cases[index];
    // The pointers are lost where the system ran something else in between.
    if (!given || (native.image.dp === 0 && native.vector === 0)) return [];
    return [publish(given, native, form.memorySize)];
  });
}

/** Records the cases of the x87 unit into a folder; gives how many. */
export function writeX87Cases(folder: string, recordedOn: string): number {
  emptyFolder(folder);
  const random = new Random(SEED);
  const fpu = new EmulatedFpu('amd');
  const files = new Map<string, { form: string; cases: PublishedCase[] }[]>();
  for (const form of allForms()) {
    const forms = files.get(form.mnemonic) ?? [];
    forms.push({ form: form.text, cases: casesOf(form, random, fpu) });
    files.set(form.mnemonic, forms);
  }
  for (const [mnemonic, forms] of files) writeCases(folder, { mnemonic, recorded_on: recordedOn }, forms);
  return [...files.values()].flat().reduce((sum, { cases }) => sum + cases.length, 0);
}
