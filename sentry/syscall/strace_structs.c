/* What arguments point to. */
#include "sentry/syscall/strace_impl.h"
#include "sentry/kernel/signal.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

#define ARRAY_SHOWN 8

/* One element of the array at hand; false: it can't be read. */
typedef bool element_fn(struct words *w, const struct call *k, u64 addr, unsigned arg);

#define READ(k, addr, p)                                                      \
	do {                                                                  \
		if (user_copy_in((k)->c, (p), UADDR(addr), sizeof(*(p))) < 0) \
			return false;                                         \
	} while (0)

static bool show_int(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	int v;

	READ(k, addr, &v);
	words_add(w, "[%d]", v);
	return true;
}

static bool show_u32(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	u32 v;

	READ(k, addr, &v);
	words_add(w, "%u", v);
	return true;
}

static bool show_u64(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	u64 v;

	READ(k, addr, &v);
	words_add(w, "[%llu]", (unsigned long long)v);
	return true;
}

static bool show_fds(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	int v[2];

	READ(k, addr, &v);
	words_add(w, "[%d, %d]", v[0], v[1]);
	return true;
}

static void timespec_words(struct words *w, const struct timespec *ts)
{
	words_add(w, "{tv_sec=%lld, tv_nsec=%ld}", (long long)ts->tv_sec, ts->tv_nsec);
}

static bool show_timespec(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct timespec ts;

	READ(k, addr, &ts);
	timespec_words(w, &ts);
	return true;
}

static bool show_utimes(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct timespec ts[2];

	READ(k, addr, &ts);
	words_add(w, "[");
	for (int i = 0; i < 2; i++) {
		words_add(w, i ? ", " : "");
		if (ts[i].tv_nsec == UTIME_NOW || ts[i].tv_nsec == UTIME_OMIT)
			words_add(w, ts[i].tv_nsec == UTIME_NOW ? "UTIME_NOW" : "UTIME_OMIT");
		else
			timespec_words(w, &ts[i]);
	}
	words_add(w, "]");
	return true;
}

static bool show_timeval(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct timeval tv;

	READ(k, addr, &tv);
	words_add(w, "{tv_sec=%lld, tv_usec=%lld}", (long long)tv.tv_sec, (long long)tv.tv_usec);
	return true;
}

static bool show_itimerspec(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct itimerspec s;

	READ(k, addr, &s);
	words_add(w, "{it_interval=");
	timespec_words(w, &s.it_interval);
	words_add(w, ", it_value=");
	timespec_words(w, &s.it_value);
	words_add(w, "}");
	return true;
}

static bool show_itimerval(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct itimerval v;

	READ(k, addr, &v);
	words_add(w,
	          "{it_interval={tv_sec=%lld, tv_usec=%lld}, it_value={tv_sec=%lld, tv_usec=%lld}}",
	          (long long)v.it_interval.tv_sec, (long long)v.it_interval.tv_usec,
	          (long long)v.it_value.tv_sec, (long long)v.it_value.tv_usec);
	return true;
}

static bool show_stat(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct stat st;

	READ(k, addr, &st);
	words_add(w, "{st_mode=");
	strace_value(w, "filetype", st.st_mode & S_IFMT);
	words_add(w, "|0%03o, ", st.st_mode & 07777);
	if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
		words_add(w, "st_rdev=makedev(%#x, %#x), ...}", major(st.st_rdev),
		          minor(st.st_rdev));
	else
		words_add(w, "st_size=%lld, ...}", (long long)st.st_size);
	return true;
}

static bool show_statx(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct statx st;

	READ(k, addr, &st);
	words_add(w, "{stx_mask=%#x, stx_mode=", st.stx_mask);
	strace_value(w, "filetype", st.stx_mode & S_IFMT);
	words_add(w, "|0%03o, stx_size=%llu, ...}", st.stx_mode & 07777,
	          (unsigned long long)st.stx_size);
	return true;
}

static bool show_pollfd(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct pollfd p;

	READ(k, addr, &p);
	words_add(w, "{fd=%d, events=", p.fd);
	strace_bits(w, "poll", (u16)p.events);
	if (k->ended && k->ret > 0 && p.revents) {
		words_add(w, ", revents=");
		strace_bits(w, "poll", (u16)p.revents);
	}
	words_add(w, "}");
	return true;
}

static bool show_epoll(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct epoll_event e;

	READ(k, addr, &e);
	words_add(w, "{events=");
	strace_bits(w, "epoll", e.events);
	words_add(w, ", data={u32=%u, u64=%llu}}", e.data.u32, (unsigned long long)e.data.u64);
	return true;
}

