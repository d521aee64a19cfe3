#include "sentry/fs/pseudo.h"

#include "proto/leaf.pb-c.h"
#include "sentry/kernel/kernel.h"
#include "sentry/vfs/dentry.h"
#include "sentry/vfs/stat.h"
#include "sentry/vfs/mount.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>

extern const struct pseudo_dir *const __start_pseudo_dirs[];
extern const struct pseudo_dir *const __stop_pseudo_dirs[];

#define STORE_MAX    PAGE_SIZE
#define FIRST_STATIC 2 /* directory offsets: ".", "..", the table, the numbers */
#define FIRST_NUMBER (1 << 16)

static struct pseudo_inode *pseudo_of(struct inode *i)
{
	return container_of(i, struct pseudo_inode, inode);
}

/* ---- numbers ---- */

bool pseudo_number(const char *name, u64 max, u64 *ret)
{
	u64 v = 0;

	if (!isdigit((u8)name[0]) || (name[0] == '0' && name[1]))
		return false;
	for (; *name; name++) {
		if (!isdigit((u8)*name) || v > (max - (u64)(*name - '0')) / 10)
			return false;
		v = v * 10 + (u64)(*name - '0');
	}
	*ret = v;
	return true;
}

int pseudo_parse(const char *s, s64 min, s64 max, s64 *ret)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(s, &end, 0);
	while (isspace((u8)*end))
		end++;
	if (end == s || *end || errno)
		return -EINVAL;
	if (v < min || v > max)
		return -EINVAL;
	*ret = v;
	return 0;
}

/* ---- inodes ---- */

/* Which directory's table an entry stands in. Every entry stands in one, roots too. */
static const struct pseudo_dir *home_of(const struct pseudo_entry *e)
{
	for (const struct pseudo_dir *const *p = __start_pseudo_dirs; p < __stop_pseudo_dirs; p++)
		if (e >= (*p)->entries && e < (*p)->entries + (*p)->n)
			return *p;
	return NULL;
}

static u64 key_ino(const struct pseudo_key *k)
{
	u64 h = 14695981039346656037ull;
	const struct pseudo_dir *home = home_of(k->entry);
	const u64 parts[] = {k->pid, k->thread, (u64)(u32)k->num};

	for (const char *s = home ? home->id : ""; *s; s++)
		h = (h ^ (u8)*s) * 1099511628211ull;
	for (const char *s = k->entry->name; *s; s++)
		h = (h ^ (u8)*s) * 1099511628211ull;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		h = (h ^ parts[i]) * 1099511628211ull;
	/* Numbers that fit 32 bits, like those of Linux's proc; 1 and 2 are roots. */
	return (h ^ h >> 32) % 0xfffffff0u + 3;
}

static void refresh_owner(struct pseudo_inode *pi, struct ctx *c)
{
	const struct pseudo_dir *home = home_of(pi->key.entry);
	u32 uid = 0, gid = 0, perm = pi->key.entry->mode & 07777;

	if (!home || !home->owner || !c)
		return;
	home->owner(&pi->key, c, &uid, &gid, &perm);
	GUARD(&pi->inode.lock);
	pi->inode.uid = uid;
	pi->inode.gid = gid;
	pi->inode.mode = (pi->inode.mode & S_IFMT) | perm;
}

static struct pseudo_inode *pseudo_inode_new(struct super_block *sb, struct ctx *c,
                                             const struct pseudo_key *key)
{
	struct pseudo_inode *pi = obj_new(pseudo_inode);

	inode_setup(&pi->inode, sb, NULL, key_ino(key), key->entry->mode);
	pi->key = *key;
	refresh_owner(pi, c);
	return pi;
}

static int pseudo_lookup(struct inode *dir, struct ctx *c, const char *name, struct inode **ret)
{
	struct pseudo_inode *pd = pseudo_of(dir);
	const struct pseudo_dir *d = pd->key.entry->dir;
	struct pseudo_key key = pd->key;
	int r = -ENOENT;

	if (!d)
		return -ENOTDIR;
	for (size_t i = 0; i < d->n && r < 0; i++) {
		if (strcmp(d->entries[i].name, name) == 0) {
			key.entry = &d->entries[i];
			r = d->alive && !d->alive(&key, c) ? -ENOENT : 0;
			break;
		}
	}
	if (r < 0 && d->lookup)
		r = d->lookup(pd, c, name, &key);
	if (r < 0)
		return r;
	*ret = &pseudo_inode_new(dir->sb, c, &key)->inode;
	return 0;
}

