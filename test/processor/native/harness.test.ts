import { Code, Decoder, DecoderOptions } from 'iced-x86';
import { describe, expect, test } from 'vitest';
import { Flag } from '../../../src/processor/state/cpu-state.ts';
import { Random } from '../../support/random.ts';
import { makeCase } from './cases.ts';
import { integerForms } from './forms.ts';
import { backgroundData, hostFeatures, runNative, whyNotNative } from './native-machine.ts';
import { CODE, DATA, DATA_WRITABLE, RECORD_SIZE, type Reply, Request } from './record.ts';

const reason = whyNotNative();
const background = backgroundData();

/** Runs one instruction with given registers (by number) and flags. */
function runOne(code: number[], registers: Record<number, bigint> = {}, rflags = 0x202): Reply {
  const request = new Request(new Uint8Array(RECORD_SIZE));
  for (let index = 0; index < 16; index++) request.gpr[index] = registers[index] ?? DATA + 0x800n;
  request.rflags = rflags;
  request.rip = CODE + 0x800n;
  request.code = code;
  const [reply] = runNative(request.bytes, background);
  if (!reply) throw new Error('no reply');
  return reply;
}

describe.skipIf(reason)(`the native harness${reason ? ` (skipped: ${reason})` : ''}`, () => {
  test('reports registers and flags after an addition', () => {
    const reply = runOne([0x48, 0x01, 0xd8], { 0: 0xffff_ffff_ffff_ffffn, 3: 1n }); // add rax, rbx
    expect(reply.register(0)).toBe(0n);
    expect(reply.rflags & (Flag.CF | Flag.ZF | Flag.AF | Flag.PF | Flag.SF | Flag.OF)).toBe(
      Flag.CF | Flag.ZF | Flag.AF | Flag.PF,
    );
    expect(reply.vector).toBe(3);
    expect(reply.rip).toBe(CODE + 0x804n);
  });

  test('reports a divide error with the state before it', () => {
    const reply = runOne([0x48, 0xf7, 0xf1], { 0: 7n, 1: 0n, 2: 5n }); // div rcx
    expect([reply.vector, reply.rip, reply.register(0), reply.register(2)]).toEqual([0, CODE + 0x800n, 7n, 5n]);
  });

  test('reports address and error code of a page fault', () => {
    const reply = runOne([0x48, 0x89, 0x00], { 0: DATA + BigInt(DATA_WRITABLE) }); // mov [rax], rax
    expect([reply.vector, reply.error, reply.cr2]).toEqual([14, 7, DATA + BigInt(DATA_WRITABLE)]);
  });

  test('reports what changed in the data pages', () => {
    const reply = runOne([0x48, 0x89, 0x18], { 0: DATA + 0x10n, 3: 0x0102_0304_0506_0708n }); // mov [rax], rbx
    expect(reply.dirtyAt).toBe(0x10);
    expect([...reply.dirty]).toEqual([8, 7, 6, 5, 4, 3, 2, 1]);
  });

  test('survives a snippet that never ends', () => {
    expect(runOne([0xeb, 0xfe]).vector).toBe(0xffff);
  });

  test('takes the trap flag after the first instruction', () => {
    const reply = runOne([0x90], {}, 0x302);
    expect([reply.vector, reply.rip]).toEqual([1, CODE + 0x801n]);
  });
});

describe('generated cases', () => {
  // Read by iced-x86 in another way, although the bytes are what was meant.
  const readOtherwise =
    /^(Reservednop|Prefetch|Xchg_r\d+_\w*AX|Nop_rm|Ud0|Endbr|Mov_r\w+_Sreg|Mov_rm16_Sreg|Mov_Sreg|Mov_\w*[cd]r)/;

  /** Name and length as iced-x86 reads the bytes; AMD's processors and Intel's read some differently. */
  function read(code: Uint8Array, rip: bigint, options: DecoderOptions): string {
    const decoder = new Decoder(64, code, options);
    decoder.ip = rip;
    const instruction = decoder.decode();
    const result = `${Code[instruction.code]}, ${instruction.length} bytes`;
    instruction.free();
    decoder.free();
    return result;
  }

  test('are encodings of the form that they are for', () => {
    const wrong: string[] = [];
    for (const form of integerForms(hostFeaturesOrAll())) {
      const random = new Random(form.code);
      const bytes = new Uint8Array(RECORD_SIZE);
      for (let i = 0; i < 20; i++) {
        const { code, rip } = makeCase(form, random, bytes);
        if (code.includes(0xf0) || readOtherwise.test(form.name)) continue;
        const expected = `${form.name}, ${code.length} bytes`;
        const readings = [DecoderOptions.AMD, DecoderOptions.None].map((options) => read(code, rip, options));
        if (!readings.includes(expected)) wrong.push(`${expected}: ${Buffer.from(code).toString('hex')} reads as ${readings[0]}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  function hostFeaturesOrAll(): ReadonlySet<string> {
    return process.platform === 'linux' && !reason
      ? hostFeatures()
      : new Set(['cmov', 'cx8', 'cx16', 'popcnt', 'abm', 'bmi1', 'bmi2', 'adx', 'movbe']);
  }
});
