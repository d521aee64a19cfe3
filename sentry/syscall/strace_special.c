/* Words that one call alone has. */
#include "sentry/syscall/strace_impl.h"

#include <linux/futex.h>
#include <linux/ioctl.h>
#include <linux/ioprio.h>
#include <string.h>
#include <sys/sysmacros.h>

#define UCONTEXT_MASK 296 /* of the signal mask in the frame that rt_sigreturn returns from */

/* Flags, and in the low byte the signal that tells the parent. */
static void clone_flags(struct words *w, u64 v)
{
	int signo = (int)(v & 0xff);

	if (v & ~0xffull || !signo)
		strace_bits(w, "clone", v & ~0xffull);
	if (!signo)
		return;
	words_add(w, v & ~0xffull ? "|" : "");
	strace_signal(w, signo);
}

static void futex_op(struct words *w, u64 v)
{
	strace_value(w, "futex", (u32)v & ~(u32)FUTEX_CLOCK_REALTIME);
	words_add(w, v & FUTEX_CLOCK_REALTIME ? "|FUTEX_CLOCK_REALTIME" : "");
}

static void wake_op(struct words *w, u32 v)
{
	words_add(w, v >> 31 ? "FUTEX_OP_OPARG_SHIFT<<28|" : "");
	strace_value(w, "futex_wake_op", v >> 28 & 7);
	words_add(w, "<<28|%#x<<12|", v >> 12 & 0xfff);
	strace_value(w, "futex_wake_cmp", v >> 24 & 0xf);
	words_add(w, "<<24|%#x", v & 0xfff);
}

static void bits_and_mode(struct words *w, const char *table, u32 v)
{
	if (v & ~0777u) {
		strace_bits(w, table, v & ~0777u);
		words_add(w, "|");
	}
	words_add(w, "%#03o", v & 0777);
}

/* The size of huge pages, log2, in the high bits. */
static void bits_and_size(struct words *w, const char *table, u32 v)
{
	u32 size = v >> 26;

	if (!(v & (strcmp(table, "map") == 0 ? 0x40000u : 4u)))
		size = 0;
	/* The number in the low bits, where it has no name. */
	if (strcmp(table, "map") == 0 && !strace_name(table, v & 0xf)) {
		words_add(w, "%#x /* MAP_??? */", v & 0xf);
		if (!(v & ~0xfu))
			return;
		words_add(w, "|");
		v &= ~0xfu;
	}
	if (!size) {
		strace_bits(w, table, v);
		return;
	}
	strace_bits(w, table, v & ((1u << 26) - 1));
	words_add(w, strcmp(table, "map") == 0 ? "|%u<<MAP_HUGE_SHIFT" : "|%u<<MFD_HUGE_SHIFT",
	          size);
}

static void request(struct words *w, u32 v)
{
	const char *name = strace_name("ioctl", v);
	u32 dir = _IOC_DIR(v);

	if (name) {
		words_add(w, "%s", name);
		return;
	}
	words_add(w, "_IOC(%s, %#x, %#x, %#x)",
	          dir == 0            ? "_IOC_NONE"
	          : dir == _IOC_READ  ? "_IOC_READ"
	          : dir == _IOC_WRITE ? "_IOC_WRITE"
	                              : "_IOC_READ|_IOC_WRITE",
	          _IOC_TYPE(v), _IOC_NR(v), _IOC_SIZE(v));
}

static void returned_mask(struct words *w, const struct call *k)
{
	u64 mask;

	if (!k->c || user_copy_in(k->c, &mask, UADDR(k->sp + UCONTEXT_MASK), sizeof(mask)) < 0) {
		words_add(w, "%#llx", (unsigned long long)k->sp);
		return;
	}
	words_add(w, "{mask=");
	strace_sigset(w, mask);
	words_add(w, "}");
}

bool strace_special(struct words *w, const struct call *k, const char *word, u64 v, unsigned arg)
{
	switch (word[0]) {
	case 'N':
		strace_string(w, k, v, TASK_COMM_LEN - 1);
		return true;
	case 'C':
		clone_flags(w, v);
		return true;
	case 'F':
		futex_op(w, v);
		return true;
	case 'W':
		wake_op(w, (u32)v);
		return true;
	case 'G':
		bits_and_mode(w, word + 1, (u32)v);
		return true;
	case 'H':
		bits_and_size(w, word + 1, (u32)v);
		return true;
	case 'B':
		words_add(w, "IOPRIO_PRIO_VALUE(");
		strace_value(w, "ioprio_class", IOPRIO_PRIO_CLASS((u32)v));
		words_add(w, ", %u)", (u32)IOPRIO_PRIO_DATA((u32)v));
		return true;
	case 'K':
		request(w, (u32)v);
		return true;
	case 'Y':
		words_add(w, "%d /* %s */", (int)v,
		          strace_name("syslog", (u32)v) ? strace_name("syslog", (u32)v)
		                                        : "SYSLOG_ACTION_???");
		return true;
	case 'V':
		words_add(w, "makedev(%#x, %#x)", major((u32)v), minor((u32)v));
		return true;
	case 'R':
		returned_mask(w, k);
		return true;
	case 'T':
		if (v && k->c && (k->ret == -ERESTART_RESTARTBLOCK || k->ret == -EINTR))
			strace_struct(w, k, "timespec", v, 1, false, arg);
		else
			strace_pointer(w, v);
		return true;
	}
	return false;
}
