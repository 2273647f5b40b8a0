import { describe, expect, test } from 'vitest';
import { bytesOf, withCode } from './guest-code.ts';
import { At } from './system/machine.ts';

const RAX = 0;
const RCX = 1;
const RBX = 3;
/** The page directory of the machine maps 2 MiB pages; its second entry maps 2 MiB–4 MiB to itself. */
const SECOND_ENTRY = At.PD + 8;
const ACCESSED = 0x20n;

/** Runs in slices, or in one go. */
function run(machine: ReturnType<typeof withCode>, instructions: number, slice: number): void {
  for (let done = 0; done < instructions; done += slice)
    expect(machine.processor.run(Math.min(slice, instructions - done)).kind).toBe('budget');
}

for (const slice of [1, 1000])
  describe(`a page table that changes without INVLPG, in slices of ${slice}`, () => {
    test('moves data to another page at once', () => {
      // mov eax, [rcx]; mov [rbx], rdx (the entry now maps the first 2 MiB); mov ecx, [rcx]
      const machine = withCode('long', '8B 01 48 89 13 8B 09 EB FE');
      machine.write32(0x20_0000 + At.DATA, 0x1111);
      machine.write32(At.DATA, 0x2222);
      machine.state.setGpr(RCX, BigInt(0x20_0000 + At.DATA));
      machine.state.setGpr(RBX, BigInt(SECOND_ENTRY));
      machine.state.setGpr(2, 0x87n);
      run(machine, 3, slice);
      expect([machine.state.gpr(RAX), machine.state.gpr(RCX)]).toEqual([0x1111n, 0x2222n]);
    });

    test('takes the code away from under the instruction that changed it', () => {
      // mov [rbx], rdx; inc eax — runs at 2 MiB + CODE, and the entry then maps 0: there, another instruction follows
      const machine = withCode('long', '90 90 90 FF C1 EB FE');
      machine.memory.write(BigInt(0x20_0000 + At.CODE), bytesOf('48 89 13 FF C0 EB FE'));
      machine.state.setGpr(RAX, 0n);
      machine.state.setGpr(RCX, 0n);
      machine.state.setGpr(RBX, BigInt(SECOND_ENTRY));
      machine.state.setGpr(2, 0x87n);
      machine.state.rip = BigInt(0x20_0000 + At.CODE);
      machine.processor.stateChanged();
      run(machine, 2, slice);
      expect([machine.state.gpr(RAX), machine.state.gpr(RCX)]).toEqual([0n, 1n]);
    });

    test('gets its accessed bit back by the next access, also by the next fetch', () => {
      // and qword [rbx], -21h for the page of the code itself; nop
      const machine = withCode('long', '48 83 23 DF 90 90 EB FE');
      machine.state.setGpr(RBX, BigInt(At.PD));
      run(machine, 1, slice);
      expect(machine.read64(At.PD) & ACCESSED).toBe(0n);
      run(machine, 1, slice);
      expect(machine.read64(At.PD) & ACCESSED).toBe(ACCESSED);
    });
  });

test('a page that is mapped for the first time is there at once', () => {
  // Entry 2 of the page directory isn't present: mov [rbx], rdx; mov ecx, [rcx]
  const machine = withCode('long', '48 89 13 8B 09 EB FE');
  machine.write32(At.DATA, 0x3333);
  machine.state.setGpr(RBX, BigInt(At.PD + 16));
  machine.state.setGpr(2, 0x87n);
  machine.state.setGpr(RCX, BigInt(0x40_0000 + At.DATA));
  run(machine, 2, 2);
  expect(machine.state.gpr(RCX)).toBe(0x3333n);
});
