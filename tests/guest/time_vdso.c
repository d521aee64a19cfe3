#include "tests/guest/guest_test.h"

#include <elf.h>
#include <sys/auxv.h>
#include <sys/time.h>

/* The vDSO: a small ELF file in memory, parsed as libc does. */

static const unsigned char *base;

static const void *symbol(const char *name)
{
	const Elf64_Ehdr *eh = (const void *)base;
	const Elf64_Phdr *ph = (const void *)(base + eh->e_phoff);
	const Elf64_Dyn *dyn = NULL;
	const Elf64_Sym *sym = NULL;
	const char *str = NULL;
	const uint32_t *hash = NULL;
	uintptr_t bias = 0;

	for (int i = 0; i < eh->e_phnum; i++) {
		if (ph[i].p_type == PT_LOAD && bias == 0)
			bias = (uintptr_t)base + ph[i].p_offset - ph[i].p_vaddr;
		if (ph[i].p_type == PT_DYNAMIC)
			dyn = (const void *)(base + ph[i].p_offset);
	}
	ASSERT_TRUE(dyn != NULL);
	for (; dyn->d_tag != DT_NULL; dyn++) {
		if (dyn->d_tag == DT_SYMTAB)
			sym = (const void *)(bias + dyn->d_un.d_ptr);
		if (dyn->d_tag == DT_STRTAB)
			str = (const void *)(bias + dyn->d_un.d_ptr);
		if (dyn->d_tag == DT_HASH)
			hash = (const void *)(bias + dyn->d_un.d_ptr);
	}
	if (!sym || !str)
		return NULL;
	for (uint32_t i = 0; i < (hash ? hash[1] : 64); i++)
		if (strcmp(str + sym[i].st_name, name) == 0)
			return (const void *)(bias + sym[i].st_value);
	return NULL;
}

static void need(void)
{
	base = (const unsigned char *)getauxval(AT_SYSINFO_EHDR);
	if (!base)
		SKIP("no vDSO");
}

GUEST_TEST(is_an_elf_file)
{
	const Elf64_Ehdr *eh;

	need();
	eh = (const void *)base;
	EXPECT_EQ((uintptr_t)base % GUEST_PAGE, 0);
	EXPECT_EQ(memcmp(eh->e_ident, ELFMAG, SELFMAG), 0);
	EXPECT_EQ(eh->e_ident[EI_CLASS], ELFCLASS64);
	EXPECT_EQ(eh->e_type, ET_DYN);
	EXPECT_EQ(eh->e_machine, EM_X86_64);
}

GUEST_TEST(clock_gettime_symbol)
{
	int (*fn)(clockid_t, struct timespec *);
	struct timespec a, b, c;

	need();
	fn = (int (*)(clockid_t, struct timespec *))(uintptr_t)symbol("__vdso_clock_gettime");
	ASSERT_TRUE(fn != NULL);
	EXPECT_OK(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &a));
	EXPECT_EQ(fn(CLOCK_MONOTONIC, &b), 0);
	EXPECT_OK(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &c));
	EXPECT_TRUE(a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec <= b.tv_nsec));
	EXPECT_TRUE(b.tv_sec < c.tv_sec || (b.tv_sec == c.tv_sec && b.tv_nsec <= c.tv_nsec));
	MAYBE_SAVE();
	/* The same pointer works after a save, and time went on. */
	EXPECT_EQ(fn(CLOCK_MONOTONIC, &a), 0);
	EXPECT_TRUE(c.tv_sec < a.tv_sec || (c.tv_sec == a.tv_sec && c.tv_nsec <= a.tv_nsec));
	EXPECT_EQ(fn(CLOCK_PROCESS_CPUTIME_ID, &a), 0);
	EXPECT_EQ(fn(99, &a), -EINVAL);
}

GUEST_TEST(other_symbols)
{
	int (*gtod)(struct timeval *, void *);
	time_t (*tm)(time_t *);
	long (*cpu)(unsigned *, unsigned *, void *);
	struct timeval tv = {0, -1};
	unsigned c = 9999;
	time_t t, now;

	need();
	gtod = (int (*)(struct timeval *, void *))(uintptr_t)symbol("__vdso_gettimeofday");
	tm = (time_t(*)(time_t *))(uintptr_t)symbol("__vdso_time");
	cpu = (long (*)(unsigned *, unsigned *, void *))(uintptr_t)symbol("__vdso_getcpu");
	ASSERT_TRUE(gtod && tm && cpu);
	now = time(NULL);
	EXPECT_EQ(gtod(&tv, NULL), 0);
	EXPECT_TRUE(tv.tv_sec >= now - 1 && tv.tv_usec >= 0 && tv.tv_usec < 1000000);
	EXPECT_EQ(tm(&t), t);
	EXPECT_GE(t, now - 1);
	EXPECT_EQ(cpu(&c, NULL, NULL), 0);
	EXPECT_LT(c, 4096);
}

GUEST_TEST(is_not_writable)
{
	pid_t pid;

	need();
	pid = guest_fork();
	if (pid == 0) {
		*(volatile unsigned char *)base = 0;
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 1000 + SIGSEGV);
}

GUEST_TEST(after_exec_and_fork)
{
	pid_t pid;

	need();
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_TRUE(symbol("__vdso_clock_gettime") != NULL);
		EXPECT_GT(guest_now(CLOCK_MONOTONIC), 0);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}
