/*
 * What the benchmark runs natively and in sandboxes: `getppid SECONDS` prints the median cost of
 * the call in ns; `hold MIB` fills memory (half zeros, half random), prints "ready" and then a line
 * with its time every 2 ms until it is killed or 20 s are over.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BATCHES 101

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static int getppid_cost(double seconds)
{
	double cost[BATCHES];
	uint64_t start = now_ns(CLOCK_MONOTONIC), end;
	long n = 0, per;

	/* How many calls make a batch of the asked length. */
	while (now_ns(CLOCK_MONOTONIC) - start < 20000000u) {
		for (int i = 0; i < 100; i++)
			syscall(SYS_getppid);
		n += 100;
	}
	per = (long)((double)n * 50 * seconds / BATCHES) + 1;
	for (int b = 0; b < BATCHES; b++) {
		start = now_ns(CLOCK_MONOTONIC);
		for (long i = 0; i < per; i++)
			syscall(SYS_getppid);
		end = now_ns(CLOCK_MONOTONIC);
		cost[b] = (double)(end - start) / (double)per;
	}
	qsort(cost, BATCHES, sizeof(cost[0]), compare);
	printf("%.1f\n", cost[BATCHES / 2]);
	return 0;
}

static int hold(size_t mib)
{
	size_t size = mib << 20;
	uint64_t x = 88172645463325252u;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return 1;
	for (size_t at = 0; at < size; at += 8192) {
		memset(p + at, 0, 4096);
		for (size_t i = 4096; i < 8192; i += 8) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			memcpy(p + at + i, &x, 8);
		}
	}
	puts("ready");
	fflush(stdout);
	for (int i = 0; i < 10000; i++) {
		struct timespec ms2 = {.tv_nsec = 2000000};

		printf("%llu\n", (unsigned long long)now_ns(CLOCK_REALTIME));
		fflush(stdout);
		nanosleep(&ms2, NULL);
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "getppid") == 0)
		return getppid_cost(atof(argv[2]));
	if (argc == 3 && strcmp(argv[1], "hold") == 0)
		return hold((size_t)atol(argv[2]));
	fprintf(stderr, "usage: subject getppid SECONDS | hold MIB\n");
	return 2;
}
