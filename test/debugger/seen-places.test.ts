import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { nodeFiles } from '../../src/cli/node-files.ts';
import type { DebugSession } from '../../src/debugger/debug-session.ts';
import { launchGuest } from '../../src/debugger/launch-guest.ts';

/** vCPU 0 starts vCPU 1, which stays at its first instruction, and goes round a loop. */
const PROGRAM = `bits 64
_start:
    mov word [0x8000], 0xfeeb       ; jmp $
    mov eax, 0xfee00000
    mov dword [rax + 0x310], 1 << 24
    mov dword [rax + 0x300], 0x4500
    mov dword [rax + 0x310], 1 << 24
    mov dword [rax + 0x300], 0x4608
    mov ecx, 30000
.delay:
    dec ecx
    jnz .delay
again:
    nop
    jmp again
`;
const SPIN = 0x8000n;

function next(session: DebugSession) {
  session.continue();
  for (let slice = 0; slice < 100; slice++) {
    const event = session.slice();
    if (event?.kind === 'stopped') return event.stop;
  }
  return undefined;
}

test('a breakpoint that a vCPU stands at while another one stops is not passed unseen', () => {
  const file = path.join(mkdtempSync(path.join(tmpdir(), 'hyperscope-places-')), 'spin.asm');
  writeFileSync(file, PROGRAM);
  const { session } = launchGuest({ program: file, vcpus: 2, platform: 'bare' }, nodeFiles);
  session.stopAtEntry();
  const breakAt = (...addresses: readonly bigint[]) =>
    session.setCodeBreakpoints('test', [{ id: 1, addresses, counter: { hits: 0 } }]);
  const { processor } = session.vcpu(1);
  breakAt(session.evaluate('again'));
  expect(next(session)).toMatchObject({ reason: 'breakpoint', vcpu: 0 });
  const { icount } = processor;
  expect(processor.linearRip).toBe(SPIN);
  breakAt(SPIN);
  expect(next(session)).toMatchObject({ reason: 'breakpoint', vcpu: 1 });
  expect(processor.icount).toBe(icount);
  // Now it has been seen, also when another vCPU moves meanwhile.
  session.current = 0;
  session.stepInstruction();
  expect(session.slice()).toMatchObject({ kind: 'stopped', stop: { reason: 'step', vcpu: 0 } });
  expect(next(session)).toMatchObject({ reason: 'breakpoint', vcpu: 1 });
  expect(processor.icount).toBe(icount + 1n);
});
