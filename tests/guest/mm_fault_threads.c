#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <stdatomic.h>

/* Handlers that repair faults, in many threads, as garbage collectors and debuggers do. */

enum {
	THREADS = 4,
	PAGES = 64
};

static char *area;
static atomic_int faults;

static void open_page(int sig, siginfo_t *si, void *uc)
{
	char *page = (char *)((uintptr_t)si->si_addr & -GUEST_PAGE);

	if (page < area || page >= area + PAGES * GUEST_PAGE * THREADS)
		_exit(9);
	atomic_fetch_add(&faults, 1);
	mprotect(page, GUEST_PAGE, PROT_READ | PROT_WRITE);
}

static void *toucher(void *arg)
{
	char *mine = area + (long)arg * PAGES * (long)GUEST_PAGE;

	for (int i = 0; i < PAGES; i++) {
		((volatile char *)mine)[i * GUEST_PAGE + 10] = (char)i;
		if (arg == NULL && i == PAGES / 2)
			MAYBE_SAVE();
	}
	return NULL;
}

GUEST_TEST(opened_on_demand)
{
	struct sigaction sa = {.sa_sigaction = open_page, .sa_flags = SA_SIGINFO};
	pthread_t t[THREADS];

	sigaction(SIGSEGV, &sa, NULL);
	area = mmap(NULL, PAGES * GUEST_PAGE * THREADS, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	            0);
	ASSERT_TRUE(area != MAP_FAILED);
	for (long i = 0; i < THREADS; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, toucher, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	EXPECT_EQ(atomic_load(&faults), THREADS * PAGES);
	for (int i = 0; i < THREADS * PAGES; i++)
		EXPECT_EQ(area[i * GUEST_PAGE + 10], i % PAGES);
}

static void write_barrier(int sig, siginfo_t *si, void *uc)
{
	char *page = (char *)((uintptr_t)si->si_addr & -GUEST_PAGE);

	EXPECT_EQ(si->si_code, SEGV_ACCERR);
	atomic_fetch_add(&faults, 1);
	mprotect(page, GUEST_PAGE, PROT_READ | PROT_WRITE);
}

GUEST_TEST(dirty_tracking)
{
	struct sigaction sa = {.sa_sigaction = write_barrier, .sa_flags = SA_SIGINFO};

	sigaction(SIGSEGV, &sa, NULL);
	area = guest_map(PAGES * GUEST_PAGE, 0);
	for (int round = 1; round <= 5; round++) {
		atomic_store(&faults, 0);
		ASSERT_OK(mprotect(area, PAGES * GUEST_PAGE, PROT_READ));
		for (int i = 0; i < PAGES; i += round) {
			area[i * GUEST_PAGE]++;
			area[i * GUEST_PAGE + 1]++;
		}
		EXPECT_EQ(atomic_load(&faults), (PAGES + round - 1) / round);
		if (round == 3)
			MAYBE_SAVE();
	}
	EXPECT_EQ(area[0], 5);
	EXPECT_EQ(area[60 * GUEST_PAGE], 5);
	EXPECT_EQ(area[GUEST_PAGE], 1);
}

static void map_page(int sig, siginfo_t *si, void *uc)
{
	char *page = (char *)((uintptr_t)si->si_addr & -GUEST_PAGE);

	EXPECT_EQ(si->si_code, SEGV_MAPERR);
	mmap(page, GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
	     0);
	memset(page, 'm', 16);
}

GUEST_TEST(mapped_on_demand)
{
	struct sigaction sa = {.sa_sigaction = map_page, .sa_flags = SA_SIGINFO};

	sigaction(SIGSEGV, &sa, NULL);
	area = guest_map(PAGES * GUEST_PAGE, 0);
	ASSERT_OK(munmap(area, PAGES * GUEST_PAGE));
	for (int i = 0; i < PAGES; i += 3) {
		EXPECT_EQ(((volatile char *)area)[i * GUEST_PAGE + 5], 'm');
		if (i == 30)
			MAYBE_SAVE();
	}
}
