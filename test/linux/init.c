/*
 * A whole user space: computes with the C library, whose functions choose their instructions by CPUID, prints what came out, and halts
 * the machine when it is process 1. On any other system it just prints.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

#define COUNT 4096

static double a[COUNT], b[COUNT];
static char text[100000];

static uint64_t hash(const void *memory, size_t size)
{
	const unsigned char *at = memory;
	uint64_t sum = 14695981039346656037u;
	for (size_t i = 0; i < size; i++)
		sum = (sum ^ at[i]) * 1099511628211u;
	return sum;
}

static int compare(const void *left, const void *right)
{
	double l = *(const double *)left, r = *(const double *)right;
	return (l > r) - (l < r);
}

int main(void)
{
	double sum = 0;
	long double extended = 0;

	puts("BEGIN");
	for (int i = 0; i < COUNT; i++) {
		a[i] = sin(i * 0.37) * 1e3;
		b[i] = exp(cos(i * 0.11)) + 0.5;
	}
	for (int i = 0; i < COUNT; i++) {
		sum += a[i] / b[i] + sqrt(fabs(a[i])) * pow(b[i], 1.7);
		extended = extended * 0.999L + sinl(a[i]) * logl(b[i]);
	}
	printf("numbers %.17g %.20Lg %016llx\n", sum, extended, (unsigned long long)hash(a, sizeof a));
	qsort(a, COUNT, sizeof a[0], compare);
	printf("sorted %.17g %.17g %.17g\n", a[0], a[COUNT / 2], a[COUNT - 1]);
	memset(text, 'x', sizeof text - 1);
	for (int i = 0; i < 20; i++) {
		memmove(text + i, text + 2 * i, sizeof text / 2);
		text[i * 37] = (char)('a' + i);
	}
	printf("text %zu %ld %016llx\n", strlen(text), (long)(strchr(text, 't') - text),
	       (unsigned long long)hash(text, sizeof text));
	printf("printed %e %a %.3f %.17g %.17g\n", 12345.6789, 1.0 / 3, 2.0 / 3 * 1e6, strtod("3.14159265358979323846e-200", NULL),
	       tan(1e6) * cbrt(27.5));
	puts("END");
	fflush(stdout);
	if (getpid() == 1)
		reboot(RB_POWER_OFF);
	return 0;
}
