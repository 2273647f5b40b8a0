; Reads back what a virtio disk on a PCI bus and the firmware configuration device show, one line for each part. What a machine may choose, such as slots, sizes of queues and
; addresses, is not read. Runs under QEMU (Multiboot) and here; the output must be equal.
bits 32
section .text
global _start
align 4
dd 0x1BADB002, 0, -(0x1BADB002)

DISK    equ 0x10421af4
MSIX    equ 0x11
VENDOR  equ 0x09

%macro tag 1
  mov esi, %%t
  call puts
  jmp %%e
%%t: db %1, 0
%%e:
%endmacro
; The register %1 of the function, 32 bits: read, or written with %2.
%macro readcfg 1
  mov eax, %1
  call config
  mov dx, 0xcfc
  in eax, dx
%endmacro
%macro writecfg 2
  mov ecx, %2
  mov eax, %1
  call config
  mov dx, 0xcfc
  mov eax, ecx
  out dx, eax
%endmacro
%macro showcfg 1
  readcfg %1
  call hexeax
%endmacro
; A register of the common configuration.
%macro show8 1
  movzx eax, byte [ebx + %1]
  call hexeax
%endmacro
%macro show16 1
  movzx eax, word [ebx + %1]
  call hexeax
%endmacro
%macro show32 1
  mov eax, [ebx + %1]
  call hexeax
%endmacro

; %2 bytes of the item with key %1 of the firmware configuration, the first one in the lowest bits.
%macro showitem 2
  mov dx, 0x510
  mov ax, %1
  out dx, ax
  mov ecx, %2
  call item
%endmacro
; A request for DMA: control word and length. Shows the control word behind it, and four bytes of the buffer.
%macro dma 2
  mov eax, %1
  mov ecx, %2
  call request
%endmacro

_start:
  mov esp, stack
  tag "bridge "
  mov dword [function], 0x80000000
  showcfg 0
  showcfg 8
  mov dx, 0xcf8
  in eax, dx
  call hexeax
  call nl

  ; The disk's slot.
.look:
  add dword [function], 0x800
  cmp dword [function], 0x80010000
  je finish
  readcfg 0
  cmp eax, DISK
  jne .look

  tag "ids "
  showcfg 0
  showcfg 8
  showcfg 0x0c
  showcfg 0x2c
  readcfg 0x3c
  shr eax, 8
  call hexeax
  readcfg 4
  shr eax, 16
  and eax, 0x10
  call hexeax
  call nl

  tag "bars "
  writecfg 4, 0
  readcfg 0x14
  mov [bar1], eax
  readcfg 0x20
  mov [bar4], eax
  readcfg 0x24
  mov [bar4 + 4], eax
  writecfg 0x10, -1
  writecfg 0x14, -1
  writecfg 0x18, -1
  writecfg 0x1c, -1
  writecfg 0x20, -1
  writecfg 0x24, -1
  showcfg 0x10
  showcfg 0x14
  showcfg 0x18
  showcfg 0x1c
  showcfg 0x20
  showcfg 0x24
  writecfg 0x14, [bar1]
  writecfg 0x20, [bar4]
  writecfg 0x24, [bar4 + 4]
  and dword [bar1], ~15
  and dword [bar4], ~15
  call nl

  tag "command "
  writecfg 4, 0xffff
  readcfg 4
  and eax, 0xffff
  call hexeax
  writecfg 4, 6
  readcfg 4
  and eax, 0xffff
  call hexeax
  call nl

  ; The capabilities, in any order: where each structure is.
  readcfg 0x34
  movzx edi, al
.capability:
  test edi, edi
  jz .known
  readcfg edi
  cmp al, MSIX
  jne .vendor
  mov [msix], edi
.vendor:
  cmp al, VENDOR
  jne .next
  shr eax, 24
  mov [structures + eax * 4], edi
.next:
  readcfg edi
  movzx edi, ah
  jmp .capability
.known:

  tag "structures "
  mov ebp, 1
.structure:
  mov edi, [structures + ebp * 4]
  test edi, edi
  jz .missing
  lea eax, [edi + 4]
  readcfg eax
  call hexeax
  lea eax, [edi + 8]
  readcfg eax
  call hexeax
