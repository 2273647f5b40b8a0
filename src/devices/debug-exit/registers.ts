/** The exit port of a test machine, as QEMU's isa-debug-exit with iobase 0xF4. */
export const PORT = 0xf4;
export const LENGTH = 4;
