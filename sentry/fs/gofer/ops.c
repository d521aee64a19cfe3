/* Attributes, opening, bytes, names and extended attributes. */
#include "sentry/fs/gofer/transport.h"

#include "state/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define XATTR_SIZE_LIMIT 65536u

int p9_client_getattr(struct p9_client *c, u32 fid, struct p9_attr *ret_attr)
{
	struct p9_tgetattr t = {fid, P9_GETATTR_ALL};
	u8 store[SMALL_MESSAGE];
	struct p9_rgetattr rep;
	int r = p9_call_tgetattr(c, &t, store, NULL, &rep);

	if (r < 0)
		return r;
	*ret_attr = rep.attr;
	return 0;
}

int p9_client_setattr(struct p9_client *c, u32 fid, const struct p9_tsetattr *attr)
{
	struct p9_tsetattr t = *attr;
	u8 store[SMALL_MESSAGE];
	struct p9_rsetattr rep;

	t.fid = fid;
	return p9_call_tsetattr(c, &t, store, NULL, &rep);
}

int p9_client_statfs(struct p9_client *c, u32 fid, struct p9_rstatfs *ret_st)
{
	struct p9_tstatfs t = {fid};
	u8 store[SMALL_MESSAGE];

	return p9_call_tstatfs(c, &t, store, NULL, ret_st);
}

int p9_client_readlink(struct p9_client *c, u32 fid, char *buf, size_t size, size_t *ret_len)
{
	struct p9_treadlink t = {fid};
	u8 store[SMALL_MESSAGE];
	struct p9_rreadlink rep;
	int r = p9_call_treadlink(c, &t, store, NULL, &rep);

	if (r < 0)
		return r;
	*ret_len = MIN((size_t)rep.target.len, size);
	memcpy(buf, rep.target.s, *ret_len);
	return 0;
}

/* A number for a new fid, and the second try after deferred clunks were sent. */
#define WITH_NEW_FID(c, fid, call)                         \
	({                                                 \
		int new_r_ = p9_fid_alloc(c, &(fid));      \
		if (new_r_ == 0) {                         \
			new_r_ = (call);                   \
			if (new_r_ == -EMFILE) {           \
				p9_client_flush_clunks(c); \
				new_r_ = (call);           \
			}                                  \
			if (new_r_ < 0)                    \
				p9_fid_free(c, fid);       \
		}                                          \
		new_r_;                                    \
	})

static int open_plain(struct p9_client *c, u32 fid, u32 flags, struct p9_opened *ret_o)
{
	struct p9_opened o = {.fd = -1};
	struct p9_tlopen t = {.flags = flags};
	u8 store[SMALL_MESSAGE];
	struct p9_rlopen rep;
	int r = p9_client_clone(c, fid, &o.fid);

	if (r < 0)
		return r;
	t.fid = o.fid;
	r = p9_call_tlopen(c, &t, store, NULL, &rep);
	if (r == 0)
		r = p9_client_getattr(c, o.fid, &o.attr);
	if (r < 0) {
		p9_client_clunk(c, o.fid);
		return r;
	}
	*ret_o = o;
	return 0;
}

int p9_client_open(struct p9_client *c, u32 fid, u32 flags, bool want_fid, struct p9_opened *ret_o)
{
	struct p9_topenfd t = {fid, P9_NOFID, flags};
	u8 store[SMALL_MESSAGE];
	struct p9_ropenfd rep;
	int fd = -1, r;

	if (!c->extended)
		return open_plain(c, fid, flags, ret_o);
	r = want_fid ? WITH_NEW_FID(c, t.newfid, p9_call_topenfd(c, &t, store, &fd, &rep))
	             : p9_call_topenfd(c, &t, store, &fd, &rep);
	if (r < 0)
		return r;
	ret_o->fd = fd;
	ret_o->fid = t.newfid;
	ret_o->attr = rep.attr;
	return 0;
}

