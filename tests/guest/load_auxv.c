#include "tests/guest/guest_test.h"

#include <elf.h>
#include <link.h>
#include <sys/auxv.h>

/* What the kernel puts on the stack of a new program. */

extern char _start[], __ehdr_start[];

GUEST_TEST(values)
{
	const Elf64_Ehdr *eh = (const void *)__ehdr_start;

	EXPECT_EQ(getauxval(AT_PAGESZ), 4096);
	EXPECT_EQ(getauxval(AT_ENTRY), _start);
	EXPECT_EQ(getauxval(AT_PHDR), __ehdr_start + eh->e_phoff);
	EXPECT_EQ(getauxval(AT_PHNUM), eh->e_phnum);
	EXPECT_EQ(getauxval(AT_PHENT), sizeof(Elf64_Phdr));
	EXPECT_EQ(getauxval(AT_BASE), 0); /* no interpreter */
	EXPECT_EQ(getauxval(AT_UID), getuid());
	EXPECT_EQ(getauxval(AT_EUID), geteuid());
	EXPECT_EQ(getauxval(AT_GID), getgid());
	EXPECT_EQ(getauxval(AT_EGID), getegid());
	EXPECT_EQ(getauxval(AT_CLKTCK), 100);
	EXPECT_EQ(getauxval(AT_SECURE), 0);
	EXPECT_EQ(getauxval(AT_FLAGS), 0);
	EXPECT_STREQ((const char *)getauxval(AT_PLATFORM), "x86_64");
	EXPECT_NE(getauxval(AT_HWCAP), 0);
	MAYBE_SAVE();
	EXPECT_EQ(getauxval(AT_ENTRY), _start);
}

GUEST_TEST(execfn)
{
	const char *fn = (const char *)getauxval(AT_EXECFN);
	struct stat a, b;

	ASSERT_TRUE(fn != NULL);
	EXPECT_OK(stat(fn, &a));
	EXPECT_OK(stat("/proc/self/exe", &b));
	EXPECT_EQ(a.st_ino, b.st_ino);
}

GUEST_ROLE(dump_random)
{
	const void *r = (const void *)getauxval(AT_RANDOM);

	if (!r)
		return 1;
	return write(1, r, 16) == 16 ? 0 : 2;
}

static void random_of_child(unsigned char *out)
{
	char *argv[] = {(char *)"role:dump_random", NULL};
	int fds[2];
	pid_t pid;

	ASSERT_OK(pipe(fds));
	pid = guest_fork();
	if (pid == 0) {
		dup2(fds[1], 1);
		execv(guest_self(), argv);
		_exit(100);
	}
	EXPECT_EQ(read(fds[0], out, 16), 16);
	EXPECT_EQ(guest_reap(pid), 0);
	close(fds[0]);
	close(fds[1]);
}

GUEST_TEST(random_differs)
{
	unsigned char a[16], b[16];

	random_of_child(a);
	random_of_child(b);
	EXPECT_NE(memcmp(a, b, 16), 0);
}

GUEST_ROLE(layout)
{
	/* argc, argv, envp and auxv lie in one block, in this order; strings above. */
	char **envp = argv + argc + 1;
	char **end = envp;

	if (argv[argc] != NULL || environ != envp)
		return 1;
	while (*end)
		end++;
	for (Elf64_auxv_t *av = (void *)(end + 1); av->a_type != AT_NULL; av++) {
		if (av->a_type == AT_EXECFN && (char *)av->a_un.a_val < argv[0])
			return 2;
		if (av->a_type == AT_RANDOM && av->a_un.a_val < (uintptr_t)av)
			return 3;
	}
	if (argv[1] != argv[0] + strlen(argv[0]) + 1)
		return 4;
	if (*((long *)argv - 1) != argc || (uintptr_t)((long *)argv - 1) % 16 != 0)
		return 5;
	return 0;
}

GUEST_TEST(stack_layout)
{
	char *argv[] = {(char *)"a", (char *)"role:layout", (char *)"ccc", NULL};

	for (int i = 0; i < 4; i++) {
		pid_t pid = guest_fork();

		argv[2] = (char *)"ccc" + i;
		if (pid == 0) {
			execv(guest_self(), argv);
			_exit(100);
		}
		EXPECT_EQ(guest_reap(pid), 0);
	}
}

static int count_phdrs(struct dl_phdr_info *info, size_t size, void *arg)
{
	for (int i = 0; i < info->dlpi_phnum; i++)
		*(int *)arg += info->dlpi_phdr[i].p_type == PT_LOAD;
	return 0;
}

GUEST_TEST(program_headers)
{
	int loads = 0;

	dl_iterate_phdr(count_phdrs, &loads);
	EXPECT_GE(loads, 2);
}

static int in_data = 42;
static int in_bss[10000];
static const int in_rodata = 7;

GUEST_TEST(segments)
{
	pid_t pid;

	EXPECT_EQ(in_data, 42);
	for (size_t i = 0; i < GUEST_COUNT(in_bss); i++)
		EXPECT_EQ(in_bss[i], 0);
	in_data = 43;
	in_bss[9999] = 1;
	MAYBE_SAVE();
	EXPECT_EQ(in_data, 43);
	EXPECT_EQ(in_bss[9999], 1);
	pid = guest_fork();
	if (pid == 0) {
		*(volatile int *)&in_rodata = 8;
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 1000 + SIGSEGV);
}

GUEST_TEST(registers_at_entry)
{
	/* What libc relies on was checked by getting here; the direction flag is clear. */
	unsigned long flags;

	__asm__ volatile("pushfq\n\tpop %0" : "=r"(flags));
	EXPECT_EQ(flags & 0x400, 0);
}
