/* Names of AF_UNIX sockets: pathnames, the abstract name space, autobind. */
#include "sentry/net/unix.h"

#include "sentry/auth/creds.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/namei.h"
#include "state/base/cleanup.h"

#include <linux/capability.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define PATH_OFFSET offsetof(struct sockaddr_un, sun_path)

static u32 hash_bytes(const void *p, size_t n, u32 type)
{
	const u8 *b = p;
	u32 h = 2166136261u ^ type;

	for (size_t i = 0; i < n; i++)
		h = (h ^ b[i]) * 16777619u;
	return (h ^ h >> 15) % UNIX_HASH;
}

static struct unix_chain *chain_of_inode(struct netns *ns, const struct inode *i)
{
	u64 a = (u64)(uintptr_t)i;

	return &ns->unix_names[hash_bytes(&a, sizeof(a), 0)];
}

static struct unix_chain *chain_of_name(struct netns *ns, const char *name, size_t n, u32 type)
{
	return &ns->unix_names[hash_bytes(name, n, type)];
}

void unix_name_enter(struct unix_sock *u)
{
	struct netns *ns = u->sk.ns;
	struct unix_chain *chain =
		u->path.dentry ? chain_of_inode(ns, path_inode(&u->path))
			       : chain_of_name(ns, u->addr, u->addr_len - PATH_OFFSET, u->sk.type);

	LIST_INSERT_HEAD(chain, u, name_link);
	u->named = true;
	u->bound = true;
}

void unix_name_leave(struct unix_sock *u)
{
	if (u->named)
		LIST_REMOVE(u, name_link);
	u->named = false;
}

int unix_check_addr(const struct sockaddr_storage *a, u32 len)
{
	if (len <= PATH_OFFSET || len > sizeof(struct sockaddr_un) || a->ss_family != AF_UNIX)
		return -EINVAL;
	return 0;
}

static const char *addr_path(const struct sockaddr_storage *a)
{
	return (const char *)a + PATH_OFFSET;
}

/* The NUL-terminated text of a pathname address. */
static void path_of_addr(const struct sockaddr_storage *a, u32 len, char text[UNIX_PATH_SIZE + 1])
{
	memcpy(text, addr_path(a), len - PATH_OFFSET);
	text[len - PATH_OFFSET] = '\0';
}

static struct unix_sock *find_inode(struct netns *ns, const struct inode *i)
{
	struct unix_sock *u;

	GUARD(&ns->unix_lock);
	LIST_FOREACH (u, chain_of_inode(ns, i), name_link) {
		if (u->path.dentry && path_inode(&u->path) == i && obj_tryget(u))
			return u;
	}
	return NULL;
}

/* unix_lock is held. */
static struct unix_sock *name_taken(struct netns *ns, const char *name, u32 n, u32 type)
{
	struct unix_sock *u;

	LIST_FOREACH (u, chain_of_name(ns, name, n, type), name_link) {
		if (!u->path.dentry && u->sk.type == type && u->addr_len == n + PATH_OFFSET &&
		    memcmp(u->addr, name, n) == 0)
			return u;
	}
	return NULL;
}

int unix_find(struct ctx *c, struct netns *ns, const struct sockaddr_storage *a, u32 len, u32 type,
              struct unix_sock **ret)
{
	struct unix_sock *u;

	if (*addr_path(a)) {
		char text[UNIX_PATH_SIZE + 1];
		AUTO_PATH p = {0};
		int r;

		path_of_addr(a, len, text);
		r = path_lookup(c, AT_FDCWD, text, LOOKUP_FOLLOW, &p);
		if (r == 0)
			r = inode_permission(path_inode(&p), c, NULL, MAY_WRITE);
		if (r < 0)
			return r;
		if (!S_ISSOCK(path_inode(&p)->mode))
			return -ECONNREFUSED;
		u = find_inode(ns, path_inode(&p));
	} else {
		GUARD(&ns->unix_lock);
		u = name_taken(ns, addr_path(a), len - PATH_OFFSET, type);
		if (u && !obj_tryget(u))
			u = NULL;
	}
	if (!u)
		return -ECONNREFUSED;
	if (u->sk.type != type) {
		unix_sock_put(u);
		return -EPROTOTYPE;
	}
	*ret = u;
	return 0;
}

