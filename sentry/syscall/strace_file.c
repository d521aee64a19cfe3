/* What calls on files point to. */
#include "sentry/syscall/strace_impl.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <termios.h>
#include <time.h>
#include <utime.h>

static bool show_int(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	int v;

	STRACE_READ(k, addr, &v);
	words_add(w, "[%d]", v);
	return true;
}

static bool show_ids(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	u32 v;

	STRACE_READ(k, addr, &v);
	words_add(w, v == (u32)-1 ? "-1" : "%u", v);
	return true;
}

static bool show_id(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	u32 v;

	STRACE_READ(k, addr, &v);
	words_add(w, v == (u32)-1 ? "[-1]" : "[%u]", v);
	return true;
}

static bool show_u64(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	u64 v;

	STRACE_READ(k, addr, &v);
	words_add(w, "[%lld]", (long long)v);
	return true;
}

static bool show_address(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	u64 v;

	STRACE_READ(k, addr, &v);
	words_add(w, "[");
	strace_pointer(w, v);
	words_add(w, "]");
	return true;
}

static bool show_fds(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	int v[2];

	STRACE_READ(k, addr, &v);
	words_add(w, "[%d, %d]", v[0], v[1]);
	return true;
}

/* A moment, as people read it. */
static void moment(struct words *w, s64 sec, u64 frac, int digits)
{
	char text[40];
	time_t t = sec;
	struct tm tm;

	if ((!sec && !frac) || !gmtime_r(&t, &tm))
		return;
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	words_add(w, " /* %s", text);
	if (frac)
		words_add(w, ".%0*llu", digits, (unsigned long long)frac);
	words_add(w, "+0000 */");
}

static bool show_utimes(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct timespec ts[2];

	STRACE_READ(k, addr, &ts);
	words_add(w, "[");
	for (int i = 0; i < 2; i++) {
		const char *name = strace_name("utime", (u64)ts[i].tv_nsec);

		words_add(w, i ? ", " : "");
		if (name) {
			words_add(w, "%s", name);
			continue;
		}
		strace_layout(w, k, "timespec", (u8 *)&ts[i], arg);
		moment(w, ts[i].tv_sec, (u64)ts[i].tv_nsec, 9);
	}
	words_add(w, "]");
	return true;
}

static bool show_utimevals(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct timeval tv[2];

	STRACE_READ(k, addr, &tv);
	words_add(w, "[");
	for (int i = 0; i < 2; i++) {
		words_add(w, i ? ", " : "");
		strace_layout(w, k, "timeval", (u8 *)&tv[i], arg);
		moment(w, tv[i].tv_sec, (u64)tv[i].tv_usec, 6);
	}
	words_add(w, "]");
	return true;
}

static bool show_utimbuf(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct utimbuf b;

	STRACE_READ(k, addr, &b);
	words_add(w, "{actime=%lld", (long long)b.actime);
	moment(w, b.actime, 0, 0);
	words_add(w, ", modtime=%lld", (long long)b.modtime);
	moment(w, b.modtime, 0, 0);
	words_add(w, "}");
	return true;
}

static bool show_time(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	time_t t;

	STRACE_READ(k, addr, &t);
	words_add(w, "[%lld", (long long)t);
	moment(w, t, 0, 0);
	words_add(w, "]");
	return true;
}

static bool show_stat(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct stat st;

	STRACE_READ(k, addr, &st);
	words_add(w, "{st_mode=");
	strace_word(w, k, "M", st.st_mode, arg);
	if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
		words_add(w, ", st_rdev=makedev(%#x, %#x), ...}", major(st.st_rdev),
		          minor(st.st_rdev));
	else
		words_add(w, ", st_size=%lld, ...}", (long long)st.st_size);
	return true;
}

static bool show_statx(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct statx st;

	STRACE_READ(k, addr, &st);
	words_add(w, "{stx_mask=");
	strace_bits(w, "statx", st.stx_mask);
	words_add(w, ", stx_attributes=");
	strace_bits(w, "statx_attr", st.stx_attributes);
	words_add(w, ", stx_mode=");
	strace_word(w, k, "M", st.stx_mode, arg);
	words_add(w, ", stx_size=%llu, ...}", (unsigned long long)st.stx_size);
	return true;
}

static bool show_pollfd(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct pollfd p;

	STRACE_READ(k, addr, &p);
	words_add(w, "{fd=%d", p.fd);
	if (p.fd >= 0) {
		words_add(w, ", events=");
		strace_bits(w, "poll", (u16)p.events);
	}
	words_add(w, "}");
	return true;
}

static bool show_epoll(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct epoll_event e;

	STRACE_READ(k, addr, &e);
	words_add(w, "{events=");
	strace_bits(w, "epoll", e.events);
	words_add(w, ", data={u32=%u, u64=%llu}}", e.data.u32, (unsigned long long)e.data.u64);
	return true;
}

static bool iov_words(struct words *w, const struct call *k, u64 addr, bool contents, u64 most)
{
	struct iovec v;
	u64 base;

	STRACE_READ(k, addr, &v);
	base = (u64)(uintptr_t)v.iov_base;
	words_add(w, "{iov_base=");
	if (contents)
		strace_memory(w, k, base, MIN((u64)v.iov_len, most));
	else
		strace_pointer(w, base);
	words_add(w, ", iov_len=%zu}", v.iov_len);
	return true;
}

