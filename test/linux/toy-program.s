# The program that processes of the toy kernel run: the same code as the kernel's image has for it.
	.text
	.globl	_start, work
	.type	_start, @function
_start:	call	work
	ret
	.size	_start, . - _start
	.org	0x40
	.type	work, @function
work:	movl	$1, %eax
	ret
	.size	work, . - work