bool pseudo_revalidate(struct dentry *dir, const char *name, struct dentry *d, struct ctx *c)
{
	const struct pseudo_dir *home;
	const struct pseudo_inode *pi;

	(void)dir;
	(void)name;
	if (!d->inode)
		return false;
	pi = pseudo_of(d->inode);
	home = home_of(pi->key.entry);
	return !home || !home->alive || home->alive(&pi->key, c);
}

static int pseudo_getattr(struct inode *inode, struct ctx *c, struct kstat *ret)
{
	struct pseudo_inode *pi = pseudo_of(inode);

	refresh_owner(pi, c);
	inode_fill_stat(inode, ret);
	ret->size = 0;
	ret->blocks = 0;
	ret->blksize = 1024;
	return 0;
}

static int pseudo_setattr(struct inode *inode, struct ctx *c, const struct iattr *attr)
{
	/* An O_TRUNC open of a writable file means nothing; owners and modes are what they are. */
	return attr->valid & ~(u32)(IATTR_SIZE | IATTR_OPEN | IATTR_KILL_PRIV | IATTR_ATIME |
	                            IATTR_MTIME | IATTR_ATIME_NOW | IATTR_MTIME_NOW)
	               ? -EPERM
	               : 0;
}

static int pseudo_permission(struct inode *inode, struct ctx *c, const struct creds *creds,
                             u32 mask)
{
	struct pseudo_inode *pi = pseudo_of(inode);

	refresh_owner(pi, c);
	if (S_ISDIR(inode->mode) && pi->key.entry->may_open)
		return pi->key.entry->may_open(pi, c);
	return inode_permission_mode(inode, creds, mask);
}

static int pseudo_get_link(struct inode *inode, struct ctx *c, char **ret_text,
                           struct path *ret_jump)
{
	struct pseudo_inode *pi = pseudo_of(inode);

	if (!pi->key.entry->link)
		return -EINVAL;
	return pi->key.entry->link(pi, c, ret_text, ret_jump);
}

static int pseudo_readlink(struct inode *inode, struct ctx *c, char **ret_text)
{
	struct pseudo_inode *pi = pseudo_of(inode);
	const struct pseudo_entry *e = pi->key.entry;

	if (e->link_text)
		return e->link_text(pi, c, ret_text);
	return e->link ? e->link(pi, c, ret_text, NULL) : -EINVAL;
}

/* ---- open files ---- */

struct pseudo_file {
	struct file file;
	struct mutex lock;
	char *text GUARDED_BY(lock); /* owned; NULL: not made yet */
	u64 len GUARDED_BY(lock);
	struct mount_ns *watched; /* owned; NULL: no changes are told */
	_Atomic u32 seen;         /* watched's generation, as of the last poll */
};
OBJECT_DECL(pseudo_file);

static struct pseudo_inode *file_inode(struct file *f)
{
	return pseudo_of(f->inode);
}

static int pseudo_open(struct inode *inode, struct ctx *c, const struct path *path, u32 flags,
                       struct file **ret)
{
	struct pseudo_inode *pi = pseudo_of(inode);
	const struct pseudo_entry *e = pi->key.entry;
	u32 acc = flags & O_ACCMODE;
	struct pseudo_file *pf;
	int r = 0;

	if (!S_ISDIR(inode->mode) && !S_ISREG(inode->mode))
		return -ENXIO;
	if (S_ISREG(inode->mode)) {
		if (acc != O_RDONLY && !e->store && !e->write)
			return -EACCES;
		if (acc != O_WRONLY && !e->show && !e->read)
			return -EACCES;
	}
	if (e->may_open)
		r = e->may_open(pi, c);
	if (r < 0)
		return r;
	pf = obj_new(pseudo_file);
	file_setup(&pf->file, flags, path, inode);
	pf->file.seekable = true;
	if (e->watched)
		pf->watched = e->watched(pi, c);
	if (pf->watched)
		pf->seen = atomic_load(&pf->watched->generation);
	*ret = &pf->file;
	return 0;
}

