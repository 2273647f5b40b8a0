import { describe, expect, test } from 'vitest';
import { pageFaultCause } from '../../src/debugger/inspection/exception-details.ts';
import type { WalkResult } from '../../src/processor/processor.ts';
import { Client, sample } from '../adapter/client.ts';
import { atEntry } from '../adapter/guests.ts';

const open: WalkResult = { steps: [], gpa: 0x1000n, pageSize: 4096n, writable: true, user: true, executable: true };
const SMEP = 1n << 20n;
const SMAP = 1n << 21n;

describe('the cause of a page fault', () => {
  test.each<[string, number, Partial<WalkResult>, bigint, RegExp]>([
    ['an absent entry', 0, { gpa: undefined, problem: 'The PT entry is not present.' }, 0n, /PT entry is not present/],
    ['a reserved bit', 9, { gpa: undefined, problem: 'The PD entry has reserved bits set.' }, 0n, /reserved bits/],
    ['a write to a read-only page by the user', 7, { writable: false }, 0n, /read-only \(R\/W is 0\)\.$/],
    ['a write to a read-only page by the supervisor', 3, { writable: false }, 0n, /CR0\.WP/],
    ['a user on a supervisor page', 5, { user: false }, 0n, /supervisor's alone/],
    ['a fetch from a page without execution', 17, { executable: false }, 0n, /not executable/],
    ['a fetch of the supervisor from a user page', 17, {}, SMEP, /SMEP/],
    ['an access of the supervisor to a user page', 1, {}, SMAP, /SMAP/],
    ['a table that was mended since', 0, {}, 0n, /there now/],
    ['rights that were mended since', 3, {}, 0n, /allows this access now/],
  ])('%s is named', (_, errorCode, walk, cr4, sentence) => {
    expect(pageFaultCause(errorCode, { ...open, ...walk }, cr4)).toMatch(sentence);
  });
});

describe('the details of an exception', () => {
  /** Stopped at the page fault of a guest whose page of 0x600000 was changed by `change`. */
  function faulting(instruction: string, change: (entry: bigint) => bigint): string {
    const { client } = atEntry(`bits 64
_start:
    mov rax, cr0
    or rax, 0x10000
    mov cr0, rax
    mov rbx, 0x600000
    ${instruction}
    hlt
`);
    const gpa = [...client.evaluate('walk 0x600000', 'repl').matchAll(/entry at gpa (0x\w+)/g)].at(-1)?.[1];
    const entry = change(BigInt(client.evaluate(`qword gpa:[${gpa}]`, 'clipboard')));
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(entry);
    client.ask('writeMemory', { memoryReference: `gpa:${gpa}`, data: bytes.toString('base64') });
    client.ask('setExceptionBreakpoints', { filters: ['exception'] });
    expect(client.move('continue').body.reason).toBe('exception');
    const { exceptionId, description } = client.ask('exceptionInfo', { threadId: 1 });
    return `${exceptionId}\n${description}`;
  }

  test('of a page fault are the access, the walk and the reason', () => {
    expect(faulting('mov rcx, [rbx]', (entry) => entry & ~1n)).toMatch(
      /#PF\(0\)[\s\S]*supervisor read of 0x600000[\s\S]*PML4 {2}entry at gpa[\s\S]*PD {4}entry[\s\S]*PD entry is not present/,
    );
    expect(faulting('mov [rbx], rcx', (entry) => entry & ~2n)).toMatch(
      /#PF\(0x3\)[\s\S]*supervisor write to 0x600000[\s\S]*CR0\.WP/,
    );
    expect(faulting('jmp rbx', (entry) => entry | (1n << 13n))).toMatch(/#PF\(0x[19]\w*\)[\s\S]*reserved bits/);
  });

  test('of a selector fault name the descriptor', () => {
    const { client } = atEntry(`bits 64
_start:
    mov ax, 0x7000
    mov ds, ax
    hlt
`);
    client.ask('setExceptionBreakpoints', { filters: ['fault'] });
    client.move('continue');
    const { exceptionId, description } = client.ask('exceptionInfo', { threadId: 1 });
    expect(exceptionId).toBe('#GP(0x7000)');
    expect(description).toContain('GDT entry 0xe00 (selector 0x7000)');
  });

  test('of a triple fault are the faults that led there, each with its page walk', () => {
    const { client } = atEntry(`bits 64
_start:
    cpuid
    lidt [empty]
    mov rbx, 0x7fffffffff
    mov rax, [rbx]
    hlt
empty: dw 0
    dq 0
`);
    client.move('continue');
    const { description } = client.ask('exceptionInfo', { threadId: 1 });
    expect(description).toMatch(
      /1\. #PF\(0\) at 0x7fffffffff[\s\S]*not present[\s\S]*Page walk of 0x7fffffffff:\n +PML4[\s\S]*2\. #DF[\s\S]*last VM exits before it:\n +#1 .* cpuid/,
    );
  });

  test('say nothing of an exit when the guest stopped for another reason', () => {
    const client = new Client();
    client.launch(sample('hello/hello.asm'));
    client.ask('configurationDone');
    client.run();
    expect(client.ask('exceptionInfo', { threadId: 1 })).toMatchObject({ exceptionId: 'Entry' });
  });
});