static int create_plain(struct p9_client *c, u32 dir, const char *name, u32 flags, u32 mode,
                        u32 gid, u32 *ret_fid, struct p9_opened *ret_o)
{
	struct p9_tlcreate t = {0, p9_str(name), flags, mode, gid};
	struct p9_opened o = {.fd = -1};
	u8 store[SMALL_MESSAGE];
	struct p9_rlcreate rep;
	struct p9_attr named;
	u32 fid;
	int r = p9_client_clone(c, dir, &o.fid);

	if (r < 0)
		return r;
	t.fid = o.fid;
	r = p9_call_tlcreate(c, &t, store, NULL, &rep);
	if (r == 0)
		r = p9_client_getattr(c, o.fid, &o.attr);
	if (r == 0)
		r = p9_client_walk1(c, dir, name, &fid, &named);
	if (r == 0 && named.qid.path != o.attr.qid.path) {
		p9_client_clunk(c, fid);
		r = -ESTALE;
	}
	if (r < 0) {
		p9_client_clunk(c, o.fid);
		return r;
	}
	*ret_fid = fid;
	*ret_o = o;
	return 0;
}

int p9_client_create_file(struct p9_client *c, u32 dir, const char *name, u32 flags, u32 mode,
                          u32 uid, u32 gid, u32 *ret_fid, struct p9_opened *ret_o)
{
	struct p9_tcreatefd t = {dir, P9_NOFID, p9_str(name), flags, mode, uid, gid};
	u8 store[SMALL_MESSAGE];
	struct p9_rcreatefd rep;
	int fd = -1, r;

	if (!c->extended)
		return create_plain(c, dir, name, flags, mode, gid, ret_fid, ret_o);
	r = WITH_NEW_FID(c, t.newfid, p9_call_tcreatefd(c, &t, store, &fd, &rep));
	if (r < 0)
		return r;
	/* The message has no other way to give the file open. */
	if (fd < 0) {
		p9_client_clunk(c, t.newfid);
		return -EIO;
	}
	*ret_fid = t.newfid;
	ret_o->fd = fd;
	ret_o->fid = P9_NOFID;
	ret_o->attr = rep.attr;
	return 0;
}

static int make_plain(struct p9_client *c, u32 dir, struct p9_str name, u32 mode, u32 gid,
                      struct p9_str target)
{
	struct p9_tsymlink s = {dir, name, target, gid};
	struct p9_tmknod n = {dir, name, mode, 0, 0, gid};
	struct p9_tmkdir d = {dir, name, mode & 07777, gid};
	u8 store[SMALL_MESSAGE];
	struct p9_rsymlink rs;
	struct p9_rmknod rn;
	struct p9_rmkdir rd;

	if (S_ISDIR(mode))
		return p9_call_tmkdir(c, &d, store, NULL, &rd);
	if (S_ISLNK(mode))
		return p9_call_tsymlink(c, &s, store, NULL, &rs);
	return p9_call_tmknod(c, &n, store, NULL, &rn);
}

int p9_client_make(struct p9_client *c, u32 dir, const char *name, u32 mode, u32 uid, u32 gid,
                   const char *target, u32 *ret_fid, struct p9_attr *ret_attr)
{
	struct p9_str link = p9_str(target ? target : "");
	struct p9_tmakenode t = {dir, P9_NOFID, p9_str(name), mode, uid, gid, link};
	u8 store[SMALL_MESSAGE];
	struct p9_rmakenode rep;
	int r;

	if (!c->extended) {
		r = make_plain(c, dir, t.name, mode, gid, link);
		return r < 0 ? r : p9_client_walk1(c, dir, name, ret_fid, ret_attr);
	}
	r = WITH_NEW_FID(c, t.newfid, p9_call_tmakenode(c, &t, store, NULL, &rep));
	if (r < 0)
		return r;
	*ret_fid = t.newfid;
	*ret_attr = rep.attr;
	return 0;
}

