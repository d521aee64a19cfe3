/* The vDSO, mapped and called in this process: symbols, and time that agrees with the sentry's and
 * never goes backwards, also while its line is drawn again and again. */
#include "sentry/loader/vdso.h"
#include "sentry/mm/memfile.h"

#include <criterion/criterion.h>
#include <elf.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct machine machine;
static struct clocks clocks;
static u8 *image; /* the ELF header; the data page is before it */

static void setup(void)
{
	struct timespec ts;

	cr_assert_eq(memfile_create(-1, &machine.memfile), 0);
	cr_assert_eq(vdso_create(&machine), 0);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	clocks.mono_offset = 5 * NSEC_PER_SEC - timespec_ns(&ts);
	clocks.fast = &machine.vdso->clock;
	fastclock_set_offset(clocks.fast, clocks.mono_offset);

	image = mmap(NULL, 2 * PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(image, MAP_FAILED);
	cr_assert_eq(mmap(image, PAGE_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED,
	                  machine.memfile->mapfile.fd, (off_t)machine.vdso->vvar_off),
	             image);
	image += PAGE_SIZE;
	cr_assert_eq(mmap(image, PAGE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED,
	                  machine.memfile->mapfile.fd, (off_t)machine.vdso->code_off),
	             image);
}

TestSuite(vdso, .init = setup, .timeout = 60);

/* As the C library looks it up: by name, of version LINUX_2.6. */
static void *sym(const char *name)
{
	const Elf64_Ehdr *eh = (const void *)image;
	const Elf64_Phdr *ph = (const void *)(image + eh->e_phoff);
	const Elf64_Dyn *dyn = NULL;
	const Elf64_Sym *syms = NULL;
	const Elf64_Half *versym = NULL;
	const Elf64_Verdef *vd = NULL;
	const char *str = NULL;
	const u32 *hash = NULL;

	cr_assert_eq(memcmp(eh->e_ident, ELFMAG, SELFMAG), 0);
	for (int i = 0; i < eh->e_phnum; i++) {
		if (ph[i].p_type == PT_DYNAMIC)
			dyn = (const void *)(image + ph[i].p_offset);
		if (ph[i].p_type == PT_LOAD)
			cr_assert_eq(ph[i].p_flags, PF_R | PF_X);
	}
	for (; dyn->d_tag != DT_NULL; dyn++) {
		const void *p = image + dyn->d_un.d_ptr;

		cr_assert(dyn->d_tag != DT_RELA && dyn->d_tag != DT_JMPREL &&
		          dyn->d_tag != DT_NEEDED);
		if (dyn->d_tag == DT_SYMTAB)
			syms = p;
		else if (dyn->d_tag == DT_STRTAB)
			str = p;
		else if (dyn->d_tag == DT_HASH)
			hash = p;
		else if (dyn->d_tag == DT_VERSYM)
			versym = p;
		else if (dyn->d_tag == DT_VERDEF)
			vd = p;
	}
	cr_assert(syms && str && hash && versym && vd);
	for (u32 i = 1; i < hash[1]; i++) {
		const Elf64_Verdef *d = vd;

		if (strcmp(str + syms[i].st_name, name) != 0)
			continue;
		while ((d->vd_ndx & 0x7fff) != (versym[i] & 0x7fff) && d->vd_next)
			d = (const void *)((const char *)d + d->vd_next);
		cr_assert_str_eq(
			str + ((const Elf64_Verdaux *)((const char *)d + d->vd_aux))->vda_name,
			"LINUX_2.6");
		return image + syms[i].st_value;
	}
	cr_assert_fail("no symbol %s", name);
	return NULL;
}

typedef int gettime_fn(clockid_t, struct timespec *);

static s64 via(gettime_fn *fn, clockid_t clock)
{
	struct timespec ts;

	cr_assert_eq(fn(clock, &ts), 0);
	return timespec_ns(&ts);
}

static bool has_line(void)
{
	u64 ns;
	s64 off;

	for (int i = 0; i < 20; i++) {
		clock_mono(&clocks);
		if (vvar_read(&machine.vdso->clock.line, &ns, &off))
			return true;
		usleep(2000);
	}
	return false;
}

Test(vdso, symbols)
{
	static const char *const names[] = {
		"__vdso_clock_gettime", "__vdso_gettimeofday",
		"__vdso_time",          "__vdso_clock_getres",
		"__vdso_getcpu",        "clock_gettime",
		"gettimeofday",         "time",
		"clock_getres",         "getcpu",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		sym(names[i]);
}

/* Between two of the host's readings, however long this thread slept between them; drawn lines may
 * be off by less than 100 us. */
static void near_the_host(clockid_t clock, s64 (*ours)(const struct clocks *), s64 offset)
{
	struct timespec before, after;
	s64 ns;

	clock_gettime(clock, &before);
	ns = ours(&clocks) - offset;
	clock_gettime(clock, &after);
	cr_assert_gt(ns, timespec_ns(&before) - 100 * (s64)NSEC_PER_USEC);
	cr_assert_lt(ns, timespec_ns(&after) + 100 * (s64)NSEC_PER_USEC);
}

Test(vdso, agrees_with_the_sentry)
{
	gettime_fn *gettime = (gettime_fn *)sym("__vdso_clock_gettime");
	struct timespec ts;

	if (!has_line())
		cr_skip_test("the TSC is of no use here");
	for (int i = 0; i < 1000; i++) {
		s64 a = clock_mono(&clocks), b = via(gettime, CLOCK_MONOTONIC),
		    c = clock_mono(&clocks);

		cr_assert(a <= b && b <= c, "%lld %lld %lld", (long long)a, (long long)b,
		          (long long)c);
		a = clock_real(&clocks);
		b = via(gettime, CLOCK_REALTIME);
		c = clock_real(&clocks);
		cr_assert(a <= b && b <= c);
		near_the_host(CLOCK_REALTIME, clock_real, 0);
		near_the_host(CLOCK_MONOTONIC, clock_mono, clocks.mono_offset);
		if (i % 100 == 0)
			usleep(3000);
	}
	cr_assert_eq(gettime(12345, &ts), -EINVAL);
}

Test(vdso, others)
{
	int (*getres)(clockid_t, struct timespec *) =
		(int (*)(clockid_t, struct timespec *))sym("__vdso_clock_getres");
	long (*vtime)(long *) = (long (*)(long *))sym("__vdso_time");
	int (*tod)(struct timeval *, void *) =
		(int (*)(struct timeval *, void *))sym("__vdso_gettimeofday");
	long (*getcpu)(unsigned *, unsigned *, void *) =
		(long (*)(unsigned *, unsigned *, void *))sym("__vdso_getcpu");
	struct timespec ts;
	struct timeval tv;
	unsigned cpu = ~0u;
	long now;

	has_line();
	cr_assert_eq(getres(CLOCK_MONOTONIC, &ts), 0);
	cr_assert_eq(ts.tv_nsec, 1);
	cr_assert_eq(getres(CLOCK_MONOTONIC, NULL), 0);
	cr_assert_lt(labs(vtime(&now) - time(NULL)), 2);
	cr_assert_eq(tod(&tv, NULL), 0);
	cr_assert_lt(labs(tv.tv_sec - now), 2);
	cr_assert_lt(tv.tv_usec, 1000000);
	cr_assert_eq(getcpu(&cpu, NULL, NULL), 0);
	cr_assert_lt(cpu, 4096);
}

static _Atomic s64 latest;
static _Atomic bool stop;
static _Atomic u64 backwards, looks;

static void *look(void *arg)
{
	gettime_fn *gettime = arg;

	while (!stop) {
		s64 seen = latest, now;
		struct timespec ts;

		now = looks % 16 == 0 ? clock_mono(&clocks) : 0;
		if (!now && gettime(CLOCK_MONOTONIC, &ts) == 0) {
			/* A fallen-back call asks the host, not our sentry. */
			now = timespec_ns(&ts);
			if (now < seen - 1000 * NSEC_PER_SEC)
				now = clock_mono(&clocks);
		}
		if (now < seen)
			backwards++;
		while (seen < now && !atomic_compare_exchange_weak(&latest, &seen, now))
			;
		looks++;
	}
	return NULL;
}

Test(vdso, never_backwards)
{
	gettime_fn *gettime = (gettime_fn *)sym("__vdso_clock_gettime");
	struct fastclock *fc = &machine.vdso->clock;
	pthread_t th[3];

	if (!has_line())
		cr_skip_test("the TSC is of no use here");
	/* Far from the host's, so that a fallback is recognized. */
	clocks.mono_offset = 1000000 * NSEC_PER_SEC;
	fastclock_set_offset(fc, clocks.mono_offset);
	for (int i = 0; i < 3; i++)
		pthread_create(&th[i], NULL, look, (void *)gettime);
	for (int i = 0; i < 400; i++) {
		usleep(3000);
		/* Ends the line early, and pretends that it ran ahead of the host. */
		pthread_mutex_lock(&fc->lock);
		if (i % 3 == 0)
			fc->floor += 5000;
		if (fc->line.tsc_span > 1000)
			fc->line.tsc_span = fc->page->tsc_span = fc->line.tsc_span / 500;
		pthread_mutex_unlock(&fc->lock);
	}
	stop = true;
	for (int i = 0; i < 3; i++)
		pthread_join(th[i], NULL);
	cr_assert_eq(backwards, 0, "%llu of %llu", (unsigned long long)backwards,
	             (unsigned long long)looks);
	cr_assert_gt(looks, 100000);
}
