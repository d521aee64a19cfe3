/* What came of a call. */
#include "sentry/syscall/strace_impl.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

/* Which call comes again, if no handler runs. */
static bool interrupted(struct words *w, long ret)
{
	/* Linux never makes those again. Here they are, after a save; for who looks they failed. */
	if (ret == -ERESTARTUNSTOPPED) {
		words_add(w, "-1 EINTR (%s)", strerror(EINTR));
		return true;
	}
	switch (ret) {
	case -ERESTARTSYS:
		words_add(w, "? ERESTARTSYS (To be restarted if SA_RESTART is set)");
		return true;
	case -ERESTARTNOINTR:
		words_add(w, "? ERESTARTNOINTR (To be restarted)");
		return true;
	case -ERESTARTNOHAND:
		words_add(w, "? ERESTARTNOHAND (To be restarted if no handler)");
		return true;
	case -ERESTART_RESTARTBLOCK:
		words_add(w, "? ERESTART_RESTARTBLOCK (Interrupted by signal)");
		return true;
	}
	return false;
}

/* How much of its time a call had left, which it wrote over the time that it was given. */
static void time_left(struct words *w, const struct call *k, u64 at, const char *layout, bool any)
{
	if (!at)
		return;
	words_add(w, "%sleft ", any ? ", " : "");
	strace_struct(w, k, layout, at, 1, false, 0);
}

/* Descriptors that poll found ready. */
static void poll_result(struct words *w, const struct call *k)
{
	struct pollfd p;
	bool any = false;

	if (k->ret == 0) {
		words_add(w, " (Timeout)");
		return;
	}
	words_add(w, " ([");
	for (u64 i = 0; i < (u32)k->a->a[1]; i++) {
		if (user_copy_in(k->c, &p, UADDR(k->a->a[0] + i * sizeof(p)), sizeof(p)) < 0 ||
		    w->n + 100 > w->size) {
			words_add(w, "%s...", any ? ", " : "");
			break;
		}
		if (!p.revents)
			continue;
		words_add(w, "%s{fd=%d, revents=", any ? ", " : "", p.fd);
		strace_bits(w, "poll", (u16)p.revents);
		words_add(w, "}");
		any = true;
	}
	words_add(w, "]");
	if (k->nr == SYS_ppoll)
		time_left(w, k, k->a->a[2], "timespec", true);
	words_add(w, ")");
}

static void select_result(struct words *w, const struct call *k)
{
	static const char *const names[] = {"in", "out", "except"};
	bool any = false;

	if (k->ret == 0) {
		words_add(w, " (Timeout)");
		return;
	}
	words_add(w, " (");
	for (unsigned i = 0; i < 3; i++) {
		char text[600];
		struct words set = {text, 0, sizeof(text)};

		text[0] = 0;
		if (!k->a->a[i + 1])
			continue;
		strace_struct(&set, k, "fdset", k->a->a[i + 1], 1, false, i + 1);
		if (strcmp(text, "[]") == 0)
			continue;
		words_add(w, "%s%s %s", any ? ", " : "", names[i], text);
		any = true;
	}
	time_left(w, k, k->a->a[4], k->nr == SYS_pselect6 ? "timespec" : "timeval", any);
	words_add(w, ")");
}

static void moment_result(struct words *w, long ret)
{
	char text[40];
	time_t t = ret;
	struct tm tm;

	if (t && gmtime_r(&t, &tm)) {
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
		words_add(w, " (%s+0000)", text);
	}
}

static void ioprio_result(struct words *w, long ret)
{
	words_add(w, "%#lx (IOPRIO_PRIO_VALUE(", ret);
	strace_value(w, "ioprio_class", (u64)ret >> 13);
	words_add(w, ", %ld))", ret & 0x1fff);
}

static void success(struct words *w, const struct call *k, const char *how)
{
	const char *name;

	switch (how[0]) {
	case 'X':
		words_add(w, "%#lx", k->ret);
		break;
	case 'o':
		words_add(w, "%#03lo", k->ret);
		break;
	case 'P':
		words_add(w, "%ld", k->ret);
		if (k->c)
			poll_result(w, k);
		break;
	case 'S':
		words_add(w, "%ld", k->ret);
		if (k->c)
			select_result(w, k);
		break;
	case 'T':
		words_add(w, "%ld", k->ret);
		moment_result(w, k->ret);
		break;
	case 'I':
		ioprio_result(w, k->ret);
		break;
	case '#': /* "#table": the bits; "#table,word": after a word, and only if there are some */
	case '=':
		name = how + 1;
		words_add(w, how[0] == '#' ? "%#lx" : "%ld", k->ret);
		if (how[0] == '=') {
			char number[16];
			const char *s = strcmp(name, "signal") ? strace_name(name, (u64)k->ret)
			                : k->ret ? strace_signal_name((int)k->ret, number)
			                         : NULL;

			if (s)
				words_add(w, " (%s)", s);
		} else if (strcmp(name, "open") == 0 || strcmp(name, "personality") == 0 ||
		           k->ret) {
			words_add(w, " (%s",
			          strcmp(name, "seals") == 0     ? "seals "
			          : strcmp(name, "open") == 0    ? "flags "
			          : strcmp(name, "fdflags") == 0 ? "flags "
			                                         : "");
			strace_bits(w, name, (u64)k->ret);
			words_add(w, ")");
		}
		break;
	default:
		words_add(w, "%ld", k->ret);
	}
}

void strace_result(struct words *w, const struct call *k, const char *spec)
{
	size_t n = strcspn(spec, " ");
	char how[32] = "";

	if (k->nr == SYS_exit || k->nr == SYS_exit_group) {
		words_add(w, "?");
		return;
	}
	if (interrupted(w, k->ret))
		return;
	if (k->ret < 0 && k->ret > -4096) {
		const char *name = strerrorname_np((int)-k->ret);

		words_add(w, "-1 %s (%s)", name ? name : "E?", strerror((int)-k->ret));
		return;
	}
	if (n > 1 && n < sizeof(how) && spec[n - 1] == ':')
		memcpy(how, spec, n - 1);
	success(w, k, how);
}
