import { describe, expect, test } from 'vitest';
import { instructionDefinitions } from '../../src/x86/definitions/index.ts';
import { type Form, parseForm } from '../../src/x86/notation.ts';

const forms = instructionDefinitions.flatMap((definition) => definition.forms.map((text) => parseForm(definition, text)));

/** What tells one encoding from another. */
function identity(form: Form): string {
  const { vex, vexL, vexW, map, opcode, prefix, digit, modrmByte, only64, not64, plusRegister, operands } = form;
  const kind = operands.some(({ place }) => place === 'M')
    ? 'memory'
    : operands.some(({ place }) => 'RUN'.includes(place))
      ? 'register'
      : '';
  return [vex, vexL, vexW, map, opcode, prefix, digit, modrmByte, only64, not64, plusRegister, kind].join();
}

describe('the definitions', () => {
  test('parse, each into an opcode in a map', () => {
    expect(forms.length).toBeGreaterThan(300);
    for (const form of forms) expect(form.opcode).toBeLessThan(256);
  });

  test('never give one encoding to two instructions', () => {
    const seen = new Map<string, string>();
    for (const form of forms) {
      const key = identity(form);
      expect(seen.get(key), `${form.definition.mnemonic} ${form.text}`).toBeUndefined();
      seen.set(key, `${form.definition.mnemonic} ${form.text}`);
    }
  });

  test('have either semantics or a helper, and a summary that is one line', () => {
    for (const { mnemonic, semantics, helper, summary } of instructionDefinitions) {
      expect(Boolean(semantics) !== Boolean(helper), mnemonic).toBe(true);
      expect(summary, mnemonic).toMatch(/^[A-Zx][^\n]+[^.]$/);
    }
  });

  test('say which flags they write, read and leave undefined', () => {
    for (const { mnemonic, flags } of instructionDefinitions)
      if (flags !== undefined) expect(flags, mnemonic).toMatch(/^(w|r|u):[OSZAPC]+( (w|r|u):[OSZAPC]+)*$/);
  });
});

describe('a form', () => {
  const definition = { mnemonic: 'TRY', summary: 'Try', forms: [] };

  test('has prefix, map, opcode, digit and operands', () => {
    expect(parseForm(definition, 'F3 0F B8 Gv,Ev')).toMatchObject({
      prefix: 0xf3,
      map: 1,
      opcode: 0xb8,
      hasModrm: true,
      operands: [
        { place: 'G', width: 'v' },
        { place: 'E', width: 'v' },
      ],
    });
    expect(parseForm(definition, '80/5 Eb,Ib')).toMatchObject({ map: 0, opcode: 0x80, digit: 5 });
    expect(parseForm(definition, '0F 01 =C1')).toMatchObject({ map: 1, opcode: 1, modrmByte: 0xc1, hasModrm: true });
    expect(parseForm(definition, '50+ Zv d64')).toMatchObject({ plusRegister: true, default64: true, hasModrm: false });
  });

  test.each(['', 'Ev,Gv', '00 Yv', '00 Ek'])('%j is refused', (text) => {
    expect(() => parseForm(definition, text)).toThrow(/Bad (opcode|operand)/);
  });
});
