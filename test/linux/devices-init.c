/*
 * A user space that loads modules of virtio and tries what the machine has besides disk and entropy: ports of the console, the balloon,
 * sockets to the host, a shared folder. It says what it waits for, since the other side is in the test. Then it switches the machine off.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/fs.h>
#include <linux/vm_sockets.h>

static void load(const char *name)
{
	char path[64];
	snprintf(path, sizeof path, "/%s.ko", name);
	int file = open(path, O_RDONLY);
	if (file < 0 || syscall(SYS_finit_module, file, "", 0) != 0)
		printf("module %s failed: %s\n", name, strerror(errno));
	close(file);
}

/* Reads a small file; an empty text where there is none. */
static const char *content(const char *path)
{
	static char text[4096];
	int file = open(path, O_RDONLY);
	ssize_t length = file < 0 ? 0 : read(file, text, sizeof text - 1);
	close(file);
	text[length < 0 ? 0 : length] = 0;
	return text;
}

static long free_mebibytes(void)
{
	const char *line = strstr(content("/proc/meminfo"), "MemFree:");
	return line ? strtol(line + 8, NULL, 10) / 1024 : 0;
}

/* Waits up to ten seconds. */
#define WAIT_FOR(condition) \
	for (int waits = 0; waits < 1000 && !(condition); waits++) \
		usleep(10000)

/* A disk with 2 queues, 4 MiB of which each byte is 0xd5, and one that can't be written. */
static void try_disks(void)
{
	static unsigned char data[1 << 20];
	uint64_t discarded[2] = { 1 << 20, 1 << 20 }, zeroed[2] = { 2 << 20, 3 * 4096 };
	int disk = open("/dev/vda", O_RDWR), queues = 0, is_read_only = 0;
	if (disk < 0 || ioctl(disk, BLKDISCARD, discarded) != 0 || ioctl(disk, BLKZEROOUT, zeroed) != 0)
		printf("disk: can't be cleared: %s\n", strerror(errno));
	/* Not from the page cache. */
	ioctl(disk, BLKFLSBUF, 0);
	for (int mebibyte = 0; mebibyte < 4; mebibyte++) {
		size_t full = 0, empty = 0;
		ssize_t length = pread(disk, data, sizeof data, (off_t)mebibyte << 20);
		for (ssize_t at = 0; at < length; at++) {
			full += data[at] == 0xd5;
			empty += data[at] == 0;
		}
		printf("disk: MiB %d has %zu full and %zu empty bytes\n", mebibyte, full, empty);
	}
	close(disk);
	struct dirent *entry;
	DIR *folder = opendir("/sys/block/vda/mq");
	while (folder && (entry = readdir(folder)) != NULL)
		queues += entry->d_name[0] != '.';
	disk = open("/dev/vdb", O_RDONLY);
	ioctl(disk, BLKROGET, &is_read_only);
	printf("disks: %d queues, serial %s, the second one is %s\n", queues, content("/sys/block/vda/serial"),
	       is_read_only ? "only read" : "written");
	close(disk);
}

static void try_channel(void)
{
	char path[300] = "", name[300];
	struct dirent *entry;
	DIR *folder = opendir("/sys/class/virtio-ports");
	while (folder && (entry = readdir(folder)) != NULL) {
		snprintf(name, sizeof name, "/sys/class/virtio-ports/%s/name", entry->d_name);
		if (strncmp(content(name), "org.example.agent", 17) == 0)
			snprintf(path, sizeof path, "/dev/%s", entry->d_name);
	}
	int port = open(path, O_RDWR);
	if (port < 0) {
		printf("channel: %s can't be opened: %s\n", path, strerror(errno));
		return;
	}
	char answer[64] = "";
	if (write(port, "hello from inside\n", 18) != 18)
		puts("channel: can't be written");
	ssize_t length = read(port, answer, sizeof answer - 1);
	printf("channel: %zd bytes, %s", length, answer);
	close(port);
}

static void try_console_size(void)
{
	struct winsize size = { 0 };
	int console = open("/dev/hvc0", O_RDWR | O_NOCTTY);
	ioctl(console, TIOCGWINSZ, &size);
	printf("console: %d x %d\n", size.ws_col, size.ws_row);
	puts("WAITS for another size");
	fflush(stdout);
	WAIT_FOR(ioctl(console, TIOCGWINSZ, &size) == 0 && size.ws_col == 132);
	printf("console: %d x %d\n", size.ws_col, size.ws_row);
	close(console);
}

