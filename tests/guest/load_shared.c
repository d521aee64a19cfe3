#include "tests/guest/guest_test.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <sys/auxv.h>

/* This program is linked dynamically: an interpreter, shared libraries, dlopen. */

static int objects(struct dl_phdr_info *info, size_t size, void *arg)
{
	(*(int *)arg)++;
	return 0;
}

GUEST_TEST(interpreter_and_libraries)
{
	int n = 0;

	EXPECT_NE(getauxval(AT_BASE), 0);
	EXPECT_EQ(memcmp((void *)getauxval(AT_BASE), ELFMAG, SELFMAG), 0);
	dl_iterate_phdr(objects, &n);
	EXPECT_GE(n, 3);
	MAYBE_SAVE();
	EXPECT_EQ(memcmp((void *)getauxval(AT_BASE), ELFMAG, SELFMAG), 0);
}

GUEST_TEST(load_a_library_later)
{
	double (*cosine)(double);
	void *lib = dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL);

	ASSERT_TRUE(lib != NULL);
	cosine = (double (*)(double))(uintptr_t)dlsym(lib, "cos");
	ASSERT_TRUE(cosine != NULL);
	EXPECT_TRUE(fabs(cosine(0.0) - 1.0) < 1e-12);
	MAYBE_SAVE();
	EXPECT_TRUE(cosine(3.14159265358979) < -0.999999);
	EXPECT_TRUE(dlopen("libdoes-not-exist.so", RTLD_NOW) == NULL);
}

static _Thread_local char tls[3000] = "initial";

static void *thread(void *arg)
{
	EXPECT_STREQ(tls, "initial");
	strcpy(tls, "changed");
	return NULL;
}

GUEST_TEST(threads)
{
	pthread_t t[10];

	for (int i = 0; i < 10; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, thread, NULL), 0);
	MAYBE_SAVE();
	for (int i = 0; i < 10; i++)
		pthread_join(t[i], NULL);
	EXPECT_STREQ(tls, "initial");
}

GUEST_TEST(lazy_symbols_in_a_child)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		/* Resolved for the first time in the child. */
		_exit(setlocale(LC_ALL, "C") && strtod("2.5", NULL) == 2.5 ? 0 : 1);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_ROLE(again)
{
	return strcmp(getenv("MARK"), "kept") == 0 ? 12 : 13;
}

GUEST_TEST(exec_of_itself)
{
	char *argv[] = {(char *)"x", (char *)"role:again", NULL};
	pid_t pid = guest_fork();

	if (pid == 0) {
		setenv("MARK", "kept", 1);
		execv(guest_self(), argv);
		_exit(100);
	}
	EXPECT_EQ(guest_reap(pid), 12);
}