int unix_autobind(struct unix_sock *u)
{
	struct netns *ns = u->sk.ns;
	u32 first;

	GUARD(&u->sk.lock);
	if (u->addr_len)
		return 0;
	GUARD(&ns->unix_lock);
	first = ns->unix_autobind & 0xfffff;
	do {
		char name[8] = "";
		u32 n = (ns->unix_autobind++ & 0xfffff);

		snprintf(name + 1, sizeof(name) - 1, "%05x", n);
		if (!name_taken(ns, name, 6, u->sk.type)) {
			memcpy(u->addr, name, 6);
			u->addr_len = PATH_OFFSET + 6;
			unix_name_enter(u);
			return 0;
		}
	} while ((ns->unix_autobind & 0xfffff) != first);
	return -ENOSPC;
}

static int bind_abstract(struct unix_sock *u, const struct sockaddr_storage *a, u32 len)
{
	struct netns *ns = u->sk.ns;

	GUARD(&u->sk.lock);
	if (u->addr_len)
		return -EINVAL;
	GUARD(&ns->unix_lock);
	if (name_taken(ns, addr_path(a), len - PATH_OFFSET, u->sk.type))
		return -EADDRINUSE;
	memcpy(u->addr, addr_path(a), len - PATH_OFFSET);
	u->addr_len = (u16)len;
	unix_name_enter(u);
	return 0;
}

static int bind_path(struct unix_sock *u, struct ctx *c, const struct sockaddr_storage *a, u32 len)
{
	u32 perm = u->sk.file ? READ_ONCE(u->sk.file->inode->mode) & 07777 : 0777;
	char text[UNIX_PATH_SIZE + 1];
	AUTO_PATH p = {0};
	bool bound;
	int r;

	path_of_addr(a, len, text);
	r = vfs_mknod_path(c, AT_FDCWD, text, S_IFSOCK | perm, 0, &p);
	if (r < 0)
		return r == -EEXIST ? -EADDRINUSE : r;
	mutex_lock(&u->sk.lock);
	bound = u->addr_len != 0;
	if (!bound) {
		size_t n = strlen(text);

		memcpy(u->addr, text, n);
		/* The NUL counts; sun_path has room for one more than the text in the guest's. */
		if (n < UNIX_PATH_SIZE)
			u->addr[n] = '\0';
		u->addr_len = (u16)(PATH_OFFSET + n + 1);
		u->path = p;
		p = (struct path){0};
		mutex_lock(&u->sk.ns->unix_lock);
		unix_name_enter(u);
		mutex_unlock(&u->sk.ns->unix_lock);
	}
	mutex_unlock(&u->sk.lock);
	if (!bound)
		return 0;
	r = vfs_unlink(c, AT_FDCWD, text);
	return r < 0 && r != -ENOENT ? r : -EINVAL;
}

int unix_bind(struct sock *sk, struct ctx *c, const struct sockaddr_storage *a, u32 len)
{
	struct unix_sock *u = unix_of(sk);
	int r;

	if (len == PATH_OFFSET && a->ss_family == AF_UNIX)
		return unix_autobind(u);
	r = unix_check_addr(a, len);
	if (r < 0)
		return r;
	return *addr_path(a) ? bind_path(u, c, a, len) : bind_abstract(u, a, len);
}

long unix_open_path(struct unix_sock *u, struct ctx *c)
{
	AUTO(file) f = NULL;
	AUTO_PATH p = {0};
	int r;

	if (!creds_capable(c->creds, CAP_NET_ADMIN))
		return -EPERM;
	mutex_lock(&u->sk.lock);
	p = u->path;
	path_get(&p);
	mutex_unlock(&u->sk.lock);
	if (!p.dentry)
		return -ENOENT;
	r = path_open_found(c, &p, O_PATH, &f);
	return r < 0 ? r : fd_install(c, f, 0, true);
}

u32 unix_put_name(const struct unix_sock *u, struct sockaddr_storage *ret)
{
	u32 n = u->addr_len;

	ret->ss_family = AF_UNIX;
	if (n == 0)
		return PATH_OFFSET;
	memset((char *)ret + PATH_OFFSET, 0, n - PATH_OFFSET);
	memcpy((char *)ret + PATH_OFFSET, u->addr, MIN(n - PATH_OFFSET, (size_t)UNIX_PATH_SIZE));
	return n;
}

int unix_getname(struct sock *sk, struct ctx *c, bool peer, struct sockaddr_storage *ret,
                 u32 *ret_len)
{
	struct unix_sock *u = unix_of(sk);
	AUTO(unix_sock) other = NULL;

	if (peer) {
		other = unix_peer_get(u);
		if (!other)
			return -ENOTCONN;
		u = other;
	}
	GUARD(&u->sk.lock);
	*ret_len = unix_put_name(u, ret);
	return 0;
}