/* Sends bytes to port 7 of the host, which sends them back. */
static void try_socket(int type, const char *name)
{
	static unsigned char sent[100000], back[100000];
	struct sockaddr_vm host = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = 7 };
	int socket_ = socket(AF_VSOCK, type, 0);
	size_t size = type == SOCK_STREAM ? sizeof sent : 20000, got = 0;
	if (socket_ < 0 || connect(socket_, (struct sockaddr *)&host, sizeof host) != 0) {
		printf("socket, %s: %s\n", name, strerror(errno));
		return;
	}
	for (size_t at = 0; at < size; at++)
		sent[at] = (unsigned char)(at * 7 + at / 251);
	if (send(socket_, sent, size, 0) != (ssize_t)size)
		printf("socket, %s: not all was sent: %s\n", name, strerror(errno));
	shutdown(socket_, SHUT_WR);
	for (ssize_t length; got < size && (length = recv(socket_, back + got, size - got, 0)) > 0;)
		got += (size_t)length;
	printf("socket, %s: %zu bytes came back %s, then %zd\n", name, got, memcmp(sent, back, size) == 0 ? "alike" : "differently",
	       recv(socket_, back, sizeof back, 0));
	close(socket_);
}

static void try_closed_port(void)
{
	struct sockaddr_vm host = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = 8 };
	int socket_ = socket(AF_VSOCK, SOCK_STREAM, 0);
	int result = connect(socket_, (struct sockaddr *)&host, sizeof host);
	printf("socket to a port where nothing listens: %s\n", result == 0 ? "connected" : strerror(errno));
	close(socket_);
}

/* A folder of the other side, with what the test put there. */
static void try_folder(void)
{
	mkdir("/mnt", 0755);
	if (mount("work", "/mnt", "9p", 0, "trans=virtio,version=9p2000.L") != 0) {
		printf("folder: can't be mounted: %s\n", strerror(errno));
		return;
	}
	struct dirent *entry;
	DIR *folder = opendir("/mnt");
	printf("folder:");
	while (folder && (entry = readdir(folder)) != NULL)
		if (entry->d_name[0] != '.')
			printf(" %s", entry->d_name);
	puts("");
	closedir(folder);
	printf("folder: %s", content("/mnt/hello.txt"));
	static unsigned char data[300000], again[300000];
	int file = open("/mnt/pattern", O_RDONLY);
	ssize_t length = read(file, data, sizeof data);
	size_t wrong = 0;
	for (size_t at = 0; at < sizeof data; at++)
		wrong += data[at] != (unsigned char)(at * 13);
	printf("folder: %zd bytes, %zu of them wrong\n", length, wrong);
	close(file);
	mkdir("/mnt/made", 0755);
	file = open("/mnt/made/file", O_RDWR | O_CREAT, 0600);
	ssize_t written = write(file, data, sizeof data);
	close(file);
	int renamed = rename("/mnt/made/file", "/mnt/hello.txt");
	int linked = symlink("hello.txt", "/mnt/link");
	file = open("/mnt/link", O_RDONLY);
	length = read(file, again, sizeof again);
	printf("folder: %zd written, %d, %d, %zd read %s\n", written, renamed, linked, length,
	       memcmp(data, again, sizeof again) == 0 ? "alike" : "differently");
	close(file);
	printf("folder: %d, %d\n", unlink("/mnt/pattern"), rmdir("/mnt/made"));
	printf("folder: %s\n", open("/mnt/outside", O_RDONLY) < 0 ? strerror(errno) : "led out");
	umount("/mnt");
}

static void try_balloon(void)
{
	long before = free_mebibytes();
	puts("WAITS for an inflated balloon");
	fflush(stdout);
	WAIT_FOR(before - free_mebibytes() >= 30);
	printf("balloon: %s\n", before - free_mebibytes() >= 30 ? "inflated" : "not inflated");
	puts("WAITS for a deflated balloon");
	fflush(stdout);
	WAIT_FOR(before - free_mebibytes() < 4);
	printf("balloon: %s\n", before - free_mebibytes() < 4 ? "deflated" : "not deflated");
	/* All of the memory works, that which was given back too. */
	size_t size = (size_t)(before - 24) << 20;
	unsigned char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t wrong = 0;
	for (size_t at = 0; at < size; at += 4096)
		memory[at] = (unsigned char)(at >> 12);
	for (size_t at = 0; at < size; at += 4096)
		wrong += memory[at] != (unsigned char)(at >> 12);
	munmap(memory, size);
	printf("balloon: %zu pages are not what they should be\n", wrong);
	/* Free pages are reported two seconds after they became free. */
	sleep(5);
}

int main(int count, char **words)
{
	mkdir("/sys", 0755);
	mkdir("/proc", 0755);
	mount("devtmpfs", "/dev", "devtmpfs", 0, "");
	mount("sysfs", "/sys", "sysfs", 0, "");
	mount("proc", "/proc", "proc", 0, "");
	puts("BEGIN");
	char modules[1024];
	snprintf(modules, sizeof modules, "%s", content("/modules"));
	for (char *name = strtok(modules, "\n"); name; name = strtok(NULL, "\n"))
		load(name);
	try_disks();
	try_channel();
	try_console_size();
	try_socket(SOCK_STREAM, "stream");
	try_socket(SOCK_SEQPACKET, "messages");
	try_closed_port();
	try_folder();
	try_balloon();
	puts("END");
	fflush(stdout);
	reboot(RB_POWER_OFF);
	return count + (words != NULL);
}
