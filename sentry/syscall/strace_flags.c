/* Names of bits and values. */
#include "sentry/syscall/strace_impl.h"

#include <asm/prctl.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/memfd.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x10
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x8
#endif
#ifndef SA_RESTORER
#define SA_RESTORER 0x04000000
#endif

struct name {
	u64 v;
	const char *text;
};
#define N(c)                 \
	{                    \
		(u64)(c), #c \
	}

static const struct name open_names[] = {
	N(O_WRONLY), N(O_RDWR),      N(O_TMPFILE),  N(O_CREAT),   N(O_EXCL),    N(O_NOCTTY),
	N(O_TRUNC),  N(O_APPEND),    N(O_NONBLOCK), N(O_SYNC),    N(O_DSYNC),   N(O_ASYNC),
	N(O_DIRECT), N(O_DIRECTORY), N(O_NOFOLLOW), N(O_NOATIME), N(O_CLOEXEC), N(O_PATH),
};
static const struct name prot_names[] = {
	N(PROT_READ),
	N(PROT_WRITE),
	N(PROT_EXEC),
	N(PROT_GROWSDOWN),
};
static const struct name map_names[] = {
	N(MAP_PRIVATE),   N(MAP_SHARED),          N(MAP_FIXED),  N(MAP_ANONYMOUS),
	N(MAP_GROWSDOWN), N(MAP_DENYWRITE),       N(MAP_LOCKED), N(MAP_NORESERVE),
	N(MAP_POPULATE),  N(MAP_NONBLOCK),        N(MAP_STACK),  N(MAP_HUGETLB),
	N(MAP_SYNC),      N(MAP_FIXED_NOREPLACE),
};
static const struct name mremap_names[] = {
	N(MREMAP_MAYMOVE),
	N(MREMAP_FIXED),
	N(MREMAP_DONTUNMAP),
};
static const struct name msync_names[] = {
	N(MS_ASYNC),
	N(MS_INVALIDATE),
	N(MS_SYNC),
};
static const struct name access_names[] = {
	N(R_OK),
	N(W_OK),
	N(X_OK),
};
static const struct name at_names[] = {
	N(AT_SYMLINK_NOFOLLOW), N(AT_REMOVEDIR),        N(AT_SYMLINK_FOLLOW),  N(AT_NO_AUTOMOUNT),
	N(AT_EMPTY_PATH),       N(AT_STATX_FORCE_SYNC), N(AT_STATX_DONT_SYNC),
};
static const struct name clone_names[] = {
	N(CLONE_VM),
	N(CLONE_FS),
	N(CLONE_FILES),
	N(CLONE_SIGHAND),
	N(CLONE_PIDFD),
	N(CLONE_PTRACE),
	N(CLONE_VFORK),
	N(CLONE_PARENT),
	N(CLONE_THREAD),
	N(CLONE_NEWNS),
	N(CLONE_SYSVSEM),
	N(CLONE_SETTLS),
	N(CLONE_PARENT_SETTID),
	N(CLONE_CHILD_CLEARTID),
	N(CLONE_UNTRACED),
	N(CLONE_CHILD_SETTID),
	N(CLONE_NEWCGROUP),
	N(CLONE_NEWUTS),
	N(CLONE_NEWIPC),
	N(CLONE_NEWUSER),
	N(CLONE_NEWPID),
	N(CLONE_NEWNET),
	N(CLONE_IO),
	N(CLONE_CLEAR_SIGHAND),
	N(CLONE_INTO_CGROUP),
};
static const struct name wait_names[] = {
	N(WNOHANG), N(WSTOPPED),    N(WEXITED), N(WCONTINUED),
	N(WNOWAIT), N(__WNOTHREAD), N(__WALL),  N(__WCLONE),
};
static const struct name flock_names[] = {
	N(LOCK_SH),
	N(LOCK_EX),
	N(LOCK_NB),
	N(LOCK_UN),
};
static const struct name msg_names[] = {
	N(MSG_OOB),      N(MSG_PEEK),     N(MSG_DONTROUTE), N(MSG_CTRUNC),
	N(MSG_TRUNC),    N(MSG_DONTWAIT), N(MSG_EOR),       N(MSG_WAITALL),
	N(MSG_ERRQUEUE), N(MSG_NOSIGNAL), N(MSG_MORE),      N(MSG_CMSG_CLOEXEC),
};
static const struct name socktype_names[] = {
	N(SOCK_STREAM), N(SOCK_DGRAM), N(SOCK_SEQPACKET), N(SOCK_NONBLOCK), N(SOCK_CLOEXEC),
};
static const struct name mount_names[] = {
	N(MS_RDONLY),  N(MS_NOSUID), N(MS_NODEV),  N(MS_NOEXEC),   N(MS_REMOUNT),
	N(MS_NOATIME), N(MS_BIND),   N(MS_MOVE),   N(MS_REC),      N(MS_SILENT),
	N(MS_PRIVATE), N(MS_SLAVE),  N(MS_SHARED), N(MS_RELATIME),
};
static const struct name timer_names[] = {
	N(TIMER_ABSTIME),
	N(TFD_TIMER_CANCEL_ON_SET),
};
static const struct name splice_names[] = {
	N(SPLICE_F_MOVE),
	N(SPLICE_F_NONBLOCK),
	N(SPLICE_F_MORE),
	N(SPLICE_F_GIFT),
};
static const struct name eventfd_names[] = {
	N(EFD_SEMAPHORE),
	N(EFD_NONBLOCK),
	N(EFD_CLOEXEC),
};
static const struct name rename_names[] = {
	N(RENAME_NOREPLACE),
	N(RENAME_EXCHANGE),
	N(RENAME_WHITEOUT),
};
static const struct name random_names[] = {
	N(GRND_NONBLOCK),
	N(GRND_RANDOM),
	N(GRND_INSECURE),
};
static const struct name memfd_names[] = {
	N(MFD_CLOEXEC), N(MFD_ALLOW_SEALING), N(MFD_HUGETLB), N(MFD_NOEXEC_SEAL), N(MFD_EXEC),
};
static const struct name inotify_names[] = {
	N(IN_ACCESS),      N(IN_MODIFY),     N(IN_ATTRIB),   N(IN_CLOSE_WRITE), N(IN_CLOSE_NOWRITE),
	N(IN_OPEN),        N(IN_MOVED_FROM), N(IN_MOVED_TO), N(IN_CREATE),      N(IN_DELETE),
	N(IN_DELETE_SELF), N(IN_MOVE_SELF),  N(IN_ONLYDIR),  N(IN_DONT_FOLLOW), N(IN_EXCL_UNLINK),
	N(IN_MASK_CREATE), N(IN_MASK_ADD),   N(IN_ONESHOT),
};
static const struct name poll_names[] = {
	N(POLLIN),     N(POLLPRI),    N(POLLOUT),    N(POLLERR),    N(POLLHUP), N(POLLNVAL),
	N(POLLRDNORM), N(POLLRDBAND), N(POLLWRNORM), N(POLLWRBAND), N(POLLMSG), N(POLLRDHUP),
};
static const struct name epoll_names[] = {
	N(EPOLLIN),     N(EPOLLPRI),       N(EPOLLOUT),    N(EPOLLERR),     N(EPOLLHUP),
	N(EPOLLRDNORM), N(EPOLLRDBAND),    N(EPOLLWRNORM), N(EPOLLWRBAND),  N(EPOLLMSG),
	N(EPOLLRDHUP),  N(EPOLLEXCLUSIVE), N(EPOLLWAKEUP), N(EPOLLONESHOT), N(EPOLLET),
};
static const struct name sa_names[] = {
	N(SA_NOCLDSTOP), N(SA_NOCLDWAIT), N(SA_SIGINFO), N(SA_RESTORER),
	N(SA_ONSTACK),   N(SA_RESTART),   N(SA_NODEFER), N(SA_RESETHAND),
};
static const struct name futex_names[] = {
	N(FUTEX_WAIT),        N(FUTEX_WAKE),        N(FUTEX_REQUEUE),      N(FUTEX_CMP_REQUEUE),
	N(FUTEX_WAKE_OP),     N(FUTEX_LOCK_PI),     N(FUTEX_UNLOCK_PI),    N(FUTEX_TRYLOCK_PI),
	N(FUTEX_WAIT_BITSET), N(FUTEX_WAKE_BITSET), N(FUTEX_PRIVATE_FLAG), N(FUTEX_CLOCK_REALTIME),
};
static const struct name whence_names[] = {
	N(SEEK_SET), N(SEEK_CUR), N(SEEK_END), N(SEEK_DATA), N(SEEK_HOLE),
};
static const struct name sighow_names[] = {
	N(SIG_BLOCK),
	N(SIG_UNBLOCK),
	N(SIG_SETMASK),
};
static const struct name ioctl_names[] = {
	N(TCGETS),      N(TCSETS),       N(TCSETSW),     N(TCSETSF),       N(TIOCGWINSZ),
	N(TIOCSWINSZ),  N(TIOCGPGRP),    N(TIOCSPGRP),   N(TIOCSCTTY),     N(TIOCNOTTY),
	N(TIOCGPTN),    N(TIOCSPTLCK),   N(FIONREAD),    N(FIONBIO),       N(FIOASYNC),
	N(FIOCLEX),     N(FIONCLEX),     N(FICLONE),     N(SIOCGIFCONF),   N(SIOCGIFFLAGS),
	N(SIOCGIFADDR), N(SIOCGIFINDEX), N(SIOCGIFNAME), N(SIOCGIFHWADDR), N(SIOCGIFMTU),
};
static const struct name madvise_names[] = {
	N(MADV_NORMAL),         N(MADV_RANDOM),    N(MADV_SEQUENTIAL),  N(MADV_WILLNEED),
	N(MADV_DONTNEED),       N(MADV_FREE),      N(MADV_REMOVE),      N(MADV_DONTFORK),
	N(MADV_DOFORK),         N(MADV_MERGEABLE), N(MADV_UNMERGEABLE), N(MADV_HUGEPAGE),
	N(MADV_NOHUGEPAGE),     N(MADV_DONTDUMP),  N(MADV_DODUMP),      N(MADV_WIPEONFORK),
	N(MADV_KEEPONFORK),     N(MADV_COLD),      N(MADV_PAGEOUT),     N(MADV_POPULATE_READ),
	N(MADV_POPULATE_WRITE),
};
static const struct name itimer_names[] = {
	N(ITIMER_REAL),
	N(ITIMER_VIRTUAL),
	N(ITIMER_PROF),
};
static const struct name family_names[] = {
	N(AF_UNSPEC),  N(AF_UNIX),   N(AF_INET), N(AF_INET6),
	N(AF_NETLINK), N(AF_PACKET), N(AF_ALG),  N(AF_VSOCK),
};
static const struct name shut_names[] = {
	N(SHUT_RD),
	N(SHUT_WR),
	N(SHUT_RDWR),
};
static const struct name sol_names[] = {
	N(SOL_SOCKET),  N(IPPROTO_IP),   N(IPPROTO_TCP),
	N(IPPROTO_UDP), N(IPPROTO_IPV6), N(SOL_NETLINK),
};
static const struct name fcntl_names[] = {
	N(F_DUPFD),         N(F_GETFD),      N(F_SETFD),      N(F_GETFL),     N(F_SETFL),
	N(F_GETLK),         N(F_SETLK),      N(F_SETLKW),     N(F_SETOWN),    N(F_GETOWN),
	N(F_SETSIG),        N(F_GETSIG),     N(F_SETOWN_EX),  N(F_GETOWN_EX), N(F_OFD_GETLK),
	N(F_OFD_SETLK),     N(F_OFD_SETLKW), N(F_SETLEASE),   N(F_GETLEASE),  N(F_NOTIFY),
	N(F_DUPFD_CLOEXEC), N(F_SETPIPE_SZ), N(F_GETPIPE_SZ), N(F_ADD_SEALS), N(F_GET_SEALS),
};
static const struct name rlimits_names[] = {
	N(RLIMIT_CPU),      N(RLIMIT_FSIZE), N(RLIMIT_DATA),   N(RLIMIT_STACK),
	N(RLIMIT_CORE),     N(RLIMIT_RSS),   N(RLIMIT_NPROC),  N(RLIMIT_NOFILE),
	N(RLIMIT_MEMLOCK),  N(RLIMIT_AS),    N(RLIMIT_LOCKS),  N(RLIMIT_SIGPENDING),
	N(RLIMIT_MSGQUEUE), N(RLIMIT_NICE),  N(RLIMIT_RTPRIO), N(RLIMIT_RTTIME),
};
static const struct name rlim_names[] = {
	N(RLIM_INFINITY),
};
static const struct name prctl_names[] = {
	N(PR_SET_PDEATHSIG),
	N(PR_GET_PDEATHSIG),
	N(PR_GET_DUMPABLE),
	N(PR_SET_DUMPABLE),
	N(PR_GET_KEEPCAPS),
	N(PR_SET_KEEPCAPS),
	N(PR_SET_NAME),
	N(PR_GET_NAME),
	N(PR_GET_SECCOMP),
	N(PR_SET_SECCOMP),
	N(PR_CAPBSET_READ),
	N(PR_CAPBSET_DROP),
	N(PR_SET_TIMERSLACK),
	N(PR_GET_TIMERSLACK),
	N(PR_SET_CHILD_SUBREAPER),
	N(PR_GET_CHILD_SUBREAPER),
	N(PR_SET_NO_NEW_PRIVS),
	N(PR_GET_NO_NEW_PRIVS),
	N(PR_CAP_AMBIENT),
	N(PR_SET_VMA),
};
static const struct name archprctl_names[] = {
	N(ARCH_SET_GS), N(ARCH_SET_FS),    N(ARCH_GET_FS),
	N(ARCH_GET_GS), N(ARCH_GET_CPUID), N(ARCH_SET_CPUID),
};
static const struct name clock_names[] = {
	N(CLOCK_REALTIME),          N(CLOCK_MONOTONIC),     N(CLOCK_PROCESS_CPUTIME_ID),
	N(CLOCK_THREAD_CPUTIME_ID), N(CLOCK_MONOTONIC_RAW), N(CLOCK_REALTIME_COARSE),
	N(CLOCK_MONOTONIC_COARSE),  N(CLOCK_BOOTTIME),      N(CLOCK_REALTIME_ALARM),
	N(CLOCK_BOOTTIME_ALARM),    N(CLOCK_TAI),
};
static const struct name epollop_names[] = {
	N(EPOLL_CTL_ADD),
	N(EPOLL_CTL_DEL),
	N(EPOLL_CTL_MOD),
};
static const struct name idtype_names[] = {
	N(P_ALL),
	N(P_PID),
	N(P_PGID),
	N(P_PIDFD),
};
static const struct name filetype_names[] = {
	N(S_IFREG), N(S_IFDIR), N(S_IFLNK), N(S_IFCHR), N(S_IFBLK), N(S_IFIFO), N(S_IFSOCK),
};

