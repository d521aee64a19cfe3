/* Users by name, as /etc/passwd and /etc/group of the container have them (passwd(5), group(5)). */
#include "sentry/boot/boot_impl.h"
#include "sentry/vfs/namei.h"
#include "state/base/bug.h"
#include "state/base/cleanup.h"

#include <stdlib.h>
#include <string.h>

#define FILE_MAX (1 * MIB)
#define IDS_MAX  (UINT32_MAX - 1)

/* The whole file as text; "" if it is not there. */
static char *read_text(struct ctx *c, const char *path)
{
	const struct open_how_k how = {.flags = O_RDONLY | O_NONBLOCK};
	AUTO(file) f = NULL;
	char *text = calloc(1, FILE_MAX + 1);
	u64 n = 0;
	long r = 1;

	BUG_ON(!text);
	if (path_open(c, AT_FDCWD, path, &how, &f) < 0 || !inode_is_reg(f->inode))
		return text;
	while (r > 0 && n < FILE_MAX) {
		UITER(it);

		uiter_init_kernel(&it, text + n, FILE_MAX - n);
		r = file_read(f, c, &it);
		n += r > 0 ? (u64)r : 0;
	}
	text[n] = 0;
	return text;
}

/* Splits a line at its colons, in place: how many fields. */
static unsigned split(char *line, char *fields[], unsigned max)
{
	unsigned n = 0;

	while (n < max && (fields[n] = strsep(&line, ":")))
		n++;
	return n;
}

static bool number(const char *s, u32 *ret)
{
	char *end;
	unsigned long v;

	if (*s < '0' || *s > '9')
		return false;
	v = strtoul(s, &end, 10);
	if (*end || v > IDS_MAX)
		return false;
	*ret = (u32)v;
	return true;
}

static bool listed(char *members, const char *name)
{
	char *m;

	while ((m = strsep(&members, ",")))
		if (strcmp(m, name) == 0)
			return true;
	return false;
}

/* Supplementary groups of a user by name. */
static void find_groups(struct ctx *c, const char *name, struct user_ids *u)
{
	AUTO_FREE char *text = read_text(c, "/etc/group");
	char *rest = text, *line, *f[4];
	u32 gid;

	while ((line = strsep(&rest, "\n"))) {
		if (split(line, f, 4) < 4 || !number(f[2], &gid) || !listed(f[3], name) ||
		    u->n_groups >= 1024)
			continue;
		u->groups = reallocarray(u->groups, u->n_groups + 1, sizeof(*u->groups));
		BUG_ON(!u->groups);
		u->groups[u->n_groups++] = gid;
	}
}

static bool find_user(struct ctx *c, const char *user, struct user_ids *u)
{
	AUTO_FREE char *text = read_text(c, "/etc/passwd");
	char *rest = text, *line, *f[7];
	bool numeric = number(user, &u->uid);

	while ((line = strsep(&rest, "\n"))) {
		u32 uid, gid;

		if (split(line, f, 7) < 6 || !number(f[2], &uid) || !number(f[3], &gid))
			continue;
		if (numeric ? uid != u->uid : strcmp(f[0], user) != 0)
			continue;
		u->uid = uid;
		u->gid = gid;
		u->home = strdup(f[5]);
		find_groups(c, f[0], u);
		return true;
	}
	return numeric;
}

static bool find_group(struct ctx *c, const char *group, u32 *ret)
{
	AUTO_FREE char *text = NULL;
	char *rest, *line, *f[4];

	if (number(group, ret))
		return true;
	text = rest = read_text(c, "/etc/group");
	while ((line = strsep(&rest, "\n")))
		if (split(line, f, 4) >= 3 && strcmp(f[0], group) == 0)
			return number(f[2], ret);
	return false;
}

int boot_find_user(struct ctx *c, const char *user, struct user_ids *ret, char **ret_why)
{
	AUTO_FREE char *name = strdup(user);
	char *group = strchr(name, ':');
	struct user_ids u = {0};

	if (group)
		*group++ = 0;
	if (!find_user(c, name, &u)) {
		user_ids_finish(&u);
		return boot_why(ret_why, -ENOENT, "there is no user %s in the container", name);
	}
	if (group && !find_group(c, group, &u.gid)) {
		user_ids_finish(&u);
		return boot_why(ret_why, -ENOENT, "there is no group %s in the container", group);
	}
	*ret = u;
	return 0;
}

void user_ids_finish(struct user_ids *u)
{
	free(u->groups);
	free(u->home);
	*u = (struct user_ids){0};
}
