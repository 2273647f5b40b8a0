import { GUESTS } from '../determinism/guests.ts';

/** Sources that fuzzers damage: the guests of the determinism tests, and one that uses what they don't. */
export const ASSEMBLY_SOURCES: readonly string[] = [
  ...GUESTS.map((guest) => guest.source('amd')),
  `
%define PORT 0x3f8
%assign count 3
%macro print 1-2 'x'
%%again:
  mov al, %1
  mov dx, PORT
  out dx, al
  %if count > 2
  jmp short %%done
  %else
  jmp %%again
  %endif
%%done:
%endmacro
bits 16
org 0x7c00
struc point
.x: resw 1
.y: resw 1
endstruc
start:
  cli
  xor ax, ax
  mov ds, ax
  print 'a'
  print 'b', 'c'
  %rep 4
  inc word [bx + si + point.y]
  %endrep
  lea si, [message]
.loop:
  lodsb
  test al, al
  jz near .end
  loop .loop
.end:
  jmp 0x08:protected
message: db "Hello", 13, 10, 0
  dw ($ - message) * 2, ~1 & 0xff, 1 << 3
table: times 4 dd table, 0x12345678
bits 32
protected:
  mov eax, [ebx * 4 + ecx + table]
  cmovne edx, eax
  lock cmpxchg [esp], ecx
  rep stosd
  hlt
times 510 - ($ - $$) db 0
dw 0xaa55
`,
];
