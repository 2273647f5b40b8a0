#!/busybox sh
# A user space of a child of Hyper-V: loads the drivers of what its parent has for it, tries them and says what came of it. The kernel's
# command line says what else to do: `role` and, for a network of two, `own` and `peer` are in the environment.
/busybox mkdir -p /proc /sys /bin /etc /mnt
/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in $(cat /modules); do insmod /$module.ko || echo "module $module failed"; done
mark() { echo "@ $*"; }
# Devices are found while the modules are loaded, and after.
settle() { for try in $(seq 200); do [ -e $1 ] && return; usleep 10000; done; mark "no $1"; }

mark "cpus $(nproc)"
mark "clock $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
mark "events $(cat /sys/devices/system/clockevents/clockevent0/current_device)"
mark "year $(date -u +%Y)"

vmbus() {
	for device in /sys/bus/vmbus/devices/*; do
		driver=none
		[ -e $device/driver ] && driver=$(basename $(readlink $device/driver))
		mark "device $(cat $device/class_id) $driver"
	done | sort
}

disk() {
	settle /dev/sda
	mount -t ext4 /dev/sda /mnt && mark "disk $(cat /mnt/greeting)"
	echo "written by the guest on $(nproc) vCPUs" >/mnt/answer
	dd if=/dev/zero bs=4096 count=64 2>/dev/null | tr '\0' 'x' >/mnt/many
	umount /mnt
	mark "disk $(blockdev --getsize64 /dev/sda) bytes"
}

network() {
	settle /sys/class/net/eth0
	ip link set lo up
	ip link set eth0 up
	cat >/lease.sh <<-'END'
		#!/bin/sh
		[ "$1" = bound ] || exit 0
		ip addr add $ip/$mask dev $interface
		ip route add default via $router
		echo "nameserver $dns" >/etc/resolv.conf
		echo "@ lease $ip/$mask router $router"
	END
	chmod +x /lease.sh
	udhcpc -i eth0 -s /lease.sh -n -q -t 5 -T 1 2>/dev/null
	mark "ping $(ping -c 3 -i 0.2 10.0.2.2 | grep transmitted)"
	wget -q -O /big http://10.0.2.2/big && mark "fetched $(md5sum </big | cut -d' ' -f1)"
}

link() {
	settle /sys/class/net/eth0
	ip link set lo up
	ip link set eth0 up
	ip addr add $own/24 dev eth0
	mark "address $(cat /sys/class/net/eth0/address)"
}

case $role in
all)
	vmbus
	disk
	network
	;;
boot)
	vmbus
	;;
answer)
	link
	nc -l -p 9000 -e echo "from the one that answers"
	mark done
	;;
ask)
	link
	for try in $(seq 100); do ping -c 1 -W 1 $peer >/dev/null && break; done
	mark "ping $(ping -c 3 -i 0.2 $peer | grep transmitted)"
	for try in $(seq 100); do nc $peer 9000 </dev/null >/said && [ -s /said ] && break; usleep 100000; done
	mark "heard $(cat /said)"
	;;
pairs)
	link
	mkdir -p /var/lib/hyperv /dev/shm
	hostname child
	printf 'NAME="Tiny"\nVERSION_ID="12"\n' >/etc/os-release
	/ld-linux-x86-64.so.2 --library-path / /hv_kvp_daemon -n &
	for try in $(seq 200); do grep -q web /var/lib/hyperv/.kvp_pool_0 2>/dev/null && break; usleep 100000; done
	mark "pair $(tr -s '\0' ' ' </var/lib/hyperv/.kvp_pool_0)"
	;;
backup)
	settle /dev/sda
	mount -t ext4 /dev/sda /mnt
	/ld-linux-x86-64.so.2 --library-path / /hv_vss_daemon -n &
	while :; do echo once more >>/mnt/lines && mark wrote; usleep 100000; done
	;;
panic)
	echo c >/proc/sysrq-trigger
	;;
esac
mark ready
[ "$role" = answer ] || [ "$role" = ask ] || while :; do sleep 60; done
poweroff -f
