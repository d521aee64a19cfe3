/* Structs that are printed field by field. */
#include "sentry/syscall/strace_impl.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <linux/filter.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <time.h>
#include <utime.h>

struct field {
	const char *name;
	u16 off, size;
	/* A word of strace_table.c, or: {name another layout, " characters up to a NUL, r a limit,
	 * [ three u64, t hundredths of seconds, F a file system's id, 4 6 I internet addresses and
	 * an interface, ? the rest is not shown. */
	const char *word;
};
struct layout {
	const char *name;
	u32 size;
	u32 n;
	const struct field *fields;
};

struct sched_attr_words {
	u32 size, policy;
	u64 flags;
	s32 nice;
	u32 priority;
	u64 runtime, deadline, period;
};

#define F(T, f, word)                                         \
	{                                                     \
#f, offsetof(T, f), sizeof(((T *)0)->f), word \
	}
/* A field that strace calls otherwise than C does. */
#define FN(T, f, name, word)                                    \
	{                                                       \
		name, offsetof(T, f), sizeof(((T *)0)->f), word \
	}
#define REST                  \
	{                     \
		"", 0, 0, "?" \
	}
typedef struct timespec ts_t;
typedef struct timeval tv_t;
typedef struct itimerspec its_t;
typedef struct itimerval itv_t;
typedef struct timezone tz_t;
typedef struct rusage ru_t;
typedef struct rlimit rl_t;
typedef struct tms tms_t;
typedef struct sysinfo si_t;
typedef struct utsname un_t;
typedef struct statfs sf_t;
typedef struct mq_attr mqa_t;
typedef struct sched_attr_words sa_t;
typedef struct winsize ws_t;
typedef struct linger lg_t;
typedef struct ucred uc_t;
typedef struct flock fl_t;
typedef struct f_owner_ex fo_t;
typedef struct open_how oh_t;
typedef struct sembuf sb_t;
typedef struct ip_mreq im_t;
typedef struct ip_mreqn imn_t;
typedef struct ipv6_mreq im6_t;
typedef struct file_clone_range fc_t;
typedef struct futex_waitv fw_t;
typedef struct sock_fprog sp_t;
typedef struct timex tx_t;

static const struct field timespec_fields[] = {F(ts_t, tv_sec, "l"), F(ts_t, tv_nsec, "l")};
static const struct field timeval_fields[] = {F(tv_t, tv_sec, "l"), F(tv_t, tv_usec, "l")};
static const struct field itimerspec_fields[] = {F(its_t, it_interval, "{timespec"),
                                                 F(its_t, it_value, "{timespec")};
static const struct field itimerval_fields[] = {F(itv_t, it_interval, "{timeval"),
                                                F(itv_t, it_value, "{timeval")};
static const struct field timezone_fields[] = {F(tz_t, tz_minuteswest, "d"),
                                               F(tz_t, tz_dsttime, "d")};
static const struct field rusage_fields[] = {F(ru_t, ru_utime, "{timeval"),
                                             F(ru_t, ru_stime, "{timeval"), REST};
static const struct field rlimit_fields[] = {F(rl_t, rlim_cur, "r"), F(rl_t, rlim_max, "r")};
static const struct field tms_fields[] = {
	F(tms_t, tms_utime, "t"),
	F(tms_t, tms_stime, "t"),
	F(tms_t, tms_cutime, "t"),
	F(tms_t, tms_cstime, "t"),
};
static const struct field sysinfo_fields[] = {
	F(si_t, uptime, "l"),    F(si_t, loads, "[u"),    F(si_t, totalram, "u"),
	F(si_t, freeram, "u"),   F(si_t, sharedram, "u"), F(si_t, bufferram, "u"),
	F(si_t, totalswap, "u"), F(si_t, freeswap, "u"),  F(si_t, procs, "u"),
	F(si_t, totalhigh, "u"), F(si_t, freehigh, "u"),  F(si_t, mem_unit, "u"),
};
static const struct field utsname_fields[] = {F(un_t, sysname, "\""), F(un_t, nodename, "\""),
                                              REST};
