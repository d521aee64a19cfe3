#include "tests/guest/guest_test.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>

/* User and group ids, groups, capabilities. */

struct ids {
	uid_t r, e, s;
};

static struct ids uids(void)
{
	struct ids i;

	EXPECT_OK(getresuid(&i.r, &i.e, &i.s));
	return i;
}

static void need_root(void)
{
	if (geteuid() != 0)
		SKIP("not root");
}

static void expect_uids(uid_t r, uid_t e, uid_t s)
{
	struct ids i = uids();

	EXPECT_EQ(i.r, r);
	EXPECT_EQ(i.e, e);
	EXPECT_EQ(i.s, s);
}

GUEST_TEST(consistent)
{
	struct ids i = uids();

	EXPECT_EQ(getuid(), i.r);
	EXPECT_EQ(geteuid(), i.e);
	EXPECT_OK(setresuid((uid_t)-1, (uid_t)-1, (uid_t)-1));
	EXPECT_OK(setuid(i.e));
	EXPECT_EQ(setfsuid((uid_t)-1), i.e);
}

GUEST_TEST(temporary_drop)
{
	need_root();
	EXPECT_OK(seteuid(1234));
	expect_uids(0, 1234, 0);
	MAYBE_SAVE();
	EXPECT_ERRNO(seteuid(4321), EPERM);
	EXPECT_OK(seteuid(0));
	expect_uids(0, 0, 0);
}

GUEST_TEST(permanent_drop)
{
	need_root();
	EXPECT_OK(setgid(2000));
	EXPECT_OK(setuid(1000));
	expect_uids(1000, 1000, 1000);
	EXPECT_ERRNO(setuid(0), EPERM);
	EXPECT_ERRNO(setresuid(0, 0, 0), EPERM);
	EXPECT_ERRNO(setgid(0), EPERM);
	EXPECT_ERRNO(setgroups(0, NULL), EPERM);
	MAYBE_SAVE();
	expect_uids(1000, 1000, 1000);
	EXPECT_OK(setuid(1000));
}

GUEST_TEST(setreuid_rules)
{
	need_root();
	EXPECT_OK(setresuid(100, 200, 300));
	expect_uids(100, 200, 300);
	EXPECT_ERRNO(setreuid(300, (uid_t)-1), EPERM); /* the saved one is no real one */
	EXPECT_OK(setreuid((uid_t)-1, 300));
	expect_uids(100, 300, 300);
	EXPECT_OK(setreuid(300, 100)); /* a swap sets the saved one */
	expect_uids(300, 100, 100);
	EXPECT_OK(setresuid(100, 300, (uid_t)-1));
	expect_uids(100, 300, 100);
}

GUEST_TEST(group_ids)
{
	gid_t r, e, s;

	need_root();
	EXPECT_OK(setresgid(1, 2, 3));
	EXPECT_OK(getresgid(&r, &e, &s));
	EXPECT_EQ(r * 100 + e * 10 + s, 123);
	EXPECT_EQ(getgid(), 1);
	EXPECT_EQ(getegid(), 2);
	EXPECT_EQ(setfsgid(9), 2);
	EXPECT_EQ(setfsgid(9), 9);
	EXPECT_OK(setegid(3));
	EXPECT_EQ(setfsgid(3), 3);
}

GUEST_TEST(supplementary_groups)
{
	gid_t set[4] = {40, 10, 30, 20}, got[8];
	pid_t pid;

	need_root();
	EXPECT_OK(setgroups(4, set));
	EXPECT_EQ(getgroups(0, NULL), 4);
	MAYBE_SAVE();
	EXPECT_EQ(getgroups(8, got), 4);
	EXPECT_EQ(got[0] + got[1] + got[2] + got[3], 100);
	EXPECT_ERRNO(getgroups(3, got), EINVAL);
	EXPECT_ERRNO(setgroups(100000, set), EINVAL);
	pid = guest_fork();
	if (pid == 0)
		_exit(getgroups(0, NULL));
	EXPECT_EQ(guest_reap(pid), 4);
	EXPECT_OK(setgroups(0, NULL));
	EXPECT_EQ(getgroups(0, NULL), 0);
}