/* Tread, Treaddir and Treaddirplus look alike; the data goes straight to the caller's buffer. */
static int read_data(struct p9_client *c, u8 type, u32 fid, u64 offset, void *buf, size_t size,
                     size_t *ret_n)
{
	u8 raw[P9_HEADER_SIZE + 16], head[P9_READ_HEADER];
	struct p9_call k = p9_call(head, sizeof(head));
	struct p9_tread t = {fid, offset, (u32)MIN(size, p9_client_max_io(c))};
	struct p9_buf b = p9_buf(raw, sizeof(raw));
	size_t start = p9_begin(&b, type, P9_NOTAG);
	int r;

	p9_put_tread(&b, &t);
	r = p9_end(&b, start);
	k.tail = buf;
	k.tail_size = t.count;
	if (r == 0)
		r = p9_rpc(c, &k, raw, b.pos, NULL, 0);
	if (r < 0)
		return r;
	b = p9_buf(head + P9_HEADER_SIZE, 4);
	if (k.len < P9_READ_HEADER || p9_get_u32(&b) != k.len - P9_READ_HEADER)
		return -EIO;
	*ret_n = k.len - P9_READ_HEADER;
	return 0;
}

int p9_client_read(struct p9_client *c, u32 fid, u64 offset, void *buf, size_t size, size_t *ret_n)
{
	return read_data(c, P9_TREAD, fid, offset, buf, size, ret_n);
}

int p9_client_readdir(struct p9_client *c, u32 fid, u64 offset, void *buf, size_t size,
                      size_t *ret_n)
{
	return read_data(c, P9_TREADDIR, fid, offset, buf, size, ret_n);
}

int p9_client_readdirplus(struct p9_client *c, u32 fid, u64 offset, void *buf, size_t size,
                          size_t *ret_n)
{
	if (!c->extended)
		return -EOPNOTSUPP;
	return read_data(c, P9_TREADDIRPLUS, fid, offset, buf, size, ret_n);
}

int p9_client_write(struct p9_client *c, u32 fid, u64 offset, const void *buf, size_t size,
                    size_t *ret_n)
{
	u8 raw[P9_WRITE_HEADER], store[P9_READ_HEADER];
	struct p9_call k = p9_call(store, sizeof(store));
	struct p9_buf b = p9_buf(raw, sizeof(raw));
	u32 count = (u32)MIN(size, p9_client_max_io(c)), done;
	size_t start = p9_begin(&b, P9_TWRITE, P9_NOTAG);
	int r;

	p9_put_u32(&b, fid);
	p9_put_u64(&b, offset);
	p9_put_u32(&b, count);
	r = p9_end(&b, start);
	if (r < 0)
		return r;
	/* The data follows the header on its own, and counts. */
	b = p9_buf(raw, sizeof(raw));
	p9_put_u32(&b, P9_WRITE_HEADER + count);
	r = p9_rpc(c, &k, raw, sizeof(raw), buf, count);
	if (r < 0)
		return r;
	b = p9_buf(store + P9_HEADER_SIZE, k.len - P9_HEADER_SIZE);
	done = p9_get_u32(&b);
	if (p9_done(&b) < 0 || done > count)
		return -EIO;
	*ret_n = done;
	return 0;
}

int p9_client_fsync(struct p9_client *c, u32 fid, bool datasync)
{
	struct p9_tfsync t = {fid, datasync};
	u8 store[SMALL_MESSAGE];
	struct p9_rfsync rep;

	return p9_call_tfsync(c, &t, store, NULL, &rep);
}

int p9_client_link(struct p9_client *c, u32 fid, u32 dir, const char *name)
{
	struct p9_tlink t = {dir, fid, p9_str(name)};
	u8 store[SMALL_MESSAGE];
	struct p9_rlink rep;

	return p9_call_tlink(c, &t, store, NULL, &rep);
}