static const struct {
	const char *name;
	const struct name *v;
	size_t n;
	const char *zero; /* what no bit at all is called; NULL: 0 */
} tables[] = {
#define T(id, zero)                                           \
	{                                                     \
#id, id##_names, ARRAY_SIZE(id##_names), zero \
	}
	T(open, "O_RDONLY"), T(prot, "PROT_NONE"), T(map, NULL),     T(mremap, NULL),
	T(msync, NULL),      T(access, "F_OK"),    T(at, NULL),      T(clone, NULL),
	T(wait, NULL),       T(flock, NULL),       T(msg, NULL),     T(socktype, NULL),
	T(mount, NULL),      T(timer, NULL),       T(splice, NULL),  T(eventfd, NULL),
	T(rename, NULL),     T(random, NULL),      T(memfd, NULL),   T(inotify, NULL),
	T(poll, NULL),       T(epoll, NULL),       T(sa, NULL),      T(futex, NULL),
	T(whence, NULL),     T(sighow, NULL),      T(ioctl, NULL),   T(madvise, NULL),
	T(itimer, NULL),     T(family, NULL),      T(shut, NULL),    T(sol, NULL),
	T(fcntl, NULL),      T(rlimits, NULL),     T(rlim, NULL),    T(prctl, NULL),
	T(archprctl, NULL),  T(clock, NULL),       T(epollop, NULL), T(idtype, NULL),
	T(filetype, NULL),
};

