#!/busybox sh
# The first program of a guest that is a shell: puts busybox's commands in place and gives the console to a shell, or with "once" on the
# kernel's command line powers off behind a mark.
/busybox mkdir -p /bin /proc /sys
/busybox --install -s /bin
export PATH=/bin PS1='guest# '
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in $(cat /modules); do insmod /$module.ko; done
if grep -qw once /proc/cmdline; then
  echo "MARK $(nproc) $(cut -d' ' -f1 /proc/uptime)"
  poweroff -f
fi
exec setsid cttyhack sh
