#!/busybox sh
# A user space that reads random bytes from an entropy source on a virtual PCI bus of Hyper-V, has its interrupts go to one vCPU after the
# other, and sees it go away.
/busybox mkdir -p /proc /sys /bin
/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in $(cat /modules); do insmod /$module.ko || echo "module $module failed"; done
mark() { echo "@ $*"; }
# Waits until a command gives a text.
settle() {
	for try in $(seq 500); do
		[ "$(eval "$1")" = "$2" ] && return
		usleep 20000
	done
	mark "no $2"
}
settle 'cat /sys/class/misc/hw_random/rng_current' virtio_rng.0
function=$(echo /sys/bus/pci/devices/*)
mark "function $(basename $function) $(cat $function/vendor) $(cat $function/device) $(basename $(readlink $function/driver))"
mark "bus $(basename $(readlink -f $function/../..)) $(basename $(readlink $function/../../driver))"
draw() { dd if=/dev/hwrng bs=64 count=16 2>/dev/null | md5sum | cut -d' ' -f1; }
# Interrupts of the entropy source on each vCPU.
counts() { grep virtio0-input /proc/interrupts | tr -s ' ' | cut -d' ' -f3,4; }
irq=$(grep virtio0-input /proc/interrupts | cut -d: -f1 | tr -d ' ')
mark "interrupt $(grep virtio0-input /proc/interrupts | tr -s ' ' | cut -d' ' -f5-)"
mark "drawn $(draw)"
for round in 0 1 2; do
	vcpu=$((round % 2))
	echo $((1 << vcpu)) >/proc/irq/$irq/smp_affinity
	draw >/dev/null
	mark "before $round $(counts)"
	draw >/dev/null
	mark "after $round $(counts)"
done
mark eject
settle 'ls /sys/bus/pci/devices' ''
mark "left $(ls /sys/bus/pci/devices | wc -l) $(cat /sys/class/misc/hw_random/rng_current)"
settle 'ls /sys/bus/vmbus/devices | grep -c 9a01' 0
mark restore
settle 'cat /sys/class/misc/hw_random/rng_current' virtio_rng.0
mark "again $(ls /sys/bus/pci/devices) $(draw)"
mark ready
poweroff -f
