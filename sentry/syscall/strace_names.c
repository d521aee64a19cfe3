/* Numbers into names. */
#include "sentry/syscall/strace_names.h"

#include <signal.h>
#include <string.h>

static const struct name_table *find(const char *name)
{
	static const struct name_table none = {"", NULL, NULL, 0, 0};
	static const struct name_table *const areas[] = {
		strace_names_file,   strace_names_net,  strace_names_sockopt, strace_names_ioctl,
		strace_names_memory, strace_names_task, strace_names_signal,  strace_names_ipc,
	};

	for (size_t a = 0; a < ARRAY_SIZE(areas); a++) {
		for (const struct name_table *t = areas[a]; t->name; t++) {
			if (strcmp(t->name, name) == 0)
				return t;
		}
	}
	return &none;
}

static const char *exact(const struct name_table *t, u64 v)
{
	for (u32 i = 0; i < t->n; i++) {
		if (t->v[i].v == v)
			return t->v[i].text;
	}
	return NULL;
}

const char *strace_name(const char *table, u64 v)
{
	return exact(find(table), v);
}

const char *strace_signal_name(int signo, char buf[16])
{
	const char *s = signo == SIGIO            ? "IO"
	                : signo > 0 && signo < 32 ? sigabbrev_np(signo)
	                                          : NULL;
	struct words w = {buf, 0, 16};

	if (s)
		words_add(&w, "SIG%s", s);
	else if (signo == 32)
		words_add(&w, "SIGRTMIN");
	else if (signo > 32 && signo <= 64)
		words_add(&w, "SIGRT_%d", signo - 32);
	else
		words_add(&w, "%d", signo);
	return buf;
}

void strace_signal(struct words *w, int signo)
{
	char buf[16];

	words_add(w, "%s", strace_signal_name(signo, buf));
}

static void nameless(struct words *w, const struct name_table *t, u64 v)
{
	words_add(w, "%#llx", (unsigned long long)v);
	if (t->unknown)
		words_add(w, " /* %s */", t->unknown);
}

void strace_value(struct words *w, const char *table, u64 v)
{
	const struct name_table *t;
	const char *s;

	if (strcmp(table, "signal") == 0) {
		strace_signal(w, (int)v);
		return;
	}
	t = find(table);
	s = exact(t, v);
	if (s)
		words_add(w, "%s", s);
	else
		nameless(w, t, v);
}

void strace_bits(struct words *w, const char *table, u64 v)
{
	const struct name_table *t = find(table);
	const char *number = t->number || !v ? exact(t, v & t->number) : NULL;
	bool any = false;

	/* A zero that has a name is named where it is all there is or a number of its own. */
	if (number) {
		words_add(w, "%s", number);
		any = true;
		v &= ~(u64)t->number;
	}
	for (u32 i = 0; i < t->n && v; i++) {
		u64 bits = t->v[i].v;

		if (!bits || (bits & t->number) || (v & bits) != bits)
			continue;
		words_add(w, "%s%s", any ? "|" : "", t->v[i].text);
		any = true;
		v &= ~bits;
	}
	if (!v) {
		words_add(w, "%s", any ? "" : "0");
		return;
	}
	words_add(w, any ? "|" : "");
	if (any)
		words_add(w, "%#llx", (unsigned long long)v);
	else
		nameless(w, t, v);
}
