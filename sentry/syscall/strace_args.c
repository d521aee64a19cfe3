/* Arguments into text, by the words of strace_table.c. */
#include "sentry/syscall/strace_impl.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void words_add(struct words *w, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (w->n + 1 >= w->size)
		return;
	va_start(ap, fmt);
	n = vsnprintf(w->s + w->n, w->size - w->n, fmt, ap);
	va_end(ap);
	if (n > 0)
		w->n = MIN(w->n + (size_t)n, w->size - 1);
}

void strace_quote(struct words *w, const u8 *p, size_t len, bool more)
{
	words_add(w, "\"");
	for (size_t i = 0; i < len; i++) {
		static const char from[] = "\n\t\r\v\f\"\\", to[] = "ntrvf\"\\";
		const char *e = p[i] ? strchr(from, p[i]) : NULL;

		if (e)
			words_add(w, "\\%c", to[e - from]);
		else if (p[i] >= ' ' && p[i] < 0x7f)
			words_add(w, "%c", p[i]);
		else if (i + 1 < len && p[i + 1] >= '0' && p[i + 1] <= '9')
			words_add(w, "\\%03o", p[i]);
		else
			words_add(w, "\\%o", p[i]);
	}
	words_add(w, more ? "\"..." : "\"");
}

void strace_quote_hex(struct words *w, const u8 *p, size_t len, bool more)
{
	words_add(w, "\"");
	for (size_t i = 0; i < len; i++)
		words_add(w, "\\x%02x", p[i]);
	words_add(w, more ? "\"..." : "\"");
}

void strace_pointer(struct words *w, u64 v)
{
	if (v)
		words_add(w, "%#llx", (unsigned long long)v);
	else
		words_add(w, "NULL");
}

void strace_ticks(struct words *w, u64 v)
{
	words_add(w, "%llu", (unsigned long long)v);
	if (v)
		words_add(w, " /* %llu.%02llu s */", (unsigned long long)v / 100,
		          (unsigned long long)v % 100);
}

static void memory(struct words *w, const struct call *k, u64 addr, u64 len, bool hex)
{
	u8 buf[STRACE_SHOWN];
	u64 n = MIN(len, (u64)sizeof(buf));

	if (!addr || !k->c || user_copy_in(k->c, buf, UADDR(addr), n) < 0)
		strace_pointer(w, addr);
	else if (hex)
		strace_quote_hex(w, buf, n, n < len);
	else
		strace_quote(w, buf, n, n < len);
}

void strace_memory(struct words *w, const struct call *k, u64 addr, u64 len)
{
	memory(w, k, addr, len, false);
}

void strace_string(struct words *w, const struct call *k, u64 addr, size_t max)
{
	char buf[PATH_MAX + 1];
	long n;

	if (!addr || !k->c) {
		strace_pointer(w, addr);
		return;
	}
	memset(buf, 0, max + 1);
	n = user_get_str(k->c, UADDR(addr), buf, max + 1);
	if (n < 0 && n != -ENAMETOOLONG)
		strace_pointer(w, addr);
	else
		strace_quote(w, (u8 *)buf, strnlen(buf, max), n < 0);
}

void strace_path(struct words *w, const struct call *k, u64 addr)
{
	strace_string(w, k, addr, PATH_MAX - 1);
}

void strace_text(struct words *w, const struct call *k, u64 addr)
{
	strace_string(w, k, addr, STRACE_SHOWN);
}

static void descriptor(struct words *w, int fd, bool directory)
{
	if (directory && fd == AT_FDCWD)
		words_add(w, "AT_FDCWD");
	else
		words_add(w, "%d", fd);
}

static void mode_words(struct words *w, u32 mode)
{
	const char *type = strace_name("filetype", mode & S_IFMT);

	if (!type) {
		words_add(w, "%#03o", mode);
		return;
	}
	words_add(w, "%s|", type);
	words_add(w, mode & S_ISUID ? "S_ISUID|" : "");
	words_add(w, mode & S_ISGID ? "S_ISGID|" : "");
	words_add(w, mode & S_ISVTX ? "S_ISVTX|" : "");
	words_add(w, "%#03o", mode & ~(u32)(S_IFMT | S_ISUID | S_ISGID | S_ISVTX));
}

/* "name3" into name and the value of argument 3, "name!" and what the call returned. */
static bool split_count(const char *word, const struct call *k, char name[24], u64 *ret_n)
{
	size_t n = strcspn(word, "0123456789!");

	n = MIN(n, (size_t)23);
	memcpy(name, word, n);
	name[n] = 0;
	*ret_n = 1;
	if (word[n] == '!')
		*ret_n = k->ret > 0 ? (u64)k->ret : 0;
	else if (word[n])
		*ret_n = k->a->a[(word[n] - '0') % STRACE_ARGS];
	return word[n] != 0;
}

static void in_and_out(struct words *w, const struct call *k, u64 v, unsigned i, bool wide)
{
	u64 before = k->before ? k->before[i] : 0, after = 0;

	if (!v || !k->c || user_copy_in(k->c, &after, UADDR(v), wide ? 8 : 4) < 0) {
		strace_pointer(w, v);
		return;
	}
	words_add(w, "[%lld", (long long)(wide ? (s64)before : (s32)before));
	if (k->ret >= 0 && after != before)
		words_add(w, wide ? "] => [%lld" : " => %lld",
		          (long long)(wide ? (s64)after : (s32)after));
	words_add(w, "]");
}

