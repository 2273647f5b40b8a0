import { expect, test } from 'vitest';
import { guest } from './run-guest.ts';

/** Sets the local APIC's timer to 1,000,000 ticks (of 1 ns, divided by 1), halts until it rings, and ends with status 7. */
const SLEEPER = (listens: boolean) => `
bits 64
_start:
    mov rsp, 0x70000
    lea rax, [rel rung]
    mov rdi, 0x2000 + 0x40 * 16
    mov [rdi], ax
    mov word [rdi + 2], 0x20
    mov word [rdi + 4], 0x8e00
    shr rax, 16
    mov [rdi + 6], ax
    mov dx, 0x3f9
    mov al, ${listens ? 1 : 0}
    out dx, al
    mov ebx, 0xfee00000
    mov dword [rbx + 0xf0], 0x1ff
    mov dword [rbx + 0x3e0], 11
    mov dword [rbx + 0x320], 0x40
    mov dword [rbx + 0x380], 1000000
    sti
    hlt
    jmp $
rung:
    mov dx, 0xf4
    mov al, 3
    out dx, al
`;

/** Gives so much for each time that it is asked. */
const pace = (each: bigint) => ({ take: (wanted: bigint) => (wanted < each ? wanted : each) });

test('time of an idle guest that listens for input passes as its pace says, and the guest is the same afterwards', () => {
  const skipped = guest(SLEEPER(true));
  expect(skipped.run({ instructions: 1000 })).toMatchObject({ kind: 'ended', end: { status: 7 } });
  const paced = guest(SLEEPER(true));
  paced.idlePace = pace(300_000n);
  const stops = Array.from({ length: 4 }, () => paced.run({ instructions: 1000 }).kind);
  expect(stops).toEqual(['waiting', 'waiting', 'waiting', 'ended']);
  expect([paced.now(), paced.stateHash()]).toEqual([skipped.now(), skipped.stateHash()]);
});

test('without a listener for input idle time is skipped, whatever the pace', () => {
  const partition = guest(SLEEPER(false));
  partition.idlePace = pace(1n);
  expect(partition.run({ instructions: 1000 }).kind).toBe('ended');
});
