/* Files of /proc/sys that are settings of the kernel (sentry/ctx/settings.h). */
#include "sentry/fs/proc/proc.h"
#include "sentry/kernel/kernel.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

int proc_setting_show(struct pseudo_inode *i, struct ctx *c, struct text *t)
{
	text_printf(t, "%llu\n", (unsigned long long)setting_get(c->kernel, i->key.entry->arg));
	return 0;
}

/* Takes one number off the text, as Linux's handlers of numbers do: it ends at a blank or at the
 * end. False: there is none. */
static bool take_number(char **s, u64 *ret)
{
	char *end;

	while (isspace((unsigned char)**s))
		(*s)++;
	if (!isdigit((unsigned char)**s))
		return false;
	errno = 0;
	*ret = strtoull(*s, &end, 0);
	if (errno || (*end && !isspace((unsigned char)*end)))
		return false;
	*s = end;
	return true;
}

long proc_setting_store(struct pseudo_inode *i, struct ctx *c, char *s, size_t len)
{
	u64 val;
	int r = take_number(&s, &val) ? setting_set(c->kernel, i->key.entry->arg, val) : -EINVAL;

	return r < 0 ? r : (long)len;
}

/* Rounded up to what a pipe can have. */
long proc_pipe_size_store(struct pseudo_inode *i, struct ctx *c, char *s, size_t len)
{
	u64 val, size = PAGE_SIZE;
	int r;

	if (!take_number(&s, &val) || val > INT_MAX + 1ull)
		return -EINVAL;
	while (size < val)
		size *= 2;
	r = setting_set(c->kernel, SETTING_pipe_max_size, size);
	return r < 0 ? r : (long)len;
}

/* One less than the setting: -1 is none. */
int proc_next_id_show(struct pseudo_inode *i, struct ctx *c, struct text *t)
{
	text_printf(t, "%lld\n", (long long)setting_get(c->kernel, i->key.entry->arg) - 1);
	return 0;
}

long proc_next_id_store(struct pseudo_inode *i, struct ctx *c, char *s, size_t len)
{
	u64 val;
	int r = take_number(&s, &val) && val <= INT_MAX
	                ? setting_set(c->kernel, i->key.entry->arg, val + 1)
	                : -EINVAL;

	return r < 0 ? r : (long)len;
}

/* Four settings in a row, the first of which the entry names. */
int proc_four_show(struct pseudo_inode *i, struct ctx *c, struct text *t)
{
	for (u32 k = 0; k < 4; k++)
		text_printf(t, k ? "\t%llu" : "%llu",
		            (unsigned long long)setting_get(c->kernel, i->key.entry->arg + k));
	text_char(t, '\n');
	return 0;
}

/* Fewer than four change the first ones. */
long proc_four_store(struct pseudo_inode *i, struct ctx *c, char *s, size_t len)
{
	u64 val;
	int r = 0;

	for (u32 k = 0; k < 4 && r == 0; k++) {
		if (!take_number(&s, &val)) {
			r = k == 0 ? -EINVAL : 0;
			break;
		}
		r = setting_set(c->kernel, i->key.entry->arg + k, val);
	}
	return r < 0 ? r : (long)len;
}
