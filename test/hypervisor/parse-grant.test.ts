import { describe, expect, test } from 'vitest';
import {
  GrantError,
  PRIVILEGE_WORDS,
  parsePorts,
  parsePrivileges,
  portsText,
} from '../../src/hypervisor/privileges/parse-grant.ts';
import { PRIVILEGES, USUAL_PRIVILEGES } from '../../src/hypervisor/privileges/privileges.ts';

const all = PRIVILEGES.map(({ name }) => name);
const usual = [...USUAL_PRIVILEGES];
const but = (...names: string[]) => usual.filter((name) => !names.includes(name));

describe('a list of privileges', () => {
  test.each([
    [[], []],
    [['none'], []],
    [['usual'], usual],
    [['-power'], but('power')],
    [['-power', '-timers'], but('power', 'timers')],
    [['usual', '-power'], but('power')],
    [['-power', 'usual'], but('power')],
    [['usual', 'create-partitions', 'debugging'], all],
    [
      ['timers', 'power'],
      ['power', 'timers'],
    ],
    [['timers', '-power'], ['timers']],
    [['none', '-power'], []],
  ])('%j', (words, privileges) => {
    expect(parsePrivileges(words)).toEqual(privileges);
  });

  test.each([
    ['ipis', 'has "ipis", which is no privilege; did you mean "send-ipis"?'],
    ['-timer', 'has "timer", which is no privilege; did you mean "timers"?'],
    ['ususal', 'has "ususal", which is no privilege; did you mean "usual"?'],
    ['fly', `has "fly", which is no privilege; there are ${all.join(', ')}`],
    ['constructor', 'has "constructor", which is no privilege; '],
  ])('with %s is refused', (word, sentence) => {
    expect(() => parsePrivileges(['serial-console', word])).toThrow(sentence);
    expect(() => parsePrivileges([word])).toThrow(GrantError);
  });

  test('can not give and take the same', () => {
    expect(() => parsePrivileges(['power', '-power'])).toThrow('has both "power" and "-power"; leave one of them out');
  });

  test('takes every word that completion offers', () => {
    for (const { word } of PRIVILEGE_WORDS) expect(() => parsePrivileges([word])).not.toThrow();
    expect(PRIVILEGE_WORDS).toHaveLength(2 + 2 * all.length);
  });
});

describe('a list of ports', () => {
  test('has ports and ranges, and is written as it is read', () => {
    const ports = parsePorts(['0x3f8..0x3FF', ' 1540 ', '0']);
    expect(ports).toEqual([
      { first: 0x3f8, last: 0x3ff },
      { first: 0x604, last: 0x604 },
      { first: 0, last: 0 },
    ]);
    expect(parsePorts(ports.map(portsText))).toEqual(ports);
  });

  test.each(['0x10000', '0x3ff..0x3f8', 'com1', '', '-1', '0x3f8-0x3ff', '1..2..3'])('with %j is refused', (word) => {
    expect(() => parsePorts([word])).toThrow(`has "${word}", which is neither a port from 0 to 0xffff nor a range of them`);
  });
});