int p9_client_rename(struct p9_client *c, u32 olddir, const char *oldname, u32 newdir,
                     const char *newname, u32 flags)
{
	struct p9_trenameat t = {olddir, p9_str(oldname), newdir, p9_str(newname)};
	struct p9_trenameat2 t2 = {olddir, t.oldname, newdir, t.newname, flags};
	u8 store[SMALL_MESSAGE];
	struct p9_rrenameat rep;
	struct p9_rrenameat2 rep2;

	if (!flags)
		return p9_call_trenameat(c, &t, store, NULL, &rep);
	return c->extended ? p9_call_trenameat2(c, &t2, store, NULL, &rep2) : -EINVAL;
}

int p9_client_unlink(struct p9_client *c, u32 dir, const char *name, u32 flags)
{
	struct p9_tunlinkat t = {dir, p9_str(name), flags};
	u8 store[SMALL_MESSAGE];
	struct p9_runlinkat rep;

	return p9_call_tunlinkat(c, &t, store, NULL, &rep);
}

int p9_client_getxattr(struct p9_client *c, u32 fid, const char *name, void *buf, size_t size,
                       size_t *ret_len)
{
	struct p9_txattrwalk t = {fid, P9_NOFID, p9_str(name)};
	u8 store[SMALL_MESSAGE];
	struct p9_rxattrwalk rep;
	size_t done = 0;
	int r = WITH_NEW_FID(c, t.newfid, p9_call_txattrwalk(c, &t, store, NULL, &rep));

	if (r < 0)
		return r;
	if (size > 0 && rep.size > size)
		r = -ERANGE;
	if (rep.size > XATTR_SIZE_LIMIT)
		r = -EIO;
	while (r == 0 && size > 0 && done < rep.size) {
		size_t n;

		r = p9_client_read(c, t.newfid, done, (u8 *)buf + done, rep.size - done, &n);
		if (r == 0 && n == 0)
			r = -EIO;
		if (r == 0)
			done += n;
	}
	p9_client_clunk_later(c, t.newfid);
	if (r < 0)
		return r;
	*ret_len = rep.size;
	return 0;
}

int p9_client_listxattr(struct p9_client *c, u32 fid, char *buf, size_t size, size_t *ret_len)
{
	return p9_client_getxattr(c, fid, "", buf, size, ret_len);
}

static int set_value(struct p9_client *c, u32 fid, const char *name, const void *buf, size_t size,
                     u32 flags)
{
	struct p9_txattrcreate t = {0, p9_str(name), size, flags};
	u8 store[SMALL_MESSAGE];
	struct p9_rxattrcreate rep;
	size_t done = 0;
	int r = p9_client_clone(c, fid, &t.fid), e;

	if (r < 0)
		return r;
	r = p9_call_txattrcreate(c, &t, store, NULL, &rep);
	while (r == 0 && done < size) {
		size_t n;

		r = p9_client_write(c, t.fid, done, (const u8 *)buf + done, size - done, &n);
		if (r == 0 && n == 0)
			r = -EIO;
		if (r == 0)
			done += n;
	}
	/* The clunk is what sets it. */
	e = p9_client_clunk(c, t.fid);
	return r < 0 ? r : e;
}

int p9_client_setxattr(struct p9_client *c, u32 fid, const char *name, const void *buf, size_t size,
                       u32 flags)
{
	/* Replacing with nothing is how the protocol removes; here it means an empty value. */
	if (size == 0 && flags == XATTR_REPLACE) {
		size_t len;
		int r = p9_client_getxattr(c, fid, name, NULL, 0, &len);

		if (r < 0)
			return r;
		flags = 0;
	}
	return set_value(c, fid, name, buf, size, flags);
}

int p9_client_removexattr(struct p9_client *c, u32 fid, const char *name)
{
	return set_value(c, fid, name, NULL, 0, XATTR_REPLACE);
}
