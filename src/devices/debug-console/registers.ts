/** Bochs' debug console: each byte written is printed; a read gives back the port's number, so that guests can find it. */
export const PORT = 0xe9;