static bool pseudo_can_poll(struct file *f)
{
	return ((struct pseudo_file *)f)->watched != NULL;
}

/* There is always something to be read; that it has changed is exceptional. */
static u32 pseudo_poll(struct file *f, struct poll_table *pt)
{
	struct pseudo_file *pf = (struct pseudo_file *)f;
	u32 now;

	if (!pf->watched)
		return READY_IN | READY_OUT;
	poll_add(pt, &pf->watched->changed);
	/* A load, which no task makes, registers waiters again and takes no news from them. */
	if (!ctx_current())
		return READY_IN;
	now = atomic_load(&pf->watched->generation);
	if (atomic_exchange(&pf->seen, now) == now)
		return READY_IN;
	return READY_IN | EPOLLERR | EPOLLPRI;
}

/* Makes the text anew. */
static int make_text(struct pseudo_file *pf, struct ctx *c)
{
	struct pseudo_inode *pi = file_inode(&pf->file);
	struct text t = {0};
	char *old;
	int r = pi->key.entry->show(pi, c, &t);

	if (r < 0) {
		text_finish(&t);
		return r;
	}
	if (!t.s)
		text_append(&t, "", 0);
	mutex_lock(&pf->lock);
	old = pf->text;
	pf->text = t.s;
	pf->len = t.len;
	mutex_unlock(&pf->lock);
	free(old);
	return 0;
}

static long pseudo_read(struct file *f, struct ctx *c, struct uiter *dst, s64 *pos)
{
	struct pseudo_file *pf = (struct pseudo_file *)f;
	const struct pseudo_entry *e = file_inode(f)->key.entry;
	bool made;
	long r;

	if (S_ISDIR(f->inode->mode))
		return -EISDIR;
	if (e->read)
		return e->read(file_inode(f), c, dst, pos);
	mutex_lock(&pf->lock);
	made = pf->text != NULL;
	mutex_unlock(&pf->lock);
	if (*pos == 0 || !made) {
		r = make_text(pf, c);
		if (r < 0)
			return r;
	}
	GUARD(&pf->lock);
	if ((u64)*pos >= pf->len)
		return 0;
	r = uiter_copy_out(dst, pf->text + *pos, MIN(pf->len - (u64)*pos, uiter_count(dst)));
	if (r > 0)
		*pos += r;
	return r;
}

static long pseudo_write(struct file *f, struct ctx *c, struct uiter *src, s64 *pos)
{
	struct pseudo_inode *pi = file_inode(f);
	const struct pseudo_entry *e = pi->key.entry;
	char buf[STORE_MAX + 1];
	size_t n = MIN(uiter_count(src), (u64)STORE_MAX);
	long r;

	if (e->write)
		return e->write(pi, c, src, pos);
	if (!e->store)
		return -EINVAL;
	r = uiter_copy_in(src, buf, n);
	if (r < 0)
		return r;
	buf[r] = 0;
	r = e->store(pi, c, buf, (size_t)r);
	if (r > 0)
		*pos += r;
	return r;
}

static s64 pseudo_llseek(struct file *f, struct ctx *c, s64 off, int whence)
{
	bool addressed = file_inode(f)->key.entry->read != NULL;

	switch (whence) {
	case SEEK_SET:
		break;
	case SEEK_CUR:
		if (__builtin_add_overflow(f->pos, off, &off))
			return -EINVAL;
		break;
	case SEEK_END:
		/* Directories are 0 bytes long, text has no end before it is read to it. */
		if (!inode_is_dir(f->inode))
			return -EINVAL;
		break;
	default:
		return -EINVAL;
	}
	if (off < 0 && !addressed)
		return -EINVAL;
	f->pos = off;
	return off;
}

static u8 dirent_type(u32 mode)
{
	return (u8)(mode >> 12 & 15);
}

