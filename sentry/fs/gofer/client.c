/* Connection, fids and walking. */
#include "sentry/fs/gofer/transport.h"

#include "state/base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int agree(struct p9_client *c, const char *version)
{
	struct p9_tversion t = {P9_MAX_MSIZE, p9_str(version)};
	u8 store[SMALL_MESSAGE];
	struct p9_rversion r;
	int ret = p9_call_tversion(c, &t, store, NULL, &r);

	if (ret < 0)
		return ret;
	if (!p9_str_is(r.version, version) && !p9_str_is(r.version, P9_VERSION))
		return -EPROTONOSUPPORT;
	if (r.msize < P9_MIN_MSIZE || r.msize > P9_MAX_MSIZE)
		return -EPROTO;
	c->extended = p9_str_is(r.version, P9_VERSION_EXT);
	c->msize = r.msize;
	return 0;
}

static void release(struct p9_client *c)
{
	for (unsigned i = 0; i < c->n_fds; i++)
		close(c->fds[i]);
	pthread_cond_destroy(&c->tag_free);
	free(c->rx);
	free(c->free_fids);
	free(c);
}

int p9_client_create(int sock, unsigned flags, struct p9_client **ret_c)
{
	struct p9_client *c = calloc(1, sizeof(*c));
	int r = -ENOMEM;

	if (!c)
		return r;
	mutex_init(&c->lock, RANK_GOFER);
	mutex_init(&c->send_lock, RANK_GOFER);
	pthread_cond_init(&c->tag_free, NULL);
	c->sock = sock;
	c->msize = P9_MAX_MSIZE;
	/* Large, so mapped, and touched only as far as messages are long. */
	c->rx = malloc(P9_MAX_MSIZE);
	if (c->rx) {
		r = agree(c, flags & P9_CLIENT_PLAIN ? P9_VERSION : P9_VERSION_EXT);
		if (r == -EPROTONOSUPPORT && !(flags & P9_CLIENT_PLAIN))
			r = agree(c, P9_VERSION);
	}
	if (r < 0) {
		release(c);
		return r;
	}
	*ret_c = c;
	return 0;
}

void p9_client_follow(struct p9_client *c, u32 (*core)(void))
{
	if (c->extended)
		c->core = core;
}

void p9_client_destroy(struct p9_client *c)
{
	if (!c)
		return;
	close(c->sock);
	release(c);
}

bool p9_client_dead(const struct p9_client *c)
{
	return READ_ONCE(c->dead);
}

bool p9_client_extended(const struct p9_client *c)
{
	return c->extended;
}

size_t p9_client_max_io(const struct p9_client *c)
{
	return c->msize - P9_WRITE_HEADER;
}

u32 p9_client_fid_count(const struct p9_client *c)
{
	return READ_ONCE(c->next_fid) - READ_ONCE(c->n_free);
}

int p9_client_clunk(struct p9_client *c, u32 fid)
{
	struct p9_tclunk t = {fid};
	u8 store[SMALL_MESSAGE];
	struct p9_rclunk r;
	int ret = p9_call_tclunk(c, &t, store, NULL, &r);

	p9_fid_free(c, fid);
	return ret;
}

static void send_clunks(struct p9_client *c, const struct p9_fids *fids)
{
	struct p9_tmulticlunk t = {*fids};
	u8 store[SMALL_MESSAGE];
	struct p9_rmulticlunk r;

	if (!c->extended) {
		for (unsigned i = 0; i < fids->count; i++)
			p9_client_clunk(c, fids->v[i]);
		return;
	}
	/* An error says that a fid was unknown: it is free all the same. */
	if (fids->count > 0 && p9_call_tmulticlunk(c, &t, store, NULL, &r) == -EIO)
		return;
	for (unsigned i = 0; i < fids->count; i++)
		p9_fid_free(c, fids->v[i]);
}

static void take_later(struct p9_client *c, struct p9_fids *fids)
{
	fids->count = (u16)c->n_later;
	memcpy(fids->v, c->later, c->n_later * sizeof(u32));
	c->n_later = 0;
}

void p9_client_clunk_later(struct p9_client *c, u32 fid)
{
	struct p9_fids fids = {0};

	mutex_lock(&c->lock);
	c->later[c->n_later++] = fid;
	if (c->n_later >= CLUNK_BATCH)
		take_later(c, &fids);
	mutex_unlock(&c->lock);
	send_clunks(c, &fids);
}

void p9_client_flush_clunks(struct p9_client *c)
{
	struct p9_fids fids = {0};

	mutex_lock(&c->lock);
	take_later(c, &fids);
	mutex_unlock(&c->lock);
	send_clunks(c, &fids);
}

static bool make_room(struct p9_client *c, int r)
{
	if (r != -EMFILE || READ_ONCE(c->n_later) == 0)
		return false;
	p9_client_flush_clunks(c);
	return true;
}

int p9_client_attach(struct p9_client *c, const char *aname, u32 *ret_fid, struct p9_attr *ret_attr)
{
	struct p9_tattach t = {0, P9_NOFID, p9_str(""), p9_str(aname), P9_NOID};
	u8 store[SMALL_MESSAGE];
	struct p9_rattach rep;
	int r = p9_fid_alloc(c, &t.fid);

	if (r < 0)
		return r;
	r = p9_call_tattach(c, &t, store, NULL, &rep);
	if (r < 0) {
		p9_fid_free(c, t.fid);
		return r;
	}
	r = p9_client_getattr(c, t.fid, ret_attr);
	if (r < 0) {
		p9_client_clunk(c, t.fid);
		return r;
	}
	*ret_fid = t.fid;
	return 0;
}

