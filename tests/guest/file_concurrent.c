#include "tests/guest/guest_test.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>

/* Several tasks in one place: renames against lookups, creation against listing, one descriptor
 * used by all. */

static atomic_bool stop;

static void *renamer(void *arg)
{
	for (int i = 0; i < 200; i++) {
		if (rename(guest_path("a"), guest_path("b")) < 0 ||
		    rename(guest_path("b"), guest_path("a")) < 0)
			EXPECT_OK(-1);
		if (i == 100)
			MAYBE_SAVE();
	}
	atomic_store(&stop, true);
	return NULL;
}

GUEST_TEST(rename_against_lookup)
{
	pthread_t t;
	int found = 0;

	guest_write_file(guest_path("a"), "x", 0644);
	ASSERT_EQ(pthread_create(&t, NULL, renamer, NULL), 0);
	while (!atomic_load(&stop)) {
		struct stat st;

		found += stat(guest_path("a"), &st) == 0;
		found += stat(guest_path("b"), &st) == 0;
	}
	pthread_join(t, NULL);
	EXPECT_OK(access(guest_path("a"), F_OK));
	EXPECT_GE(found, 0);
}

static void *exchanger(void *arg)
{
	for (int i = 0; i < 100; i++)
		EXPECT_OK(renameat2(AT_FDCWD, guest_path("p/d"), AT_FDCWD, guest_path("q/d"), 2));
	return NULL;
}

GUEST_TEST(directories_exchanged_by_threads)
{
	pthread_t t[3];

	ASSERT_OK(mkdir(guest_path("p"), 0755));
	ASSERT_OK(mkdir(guest_path("q"), 0755));
	ASSERT_OK(mkdir(guest_path("p/d"), 0755));
	ASSERT_OK(mkdir(guest_path("q/d"), 0755));
	guest_write_file(guest_path("p/d/one"), "", 0644);
	guest_write_file(guest_path("q/d/two"), "", 0644);
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, exchanger, NULL), 0);
	MAYBE_SAVE();
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	/* An even number of exchanges. */
	EXPECT_OK(access(guest_path("p/d/one"), F_OK));
	EXPECT_OK(access(guest_path("q/d/two"), F_OK));
}

static int shared_fd;

static void *appender(void *arg)
{
	char c = (char)('a' + (long)arg);

	for (int i = 0; i < 200; i++)
		if (write(shared_fd, &c, 1) != 1)
			EXPECT_OK(-1);
	return NULL;
}

GUEST_TEST(one_offset_for_all)
{
	char text[1024];
	int count[4] = {0};
	pthread_t t[4];

	shared_fd = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644));
	for (long i = 0; i < 4; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, appender, (void *)i), 0);
	MAYBE_SAVE();
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	/* No write fell on another's place. */
	EXPECT_EQ(guest_read_file(guest_path("f"), text, sizeof(text)), 800);
	for (int i = 0; i < 800; i++)
		count[text[i] - 'a']++;
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(count[i], 200);
}

static void *maker(void *arg)
{
	char name[32];

	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		close(ASSERT_OK(open(guest_path(name), O_CREAT | O_WRONLY, 0644)));
	}
	atomic_store(&stop, true);
	return NULL;
}

GUEST_TEST(listing_while_creating)
{
	pthread_t t;

	guest_write_file(guest_path("always"), "", 0644);
	ASSERT_EQ(pthread_create(&t, NULL, maker, NULL), 0);
	while (!atomic_load(&stop)) {
		DIR *d = opendir(guest_tmp());
		struct dirent *e;
		int always = 0;

		while ((e = readdir(d)))
			always += strcmp(e->d_name, "always") == 0;
		EXPECT_EQ(always, 1);
		closedir(d);
	}
	pthread_join(t, NULL);
}

static void *mkdirs(void *arg)
{
	long made = 0;
	char name[32];

	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "m%d", i);
		if (mkdir(guest_path(name), 0755) == 0)
			made++;
		else
			EXPECT_EQ(errno, EEXIST);
	}
	return (void *)made;
}

GUEST_TEST(each_name_made_once)
{
	pthread_t t[4];
	long total = 0;

	guest_tmp();
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, mkdirs, NULL), 0);
	for (int i = 0; i < 4; i++) {
		void *made;

		pthread_join(t[i], &made);
		total += (long)made;
	}
	EXPECT_EQ(total, 50);
}
