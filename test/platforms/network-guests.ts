import { readFileSync } from 'node:fs';
import path from 'node:path';

export const SAMPLE = readFileSync(path.resolve(import.meta.dirname, '../../samples/kvm/virtio-net.asm'), 'utf8');

/** The sample's driver with something else to talk about: code between its set-up and its end. */
export function talking(words: string): string {
  const [start, end] = [SAMPLE.indexOf('talk:'), SAMPLE.indexOf('finish:')];
  return `${SAMPLE.slice(0, start)}talk:\n${words}\n    mov rsi, end_of_line\n${SAMPLE.slice(end)}`;
}

/** Halts until an interrupt of its card says that a frame has come, and ends then. No timer runs meanwhile. */
export const SLEEPING_RECEIVER = talking(`
    lea rax, [rel woken]
    lea rdi, [rel idt + 0x40 * 16]
    mov [rdi], ax
    mov word [rdi + 2], cs
    mov word [rdi + 4], 0x8e00
    shr rax, 16
    mov [rdi + 6], ax
    mov dword [rdi + 8], 0
    lea rax, [rel idt]
    mov [rel idt_pointer + 2], rax
    lidt [rel idt_pointer]
    mov esi, 0xfee00000
    mov dword [rsi + 0xf0], 0x1ff
    mov esi, 0xfec00000
    mov edx, ebx                        ; the pin of the card's slot: 16 and its number, level-triggered
    sub edx, VIRTIO
    shr edx, 9
    lea edx, [rdx * 2 + 0x10 + 2 * 16]
    mov [rsi], edx
    mov dword [rsi + 0x10], 0x8040
    mov ecx, RECEIVE
    mov rdi, receive_queue
    call offer
    sti
    hlt
    cli
    jmp over
woken:
    iretq
align 16
idt_pointer: dw 0xfff
    dq 0
align 16
idt: times 4096 db 0
over:
`);

/** Works for some slots of the host, sends one frame, and then waits for somebody to type, without a timer. */
export const SENDER = talking(`
    mov ecx, 400000
.work:
    loop .work
    mov ecx, TRANSMIT
    mov rdi, transmit_queue
    call offer
    mov dx, 0x3f9
    mov al, 1
    out dx, al
    sti
.rest:
    hlt
    jmp .rest
`);
