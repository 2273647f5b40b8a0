/*
 * Work for the vector units: what gcc makes of loops over numbers. Each function leaves what it computed in `out`, and the same file
 * is compiled as a program of its own (with MAIN), which writes that to its standard output.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

#define N 256

static double a[N], b[N], c[N];
static float f[N], g[N];
static int i32s[N];
static short i16s[N];
static u8 bytes[N], other[N];
static u64 seed = 88172645463325252UL;

static u64 next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static u64 bits(double x)
{
	union { double d; u64 u; } pun = { x };
	return pun.u;
}

static u64 hash(const void *memory, u64 size)
{
	const u8 *at = memory;
	u64 sum = 14695981039346656037UL;
	for (u64 i = 0; i < size; i++)
		sum = (sum ^ at[i]) * 1099511628211UL;
	return sum;
}

static void fill(void)
{
	for (int i = 0; i < N; i++) {
		u64 x = next();
		a[i] = (double)(long)x / 3e15;
		b[i] = (double)(int)(x >> 20) * 0.001 + 1.5;
		f[i] = (float)(short)x / 7.0f;
		g[i] = (float)(x & 0xfff) - 2000.5f;
		i32s[i] = (int)(x >> 11);
		i16s[i] = (short)(x >> 5);
		bytes[i] = (u8)(x >> 3);
		other[i] = (u8)(x >> 33);
	}
}

static double polynomial(double x)
{
	double sum = 0;
	for (int k = 1; k < 12; k++)
		sum = sum * x + 1.0 / k;
	return sum;
}

static double root(double x)
{
	return __builtin_sqrt(x);
}

static double down(double x)
{
#ifdef __SSE4_1__
	return __builtin_floor(x);
#else
	return (double)(long)x;
#endif
}

/* 32 results. */
void work(u64 *out)
{
	double sum = 0, product = 1;
	float single = 0;
	int total = 0, most = 0;
	u32 differences = 0;

	fill();
	for (int i = 0; i < N; i++)
		c[i] = a[i] * b[i] - a[i] / (b[i] * b[i] + 1);
	out[0] = hash(c, sizeof c);
	for (int i = 0; i < N; i++)
		sum += root(c[i] * c[i] + 1) * polynomial(b[i] * 1e-6);
	out[1] = bits(sum);
	for (int i = 0; i < N; i++)
		f[i] = f[i] * g[i] + (f[i] < g[i] ? 1.25f : -0.75f);
	out[2] = hash(f, sizeof f);
	for (int i = 0; i < N; i++)
		single += f[i];
	out[3] = bits(single);
	for (int i = 0; i < N; i++)
		i32s[i] = i32s[i] * 3 + (i32s[i] >> 5) - i16s[i];
	out[4] = hash(i32s, sizeof i32s);
	for (int i = 0; i < N; i++) {
		total += i32s[i];
		most = i32s[i] > most ? i32s[i] : most;
	}
	out[5] = (u32)total;
	out[6] = (u32)most;
	for (int i = 0; i < N; i++) {
		int d = bytes[i] - other[i];
		differences += d < 0 ? -d : d;
	}
	out[7] = differences;
	for (int i = 0; i < N; i++)
		bytes[i] = (u8)((bytes[i] + other[i] + 1) >> 1);
	out[8] = hash(bytes, sizeof bytes);
	for (int i = 0; i < N; i++)
		i16s[i] = (short)((i16s[i] * 123 + 64) >> 7);
	out[9] = hash(i16s, sizeof i16s);
	for (int i = 0; i < N; i++)
		i32s[i] = (int)g[i] + (int)(b[i] * 1e-3);
	out[10] = hash(i32s, sizeof i32s);
	for (int i = 0; i < N; i++)
		a[i] = (double)i32s[i] + (double)f[i];
	out[11] = hash(a, sizeof a);
	for (int i = 0; i < N; i++)
		f[i] = (float)a[i];
	out[12] = hash(f, sizeof f);
	/* A hundred steps of a pendulum, and of a logistic map. */
	double angle = 1, speed = 0, logistic = 0.4;
	for (int i = 0; i < 100; i++) {
		speed -= (angle - angle * angle * angle / 6) * 0.01;
		angle += speed * 0.01;
		logistic = 3.9 * logistic * (1 - logistic);
		product *= 1 + logistic * 1e-3;
	}
	out[13] = bits(angle);
	out[14] = bits(logistic);
	out[15] = bits(product);
	/* A product of matrices, and a histogram. */
	for (int row = 0; row < 16; row++)
		for (int column = 0; column < 16; column++) {
			double cell = 0;
			for (int k = 0; k < 16; k++)
				cell += a[row * 16 + k] * b[k * 16 + column];
			c[row * 16 + column] = cell;
		}
	out[16] = hash(c, sizeof c);
	u32 histogram[16] = { 0 };
	for (int i = 0; i < N; i++)
		histogram[bytes[i] >> 4]++;
	out[17] = hash(histogram, sizeof histogram);
	for (int i = 0; i < N; i++)
		i32s[i] = (u32)i32s[i] >> (bytes[i] & 31);
	out[18] = hash(i32s, sizeof i32s);
	long wide = 0;
	for (int i = 0; i < N; i++)
		wide += (long)i32s[i] * i16s[i];
	out[19] = (u64)wide;
	for (int i = 0; i < N; i++)
		other[i] = bytes[(u8)(i * 7)];
	out[20] = hash(other, sizeof other);
	for (int i = 0; i < N; i++)
		c[i] = down(c[i]) + (a[i] < b[i] ? a[i] : b[i]) + __builtin_fabs(a[i]);
	out[21] = hash(c, sizeof c);
}

#ifdef MAIN
#include <unistd.h>
int main(void)
{
	u64 out[32] = { 0 };
	work(out);
	return write(1, out, sizeof out) != sizeof out;
}
#else
/* With the results' address in RDI; HLT faults in user mode, and stops where it is. */
__attribute__((section(".start"), naked)) void start(void)
{
	__asm__("call work\n\thlt");
}
#endif
