/** ACPI fixed hardware (ACPI 6.5, 4.8) at the ports of a PIIX4 as QEMU places it, and the reset control register. */

export const PM_BASE = 0x600;
/** PM1a event block: status, enable (16 bits each). */
export const PM1_STATUS = 0x600;
export const PM1_ENABLE = 0x602;
/** PM1a control block. */
export const PM1_CONTROL = 0x604;
/** 24-bit timer at 3.579545 MHz. */
export const PM_TIMER = 0x608;
export const PM_LENGTH = 0x0c;

export const RESET_CONTROL = 0xcf9;

export const TIMER_FREQUENCY = 3_579_545n;
export const TIMER_MASK = 0xff_ffffn;

export const Pm1Control = { SCI_ENABLE: 1, SLEEP_ENABLE: 0x2000 } as const;
/** SLP_TYP, bits 12:10: what S5 is called here. 5 is what some firmware uses. */
export const S5_TYPES: readonly number[] = [0, 5];
export const ResetControl = { HARD: 2, RESET: 4 } as const;
