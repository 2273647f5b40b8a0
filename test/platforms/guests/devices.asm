; Reads back what devices of a PC show, one line each. What firmware leaves behind, and what QEMU is known to
; model otherwise, is not read. Runs under QEMU (Multiboot) and here; the output must be equal.
bits 32
section .text
global _start
align 4
dd 0x1BADB002, 0, -(0x1BADB002)
%macro outp 2
  mov dx, %1
  mov al, %2
  out dx, al
%endmacro
%macro inp 1
  mov dx, %1
  in al, dx
  call hexal
%endmacro
%macro tag 1
  mov esi, %%t
  call puts
  jmp %%e
%%t: db %1, 0
%%e:
%endmacro
_start:
  mov esp, stack
  tag "pic "
  outp 0x20, 0x11
  outp 0x21, 0x20
  outp 0x21, 4
  outp 0x21, 1
  outp 0x21, 0xff
  outp 0xa0, 0x11
  outp 0xa1, 0x28
  outp 0xa1, 2
  outp 0xa1, 1
  outp 0xa1, 0xff
  inp 0x21
  inp 0xa1
  outp 0x20, 0x0b
  inp 0x20
  outp 0x20, 0x0a
  outp 0x4d0, 0xff
  outp 0x4d1, 0xff
  inp 0x4d0
  inp 0x4d1
  outp 0x4d0, 0
  outp 0x4d1, 0
  outp 0x21, 0xa5
  inp 0x21
  outp 0x21, 0xff
  call nl
  tag "uart "
  outp 0x3fb, 0x83
  outp 0x3f8, 0x0c
  outp 0x3f9, 0
  mov dx, 0x3f8
  in al, dx
  mov bl, al
  mov dx, 0x3f9
  in al, dx
  mov bh, al
  outp 0x3fb, 3
  mov al, bl
  call hexal
  mov al, bh
  call hexal
  inp 0x3f9
  inp 0x3fa
  inp 0x3fb
  inp 0x3fc
  inp 0x3fd
  inp 0x3fe
  outp 0x3ff, 0x5a
  inp 0x3ff
  outp 0x3fa, 0x07
  inp 0x3fa
  outp 0x3fa, 0x00
  inp 0x3fa
  outp 0x3f9, 0xff
  mov dx, 0x3f9
  in al, dx
  mov bl, al
  outp 0x3f9, 0
  mov al, bl
  call hexal
  ; loopback
  outp 0x3fc, 0x1f
  mov dx, 0x3fe
  in al, dx
  mov bl, al
  outp 0x3fc, 0x10
  mov dx, 0x3fe
  in al, dx
  mov bh, al
  and bh, 0xf0
  outp 0x3fc, 0x0b
  mov al, bl
  call hexal
  mov al, bh
  call hexal
  call nl
  tag "pit "
  outp 0x43, 0x34
  outp 0x40, 0xff
  outp 0x40, 0xff
  outp 0x43, 0xe2
  mov dx, 0x40
  in al, dx
  and al, 0x7f
  call hexal
  outp 0x43, 0xb0
  outp 0x61, 0
  mov dx, 0x61
  in al, dx
  and al, 0x0f
  call hexal
  outp 0x61, 1
  mov dx, 0x61
  in al, dx
  and al, 0x0f
  call hexal
  outp 0x42, 0x01
  outp 0x42, 0x00
  mov ecx, 1000000
w: dec ecx
  jnz w
  mov dx, 0x61
  in al, dx
  and al, 0x2f
  call hexal
  call nl
  tag "rtc "
  outp 0x70, 0x0a
  mov dx, 0x71
  in al, dx
  and al, 0x7f
  call hexal
  outp 0x70, 0x0b
  inp 0x71
  outp 0x70, 0x0d
  inp 0x71
  outp 0x70, 0x15
  inp 0x71
  outp 0x70, 0x16
  inp 0x71
  outp 0x70, 0x17
  inp 0x71
  outp 0x70, 0x18
  inp 0x71
  outp 0x70, 0x30
  inp 0x71
  outp 0x70, 0x34
  inp 0x71
  outp 0x70, 0x35
  inp 0x71
  outp 0x70, 0x5f
  inp 0x71
  outp 0x70, 0x32
  inp 0x71
  call nl
  tag "kbd "
  outp 0x64, 0xaa
  inp 0x60
  outp 0x64, 0xab
  inp 0x60
  inp 0x64
  call nl
  tag "apic "
  mov edi, 0xfee00000
  mov eax, [edi+0x20]
  call hexeax
  mov eax, [edi+0x30]
  call hexeax
  mov eax, [edi+0x80]
  call hexeax
  mov eax, [edi+0xd0]
  call hexeax
  mov eax, [edi+0xe0]
  call hexeax
  mov eax, [edi+0x320]
  call hexeax
  mov eax, [edi+0x340]
  call hexeax
  mov eax, [edi+0x370]
  call hexeax
  mov dword [edi+0xf0], 0x1ff
  mov dword [edi+0x320], 0x20030
  mov dword [edi+0x320], 0x10030
  mov eax, [edi+0x320]
  call hexeax
  mov dword [edi+0x3e0], 0xff
  mov eax, [edi+0x3e0]
  call hexeax
  mov dword [edi+0x300], 0x40041
  mov eax, [edi+0x220]
  call hexeax
  mov eax, [edi+0x300]
  call hexeax
  call nl
  tag "ioapic "
  mov edi, 0xfec00000
  mov dword [edi], 0
  mov eax, [edi+0x10]
  call hexeax
  mov dword [edi], 1
  mov eax, [edi+0x10]
  call hexeax
  mov dword [edi], 0x10
  mov eax, [edi+0x10]
  call hexeax
  mov dword [edi], 0x14
  mov dword [edi+0x10], 0x1a955
  mov eax, [edi+0x10]
  call hexeax
  mov dword [edi], 0x15
  mov dword [edi+0x10], 0xff000000
  mov eax, [edi+0x10]
  call hexeax
  call nl
  mov al, 0
  out 0xf4, al
  cli
  hlt
hexeax:
  mov ebx, eax
  mov ecx, 8
.n: rol ebx, 4
  mov al, bl
  call nib
  dec ecx
  jnz .n
  mov al, ' '
  jmp byte_out
hexal:
  push eax
  shr al, 4
  call nib
  pop eax
  call nib
  mov al, ' '
  jmp byte_out
nib: and al, 15
  cmp al, 10
  jb .d
  add al, 39
.d: add al, 48
byte_out:
  push edx
  mov dx, 0x3f8
  out dx, al
  pop edx
  ret
nl: mov al, 10
  jmp byte_out
puts: lodsb
  test al, al
  jz .e
  call byte_out
  jmp puts
.e: ret
section .bss
resb 4096
stack:
