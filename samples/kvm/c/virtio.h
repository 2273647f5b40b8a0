#pragma once

#include "guest.h"

/* What every driver of a virtio-mmio device needs (virtio 1.2, 2.7 and 4.2). */

#define SLOTS 0xfeb00000ul
#define SLOT_SIZE 0x200
#define SLOT_COUNT 8

enum device_kind { NO_DEVICE = 0, BLOCK = 2, CONSOLE = 3 };

enum { ENTRIES = 8 };
enum descriptor_flags { NEXT = 1, DEVICE_WRITES = 2 };

struct descriptor {
    u64 address;
    u32 length;
    u16 flags;
    u16 next;
} __attribute__((aligned(16)));

/* The driver puts heads of chains in here ... */
struct available_ring {
    u16 flags;
    u16 index;
    u16 ring[ENTRIES];
    u16 used_event;
} __attribute__((aligned(2)));

/* ... and the device returns them here. */
struct used_ring {
    u16 flags;
    volatile u16 index;
    struct {
        u32 id;
        u32 written;
    } ring[ENTRIES];
    u16 available_event;
} __attribute__((aligned(4)));

struct virtqueue {
    struct descriptor table[ENTRIES];
    struct available_ring available;
    struct used_ring used;
    int number;
};

struct device {
    unsigned long registers;
    int slot;
};

/* One piece of a buffer. */
struct piece {
    void *start;
    u32 length;
    int device_writes;
};

u32 read_register(const struct device *device, unsigned offset);
void write_register(const struct device *device, unsigned offset, u32 value);
/* A word of the device configuration space. */
u32 read_configuration(const struct device *device, unsigned offset);
u32 read_interrupts(const struct device *device);
void acknowledge_interrupts(const struct device *device, u32 causes);

/* Finds a device by its kind; 0: there is none. */
int find_device(struct device *device, enum device_kind kind);
/* Negotiates VERSION_1 alone and hands over the queues; 0: the device refuses. */
int start_device(const struct device *device, struct virtqueue *queues, int count);
/* Makes a chain of pieces available and rings the doorbell. */
void submit(const struct device *device, struct virtqueue *queue, const struct piece *pieces, int count);
/* Whether all that was submitted came back. */
int is_done(const struct virtqueue *queue);
/* Bytes that the device wrote into the chain that came back last. */
u32 bytes_written(const struct virtqueue *queue);