static int pseudo_iterate(struct file *f, struct ctx *c, struct dir_sink *sink, s64 *pos)
{
	struct pseudo_inode *pd = file_inode(f);
	const struct pseudo_dir *d = pd->key.entry->dir;
	u64 num;

	if (!d)
		return -ENOTDIR;
	if (d->alive && d->n > 0) {
		struct pseudo_key key = pd->key;

		key.entry = &d->entries[0];
		if (!d->alive(&key, c))
			return -ENOENT;
	}
	for (; *pos < FIRST_STATIC; ++*pos)
		if (!sink->entry(sink, "..", *pos ? 2 : 1, pd->inode.ino, DT_DIR, *pos + 1))
			return 0;
	for (; *pos - FIRST_STATIC < (s64)d->n; ++*pos) {
		const struct pseudo_entry *e = &d->entries[*pos - FIRST_STATIC];
		struct pseudo_key key = pd->key;

		key.entry = e;
		if (!sink->entry(sink, e->name, strlen(e->name), key_ino(&key),
		                 dirent_type(e->mode), *pos + 1))
			return 0;
	}
	if (!d->next)
		return 0;
	if (*pos < FIRST_NUMBER)
		*pos = FIRST_NUMBER;
	for (num = (u64)*pos - FIRST_NUMBER;; num++) {
		struct pseudo_key key = pd->key;
		char name[24];

		if (!d->next(pd, c, &num, name, &key))
			return 0;
		if (!sink->entry(sink, name, strlen(name), key_ino(&key),
		                 dirent_type(key.entry->mode), FIRST_NUMBER + (s64)num + 1))
			return 0;
		*pos = FIRST_NUMBER + (s64)num + 1;
	}
}

/* ---- super block ---- */

void pseudo_super_setup(struct pseudo_super *ps, struct kernel *k, const struct pseudo_entry *root)
{
	struct pseudo_key key = {.entry = root, .num = -1};
	struct pseudo_inode *pi = pseudo_inode_new(&ps->sb, NULL, &key);

	super_setup(&ps->sb, k, &pi->inode);
	pseudo_inode_put(pi);
}

#define PSEUDO_SUPER_FIELDS(F) F(BASE, sb, super_block)
OBJECT_TYPE(pseudo_super, Sentry__PseudoSuper, sentry__pseudo_super__descriptor,
            PSEUDO_SUPER_FIELDS, .base = &super_block_type, .abstract = true);

/* ---- objects ---- */

static const struct inode_ops pseudo_inode_ops = {
	.lookup = pseudo_lookup,
	.get_link = pseudo_get_link,
	.readlink = pseudo_readlink,
	.getattr = pseudo_getattr,
	.setattr = pseudo_setattr,
	.open = pseudo_open,
	.permission = pseudo_permission,
};

static int find_entry(struct loader *l, const char *name, const struct pseudo_entry **ret)
{
	const char *slash = strchr(name, '/');

	for (const struct pseudo_dir *const *p = __start_pseudo_dirs;
	     slash && p < __stop_pseudo_dirs; p++) {
		if (strncmp((*p)->id, name, (size_t)(slash - name)) != 0 ||
		    (*p)->id[slash - name] != 0)
			continue;
		for (size_t i = 0; i < (*p)->n; i++) {
			if (strcmp((*p)->entries[i].name, slash + 1) == 0) {
				*ret = &(*p)->entries[i];
				return 0;
			}
		}
	}
	return loader_error(l, "no generated file %.64s", name);
}

static int pseudo_inode_save_key(struct saver *s, const struct pseudo_inode *pi,
                                 Sentry__PseudoInode *m)
{
	const struct pseudo_entry *e = pi->key.entry;
	const struct pseudo_dir *home = home_of(e);
	size_t size = strlen(home->id) + strlen(e->name) + 2;
	Sentry__PseudoKey *k = saver_msg(s, Sentry__PseudoKey, sentry__pseudo_key__init);
	char *name = saver_alloc(s, size);

	snprintf(name, size, "%s/%s", home->id, e->name);
	k->entry = name;
	k->pid = pi->key.pid;
	k->thread = pi->key.thread;
	k->start = pi->key.start;
	k->num = pi->key.num;
	m->key = k;
	return 0;
}

