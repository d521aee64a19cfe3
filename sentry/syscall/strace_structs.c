/* What arguments point to: finding out who prints it, and arrays of it. */
#include "sentry/syscall/strace_impl.h"

#include <string.h>

#define LAYOUT_MAX 512

static const struct strace_kind *find(const char *name)
{
	static const struct strace_kind *const areas[] = {strace_kinds_file, strace_kinds_task,
	                                                  strace_kinds_net, strace_kinds_ipc};

	for (size_t a = 0; a < ARRAY_SIZE(areas); a++) {
		for (const struct strace_kind *s = areas[a]; s->name; s++) {
			if (strcmp(s->name, name) == 0)
				return s;
		}
	}
	return NULL;
}

static bool one(struct words *w, const struct call *k, const struct strace_kind *kind,
                const char *name, u64 addr, unsigned arg)
{
	u8 buf[LAYOUT_MAX];
	u32 size;

	if (kind)
		return kind->show(w, k, addr, arg);
	size = strace_layout_size(name);
	if (!size || size > sizeof(buf) || user_copy_in(k->c, buf, UADDR(addr), size) < 0)
		return false;
	strace_layout(w, k, name, buf, arg);
	return true;
}

void strace_struct(struct words *w, const struct call *k, const char *name, u64 addr, u64 n,
                   bool array, unsigned arg)
{
	const struct strace_kind *kind = find(name);
	u32 size = kind ? kind->size : strace_layout_size(name);
	size_t start = w->n, at;

	if (!array) {
		if (one(w, k, kind, name, addr, arg))
			return;
		w->n = start;
		w->s[start] = 0;
		strace_pointer(w, addr);
		return;
	}
	words_add(w, "[");
	for (u64 e = 0; e < n; e++) {
		words_add(w, e ? ", " : "");
		if (e >= STRACE_SHOWN) {
			words_add(w, "...");
			break;
		}
		at = w->n;
		if (one(w, k, kind, name, addr + e * size, arg))
			continue;
		/* What came before it could be read. */
		w->n = e ? at : start;
		w->s[w->n] = 0;
		if (!e) {
			strace_pointer(w, addr);
			return;
		}
		words_add(w, "... /* %#llx */", (unsigned long long)(addr + e * size));
		break;
	}
	words_add(w, "]");
}

void strace_sigset(struct words *w, u64 set)
{
	bool inverse = __builtin_popcountll(set) >= 64 * 2 / 3, any = false;
	char name[16];

	if (inverse)
		set = ~set;
	words_add(w, inverse ? "~[" : "[");
	for (int s = 1; s <= 64; s++) {
		if (!(set >> (s - 1) & 1))
			continue;
		words_add(w, "%s%s", any ? " " : "", strace_signal_name(s, name) + 3);
		any = true;
	}
	words_add(w, "]");
}
