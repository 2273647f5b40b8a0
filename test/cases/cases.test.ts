import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { cpuModel } from '../../src/processor/models/cpu-models.ts';
import { Flag } from '../../src/processor/state/cpu-state.ts';
import { EmulatedMachine } from '../processor/native/emulated-machine.ts';
import { CODE, DATA, DATA_SIZE, RECORD_SIZE, Request } from '../processor/native/record.ts';
import { type CaseFile, type PublishedCase, REGISTER_NAMES } from './case-file.ts';

const FOLDER = import.meta.dirname;
const files = readdirSync(FOLDER).filter((name) => name.endsWith('.json'));

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

/** The start state of a case, as the emulated machine takes it. */
function requestOf({ code, initial: { registers } }: PublishedCase): Request {
  const request = new Request(new Uint8Array(RECORD_SIZE));
  const value = (name: string) => BigInt(registers[name] ?? 0);
  REGISTER_NAMES.forEach((name, index) => {
    request.gpr[index] = value(name);
  });
  request.rflags = Number(value('rflags'));
  request.rip = value('rip');
  request.fsBase = value('fs_base');
  request.gsBase = value('gs_base');
  request.code = bytesOf(code);
  return request;
}

/** Runs a case; gives the final state in the form of the file. */
function run(machine: EmulatedMachine, item: PublishedCase) {
  const before = new Uint8Array(DATA_SIZE);
  for (const [address, text] of Object.entries(item.initial.memory))
    if (BigInt(address) >= DATA) before.set(bytesOf(text), Number(BigInt(address) - DATA));
  const request = requestOf(item);
  machine.data.set(before);
  const reply = machine.run(request);
  const ended = reply.vector === 3;
  const registers: Record<string, string> = {};
  REGISTER_NAMES.forEach((name, index) => {
    if (reply.register(index) !== request.register(index)) registers[name] = `0x${reply.register(index).toString(16)}`;
  });
  registers.rip = `0x${(ended ? reply.rip - 1n : reply.rip).toString(16)}`;
  registers.rflags = `0x${(reply.rflags & ~Flag.RF).toString(16)}`;
  const memory: Record<string, string> = {};
  for (const [address, text] of Object.entries(item.final.memory)) {
    const at = Number(BigInt(address) - DATA);
    memory[address] = Buffer.from(machine.data.subarray(at, at + text.length / 2)).toString('hex');
    before.set(bytesOf(text), at);
  }
  const elsewhere = Buffer.compare(before, machine.data) === 0 ? 'as it was' : 'changed';
  const result = { registers, memory, elsewhere, vector: ended ? undefined : reply.vector };
  machine.restore(request);
  return result;
}

test('there are cases of every kind of integer instruction', () => {
  expect(files.length).toBeGreaterThan(150);
});

describe.each(['interpreter', 'translator'] as const)('the published cases in the %s', (tier) => {
  const machine = new EmulatedMachine(cpuModel('amd'), new Uint8Array(DATA_SIZE), tier);
  test.each(files)('%s', (name) => {
    const file: CaseFile = JSON.parse(readFileSync(path.join(FOLDER, name), 'utf8'));
    for (const { form, cases } of file.forms)
      for (const item of cases) {
        const wanted = {
          registers: item.final.registers,
          memory: item.final.memory,
          elsewhere: 'as it was',
          vector: item.exception?.vector,
        };
        expect(run(machine, item), `${form}: ${item.code}`).toEqual(wanted);
      }
  });
});

test('code stands where the README says', () => {
  expect([CODE, DATA]).toEqual([0x1000_0000n, 0x2000_0000n]);
});