static const struct field statfs_fields[] = {
	F(sf_t, f_type, "=fstype"),
	F(sf_t, f_bsize, "u"),
	F(sf_t, f_blocks, "u"),
	F(sf_t, f_bfree, "u"),
	F(sf_t, f_bavail, "u"),
	F(sf_t, f_files, "u"),
	F(sf_t, f_ffree, "u"),
	F(sf_t, f_fsid, "F"),
	F(sf_t, f_namelen, "u"),
	F(sf_t, f_frsize, "u"),
	F(sf_t, f_flags, "%statfs_flags"),
};
static const struct field mq_attr_fields[] = {
	F(mqa_t, mq_flags, "%pipe"),
	F(mqa_t, mq_maxmsg, "l"),
	F(mqa_t, mq_msgsize, "l"),
	F(mqa_t, mq_curmsgs, "l"),
};
static const struct field sched_attr_fields[] = {
	F(sa_t, size, "U"),
	FN(sa_t, policy, "sched_policy", "=sched"),
	FN(sa_t, flags, "sched_flags", "%sched_flags"),
	FN(sa_t, nice, "sched_nice", "d"),
	FN(sa_t, priority, "sched_priority", "U"),
	FN(sa_t, runtime, "sched_runtime", "u"),
	FN(sa_t, deadline, "sched_deadline", "u"),
	FN(sa_t, period, "sched_period", "u"),
};
static const struct field winsize_fields[] = {
	F(ws_t, ws_row, "U"),
	F(ws_t, ws_col, "U"),
	F(ws_t, ws_xpixel, "U"),
	F(ws_t, ws_ypixel, "U"),
};
static const struct field linger_fields[] = {F(lg_t, l_onoff, "d"), F(lg_t, l_linger, "d")};
static const struct field ucred_fields[] = {F(uc_t, pid, "d"), F(uc_t, uid, "i"),
                                            F(uc_t, gid, "i")};
static const struct field flock_fields[] = {
	F(fl_t, l_type, "=lock"),
	F(fl_t, l_whence, "=whence"),
	F(fl_t, l_start, "l"),
	F(fl_t, l_len, "l"),
};
static const struct field flock_found_fields[] = {
	F(fl_t, l_type, "=lock"), F(fl_t, l_whence, "=whence"), F(fl_t, l_start, "l"),
	F(fl_t, l_len, "l"),      F(fl_t, l_pid, "d"),
};
static const struct field owner_fields[] = {F(fo_t, type, "=owner"), F(fo_t, pid, "d")};
static const struct field open_how_fields[] = {F(oh_t, flags, "%open"), F(oh_t, mode, "o"),
                                               F(oh_t, resolve, "%resolve")};
static const struct field open_how_bare_fields[] = {F(oh_t, flags, "%open"),
                                                    F(oh_t, resolve, "%resolve")};
static const struct field sembuf_fields[] = {F(sb_t, sem_num, "U"), F(sb_t, sem_op, "d"),
                                             F(sb_t, sem_flg, "#sem_flags")};
static const struct field ip_mreq_fields[] = {F(im_t, imr_multiaddr, "4"),
                                              F(im_t, imr_interface, "4")};
static const struct field ip_mreqn_fields[] = {
	F(imn_t, imr_multiaddr, "4"), F(imn_t, imr_address, "4"), F(imn_t, imr_ifindex, "I")};
static const struct field ipv6_mreq_fields[] = {F(im6_t, ipv6mr_multiaddr, "6"),
                                                F(im6_t, ipv6mr_interface, "I")};
static const struct field clone_range_fields[] = {
	F(fc_t, src_fd, "f"),
	F(fc_t, src_offset, "u"),
	F(fc_t, src_length, "u"),
	F(fc_t, dest_offset, "u"),
};
static const struct field futex_waitv_fields[] = {F(fw_t, val, "x"), F(fw_t, uaddr, "p"),
                                                  F(fw_t, flags, "#futex2")};
static const struct field fprog_fields[] = {F(sp_t, len, "U"), F(sp_t, filter, "p")};
static const struct field timex_fields[] = {
	F(tx_t, modes, "#timex"),  F(tx_t, offset, "l"),    F(tx_t, freq, "l"),
	F(tx_t, maxerror, "l"),    F(tx_t, esterror, "l"),  F(tx_t, status, "#timex_status"),
	F(tx_t, constant, "l"),    F(tx_t, precision, "l"), F(tx_t, tolerance, "l"),
	F(tx_t, time, "{timeval"), F(tx_t, tick, "l"),      F(tx_t, ppsfreq, "l"),
	F(tx_t, jitter, "l"),      F(tx_t, shift, "d"),     F(tx_t, stabil, "l"),
	F(tx_t, jitcnt, "l"),      F(tx_t, calcnt, "l"),    F(tx_t, errcnt, "l"),
	F(tx_t, stbcnt, "l"),      F(tx_t, tai, "d"),
};