static bool show_iov(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	return iov_words(w, k, addr, true, ~0ull);
}

/* Another process's: where, not what. */
static bool show_far_iov(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	return iov_words(w, k, addr, false, 0);
}

/* What a call read into them: of each as much as it filled, counted from the first. */
static bool show_read_iov(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	u64 first = k->a->a[arg], left = k->ret > 0 ? (u64)k->ret : 0;
	struct iovec v;

	for (u64 at = first; at < addr; at += sizeof(v)) {
		STRACE_READ(k, at, &v);
		left -= MIN(left, (u64)v.iov_len);
	}
	return iov_words(w, k, addr, true, left);
}

/* Directory entries are counted; the call's result is their size. */
static bool dirents(struct words *w, const struct call *k, u64 addr, u32 reclen_at)
{
	unsigned n = 0;
	u16 len;

	for (u64 off = 0; off < (u64)k->ret; off += len, n++) {
		STRACE_READ(k, addr + off + reclen_at, &len);
		if (len < reclen_at + 2)
			return false;
	}
	words_add(w, "%#llx /* %u entries */", (unsigned long long)addr, n);
	return true;
}

static bool show_dirents64(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	return dirents(w, k, addr, offsetof(struct dirent64, d_reclen));
}

/* old_dirent: inode, offset, length. */
static bool show_dirents(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	return dirents(w, k, addr, 16);
}

static bool show_openhow(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct open_how how = {0};

	if (k->a->a[arg + 1] < sizeof(how) ||
	    user_copy_in(k->c, &how, UADDR(addr), sizeof(how)) < 0)
		return false;
	if (how.mode || (how.flags & O_CREAT))
		strace_layout(w, k, "open_how", (u8 *)&how, arg);
	else
		strace_layout(w, k, "open_how_bare", (u8 *)&how, arg);
	return true;
}

/* A terminal's settings, the first of them. */
static bool show_termios(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	static const char *const speeds[] = {
		"B0",   "B50",   "B75",   "B110",  "B134",  "B150",  "B200",   "B300",
		"B600", "B1200", "B1800", "B2400", "B4800", "B9600", "B19200", "B38400",
	};
	struct {
		u32 i, o, c, l;
	} t;
	static const char *const more_speeds[] = {"B0", "B57600", "B115200", "B230400"};

	STRACE_READ(k, addr, &t);
	words_add(w, "{%s", t.c & CBAUDEX ? more_speeds[t.c & 3] : speeds[t.c & 15]);
	words_add(w, " %sopost %sisig %sicanon %secho ...}", t.o & OPOST ? "" : "-",
	          t.l & ISIG ? "" : "-", t.l & ICANON ? "" : "-", t.l & ECHO ? "" : "-");
	return true;
}

/* A set of descriptors for select, which has a[0] of them. */
static bool show_fdset(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	u64 bits[1024 / 64] = {0};
	u32 n = MIN((u32)k->a->a[0], 1024u);
	bool any = false;

	if ((s32)k->a->a[0] < 0 || user_copy_in(k->c, bits, UADDR(addr), (n + 63) / 64 * 8) < 0)
		return false;
	words_add(w, "[");
	for (u32 i = 0; i < n; i++) {
		if (!(bits[i / 64] >> (i % 64) & 1))
			continue;
		words_add(w, any ? " %u" : "%u", i);
		any = true;
	}
	words_add(w, "]");
	return true;
}

static bool show_mask(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	u64 v[2];
	const u64 *set = &v[0];

	STRACE_READ(k, addr, &v);
	words_add(w, "{sigmask=");
	if (*set)
		strace_struct(w, k, "sigset", *set, 1, false, arg);
	else
		words_add(w, "NULL");
	words_add(w, ", sigsetsize=%llu}", (unsigned long long)v[1]);
	return true;
}

const struct strace_kind strace_kinds_file[] = {
	{"int", show_int, 4},
	{"ids", show_ids, 4},
	{"id", show_id, 0},
	{"off", show_u64, 0},
	{"address", show_address, 0},
	{"fds", show_fds, 0},
	{"utimes", show_utimes, 0},
	{"utimevals", show_utimevals, 0},
	{"utimbuf", show_utimbuf, 0},
	{"time", show_time, 0},
	{"stat", show_stat, 0},
	{"statx", show_statx, 0},
	{"pollfd", show_pollfd, sizeof(struct pollfd)},
	{"epoll", show_epoll, sizeof(struct epoll_event)},
	{"iov", show_iov, sizeof(struct iovec)},
	{"fariov", show_far_iov, sizeof(struct iovec)},
	{"readiov", show_read_iov, sizeof(struct iovec)},
	{"dents", show_dirents, 0},
	{"dents_b", show_dirents64, 0},
	{"openhow", show_openhow, 0},
	{"termios", show_termios, 0},
	{"fdset", show_fdset, 0},
	{"mask", show_mask, 0},
	{0},
};