.missing:
  inc ebp
  cmp ebp, 6
  jb .structure
  mov edi, [structures + 2 * 4]
  lea eax, [edi + 16]
  readcfg eax
  call hexeax
  call nl

  tag "msix "
  mov edi, [msix]
  readcfg edi
  shr eax, 16
  call hexeax
  lea eax, [edi + 4]
  readcfg eax
  call hexeax
  lea eax, [edi + 8]
  readcfg eax
  call hexeax
  mov ebx, [bar1]
  show32 0
  show32 12
  show32 28
  mov dword [ebx + 16], 0xfee00000
  mov dword [ebx + 20], 0x12345678
  mov dword [ebx + 24], 0x4141
  mov dword [ebx + 28], 0
  show32 16
  show32 20
  show32 24
  show32 28
  mov dword [ebx + 28], 1
  show32 28
  show32 0x800
  call nl

  tag "common "
  mov ebx, [bar4]
  ; QEMU's firmware has used the disk.
  mov byte [ebx + 0x14], 0
  show16 0x10
  show16 0x12
  show8 0x14
  show8 0x15
  mov word [ebx + 0x10], 1
  show16 0x10
  mov word [ebx + 0x10], 5
  show16 0x10
  mov dword [ebx + 8], 1
  mov dword [ebx + 12], 1
  show32 8
  show32 12
  mov dword [ebx + 0], 7
  show32 0
  show32 4
  call nl

  tag "queue "
  mov word [ebx + 0x16], 0
  show16 0x1a
  show16 0x1c
  show16 0x1e
  mov word [ebx + 0x18], 16
  show16 0x18
  mov word [ebx + 0x1a], 1
  show16 0x1a
  mov word [ebx + 0x1a], 2
  show16 0x1a
  mov dword [ebx + 0x20], 0x1000
  mov dword [ebx + 0x24], 0x2
  show32 0x20
  show32 0x24
  mov word [ebx + 0x16], 9
  show16 0x16
  show16 0x18
  show16 0x1a
  show16 0x1c
  call nl

  tag "status "
  mov byte [ebx + 0x14], 1
  show8 0x14
  mov byte [ebx + 0x14], 3
  show8 0x14
  mov dword [ebx + 8], 1
  mov dword [ebx + 12], 1
  mov byte [ebx + 0x14], 0x0b
  show8 0x14
  show16 0x16
  mov byte [ebx + 0x14], 0
  show8 0x14
  show8 0x1000
  show32 0x2000 + 4
  call nl

  ; The window: a byte, a word and a dword of the common configuration.
  tag "window "
  mov edi, [structures + 5 * 4]
  lea eax, [edi + 4]
  mov [place], eax
  writecfg [place], 4
  mov dword [ebx + 8], 0x11223344
  mov ebp, 1
.window:
  lea eax, [edi + 8]
  mov [place], eax
  writecfg [place], 8
  lea eax, [edi + 12]
  mov [place], eax
  writecfg [place], ebp
  lea eax, [edi + 16]
  cmp ebp, 4
  jne .narrow
  readcfg eax
  call hexeax
.narrow:
  shl ebp, 1
  cmp ebp, 4
  jbe .window
  lea eax, [edi + 8]
  mov [place], eax
  writecfg [place], 0x14
  lea eax, [edi + 12]
  mov [place], eax
  writecfg [place], 1
  lea eax, [edi + 16]
  call config
  mov dx, 0xcfc
  mov al, 1
  out dx, al
  show8 0x14
  call nl

finish:
  tag "firmware "
  showitem 0, 4
  showitem 1, 4
  showitem 5, 2
  showitem 0x0f, 2
  showitem 3, 8
  showitem 0, 6
  showitem 0x3ffe, 2
  mov dx, 0x514
  in eax, dx
  call hexeax
  mov dx, 0x518
  in eax, dx
  call hexeax
  call nl

  tag "dma "
  dma 0x0000000a, 4               ; select item 0 and read
  dma 2, 4                        ; behind its end
  dma 0x00000008, 0               ; select alone
  dma 4, 1                        ; skip
  dma 2, 3
  dma 0x00000018, 4               ; write
  dma 0x3ffe000a, 4               ; an item that isn't there
  dma 0, 4                        ; nothing
  call nl

  mov dx, 0xf4
  xor eax, eax
  out dx, eax
.halt:
  hlt
  jmp .halt

; The register EAX of the function becomes what port 0xCFC reaches.
config:
  or eax, [function]
  mov dx, 0xcf8
  out dx, eax
  ret
item:
  mov dx, 0x511
.byte:
  in al, dx
  movzx eax, al
  call hexeax
  loop .byte
  ret
request:
  bswap eax
  bswap ecx
  mov [command], eax
  mov [command + 4], ecx
  mov dword [command + 8], 0
  mov eax, buffer
  bswap eax
  mov [command + 12], eax
  mov dword [buffer], -1
  mov dx, 0x514
  xor eax, eax
  out dx, eax
  mov dx, 0x518
  mov eax, command
  bswap eax
  out dx, eax
  mov eax, [command]
  call hexeax
  mov eax, [buffer]
  jmp hexeax
hexeax:
  push ecx
  mov ecx, 8
.digit:
  rol eax, 4
  push eax
  and al, 15
  add al, '0'
  cmp al, '9'
  jbe .put
  add al, 'a' - '9' - 1
.put:
  call putc
  pop eax
  loop .digit
  mov al, ' '
  call putc
  pop ecx
  ret
putc:
  push edx
  push eax
  mov dx, 0x3fd
.wait:
  in al, dx
  test al, 0x20
  jz .wait
  pop eax
  mov dx, 0x3f8
  out dx, al
  pop edx
  ret
puts:
  lodsb
  test al, al
  jz .end
  call putc
  jmp puts
.end:
  ret
nl:
  mov al, 10
  jmp putc

section .bss
alignb 16
function:   resd 1
place:      resd 1
bar1:       resd 1
bar4:       resd 2
msix:       resd 1
structures: resd 256
command:    resd 4
buffer:     resd 4
            resb 4096
stack:
