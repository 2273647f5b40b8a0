; The program calls in 32-bit code: for emulators that have no 64-bit mode.
%define NARROW
%include "calls.asm"
