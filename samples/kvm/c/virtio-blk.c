/*
 * A disk behind virtio, in C: it asks the disk for its name, reads the first sector, writes it to the last one and reads it back.
 *
 * What to look at: run `make` in this folder, then F5 with the configuration "KVM: virtio disk in C". Break in `submit` at the write to
 * QUEUE_NOTIFY: the panel *Virtqueues* shows the chain of three descriptors, and `queue->table` under Variables is the same memory as
 * the driver sees it. Step into the write: the call stack leads from `submit` through the exit into the device.
 */

#include "virtio.h"

enum request_type { READ = 0, WRITE = 1, GET_ID = 8 };
enum request_status { OK = 0, IO_ERROR = 1, UNSUPPORTED = 2 };

enum { SECTOR_SIZE = 512, ID_SIZE = 20 };

struct request {
    u32 type;
    u32 reserved;
    u64 sector;
};

static struct device disk;
static struct virtqueue requests;

/* One request, from its header to its status. Data goes to the disk for WRITE, and comes from it else. */
static enum request_status transfer(enum request_type type, u64 sector, void *data, u32 length)
{
    struct request header = { type, 0, sector };
    volatile u8 status = 0xff;
    struct piece pieces[] = {
        { &header, sizeof header, 0 },
        { data, length, type != WRITE },
        { (void *)&status, 1, 1 },
    };
    submit(&disk, &requests, pieces, 3);
    while (!is_done(&requests))
        __asm__ volatile("pause");
    return status;
}

static int fail(const char *what)
{
    print(what);
    print("\n");
    return 1;
}

int main(void)
{
    char id[ID_SIZE + 1] = { 0 };
    static char sector[SECTOR_SIZE + 1], copy[SECTOR_SIZE + 1];

    if (!find_device(&disk, BLOCK))
        return fail("no virtio disk: give the guest one with --disk");
    if (!start_device(&disk, &requests, 1))
        return fail("the device refuses the features");

    u64 sectors = read_configuration(&disk, 0) | (u64)read_configuration(&disk, 4) << 32;
    if (transfer(GET_ID, 0, id, ID_SIZE) != OK)
        return fail("the disk has no name");
    print(id);
    print(": ");
    print_number(sectors);
    print(" sectors\n");

    if (transfer(READ, 0, sector, SECTOR_SIZE) != OK)
        return fail("the first sector can't be read");
    if (transfer(WRITE, sectors - 1, sector, SECTOR_SIZE) != OK)
        return fail("the last sector can't be written");
    if (transfer(READ, sectors - 1, copy, SECTOR_SIZE) != OK)
        return fail("the last sector can't be read");
    for (int i = 0; i < SECTOR_SIZE; i++)
        if (copy[i] != sector[i])
            return fail("the sectors differ");
    print(copy);
    /* There is no sector behind the last one. */
    return transfer(READ, sectors, copy, SECTOR_SIZE) == IO_ERROR ? 0 : 1;
}
