; The program registers in 32-bit code: for emulators that have no 64-bit mode.
%define NARROW
%include "registers.asm"