static const struct layout layouts[] = {
#define LAYOUT(name, T)                                                    \
	{                                                                  \
#name, sizeof(T), ARRAY_SIZE(name##_fields), name##_fields \
	}
	LAYOUT(timespec, ts_t),   LAYOUT(timeval, tv_t),     LAYOUT(itimerspec, its_t),
	LAYOUT(itimerval, itv_t), LAYOUT(timezone, tz_t),    LAYOUT(rusage, ru_t),
	LAYOUT(rlimit, rl_t),     LAYOUT(tms, tms_t),        LAYOUT(sysinfo, si_t),
	LAYOUT(utsname, un_t),    LAYOUT(statfs, sf_t),      LAYOUT(mq_attr, mqa_t),
	LAYOUT(sched_attr, sa_t), LAYOUT(winsize, ws_t),     LAYOUT(linger, lg_t),
	LAYOUT(ucred, uc_t),      LAYOUT(flock, fl_t),       LAYOUT(flock_found, fl_t),
	LAYOUT(owner, fo_t),      LAYOUT(open_how, oh_t),    LAYOUT(open_how_bare, oh_t),
	LAYOUT(sembuf, sb_t),     LAYOUT(ip_mreq, im_t),     LAYOUT(ip_mreqn, imn_t),
	LAYOUT(ipv6_mreq, im6_t), LAYOUT(clone_range, fc_t), LAYOUT(futex_waitv, fw_t),
	LAYOUT(fprog, sp_t),      LAYOUT(timex, tx_t),
};

static const struct layout *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		if (strcmp(layouts[i].name, name) == 0)
			return &layouts[i];
	}
	return NULL;
}

u32 strace_layout_size(const char *name)
{
	const struct layout *l = find(name);

	return l ? l->size : 0;
}

static void limit_words(struct words *w, u64 v)
{
	if (v == RLIM_INFINITY)
		words_add(w, "RLIM64_INFINITY");
	else if (v > 1024 && v % 1024 == 0)
		words_add(w, "%llu*1024", (unsigned long long)(v / 1024));
	else
		words_add(w, "%llu", (unsigned long long)v);
}

static u64 number(const struct field *f, const u8 *p)
{
	bool sign = strchr("dl", f->word[0]) != NULL;
	u64 v = 0;

	memcpy(&v, p + f->off, MIN(f->size, sizeof(v)));
	if (sign && f->size < 8 && (v >> (f->size * 8 - 1) & 1))
		v |= ~0ull << (f->size * 8);
	return v;
}

static void field_words(struct words *w, const struct call *k, const struct field *f, const u8 *p,
                        unsigned arg)
{
	char text[INET6_ADDRSTRLEN];
	u64 v[3];
	u32 id[2];

	switch (f->word[0]) {
	case '{':
		strace_layout(w, k, f->word + 1, p + f->off, arg);
		break;
	case '"':
		strace_quote(w, p + f->off, strnlen((const char *)p + f->off, f->size), false);
		break;
	case 'r':
		limit_words(w, number(f, p));
		break;
	case '[':
		memcpy(v, p + f->off, sizeof(v));
		words_add(w, "[%llu, %llu, %llu]", (unsigned long long)v[0],
		          (unsigned long long)v[1], (unsigned long long)v[2]);
		break;
	case '4':
		inet_ntop(AF_INET, p + f->off, text, sizeof(text));
		words_add(w, "inet_addr(\"%s\")", text);
		break;
	case '6':
		inet_ntop(AF_INET6, p + f->off, text, sizeof(text));
		words_add(w, "inet_pton(AF_INET6, \"%s\", &%s)", text, f->name);
		break;
	case 'I':
		if (number(f, p) == 1)
			words_add(w, "if_nametoindex(\"lo\")");
		else
			words_add(w, "%llu", (unsigned long long)number(f, p));
		break;
	case 't':
		strace_ticks(w, number(f, p));
		break;
	case 'F':
		memcpy(id, p + f->off, sizeof(id));
		words_add(w, "{val=[%#x, %#x]}", id[0], id[1]);
		break;
	default:
		strace_word(w, k, f->word, number(f, p), arg);
	}
}

void strace_layout(struct words *w, const struct call *k, const char *name, const u8 *p,
                   unsigned arg)
{
	const struct layout *l = find(name);

	BUG_ON(!l);
	words_add(w, "{");
	for (u32 i = 0; i < l->n; i++) {
		const struct field *f = &l->fields[i];

		words_add(w, i ? ", " : "");
		if (f->word[0] == '?') {
			words_add(w, "...");
			break;
		}
		if (f->word[0] != '6')
			words_add(w, "%s=", f->name);
		field_words(w, k, f, p, arg);
	}
	words_add(w, "}");
}