static bool show_iov(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct iovec v;

	READ(k, addr, &v);
	words_add(w, "{iov_base=");
	strace_memory(w, k, (u64)(uintptr_t)v.iov_base, v.iov_len);
	words_add(w, ", iov_len=%zu}", v.iov_len);
	return true;
}

/* The length is the next argument, or what that points to. */
static bool show_sockaddr(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	union {
		struct sockaddr sa;
		struct sockaddr_un un;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_nl nl;
	} u;
	u64 len = arg < 5 ? k->a->a[arg + 1] : 0;
	char text[INET6_ADDRSTRLEN] = "";
	u32 at_len;

	if (len > 4096) {
		if (user_get_u32(k->c, UADDR(len), &at_len) < 0)
			return false;
		len = at_len;
	}
	memset(&u, 0, sizeof(u));
	len = MIN(len, (u64)sizeof(u));
	if (len < sizeof(u.sa.sa_family) || user_copy_in(k->c, &u, UADDR(addr), len) < 0)
		return false;
	words_add(w, "{sa_family=");
	strace_value(w, "family", u.sa.sa_family);
	switch (u.sa.sa_family) {
	case AF_UNIX:
		len -= offsetof(struct sockaddr_un, sun_path);
		if (len > 0 && len < sizeof(u.un.sun_path) + 1) {
			bool abstract = u.un.sun_path[0] == 0;

			words_add(w, abstract ? ", sun_path=@" : ", sun_path=");
			strace_quote(w, (u8 *)u.un.sun_path + abstract,
			             abstract ? len - 1 : strnlen(u.un.sun_path, len), false);
		}
		break;
	case AF_INET:
		inet_ntop(AF_INET, &u.in.sin_addr, text, sizeof(text));
		words_add(w, ", sin_port=htons(%u), sin_addr=inet_addr(\"%s\")",
		          ntohs(u.in.sin_port), text);
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &u.in6.sin6_addr, text, sizeof(text));
		words_add(w, ", sin6_port=htons(%u), sin6_addr=\"%s\"", ntohs(u.in6.sin6_port),
		          text);
		break;
	case AF_NETLINK:
		words_add(w, ", nl_pid=%u, nl_groups=%08x", u.nl.nl_pid, u.nl.nl_groups);
		break;
	}
	words_add(w, "}");
	return true;
}

static bool show_msghdr(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct msghdr m;
	u64 n;

	READ(k, addr, &m);
	words_add(w, "{msg_namelen=%u, msg_iov=", m.msg_namelen);
	n = MIN((u64)m.msg_iovlen, (u64)ARRAY_SHOWN);
	strace_struct(w, k, "iov", (u64)(uintptr_t)m.msg_iov, n, arg);
	words_add(w, ", msg_iovlen=%zu, msg_controllen=%zu, msg_flags=", m.msg_iovlen,
	          m.msg_controllen);
	strace_bits(w, "msg", (u32)m.msg_flags);
	words_add(w, "}");
	return true;
}

static void sigset_words(struct words *w, u64 set)
{
	bool inverse = __builtin_popcountll(set) > 32, any = false;

	if (inverse)
		set = ~set;
	words_add(w, inverse ? "~[" : "[");
	for (int s = 1; s <= 64; s++) {
		if (!(set >> (s - 1) & 1))
			continue;
		words_add(w, any ? " " : "");
		strace_signal(w, s);
		any = true;
	}
	words_add(w, "]");
}

static bool show_sigset(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	u64 set;

	READ(k, addr, &set);
	sigset_words(w, set);
	return true;
}

static bool show_sigaction(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct ksigaction s;

	READ(k, addr, &s);
	if (s.handler <= 1)
		words_add(w, "{sa_handler=%s", s.handler ? "SIG_IGN" : "SIG_DFL");
	else
		words_add(w, "{sa_handler=%#llx", (unsigned long long)s.handler);
	words_add(w, ", sa_mask=");
	sigset_words(w, s.mask);
	words_add(w, ", sa_flags=");
	strace_bits(w, "sa", s.flags);
	if (s.flags & 0x04000000)
		words_add(w, ", sa_restorer=%#llx", (unsigned long long)s.restorer);
	words_add(w, "}");
	return true;
}

static bool show_siginfo(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	siginfo_t i;

	READ(k, addr, &i);
	words_add(w, "{si_signo=");
	strace_signal(w, i.si_signo);
	words_add(w, ", si_code=%d, si_pid=%d, si_uid=%u}", i.si_code, i.si_pid, i.si_uid);
	return true;
}

static bool show_rlimit(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct rlimit r;

	READ(k, addr, &r);
	words_add(w, "{rlim_cur=");
	strace_value(w, "rlim", r.rlim_cur);
	words_add(w, ", rlim_max=");
	strace_value(w, "rlim", r.rlim_max);
	words_add(w, "}");
	return true;
}

