#!/busybox sh
# A user space of a child of Hyper-V with a screen: loads its driver, and draws.
/busybox mkdir -p /proc /sys /bin
/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in $(cat /modules); do insmod /$module.ko || echo "module $module failed"; done
mark() { echo "@ $*"; }
for try in $(seq 100); do [ -e /dev/fb0 ] && break; usleep 10000; done
[ -e /dev/fb0 ] || mark "no screen"
mark "screen $(cat /sys/class/graphics/fb0/name) $(cat /sys/class/graphics/fb0/virtual_size) $(cat /sys/class/graphics/fb0/bits_per_pixel)"
# The first 64 KiB: pixels of 0x55 each way.
dd if=/dev/zero bs=65536 count=1 2>/dev/null | tr '\0' 'U' >/dev/fb0
# The driver tells changes 20 times a second.
sleep 1
mark ready
while :; do sleep 1; done