static void pointed(struct words *w, const struct call *k, const char *word, u64 v, unsigned i)
{
	char name[24];
	u64 n;
	bool array = split_count(word + 1, k, name, &n);

	/* An ifreq says what was asked about even if there is no answer. */
	if (!v || !k->c || (word[0] == '*' && k->ret < 0 && strcmp(word, "*ifreq") != 0))
		strace_pointer(w, v);
	else
		strace_struct(w, k, name, v, n, array, i);
}

void strace_word(struct words *w, const struct call *k, const char *word, u64 v, unsigned i)
{
	u64 n = word[0] && word[1] ? k->a->a[(u8)(word[1] - '0') % STRACE_ARGS] : 0;

	switch (word[0]) {
	case 'd':
		words_add(w, "%d", (int)v);
		break;
	case 'u':
		words_add(w, "%llu", (unsigned long long)v);
		break;
	case 'U':
		words_add(w, "%u", (u32)v);
		break;
	case 'i':
		words_add(w, (u32)v == (u32)-1 ? "-1" : "%u", (u32)v);
		break;
	case 'l':
		words_add(w, "%lld", (long long)v);
		break;
	case 'x':
		words_add(w, "%#llx", (unsigned long long)v);
		break;
	case 'X':
		words_add(w, "%#x", (u32)v);
		break;
	case 'o':
		words_add(w, "%#03o", (u32)v & 0xffff);
		break;
	case 'M':
		mode_words(w, (u32)v);
		break;
	case 'f':
	case 'D':
		descriptor(w, (int)v, word[0] == 'D');
		break;
	case 's':
		strace_path(w, k, v);
		break;
	case 'S':
		strace_text(w, k, v);
		break;
	case 'w':
		memory(w, k, v, n, false);
		break;
	case 'r':
	case 'h':
		if (k->ret >= 0)
			memory(w, k, v, MIN((u64)k->ret, n), word[0] == 'h');
		else
			strace_pointer(w, v);
		break;
	case '#':
		strace_bits(w, word + 1, (u32)v);
		break;
	case '%':
		strace_bits(w, word + 1, v);
		break;
	case '=':
		strace_value(w, word + 1, (u32)v);
		break;
	case 'L':
	case 'O':
		in_and_out(w, k, v, i, word[0] == 'O');
		break;
	case '&':
	case '*':
		pointed(w, k, word, v, i);
		break;
	default:
		if (!strace_special(w, k, word, v, i))
			strace_pointer(w, v);
		break;
	}
}

/* The next word of *spec. */
static bool next_word(const char **spec, char word[32])
{
	size_t n = strcspn(*spec, " ");

	if (!n)
		return false;
	memcpy(word, *spec, MIN(n, (size_t)31));
	word[MIN(n, (size_t)31)] = 0;
	*spec += n;
	while (**spec == ' ')
		(*spec)++;
	/* How the result is shown. */
	if (word[strlen(word) - 1] == ':')
		return next_word(spec, word);
	return true;
}

static bool needs_the_result(const char *word)
{
	return strchr("rh*LOT", word[0]) != NULL;
}

/* "label@N:word": prints the label, and says which argument it is. */
static const char *after_label(struct words *w, const char *word, unsigned *i)
{
	const char *at = strchr(word, '@');

	if (!at)
		return word;
	*i = (unsigned)(at[1] - '0') % STRACE_ARGS;
	words_add(w, "%.*s=", (int)(at - word), word);
	return at + 3;
}

unsigned strace_args(struct words *w, const struct call *k, const char *spec, unsigned first,
                     bool *ret_more)
{
	unsigned i = 0;
	bool any = first > 0;
	char word[32];

	*ret_more = false;
	while (i < STRACE_ARGS && next_word(&spec, word)) {
		if (i >= first && word[0] != '-') {
			const char *at = strchr(word, '@'), *bare = at ? at + 3 : word;
			unsigned arg = i;

			if (!k->ended && needs_the_result(bare)) {
				*ret_more = true;
				break;
			}
			words_add(w, "%s", any ? ", " : "");
			bare = after_label(w, word, &arg);
			strace_word(w, k, bare, k->a->a[arg], arg);
		}
		any |= word[0] != '-';
		i++;
	}
	return i;
}

void strace_remember(const struct call *k, const char *spec, u64 before[STRACE_ARGS])
{
	char word[32];

	for (unsigned i = 0; i < STRACE_ARGS && next_word(&spec, word); i++) {
		u64 at = k->a->a[i], size = 8;

		before[i] = 0;
		if (word[0] == 'L')
			size = 4;
		else if (strcmp(word, "*msghdr") == 0) /* msg_namelen */
			at += 8, size = 4;
		else if (strcmp(word, "*ifconf") == 0) /* ifc_len */
			size = 4;
		else if (word[0] != 'O')
			continue;
		if (k->a->a[i] && user_copy_in(k->c, &before[i], UADDR(at), size) < 0)
			before[i] = 0;
	}
}