GUEST_TEST(groups_give_access)
{
	gid_t g = 4567;

	need_root();
	guest_write_file(guest_path("f"), "x", 0040);
	ASSERT_OK(chown(guest_path("f"), 0, 4567));
	ASSERT_OK(chmod(guest_path("f"), 0040));
	ASSERT_OK(chmod(guest_tmp(), 0755));
	ASSERT_OK(setgroups(1, &g));
	ASSERT_OK(setresuid(1000, 1000, 0));
	EXPECT_OK(open(guest_path("f"), O_RDONLY));
	EXPECT_ERRNO(open(guest_path("f"), O_WRONLY), EACCES);
	ASSERT_OK(setresuid(0, 0, 0));
	ASSERT_OK(setgroups(0, NULL));
	ASSERT_OK(setresuid(1000, 1000, 0));
	EXPECT_ERRNO(open(guest_path("f"), O_RDONLY), EACCES);
}

static bool cap(unsigned c, int which)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];

	ASSERT_OK(syscall(SYS_capget, &h, d));
	return ((which == 0   ? d[c / 32].effective
	         : which == 1 ? d[c / 32].permitted
	                      : d[c / 32].inheritable) >>
	        c % 32) &
	       1;
}

GUEST_TEST(capabilities_follow_the_uid)
{
	need_root();
	EXPECT_TRUE(cap(CAP_CHOWN, 0));
	EXPECT_OK(seteuid(1000));
	EXPECT_FALSE(cap(CAP_CHOWN, 0));
	EXPECT_TRUE(cap(CAP_CHOWN, 1));
	EXPECT_OK(seteuid(0));
	EXPECT_TRUE(cap(CAP_CHOWN, 0));
	EXPECT_OK(setresuid(1000, 1000, 1000));
	MAYBE_SAVE();
	EXPECT_FALSE(cap(CAP_CHOWN, 0));
	EXPECT_FALSE(cap(CAP_CHOWN, 1));
}

GUEST_TEST(keepcaps_keeps_permitted)
{
	need_root();
	EXPECT_OK(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
	EXPECT_OK(setresuid(1000, 1000, 1000));
	EXPECT_TRUE(cap(CAP_CHOWN, 1));
	EXPECT_FALSE(cap(CAP_CHOWN, 0));
}

GUEST_TEST(capset_drops)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];

	need_root();
	ASSERT_OK(syscall(SYS_capget, &h, d));
	d[0].effective &= ~(1u << CAP_CHOWN);
	EXPECT_OK(syscall(SYS_capset, &h, d));
	EXPECT_FALSE(cap(CAP_CHOWN, 0));
	guest_write_file(guest_path("f"), "", 0644);
	EXPECT_ERRNO(chown(guest_path("f"), 1, 1), EPERM);
	d[0].effective |= 1u << CAP_CHOWN;
	EXPECT_OK(syscall(SYS_capset, &h, d));
	EXPECT_OK(chown(guest_path("f"), 1, 1));
	d[0].permitted &= ~(1u << CAP_CHOWN);
	EXPECT_ERRNO(syscall(SYS_capset, &h, d), EPERM); /* effective, not permitted */
	d[0].effective &= ~(1u << CAP_CHOWN);
	EXPECT_OK(syscall(SYS_capset, &h, d));
	d[0].permitted |= 1u << CAP_CHOWN;
	EXPECT_ERRNO(syscall(SYS_capset, &h, d), EPERM);
}

GUEST_TEST(capability_versions)
{
	struct __user_cap_header_struct h = {0, 0};
	struct __user_cap_data_struct d[2];

	EXPECT_EQ(syscall(SYS_capget, &h, NULL), 0);
	EXPECT_EQ(h.version, _LINUX_CAPABILITY_VERSION_3);
	h.version = 1;
	EXPECT_ERRNO(syscall(SYS_capget, &h, d), EINVAL);
	h.version = _LINUX_CAPABILITY_VERSION_3;
	h.pid = 9999999;
	EXPECT_ERRNO(syscall(SYS_capget, &h, d), ESRCH);
	EXPECT_ERRNO(prctl(PR_CAPBSET_READ, 100, 0, 0, 0), EINVAL);
	EXPECT_GE(prctl(PR_CAPBSET_READ, CAP_CHOWN, 0, 0, 0), 0);
}

GUEST_TEST(ordinary_user_may_little)
{
	guest_drop_root();
	EXPECT_ERRNO(setuid(0), EPERM);
	EXPECT_ERRNO(setgroups(0, NULL), EPERM);
	EXPECT_ERRNO(chroot("/"), EPERM);
	EXPECT_ERRNO(sethostname("x", 1), EPERM);
	EXPECT_ERRNO(mknod(guest_path("n"), S_IFCHR | 0600, 0x103), EPERM);
	EXPECT_ERRNO(chown(guest_tmp(), 0, 0), EPERM);
}
