/*
 * A console behind virtio, in C and with interrupts: it says hello and counts the letters of each line that you type, until an empty one.
 *
 * What to look at: run `make` in this folder, then F5 with the configuration "KVM: virtio console in C"; `input hello` in the Debug
 * Console types. While the guest sleeps in `wait_for`, the panel *Virtqueues* has the buffer of queue 0 waiting for what you type. Break
 * in `device_interrupt`: the call stack goes from the handler to the `hlt` that it woke.
 */

#include "virtio.h"

#define IO_APIC 0xfec00000ul
#define APIC 0xfee00000ul
#define APIC_EOI 0x0b0
#define APIC_SPURIOUS 0x0f0

enum { RECEIVE, TRANSMIT, QUEUES };
enum { VECTOR = 0x40, CODE = 0x20, FIRST_PIN = 16, LEVEL = 1 << 15, ROOM = 64 };

struct gate {
    u16 low;
    u16 selector;
    u16 type;
    u16 middle;
    u32 high;
    u32 reserved;
};

struct interrupt_frame;

static struct device console;
static struct virtqueue queues[QUEUES];
static struct gate idt[256];

static void write32(unsigned long address, u32 value)
{
    *(volatile u32 *)address = value;
}

/* The device has given a buffer back. Its line stays high until it is told that we know. */
__attribute__((interrupt)) static void device_interrupt(struct interrupt_frame *frame)
{
    (void)frame;
    acknowledge_interrupts(&console, read_interrupts(&console));
    write32(APIC + APIC_EOI, 0);
}

static void set_up_interrupt(void)
{
    u64 handler = (u64)device_interrupt;
    struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) pointer = { sizeof idt - 1, (u64)idt };

    idt[VECTOR] = (struct gate){ handler, CODE, 0x8e00, handler >> 16, handler >> 32, 0 };
    __asm__ volatile("lidt %0" : : "m"(pointer));
    /* The old interrupt controllers stay quiet. */
    out8(0x21, 0xff);
    out8(0xa1, 0xff);
    write32(APIC + APIC_SPURIOUS, 0x1ff);
    /* Two registers of the I/O APIC for each pin: what it is, and where it leads. */
    u32 entry = 0x10 + 2 * (FIRST_PIN + console.slot);
    write32(IO_APIC, entry);
    write32(IO_APIC + 0x10, LEVEL | VECTOR);
    write32(IO_APIC, entry + 1);
    write32(IO_APIC + 0x10, 0);
    __asm__ volatile("sti");
}

/* Sleeps until a buffer comes back. An interrupt between the look and the nap can't be missed: STI lets it in only behind HLT's start. */
static void wait_for(const struct virtqueue *queue)
{
    for (;;) {
        __asm__ volatile("cli");
        if (is_done(queue))
            break;
        __asm__ volatile("sti; hlt");
    }
    __asm__ volatile("sti");
}

static void transmit(char *text)
{
    u32 length = 0;
    while (text[length])
        length++;
    struct piece piece = { text, length, 0 };
    submit(&console, &queues[TRANSMIT], &piece, 1);
    wait_for(&queues[TRANSMIT]);
}

/* What was typed next; gives its length. */
static u32 receive(char *buffer)
{
    struct piece piece = { buffer, ROOM, 1 };
    submit(&console, &queues[RECEIVE], &piece, 1);
    wait_for(&queues[RECEIVE]);
    return bytes_written(&queues[RECEIVE]);
}

int main(void)
{
    static char typed[ROOM];
    static char answer[] = "00 letters\n";
    int letters = 0;

    if (!find_device(&console, CONSOLE)) {
        print("no virtio console: run it with --machine microvm\n");
        return 1;
    }
    set_up_interrupt();
    if (!start_device(&console, queues, QUEUES)) {
        print("the device refuses the features\n");
        return 1;
    }
    transmit("Type lines; an empty one ends it.\n");
    for (;;) {
        u32 length = receive(typed);
        for (u32 i = 0; i < length; i++) {
            if (typed[i] != '\n' && typed[i] != '\r') {
                letters++;
                continue;
            }
            if (letters == 0)
                return 0;
            answer[0] = '0' + letters / 10 % 10;
            answer[1] = '0' + letters % 10;
            transmit(answer);
            letters = 0;
        }
    }
}
