#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/utsname.h>

/* Limits, affinity, scheduling, identity of the system, usage counters. */

GUEST_TEST(rlimit_round_trip)
{
	struct rlimit old, rl, got;

	for (int i = 0; i < RLIM_NLIMITS; i++) {
		EXPECT_OK(getrlimit((enum __rlimit_resource)i, &old));
		EXPECT_TRUE(old.rlim_cur <= old.rlim_max);
	}
	ASSERT_OK(getrlimit(RLIMIT_NOFILE, &old));
	rl.rlim_cur = 50;
	rl.rlim_max = 60;
	EXPECT_OK(setrlimit(RLIMIT_NOFILE, &rl));
	MAYBE_SAVE();
	EXPECT_OK(prlimit(0, RLIMIT_NOFILE, NULL, &got));
	EXPECT_EQ(got.rlim_cur, 50);
	EXPECT_EQ(got.rlim_max, 60);
	rl.rlim_cur = 61;
	EXPECT_ERRNO(setrlimit(RLIMIT_NOFILE, &rl), EINVAL);
	EXPECT_ERRNO(getrlimit((enum __rlimit_resource)99, &got), EINVAL);
	EXPECT_ERRNO(prlimit(9999999, RLIMIT_NOFILE, NULL, &got), ESRCH);
}

GUEST_TEST(rlimit_hard_cannot_be_raised)
{
	struct rlimit rl = {50, 60};

	guest_drop_root();
	EXPECT_OK(setrlimit(RLIMIT_NOFILE, &rl));
	rl.rlim_max = 61;
	EXPECT_ERRNO(setrlimit(RLIMIT_NOFILE, &rl), EPERM);
}

GUEST_TEST(rlimit_nofile)
{
	struct rlimit rl = {20, 20};
	int last = -1, fd;

	ASSERT_OK(setrlimit(RLIMIT_NOFILE, &rl));
	while ((fd = open("/dev/null", O_RDONLY)) >= 0)
		last = fd;
	EXPECT_EQ(errno, EMFILE);
	EXPECT_EQ(last, 19);
	EXPECT_ERRNO(dup(0), EMFILE);
	EXPECT_ERRNO(dup2(last, 20), EBADF);
	EXPECT_ERRNO(fcntl(last, F_DUPFD, 20), EINVAL);
	close(19);
	EXPECT_EQ(dup(last == 19 ? 18 : last), 19);
}

GUEST_TEST(rlimit_fsize)
{
	struct rlimit rl = {1000, 1000};
	char buf[600];
	int fd = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644));

	signal(SIGXFSZ, SIG_IGN);
	ASSERT_OK(setrlimit(RLIMIT_FSIZE, &rl));
	memset(buf, 0, sizeof(buf));
	EXPECT_EQ(write(fd, buf, 600), 600);
	EXPECT_EQ(write(fd, buf, 600), 400);
	EXPECT_ERRNO(write(fd, buf, 600), EFBIG);
	EXPECT_ERRNO(ftruncate(fd, 1001), EFBIG);
	EXPECT_OK(ftruncate(fd, 1000));
}