/* One standard Twalk of n <= 1 names. */
static int walk_plain(struct p9_client *c, u32 dir, const struct p9_str *name, u32 *ret_fid)
{
	struct p9_twalk t = {.fid = dir};
	u8 store[SMALL_MESSAGE];
	struct p9_rwalk rep;
	int r = p9_fid_alloc(c, &t.newfid);

	if (r < 0)
		return r;
	if (name) {
		t.names.count = 1;
		t.names.v[0] = *name;
	}
	do
		r = p9_call_twalk(c, &t, store, NULL, &rep);
	while (make_room(c, r));
	if (r == 0 && rep.qids.count != t.names.count)
		r = -ENOENT;
	if (r < 0) {
		p9_fid_free(c, t.newfid);
		return r;
	}
	*ret_fid = t.newfid;
	return 0;
}

int p9_client_clone(struct p9_client *c, u32 fid, u32 *ret_fid)
{
	return walk_plain(c, fid, NULL, ret_fid);
}

static void set_target(struct p9_walk *w, struct p9_str s)
{
	if (s.len == 0 || s.len > P9_MAX_LINK)
		return;
	memcpy(w->target, s.s, s.len);
	w->target[s.len] = 0;
	w->has_target = true;
}

/* The same walk with standard messages, a name at a time. */
static int walk_steps(struct p9_client *c, u32 dir, const struct p9_str *names, unsigned n,
                      bool each, struct p9_walk *w)
{
	int r = 0;

	for (unsigned i = 0; i < n; i++) {
		u32 from = i ? w->fids[i - 1] : dir;

		r = walk_plain(c, from, &names[i], &w->fids[i]);
		if (r == 0) {
			r = p9_client_getattr(c, w->fids[i], &w->attrs[i]);
			if (r < 0) {
				p9_client_clunk(c, w->fids[i]);
				w->fids[i] = P9_NOFID;
			}
		}
		if (r < 0)
			break;
		w->count++;
		if (S_ISLNK(w->attrs[i].mode)) {
			size_t len;

			if (p9_client_readlink(c, w->fids[i], w->target, P9_MAX_LINK, &len) == 0)
				set_target(w, (struct p9_str){w->target, (u16)len});
			break;
		}
	}
	w->err = r;
	for (unsigned i = 0; !each && i < w->count; i++) {
		if (i + 1 == w->count && r == 0)
			break;
		p9_client_clunk_later(c, w->fids[i]);
		w->fids[i] = P9_NOFID;
	}
	return r == -EIO && p9_client_dead(c) ? -EIO : 0;
}

static int walk_batched(struct p9_client *c, u32 dir, const struct p9_str *names, unsigned n,
                        bool each, struct p9_walk *w)
{
	struct p9_twalkgetattr t = {.fid = dir};
	unsigned bound, first;
	u8 store[SMALL_MESSAGE];
	struct p9_rwalkgetattr rep;
	bool whole;
	int r = 0;

	t.names.count = (u16)n;
	memcpy(t.names.v, names, n * sizeof(*names));
	for (unsigned want = each ? n : 1; r == 0 && t.newfids.count < want;) {
		r = p9_fid_alloc(c, &t.newfids.v[t.newfids.count]);
		if (r == 0)
			t.newfids.count++;
	}
	if (r == 0) {
		do
			r = p9_call_twalkgetattr(c, &t, store, NULL, &rep);
		while (make_room(c, r));
	}
	if (r == 0 && (rep.attrs.count > n || rep.ecode >= 4096))
		r = -EIO;
	if (r < 0) {
		for (unsigned i = 0; i < t.newfids.count; i++)
			p9_fid_free(c, t.newfids.v[i]);
		return r;
	}
	w->count = rep.attrs.count;
	w->err = -(int)rep.ecode;
	memcpy(w->attrs, rep.attrs.v, w->count * sizeof(*w->attrs));
	whole = w->count == n || (w->count > 0 && S_ISLNK(w->attrs[w->count - 1].mode));
	if (whole && S_ISLNK(w->attrs[w->count - 1].mode))
		set_target(w, rep.target);
	bound = each ? w->count : whole && rep.ecode == 0;
	first = each ? 0 : w->count - 1;
	for (unsigned i = 0; i < t.newfids.count; i++) {
		if (i < bound)
			w->fids[first + i] = t.newfids.v[i];
		else
			p9_fid_free(c, t.newfids.v[i]);
	}
	return 0;
}

int p9_client_walk(struct p9_client *c, u32 dir, const struct p9_str *names, unsigned n, bool each,
                   struct p9_walk *ret_w)
{
	if (n == 0 || n > P9_MAX_WALK)
		return -EINVAL;
	ret_w->count = 0;
	ret_w->err = 0;
	ret_w->has_target = false;
	for (unsigned i = 0; i < n; i++)
		ret_w->fids[i] = P9_NOFID;
	return c->extended ? walk_batched(c, dir, names, n, each, ret_w)
	                   : walk_steps(c, dir, names, n, each, ret_w);
}

int p9_client_walk1(struct p9_client *c, u32 dir, const char *name, u32 *ret_fid,
                    struct p9_attr *ret_attr)
{
	struct p9_str s = p9_str(name);
	struct p9_walk w;
	int r = p9_client_walk(c, dir, &s, 1, false, &w);

	if (r == 0 && w.count == 0)
		r = w.err < 0 ? w.err : -ENOENT;
	if (r < 0)
		return r;
	*ret_fid = w.fids[0];
	*ret_attr = w.attrs[0];
	return 0;
}
