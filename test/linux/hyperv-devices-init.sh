#!/busybox sh
# A user space that tries the disks and the keyboard of a child of Hyper-V, and says what came of it.
/busybox mkdir -p /proc /sys /bin /mnt
/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in $(cat /modules); do insmod /$module.ko || echo "module $module failed"; done
mark() { echo "@ $*"; }
settle() { for try in $(seq 500); do [ -e $1 ] && return; usleep 20000; done; mark "no $1"; }
sum() { md5sum "$@" | cut -d' ' -f1; }

settle /dev/sdc
for disk in sda sdb sdc; do
	mark "$disk $(cat /sys/block/$disk/size) $(cat /sys/block/$disk/ro) $(cat /sys/block/$disk/queue/write_cache)"
done
mark "queues $(ls /sys/block/sda/mq | wc -l)"
mark "serial $(tail -c +5 /sys/block/sdb/device/vpd_pg80)"

mount -t ext4 /dev/sda /mnt
mark "greeting $(cat /mnt/greeting)"
dd if=/dev/urandom of=/mnt/random bs=64k count=32 2>/dev/null
mark "random $(sum /mnt/random)"
umount /mnt
echo 3 >/proc/sys/vm/drop_caches
mount -t ext4 /dev/sda /mnt
mark "again $(sum /mnt/random)"
umount /mnt

mark "before $(dd if=/dev/sdb bs=512 count=1 2>/dev/null | sum)"
blkdiscard /dev/sdb
mark "discarded $(dd if=/dev/sdb bs=512 count=1 2>/dev/null | sum)"
dd if=/dev/zero of=/dev/sdc bs=512 count=1 oflag=direct 2>/dev/null || mark "refused"

for try in $(seq 500); do
	for event in /sys/class/input/event*; do
		case $(readlink $event) in *d34b2567*) keyboard=/dev/input/$(basename $event) ;; esac
	done
	[ -n "$keyboard" ] && break
	usleep 20000
done
mark "keyboard $(grep -c 'Translated' /proc/bus/input/devices)"
{
	usleep 100000
	mark type
} &
# What a key does is three events of 24 bytes: its scan code, the key, and the end. Behind a time of 16 bytes are type, code and value.
dd if=$keyboard bs=24 count=12 2>/dev/null | od -An -v -tu2 -w24 | while read a b c d e f g h type code value rest; do
	[ "$type" = 1 ] && mark "key $code $value"
done
mark ready
poweroff -f