static int pseudo_inode_load_key(struct loader *l, struct pseudo_inode *pi,
                                 const Sentry__PseudoInode *m)
{
	int r;

	if (!m->key || !m->key->entry)
		return loader_missing(l, "key");
	r = find_entry(l, m->key->entry, &pi->key.entry);
	if (r < 0)
		return r;
	if ((pi->key.entry->mode & S_IFMT) != (pi->inode.mode & S_IFMT))
		return loader_error(l, "generated file %.64s has another mode", m->key->entry);
	pi->key.pid = m->key->pid;
	pi->key.thread = m->key->thread;
	pi->key.start = m->key->start;
	pi->key.num = m->key->num;
	return 0;
}

static void pseudo_inode_sample_key(struct sampler *sp, struct pseudo_inode *pi)
{
	const struct pseudo_dir *const *p = __start_pseudo_dirs;

	while ((*p)->n == 0)
		p++;
	pi->key = (struct pseudo_key){&(*p)->entries[0], 5, true, 6, 7};
}

static void pseudo_inode_sample(struct sampler *sp, void *o)
{
	struct pseudo_inode *pi = o;

	pi->inode.mode = pi->key.entry->mode;
}

#define PSEUDO_INODE_FIELDS(F) F(BASE, inode, inode) F(CUSTOM, key, pseudo_inode)
OBJECT_TYPE(pseudo_inode, Sentry__PseudoInode, sentry__pseudo_inode__descriptor,
            PSEUDO_INODE_FIELDS, .base = &inode_type, .ops = &pseudo_inode_ops,
            .sample = pseudo_inode_sample);

static void pseudo_file_init(void *o)
{
	mutex_init(&((struct pseudo_file *)o)->lock, RANK_FILE);
}

static void pseudo_file_destroy(void *o)
{
	free(((struct pseudo_file *)o)->text);
	obj_put(TAKE(((struct pseudo_file *)o)->watched));
}

static int pseudo_file_after_load(struct loader *l, void *o)
{
	struct pseudo_file *pf = o;

	return obj_is(pf->file.inode, &pseudo_inode_type) ? 0
	                                                  : loader_error(l, "not a generated file");
}

static int pseudo_file_save_text(struct saver *s, const struct pseudo_file *pf,
                                 Sentry__PseudoFile *m)
{
	m->text.data = (u8 *)pf->text;
	m->text.len = pf->text ? pf->len : 0;
	return 0;
}

static int pseudo_file_load_text(struct loader *l, struct pseudo_file *pf,
                                 const Sentry__PseudoFile *m)
{
	if (m->text.len == 0)
		return 0;
	pf->text = malloc(m->text.len);
	BUG_ON(!pf->text);
	memcpy(pf->text, m->text.data, m->text.len);
	pf->len = m->text.len;
	return 0;
}

static void pseudo_file_sample_text(struct sampler *sp, struct pseudo_file *pf)
{
	pf->text = strdup("text");
	BUG_ON(!pf->text);
	pf->len = 4;
}

static void pseudo_file_sample(struct sampler *sp, void *o)
{
	struct pseudo_file *pf = o;

	inode_put(pf->file.inode);
	pf->file.inode = sampler_ref(sp, &pseudo_inode_type);
}

static const struct file_ops pseudo_file_ops = {
	.id = {.describe = file_describe},
	.read = pseudo_read,
	.write = pseudo_write,
	.iterate = pseudo_iterate,
	.llseek = pseudo_llseek,
	.poll = pseudo_poll,
	.can_poll = pseudo_can_poll,
};

#define PSEUDO_FILE_FIELDS(F)        \
	F(BASE, file, file)          \
	F(SKIP, lock)                \
	F(CUSTOM, text, pseudo_file) \
	F(SKIP, len) /* text's */    \
	F(REF, watched, mount_ns)    \
	F(ATOMIC, seen)
OBJECT_TYPE(pseudo_file, Sentry__PseudoFile, sentry__pseudo_file__descriptor, PSEUDO_FILE_FIELDS,
            .base = &file_type, .ops = &pseudo_file_ops, .init = pseudo_file_init,
            .destroy = pseudo_file_destroy, .after_load = pseudo_file_after_load,
            .sample = pseudo_file_sample);
