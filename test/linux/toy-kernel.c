/* The source of a toy kernel's debug information: its code is elsewhere, and only the places of its functions are the same. */
#define AT(section_name) __attribute__((section(section_name)))

AT(".toy.start") void start_kernel(void)
{
}

AT(".toy.panic") void panic(const char *format, const char *what, int code)
{
	for (;;)
		__asm__ volatile("hlt" : : "r"(format), "r"(what), "r"(code));
}