static bool show_wstatus(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	int s;

	if (k->ret == 0)
		return false;
	READ(k, addr, &s);
	if (WIFEXITED(s)) {
		words_add(w, "[{WIFEXITED(s) && WEXITSTATUS(s) == %d}]", WEXITSTATUS(s));
	} else if (WIFSIGNALED(s)) {
		words_add(w, "[{WIFSIGNALED(s) && WTERMSIG(s) == ");
		strace_signal(w, WTERMSIG(s));
		words_add(w, "%s}]", WCOREDUMP(s) ? " && WCOREDUMP(s)" : "");
	} else if (WIFSTOPPED(s)) {
		words_add(w, "[{WIFSTOPPED(s) && WSTOPSIG(s) == ");
		strace_signal(w, WSTOPSIG(s));
		words_add(w, "}]");
	} else {
		words_add(w, "[{WIFCONTINUED(s)}]");
	}
	return true;
}

static bool show_clone(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct clone_args a = {0};
	u64 size = MIN(k->a->a[1], (u64)sizeof(a));

	if (user_copy_in(k->c, &a, UADDR(addr), size) < 0)
		return false;
	words_add(w, "{flags=");
	strace_bits(w, "clone", a.flags);
	words_add(w, ", exit_signal=");
	strace_signal(w, (int)a.exit_signal);
	words_add(w, ", stack=%#llx, stack_size=%#llx}", (unsigned long long)a.stack,
	          (unsigned long long)a.stack_size);
	return true;
}

/* argv and its like: up to the NULL, in brackets of its own. */
static bool show_strings(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	u64 s;

	words_add(w, "[");
	for (unsigned i = 0;; i++) {
		READ(k, addr + i * sizeof(s), &s);
		if (!s)
			break;
		words_add(w, i ? ", " : "");
		if (i >= ARRAY_SHOWN * 2) {
			words_add(w, "...");
			break;
		}
		strace_path(w, k, s);
	}
	words_add(w, "]");
	return true;
}

/* envp: how many. */
static bool show_vars(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	unsigned n = 0;
	u64 s;

	for (;; n++) {
		READ(k, addr + n * sizeof(s), &s);
		if (!s || n >= 10000)
			break;
	}
	words_add(w, "%#llx /* %u vars */", (unsigned long long)addr, n);
	return true;
}

static const struct {
	const char *name;
	element_fn *show;
	u32 size; /* of an element of an array; 0: never one */
} kinds[] = {
	{"int", show_int, 0},
	{"u32", show_u32, 4},
	{"off", show_u64, 0},
	{"fds", show_fds, 0},
	{"timespec", show_timespec, 0},
	{"utimes", show_utimes, 0},
	{"timeval", show_timeval, 0},
	{"itimerspec", show_itimerspec, 0},
	{"itimerval", show_itimerval, 0},
	{"stat", show_stat, 0},
	{"statx", show_statx, 0},
	{"pollfd", show_pollfd, sizeof(struct pollfd)},
	{"epoll", show_epoll, 0},
	{"epolls", show_epoll, sizeof(struct epoll_event)},
	{"iov", show_iov, sizeof(struct iovec)},
	{"sockaddr", show_sockaddr, 0},
	{"msghdr", show_msghdr, 0},
	{"sigset", show_sigset, 0},
	{"sigaction", show_sigaction, 0},
	{"siginfo", show_siginfo, 0},
	{"rlimit", show_rlimit, 0},
	{"wstatus", show_wstatus, 0},
	{"clone", show_clone, 0},
	{"strings", show_strings, 0},
	{"vars", show_vars, 0},
};

void strace_struct(struct words *w, const struct call *k, const char *name, u64 addr, u64 n,
                   unsigned arg)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t start = w->n;
		bool ok = true;

		if (strcmp(kinds[i].name, name) != 0)
			continue;
		if (kinds[i].size) {
			/* What a call filled is as many as it says. */
			if (k->ended && strcmp(name, "epolls") == 0)
				n = k->ret > 0 ? (u64)k->ret : 0;
			words_add(w, "[");
			for (u64 e = 0; e < n && ok; e++) {
				words_add(w, e ? ", " : "");
				if (e >= ARRAY_SHOWN) {
					words_add(w, "...");
					break;
				}
				ok = kinds[i].show(w, k, addr + e * kinds[i].size, arg);
			}
			words_add(w, "]");
		} else {
			ok = kinds[i].show(w, k, addr, arg);
		}
		if (ok)
			return;
		w->n = start;
		w->s[start] = 0;
		break;
	}
	words_add(w, "%#llx", (unsigned long long)addr);
}
