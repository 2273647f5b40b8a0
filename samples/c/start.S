# Entry of the C guest: called in long mode with the first 4 GiB mapped to themselves and a stack (see docs/programs.md).

        .code64
        .section .text.start, "ax"
        .globl  _start
        .type   _start, @function
_start:
        # .bss is zeroed by the loader; the stack is 16-byte aligned before the call, as the System V ABI wants it.
        xorl    %ebp, %ebp              # the outermost frame: the call stack ends here
        call    main
        movzbl  %al, %eax
        testl   %eax, %eax
        jz      power_off
        outb    %al, $0xf4              # a failure ends the run with status (value << 1) | 1
power_off:
        movw    $0x604, %dx             # ACPI PM1a control
        movw    $0x2000, %ax            # SLP_EN
        outw    %ax, %dx
1:      hlt
        jmp     1b
        .size   _start, . - _start

        .section .note.GNU-stack, "", @progbits
