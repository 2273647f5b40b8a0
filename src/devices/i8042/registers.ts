/** Ports, commands and status bits of the keyboard controller (IBM PC/AT technical reference; 8042). */

export const DATA = 0x60;
export const COMMAND = 0x64;
export const KEYBOARD_IRQ = 1;

export const Status = { OUTPUT_FULL: 1, INPUT_FULL: 2, SYSTEM: 4, COMMAND: 8, UNLOCKED: 0x10, AUX_FULL: 0x20 } as const;
export const Config = { KEYBOARD_IRQ: 1, AUX_IRQ: 2, SYSTEM: 4, KEYBOARD_OFF: 0x10, AUX_OFF: 0x20, TRANSLATE: 0x40 } as const;

export const Command = {
  READ_CONFIG: 0x20,
  WRITE_CONFIG: 0x60,
  AUX_DISABLE: 0xa7,
  AUX_ENABLE: 0xa8,
  AUX_TEST: 0xa9,
  SELF_TEST: 0xaa,
  KEYBOARD_TEST: 0xab,
  KEYBOARD_DISABLE: 0xad,
  KEYBOARD_ENABLE: 0xae,
  READ_OUTPUT_PORT: 0xd0,
  WRITE_OUTPUT_PORT: 0xd1,
  WRITE_AUX: 0xd4,
  PULSE: 0xf0,
  RESET: 0xfe,
} as const;
/** Output port: bit 0 low resets the processor, bit 1 is the A20 gate. */
export const OutputPort = { NO_RESET: 1, A20: 2 } as const;
/** Keyboard's answers. */
export const ACK = 0xfa;
export const SELF_TEST_PASSED = 0x55;
