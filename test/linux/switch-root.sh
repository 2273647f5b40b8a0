#!/busybox sh
# The first program of a guest whose system is on a virtio disk: loads the modules and hands over.
/busybox mkdir -p /bin /proc /mnt
/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
for module in $(cat /modules); do insmod /$module.ko; done
while [ ! -e /dev/vda ]; do usleep 10000; done
mount -t ext4 /dev/vda /mnt
mount --move /dev /mnt/dev
exec switch_root /mnt /sbin/init
