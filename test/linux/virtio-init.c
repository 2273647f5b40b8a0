/*
 * A user space that loads the modules of virtio, and tries a disk, an entropy device and a console. Prints what came of it, and switches
 * the machine off.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SECTOR 512
#define PATTERN_SECTORS 256

static unsigned char data[PATTERN_SECTORS * SECTOR], again[PATTERN_SECTORS * SECTOR];

static void load(const char *name)
{
	char path[64];
	snprintf(path, sizeof path, "/%s.ko", name);
	int file = open(path, O_RDONLY);
	/* Each machine has the modules of its transport. */
	if (file < 0)
		return;
	if (syscall(SYS_finit_module, file, "", 0) != 0)
		printf("module %s failed\n", name);
	close(file);
}

static void show(const char *path)
{
	char text[128] = "";
	int file = open(path, O_RDONLY);
	ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
	close(file);
	text[length < 0 ? 0 : length] = 0;
	text[strcspn(text, "\n")] = 0;
	printf("%s %s\n", path, length < 0 ? "is missing" : text);
}

/* Lines of a file that name virtio, without what differs from run to run: counts and numbers of interrupts. */
static void show_interrupts(void)
{
	FILE *file = fopen("/proc/interrupts", "r");
	char line[512];
	while (file && fgets(line, sizeof line, file)) {
		char *kind = strstr(line, "PCI-MSI"), *device = strstr(line, "virtio");
		if (device)
			printf("interrupt: %s %s", kind ? "message" : "pin", device);
	}
	if (file)
		fclose(file);
}

static void try_disk(void)
{
	int disk = open("/dev/vda", O_RDWR | O_SYNC);
	if (disk < 0 || read(disk, data, sizeof data) != sizeof data) {
		puts("disk: can't be read");
		return;
	}
	int wrong = 0;
	for (int i = 0; i < PATTERN_SECTORS; i++)
		for (int at = 0; at < SECTOR; at++)
			wrong += data[i * SECTOR + at] != (unsigned char)(i * 7 + at);
	printf("disk: %d bytes are not what they should be\n", wrong);
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (unsigned char)~data[i];
	if (pwrite(disk, data, sizeof data, 1 << 20) != sizeof data || fsync(disk) != 0)
		puts("disk: can't be written");
	close(disk);
	/* Not from the page cache. */
	disk = open("/dev/vda", O_RDONLY);
	posix_fadvise(disk, 0, 0, POSIX_FADV_DONTNEED);
	if (pread(disk, again, sizeof again, 1 << 20) != sizeof again)
		puts("disk: can't be read again");
	printf("disk: written and read back %s\n", memcmp(data, again, sizeof data) == 0 ? "alike" : "differently");
	close(disk);
}

static void try_entropy(void)
{
	unsigned char bytes[64] = { 0 };
	int file = open("/dev/hwrng", O_RDONLY);
	ssize_t length = file < 0 ? -1 : read(file, bytes, sizeof bytes);
	int nonzero = 0;
	for (size_t i = 0; i < sizeof bytes; i++)
		nonzero += bytes[i] != 0;
	printf("entropy: %zd bytes, %s\n", length, nonzero > 32 ? "random" : "not random");
	close(file);
}

static void try_console(void)
{
	int file = open("/dev/hvc0", O_RDWR | O_NOCTTY);
	const char text[] = "hello through hvc0\n";
	if (file < 0 || write(file, text, sizeof text - 1) != sizeof text - 1)
		puts("console: can't be written");
	usleep(100000);
	close(file);
}

int main(void)
{
	mkdir("/sys", 0755);
	mount("devtmpfs", "/dev", "devtmpfs", 0, "");
	mount("sysfs", "/sys", "sysfs", 0, "");
	mkdir("/proc", 0755);
	mount("proc", "/proc", "proc", 0, "");
	puts("BEGIN");
	const char *modules[] = { "virtio_ring", "virtio", "virtio_mmio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev",
		"virtio_pci", "qemu_fw_cfg", "virtio_blk", "virtio-rng", "virtio_console" };
	for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++)
		load(modules[i]);
	show("/sys/bus/virtio/devices/virtio0/features");
	show("/sys/block/vda/size");
	show("/sys/block/vda/serial");
	show("/sys/class/misc/hw_random/rng_current");
	if (access("/sys/firmware/qemu_fw_cfg", F_OK) == 0) {
		show("/sys/firmware/qemu_fw_cfg/rev");
		show("/sys/firmware/qemu_fw_cfg/by_name/etc/e820/size");
	}
	try_disk();
	try_entropy();
	fflush(stdout);
	try_console();
	show_interrupts();
	puts("END");
	fflush(stdout);
	sync();
	reboot(RB_POWER_OFF);
	return 0;
}
