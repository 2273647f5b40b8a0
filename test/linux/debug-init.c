/*
 * A user space that loads the modules of virtio, computes a little in a function that a debugger can look for, and exits: which no first
 * process may, so the kernel panics.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static void load(const char *path)
{
	int file = open(path, O_RDONLY);
	if (file < 0 || syscall(SYS_finit_module, file, "", 0) != 0)
		printf("module %s failed\n", path);
	close(file);
}

__attribute__((noinline)) int triangle(int count)
{
	int sum = 0;
	for (volatile int i = 1; i <= count; i++)
		sum += i;
	return sum;
}

int main(void)
{
	load("/virtio_ring.ko");
	load("/virtio.ko");
	load("/virtio_mmio.ko");
	load("/virtio_blk.ko");
	printf("triangle of 100: %d\n", triangle(100));
	return 7;
}