GUEST_TEST(rlimit_as)
{
	struct rlimit rl = {1ul << 30, 1ul << 30};

	ASSERT_OK(setrlimit(RLIMIT_AS, &rl));
	EXPECT_ERRNO(mmap(NULL, 2ul << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
	EXPECT_TRUE(guest_map(1 << 20, 0) != NULL);
}

GUEST_TEST(affinity)
{
	cpu_set_t set, got;
	int n, cpu;

	CPU_ZERO(&set);
	EXPECT_OK(sched_getaffinity(0, sizeof(set), &set));
	n = CPU_COUNT(&set);
	EXPECT_GE(n, 1);
	for (cpu = 0; !CPU_ISSET(cpu, &set); cpu++)
		;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	EXPECT_OK(sched_setaffinity(0, sizeof(set), &set));
	MAYBE_SAVE();
	EXPECT_OK(sched_getaffinity(0, sizeof(got), &got));
	EXPECT_TRUE(CPU_EQUAL(&set, &got));
	EXPECT_EQ(sched_getcpu(), cpu);
	CPU_ZERO(&set);
	EXPECT_ERRNO(sched_setaffinity(0, sizeof(set), &set), EINVAL);
	EXPECT_ERRNO(syscall(SYS_sched_getaffinity, 0, 1, &set), EINVAL);
	EXPECT_ERRNO(syscall(SYS_sched_getaffinity, 9999999, sizeof(set), &set), ESRCH);
}

GUEST_TEST(scheduling)
{
	struct sched_param sp = {0};

	EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
	EXPECT_OK(sched_getparam(0, &sp));
	EXPECT_EQ(sp.sched_priority, 0);
	EXPECT_OK(sched_setscheduler(0, SCHED_OTHER, &sp));
	EXPECT_EQ(sched_get_priority_max(SCHED_FIFO), 99);
	EXPECT_EQ(sched_get_priority_min(SCHED_FIFO), 1);
	EXPECT_EQ(sched_get_priority_max(SCHED_OTHER), 0);
	EXPECT_OK(sched_yield());
	sp.sched_priority = 5;
	EXPECT_ERRNO(sched_setscheduler(0, SCHED_OTHER, &sp), EINVAL);
}

GUEST_TEST(priority)
{
	int prio;

	errno = 0;
	prio = getpriority(PRIO_PROCESS, 0);
	EXPECT_EQ(errno, 0);
	if (prio < 10) {
		EXPECT_OK(setpriority(PRIO_PROCESS, 0, prio + 5));
		MAYBE_SAVE();
		EXPECT_EQ(getpriority(PRIO_PROCESS, 0), prio + 5);
		EXPECT_OK(nice(3));
		EXPECT_EQ(getpriority(PRIO_PROCESS, 0), prio + 8);
	} else {
		MAYBE_SAVE();
	}
	EXPECT_OK(setpriority(PRIO_PROCESS, 0, 100));
	EXPECT_EQ(getpriority(PRIO_PROCESS, 0), 19);
	EXPECT_ERRNO(getpriority(PRIO_PROCESS, 9999999), ESRCH);
	EXPECT_ERRNO(getpriority((enum __priority_which)77, 0), EINVAL);
}

GUEST_TEST(uname_fields)
{
	struct utsname u;

	EXPECT_OK(uname(&u));
	EXPECT_STREQ(u.sysname, "Linux");
	EXPECT_STREQ(u.machine, "x86_64");
	EXPECT_TRUE(u.release[0] >= '1' && u.release[0] <= '9');
	EXPECT_TRUE(strchr(u.release, '.') != NULL);
	EXPECT_TRUE(u.version[0] != 0);
}

GUEST_TEST(sysinfo_is_sane)
{
	struct sysinfo si;

	EXPECT_OK(sysinfo(&si));
	EXPECT_GT(si.uptime, 0);
	EXPECT_GT(si.totalram, si.freeram);
	EXPECT_GT(si.mem_unit, 0);
	EXPECT_GE(si.procs, 1);
}

GUEST_TEST(usage_grows)
{
	struct rusage a, b;
	struct tms t;
	clock_t start = times(&t);
	volatile unsigned long x __attribute__((unused)) = 0;

	EXPECT_NE(start, (clock_t)-1);
	EXPECT_OK(getrusage(RUSAGE_SELF, &a));
	while (guest_now(CLOCK_PROCESS_CPUTIME_ID) < 30000000)
		for (int i = 0; i < 10000; i++)
			x += (unsigned long)i;
	MAYBE_SAVE();
	EXPECT_OK(getrusage(RUSAGE_SELF, &b));
	EXPECT_GT(b.ru_utime.tv_sec * 1000000 + b.ru_utime.tv_usec + b.ru_stime.tv_usec,
	          a.ru_utime.tv_sec * 1000000 + a.ru_utime.tv_usec + a.ru_stime.tv_usec);
	EXPECT_GT(times(&t), start);
	EXPECT_GE(t.tms_utime + t.tms_stime, 1);
	EXPECT_OK(getrusage(RUSAGE_THREAD, &a));
	EXPECT_OK(getrusage(RUSAGE_CHILDREN, &a));
	EXPECT_EQ(a.ru_utime.tv_sec, 0);
	EXPECT_ERRNO(getrusage((enum __rusage_who)55, &a), EINVAL);
}

GUEST_TEST(usage_of_children)
{
	struct tms t;
	pid_t pid = guest_fork();

	if (pid == 0) {
		while (guest_now(CLOCK_PROCESS_CPUTIME_ID) < 30000000)
			;
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	times(&t);
	EXPECT_GE(t.tms_cutime + t.tms_cstime, 1);
}

GUEST_TEST(random_bytes)
{
	unsigned char a[64] = {0}, b[64] = {0};

	EXPECT_EQ(getrandom(a, sizeof(a), 0), sizeof(a));
	EXPECT_EQ(getrandom(b, sizeof(b), GRND_NONBLOCK), sizeof(b));
	EXPECT_NE(memcmp(a, b, sizeof(a)), 0);
	EXPECT_ERRNO(getrandom(a, 1, 0x100), EINVAL);
	EXPECT_ERRNO(getrandom((void *)8, 1, 0), EFAULT);
	EXPECT_EQ(getrandom(a, 0, 0), 0);
	EXPECT_OK(getentropy(a, 64));
}

GUEST_TEST(personality_query)
{
	EXPECT_EQ(personality(0xffffffff), 0);
	EXPECT_EQ(personality(ADDR_NO_RANDOMIZE), 0);
	EXPECT_EQ(personality(0xffffffff), ADDR_NO_RANDOMIZE);
}

GUEST_TEST(getcpu_call)
{
	unsigned cpu = 9999, node = 9999;

	EXPECT_OK(syscall(SYS_getcpu, &cpu, &node, NULL));
	EXPECT_LT(cpu, 4096);
	EXPECT_LT(node, 1024);
	EXPECT_GE(sched_getcpu(), 0);
}

GUEST_TEST(membarrier_or_nothing)
{
	long r = syscall(SYS_membarrier, 0, 0, 0);

	EXPECT_TRUE(r >= 0 || errno == ENOSYS);
}

GUEST_TEST(host_and_domain_name)
{
	char name[65] = "";

	EXPECT_OK(gethostname(name, sizeof(name)));
	EXPECT_TRUE(name[0] != 0);
	EXPECT_ERRNO(syscall(SYS_sethostname, name, 100), geteuid() == 0 ? EINVAL : EPERM);
}
