/*
 * What runs in the guest: vdso(7). Freestanding, position independent, without data of its own; an
 * image takes these bytes along, so they rely on nothing but struct vvar and system calls.
 */
#include "sentry/time/vvar.h"

#include <asm/unistd.h>

#define EXPORT           __attribute__((visibility("default")))
#define WEAK_ALIAS(name) __attribute__((weak, alias(name), visibility("default")))

struct vdso_timespec {
	long tv_sec, tv_nsec;
};
struct vdso_timeval {
	long tv_sec, tv_usec;
};
struct vdso_timezone {
	int minuteswest, dsttime;
};

/* The page before the ELF header: vdso.lds. */
extern const volatile struct vvar vvar_page __attribute__((visibility("hidden")));

static inline long call2(long nr, long a, long b)
{
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "0"(nr), "D"(a), "S"(b) : "rcx", "r11", "memory");
	return ret;
}

static inline long call3(long nr, long a, long b, long c)
{
	long ret;

	__asm__ volatile("syscall"
	                 : "=a"(ret)
	                 : "0"(nr), "D"(a), "S"(b), "d"(c)
	                 : "rcx", "r11", "memory");
	return ret;
}

/* Bits by clock id: the guest's boot time is its monotonic time, and TAI has no offset. */
#define REALTIME_CLOCKS  (1u << 0 | 1u << 5 | 1u << 11)
#define MONOTONIC_CLOCKS (1u << 1 | 1u << 4 | 1u << 6 | 1u << 7)

EXPORT int __vdso_clock_gettime(int clock, struct vdso_timespec *ts);
EXPORT int __vdso_gettimeofday(struct vdso_timeval *tv, struct vdso_timezone *tz);
EXPORT long __vdso_time(long *t);
EXPORT int __vdso_clock_getres(int clock, struct vdso_timespec *res);
EXPORT long __vdso_getcpu(unsigned *cpu, unsigned *node, void *unused);

EXPORT int __vdso_clock_gettime(int clock, struct vdso_timespec *ts)
{
	unsigned bit = (unsigned)clock < 32 ? 1u << clock : 0;
	uint64_t ns;
	int64_t off;

	if (!(bit & (REALTIME_CLOCKS | MONOTONIC_CLOCKS)) || !vvar_read(&vvar_page, &ns, &off))
		return (int)call2(__NR_clock_gettime, clock, (long)ts);
	if (bit & REALTIME_CLOCKS)
		ns += (uint64_t)off;
	ts->tv_sec = (long)(ns / 1000000000u);
	ts->tv_nsec = (long)(ns % 1000000000u);
	return 0;
}

EXPORT int __vdso_gettimeofday(struct vdso_timeval *tv, struct vdso_timezone *tz)
{
	uint64_t ns;
	int64_t off;

	if (!vvar_read(&vvar_page, &ns, &off))
		return (int)call2(__NR_gettimeofday, (long)tv, (long)tz);
	ns += (uint64_t)off;
	if (tv) {
		tv->tv_sec = (long)(ns / 1000000000u);
		tv->tv_usec = (long)(ns % 1000000000u / 1000u);
	}
	if (tz)
		tz->minuteswest = tz->dsttime = 0;
	return 0;
}

EXPORT long __vdso_time(long *t)
{
	uint64_t ns;
	int64_t off;
	long sec;

	if (!vvar_read(&vvar_page, &ns, &off))
		return call2(__NR_time, (long)t, 0);
	sec = (long)((ns + (uint64_t)off) / 1000000000u);
	if (t)
		*t = sec;
	return sec;
}

EXPORT int __vdso_clock_getres(int clock, struct vdso_timespec *res)
{
	unsigned bit = (unsigned)clock < 32 ? 1u << clock : 0;

	if (!(bit & (REALTIME_CLOCKS | MONOTONIC_CLOCKS)))
		return (int)call2(__NR_clock_getres, clock, (long)res);
	if (res) {
		res->tv_sec = 0;
		res->tv_nsec = 1;
	}
	return 0;
}

/* The kernel knows which of its cores a thread may be on. */
EXPORT long __vdso_getcpu(unsigned *cpu, unsigned *node, void *unused)
{
	return call3(__NR_getcpu, (long)cpu, (long)node, (long)unused);
}

int clock_gettime(int clock, struct vdso_timespec *ts) WEAK_ALIAS("__vdso_clock_gettime");
int gettimeofday(struct vdso_timeval *tv, struct vdso_timezone *tz)
	WEAK_ALIAS("__vdso_gettimeofday");
long time(long *t) WEAK_ALIAS("__vdso_time");
int clock_getres(int clock, struct vdso_timespec *res) WEAK_ALIAS("__vdso_clock_getres");
long getcpu(unsigned *cpu, unsigned *node, void *unused) WEAK_ALIAS("__vdso_getcpu");