static int find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		if (strcmp(tables[i].name, name) == 0)
			return (int)i;
	}
	return -1;
}

static bool exact(int t, u64 v, u64 *ret_i)
{
	for (size_t i = 0; t >= 0 && i < tables[t].n; i++) {
		if (tables[t].v[i].v == v || tables[t].v[i].v == (u32)v) {
			*ret_i = i;
			return true;
		}
	}
	return false;
}

void strace_signal(struct words *w, int signo)
{
	const char *s = signo > 0 && signo < 32 ? sigabbrev_np(signo) : NULL;

	if (s)
		words_add(w, "SIG%s", s);
	else if (signo >= 32 && signo <= 64)
		words_add(w, signo == 32 ? "SIGRTMIN" : "SIGRT_%d", signo - 32);
	else
		words_add(w, "%d", signo);
}

void strace_value(struct words *w, const char *table, u64 v)
{
	u64 i;

	if (strcmp(table, "signal") == 0)
		strace_signal(w, (int)v);
	else if (exact(find(table), v, &i))
		words_add(w, "%s", tables[find(table)].v[i].text);
	else
		words_add(w, "%#llx", (unsigned long long)v);
}

/* The low bits that are a number among flags, and where its names are. */
static u64 number_part(const char *table, u64 *v, struct words *w)
{
	u64 low = 0, i;

	if (strcmp(table, "futex") == 0)
		low = 0x7f;
	else if (strcmp(table, "socktype") == 0)
		low = 0xf;
	else if (strcmp(table, "clone") == 0)
		low = 0xff;
	if (!low)
		return 0;
	low &= *v;
	*v &= ~low;
	if (strcmp(table, "clone") == 0) {
		if (!low)
			return 0;
		strace_signal(w, (int)low);
	} else if (exact(find(table), low, &i)) {
		words_add(w, "%s", tables[find(table)].v[i].text);
	} else {
		words_add(w, "%#llx", (unsigned long long)low);
	}
	return 1;
}

void strace_bits(struct words *w, const char *table, u64 v)
{
	int t = find(table);
	bool any = number_part(table, &v, w) != 0;

	if (t >= 0 && strcmp(table, "open") == 0 && (v & O_ACCMODE) == O_RDONLY && !(v & O_PATH)) {
		words_add(w, "O_RDONLY");
		any = true;
	}
	for (size_t i = 0; t >= 0 && i < tables[t].n && v; i++) {
		u64 bit = tables[t].v[i].v;

		if (!bit || (v & bit) != bit)
			continue;
		words_add(w, "%s%s", any ? "|" : "", tables[t].v[i].text);
		any = true;
		v &= ~bit;
	}
	if (v)
		words_add(w, "%s%#llx", any ? "|" : "", (unsigned long long)v);
	else if (!any)
		words_add(w, "%s", t >= 0 && tables[t].zero ? tables[t].zero : "0");
}
