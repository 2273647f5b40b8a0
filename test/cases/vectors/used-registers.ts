import { Decoder, DecoderOptions, InstructionInfoFactory, Register, RegisterExt } from 'iced-x86';
import { REGISTER_NAMES } from '../case-file.ts';

const GENERAL: ReadonlySet<string> = new Set(REGISTER_NAMES);
/** Control and status of x87, which MMX instructions look at (a pending exception) and change (TOP and the tags). */
export const MMX_WORDS = ['fctrl', 'fstat', 'ftw'];

/**
 * Names of the registers that an instruction of 64-bit code reads or writes, as cases have them. The upper half of a YMM register is
 * among them where a VEX encoding writes it.
 */
export function usedRegisters(code: Uint8Array): ReadonlySet<string> {
  const names = new Set(['rip', 'rflags', 'mxcsr']);
  const decoder = new Decoder(64, code, DecoderOptions.None);
  const instruction = decoder.decode();
  const factory = new InstructionInfoFactory();
  const info = factory.info(instruction);
  const add = (register: Register): void => {
    const name = (Register[register] ?? '').toLowerCase();
    const full = (Register[RegisterExt.fullRegister(register)] ?? '').toLowerCase();
    const vector = /^([xyz])mm(\d+)$/.exec(name);
    if (vector) {
      names.add(`xmm${vector[2]}`);
      if (vector[1] !== 'x') names.add(`ymm${vector[2]}h`);
    } else if (/^mm\d$/.test(name)) {
      names.add(name);
      for (const word of MMX_WORDS) names.add(word);
    } else if (name === 'fs' || name === 'gs') names.add(`${name}_base`);
    else if (GENERAL.has(full)) names.add(full);
  };
  for (const used of info.usedRegisters()) {
    add(used.register);
    used.free();
  }
  for (const object of [info, factory, instruction, decoder]) object.free();
  return names;
}
