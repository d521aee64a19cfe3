#include "tests/guest/guest_test.h"

#include <elf.h>
#include <pthread.h>
#include <sys/auxv.h>

/* This program is linked as static-pie: it relocates itself wherever it is loaded. */

extern char __ehdr_start[];
static int initialised = 5;
static int *const pointer_with_relocation = &initialised;
static _Thread_local int tls = 9;

GUEST_TEST(loaded_somewhere)
{
	const Elf64_Ehdr *eh = (const void *)__ehdr_start;

	EXPECT_EQ(eh->e_type, ET_DYN);
	EXPECT_EQ((uintptr_t)eh % GUEST_PAGE, 0);
	EXPECT_GT((uintptr_t)eh, 0x10000);
	EXPECT_EQ(getauxval(AT_ENTRY), (uintptr_t)eh + eh->e_entry);
	EXPECT_EQ(getauxval(AT_PHDR), (uintptr_t)eh + eh->e_phoff);
}

GUEST_TEST(relocations)
{
	EXPECT_EQ(pointer_with_relocation, &initialised);
	EXPECT_EQ(*pointer_with_relocation, 5);
	MAYBE_SAVE();
	*pointer_with_relocation = 6;
	EXPECT_EQ(initialised, 6);
}

static void *thread(void *arg)
{
	EXPECT_EQ(tls, 9);
	tls = 10;
	return NULL;
}

GUEST_TEST(threads_and_tls)
{
	pthread_t t;

	ASSERT_EQ(pthread_create(&t, NULL, thread, NULL), 0);
	pthread_join(t, NULL);
	EXPECT_EQ(tls, 9);
}

GUEST_ROLE(where)
{
	uintptr_t at = (uintptr_t)__ehdr_start;

	return write(1, &at, sizeof(at)) == sizeof(at) ? 0 : 1;
}

GUEST_TEST(randomized)
{
	uintptr_t at[4];
	int fds[2], different = 0;

	ASSERT_OK(pipe(fds));
	for (int i = 0; i < 4; i++) {
		pid_t pid = guest_fork();

		if (pid == 0) {
			char *argv[] = {(char *)"role:where", NULL};

			dup2(fds[1], 1);
			execv(guest_self(), argv);
			_exit(100);
		}
		EXPECT_EQ(guest_reap(pid), 0);
		ASSERT_EQ(read(fds[0], &at[i], sizeof(at[i])), sizeof(at[i]));
		different += i > 0 && at[i] != at[0];
	}
	EXPECT_GT(different, 0);
}
