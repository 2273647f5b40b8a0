#!/busybox sh
# A user space that loads the driver of virtio's network cards and talks with others over it. The kernel's command line says as whom: `role` and
# `own` and `peer`, two addresses, are in the environment.
b=/busybox
$b mkdir -p /proc /sys /bin /etc
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b --install -s /bin
export PATH=/bin
for module in virtio_ring virtio virtio_mmio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci failover net_failover virtio_net; do
	insmod /$module.ko 2>/dev/null || echo "module $module failed"
done
ip link set lo up
ip link set eth0 up
echo BEGIN
echo "address $(cat /sys/class/net/eth0/address) mtu $(cat /sys/class/net/eth0/mtu) carrier $(cat /sys/class/net/eth0/carrier)"

case $role in
user)
	cat >/lease.sh <<-'END'
		#!/bin/sh
		[ "$1" = bound ] || exit 0
		ip addr add $ip/$mask dev $interface
		ip route add default via $router
		echo "nameserver $dns" >/etc/resolv.conf
		echo "lease $ip/$mask router $router dns $dns"
	END
	chmod +x /lease.sh
	udhcpc -i eth0 -s /lease.sh -n -q -t 3 -T 1 2>/dev/null
	ping -c 3 -i 0.2 10.0.2.2 | grep transmitted
	nslookup server.test | grep -A 1 Name
	nslookup nowhere.test 2>&1 | grep -m 1 NXDOMAIN
	wget -q -O - http://server.test/hello
	wget -q -O /big http://server.test/big && md5sum /big
	wget -q -O - http://server.test:81/hello 2>&1
	tftp -g -r greeting -l /greeting 10.0.2.2 69 && cat /greeting
	echo READY
	echo "from the guest" | nc -l -p 80
	;;
answer)
	ip addr add $own/24 dev eth0
	echo "from the one that answers" | nc -l -p 9000
	;;
ask)
	ip addr add $own/24 dev eth0
	until ping -c 1 -W 1 $peer >/dev/null; do :; done
	ping -c 3 -i 0.2 $peer | grep transmitted
	until echo "from the one that asks" | nc $peer 9000; do sleep 0.1; done
	;;
esac
echo END
poweroff -f
