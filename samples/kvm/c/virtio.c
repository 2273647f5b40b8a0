/* The driver's side of virtio-mmio and of a split virtqueue, as short as it can be: one chain at a time. */

#include "virtio.h"

enum registers {
    DEVICE_ID = 0x008,
    DRIVER_FEATURES = 0x020,
    DRIVER_FEATURES_SELECT = 0x024,
    QUEUE_SELECT = 0x030,
    QUEUE_SIZE = 0x038,
    QUEUE_READY = 0x044,
    QUEUE_NOTIFY = 0x050,
    INTERRUPT_STATUS = 0x060,
    INTERRUPT_ACK = 0x064,
    STATUS = 0x070,
    QUEUE_TABLE = 0x080,
    QUEUE_AVAILABLE = 0x090,
    QUEUE_USED = 0x0a0,
    CONFIGURATION = 0x100,
};
enum status { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8 };

/* Bit 32 of the features: the first of the second word. */
#define VERSION_1 1

u32 read_register(const struct device *device, unsigned offset)
{
    return *(volatile u32 *)(device->registers + offset);
}

void write_register(const struct device *device, unsigned offset, u32 value)
{
    *(volatile u32 *)(device->registers + offset) = value;
}

u32 read_configuration(const struct device *device, unsigned offset)
{
    return read_register(device, CONFIGURATION + offset);
}

u32 read_interrupts(const struct device *device)
{
    return read_register(device, INTERRUPT_STATUS);
}

void acknowledge_interrupts(const struct device *device, u32 causes)
{
    write_register(device, INTERRUPT_ACK, causes);
}

int find_device(struct device *device, enum device_kind kind)
{
    for (int slot = 0; slot < SLOT_COUNT; slot++) {
        device->slot = slot;
        device->registers = SLOTS + slot * SLOT_SIZE;
        if (read_register(device, DEVICE_ID) == kind)
            return 1;
    }
    return 0;
}

static void write_address(const struct device *device, unsigned offset, const void *address)
{
    write_register(device, offset, (u64)address);
    write_register(device, offset + 4, (u64)address >> 32);
}

static void set_up_queue(const struct device *device, struct virtqueue *queue, int number)
{
    queue->number = number;
    write_register(device, QUEUE_SELECT, number);
    write_register(device, QUEUE_SIZE, ENTRIES);
    write_address(device, QUEUE_TABLE, queue->table);
    write_address(device, QUEUE_AVAILABLE, &queue->available);
    write_address(device, QUEUE_USED, &queue->used);
    write_register(device, QUEUE_READY, 1);
}

int start_device(const struct device *device, struct virtqueue *queues, int count)
{
    u32 status = ACKNOWLEDGE;
    write_register(device, STATUS, 0);
    write_register(device, STATUS, status);
    write_register(device, STATUS, status |= DRIVER);
    write_register(device, DRIVER_FEATURES_SELECT, 0);
    write_register(device, DRIVER_FEATURES, 0);
    write_register(device, DRIVER_FEATURES_SELECT, 1);
    write_register(device, DRIVER_FEATURES, VERSION_1);
    write_register(device, STATUS, status |= FEATURES_OK);
    if (!(read_register(device, STATUS) & FEATURES_OK))
        return 0;
    for (int number = 0; number < count; number++)
        set_up_queue(device, &queues[number], number);
    write_register(device, STATUS, status | DRIVER_OK);
    return 1;
}

void submit(const struct device *device, struct virtqueue *queue, const struct piece *pieces, int count)
{
    for (int i = 0; i < count; i++) {
        struct descriptor *descriptor = &queue->table[i];
        descriptor->address = (u64)pieces[i].start;
        descriptor->length = pieces[i].length;
        descriptor->flags = (pieces[i].device_writes ? DEVICE_WRITES : 0) | (i + 1 < count ? NEXT : 0);
        descriptor->next = i + 1;
    }
    /* The head first, then the index that makes it count. */
    queue->available.ring[queue->available.index % ENTRIES] = 0;
    __asm__ volatile("" : : : "memory");
    queue->available.index++;
    __asm__ volatile("" : : : "memory");
    write_register(device, QUEUE_NOTIFY, queue->number);
}

int is_done(const struct virtqueue *queue)
{
    return queue->used.index == queue->available.index;
}

u32 bytes_written(const struct virtqueue *queue)
{
    return queue->used.ring[(u16)(queue->used.index - 1) % ENTRIES].written;
}
