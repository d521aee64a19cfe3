/* AF_UNIX sockets: the object, saved and loaded with all that is queued in it. */
#include "sentry/net/unix.h"

#include "proto/net.pb-c.h"
#include "sentry/auth/creds.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/path_state.h"
#include "state/base/cleanup.h"

#include <stddef.h>

#define QUEUE_MAX (64 * MIB) /* more than the largest send buffer */

static void unix_sock_init(void *p)
{
	struct unix_sock *u = p;

	mutex_init(&u->q_lock, RANK_SOCK_QUEUE);
	waitq_init(&u->peer_wait);
	TAILQ_INIT(&u->connected);
	TAILQ_INIT(&u->pending);
	TAILQ_INIT(&u->packets);
}

static void unix_sock_destroy(void *p) NO_LOCK_ANALYSIS
{
	struct unix_sock *u = p, *n;
	struct netns *ns = u->sk.ns;

	if (ns)
		mutex_lock(&ns->unix_lock);
	unix_name_leave(u);
	if (u->listed)
		TAILQ_REMOVE(&ns->unix_socks, u, all_link);
	u->listed = false;
	if (u->watched)
		TAILQ_REMOVE(&u->peer->connected, u, connected_link);
	u->watched = false;
	if (ns)
		mutex_unlock(&ns->unix_lock);
	unix_purge(u);
	while ((n = TAILQ_FIRST(&u->pending))) {
		TAILQ_REMOVE(&u->pending, n, pending_link);
		unix_sock_put(n);
	}
	unix_sock_put(TAKE(u->peer));
	creds_put(TAKE(u->peer_creds));
	obj_put(TAKE(u->path.dentry));
	obj_put(TAKE(u->path.mount));
}

static int check(struct loader *l, const struct unix_sock *u)
{
	u32 most = offsetof(struct sockaddr_un, sun_path) + UNIX_PATH_SIZE + 1;

	if (u->state > UNIX_CONNECTED || (u->state == UNIX_CONNECTED && !u->peer))
		return loader_error(l, "a socket's state does not fit its peer");
	if (u->peer && u->peer->sk.type != u->sk.type)
		return loader_error(l, "a socket's peer is of another type");
	if (!u->path.mount != !u->path.dentry || u->addr_len > most ||
	    (u->addr_len > most - 1 && !u->path.dentry) || (u->bound && u->addr_len <= 2))
		return loader_error(l, "a socket's address is broken");
	return 0;
}

/* Names, lists and counts: what a save leaves out because it follows from the rest. */
static int unix_sock_after_load(struct loader *l, void *p)
{
	struct unix_sock *u = p, *n;
	struct netns *ns = u->sk.ns;
	struct unix_packet *pkt;
	int r = check(l, u);

	if (r < 0)
		return r;
	mutex_lock(&ns->unix_lock);
	TAILQ_INSERT_TAIL(&ns->unix_socks, u, all_link);
	u->listed = true;
	if (u->bound)
		unix_name_enter(u);
	if (u->peer && !unix_connects(u)) {
		TAILQ_INSERT_TAIL(&u->peer->connected, u, connected_link);
		u->watched = true;
	}
	mutex_unlock(&ns->unix_lock);
	TAILQ_FOREACH (n, &u->pending, pending_link)
		u->n_pending++;
	GUARD(&ns->scm_lock);
	for (u32 i = 0; i < u->n_runs; i++)
		if (u->runs[i].rights)
			unix_inflight(ns, u->runs[i].rights);
	unix_account(u, u->ring.len);
	TAILQ_FOREACH (pkt, &u->packets, link) {
		unix_account(u, pkt->charge);
		if (pkt->rights)
			unix_inflight(ns, pkt->rights);
	}
	return 0;
}

static void unix_sock_sample(struct sampler *sp, void *p)
{
	struct unix_sock *u = p;

	u->sk.type = SOCK_STREAM;
	u->state = UNIX_LISTEN;
}

/* ---- the address ---- */

static int unix_sock_save_addr(struct saver *s, const struct unix_sock *u, Sentry__UnixSock *m)
{
	m->addr.len = sizeof(u->addr);
	m->addr.data = saver_alloc(s, sizeof(u->addr));
	memcpy(m->addr.data, u->addr, sizeof(u->addr));
	while (m->addr.len > 0 && m->addr.data[m->addr.len - 1] == 0)
		m->addr.len--;
	return 0;
}

static int unix_sock_load_addr(struct loader *l, struct unix_sock *u, const Sentry__UnixSock *m)
{
	if (m->addr.len > sizeof(u->addr))
		return loader_error(l, "a socket's address is too long");
	if (m->addr.len > 0)
		memcpy(u->addr, m->addr.data, m->addr.len);
	return 0;
}

static void unix_sock_sample_addr(struct sampler *sp, struct unix_sock *u)
{
	memcpy(u->addr, "\0sample", 7);
	u->addr_len = 2 + 7;
}

/* ---- descriptors under way ---- */

static Sentry__UnixRights *save_rights(struct saver *s, const struct unix_rights *r)
{
	Sentry__UnixRights *m;

	if (!r)
		return NULL;
	m = saver_msg(s, Sentry__UnixRights, sentry__unix_rights__init);
	m->payer = r->payer;
	m->n_files = r->n;
	m->files = saver_alloc(s, r->n * sizeof(m->files[0]));
	for (u32 i = 0; i < r->n; i++)
		m->files[i] = saver_ref(s, r->files[i]);
	return m;
}

static int load_rights(struct loader *l, const Sentry__UnixRights *m, struct unix_rights **ret)
{
	struct unix_rights *n;

	if (!m)
		return 0;
	if (m->n_files == 0 || m->n_files > UNIX_MAX_FILES)
		return loader_error(l, "%zu descriptors in one message", m->n_files);
	n = unix_rights_new((u32)m->n_files);
	*ret = n;
	n->payer = m->payer;
	for (u32 i = 0; i < m->n_files; i++) {
		int r = loader_ref(l, m->files[i], &file_type, &n->files[i]);

		if (r < 0)
			return r;
		n->n = i + 1;
		if (!n->files[i]) {
			n->n = i;
			return loader_error(l, "a descriptor in flight without its file");
		}
	}
	return 0;
}

static Sentry__UnixCred *save_cred(struct saver *s, const struct unix_cred *c)
{
	Sentry__UnixCred *m;

	if (c->uid == (u32)-1)
		return NULL;
	m = saver_msg(s, Sentry__UnixCred, sentry__unix_cred__init);
	m->pid = c->pid;
	m->uid = c->uid;
	m->gid = c->gid;
	return m;
}

static struct unix_cred load_cred(const Sentry__UnixCred *m)
{
	return m ? (struct unix_cred){m->pid, m->uid, m->gid} : unix_no_cred;
}

/* ---- a stream's bytes ---- */

static int unix_sock_save_ring(struct saver *s, const struct unix_sock *u, Sentry__UnixSock *m)
{
	m->ring.len = u->ring.len;
	m->ring.data = saver_alloc(s, u->ring.len);
	ring_text(&u->ring, 0, m->ring.data, u->ring.len);
	return 0;
}

static int unix_sock_load_ring(struct loader *l, struct unix_sock *u, const Sentry__UnixSock *m)
{
	if (m->ring.len > QUEUE_MAX)
		return loader_error(l, "%zu bytes in a socket's queue", m->ring.len);
	ring_append(&u->ring, m->ring.data, (u32)m->ring.len);
	return 0;
}

static void unix_sock_sample_ring(struct sampler *sp, struct unix_sock *u)
{
	ring_append(&u->ring, "contents", 8);
}

static int unix_sock_save_runs(struct saver *s, const struct unix_sock *u, Sentry__UnixSock *m)
{
	m->n_runs = u->n_runs;
	m->runs = saver_alloc(s, u->n_runs * sizeof(m->runs[0]));
	for (u32 i = 0; i < u->n_runs; i++) {
		const struct unix_run *run = &u->runs[u->first_run + i];

		m->runs[i] = saver_msg(s, Sentry__UnixRun, sentry__unix_run__init);
		m->runs[i]->len = run->len;
		m->runs[i]->urgent = run->urgent;
		m->runs[i]->cred = save_cred(s, &run->cred);
		m->runs[i]->rights = save_rights(s, run->rights);
	}
	return 0;
}

static int unix_sock_load_runs(struct loader *l, struct unix_sock *u, const Sentry__UnixSock *m)
{
	u64 sum = 0;

	for (size_t i = 0; i < m->n_runs; i++) {
		struct unix_run run = {m->runs[i]->len, m->runs[i]->urgent,
		                       load_cred(m->runs[i]->cred), NULL};
		int r = load_rights(l, m->runs[i]->rights, &run.rights);

		unix_run_append(u, &run);
		if (r < 0)
			return r;
		if (run.urgent > UNIX_MARK || (run.urgent && run.len != 1) ||
		    (run.urgent == UNIX_URGENT && u->urgent))
			return loader_error(l, "an urgent byte of a socket that can't be one");
		u->urgent |= run.urgent == UNIX_URGENT;
		if (run.len == 0)
			return loader_error(l, "a run of no bytes in a socket's queue");
		sum += run.len;
	}
	if (m->n_runs > 0 && sum != u->ring.len)
		return loader_error(l, "a socket's queue: runs of %llu bytes for %u",
		                    (unsigned long long)sum, u->ring.len);
	return 0;
}

static void unix_sock_sample_runs(struct sampler *sp, struct unix_sock *u)
{
	unix_run_append(u, &(struct unix_run){3, UNIX_PLAIN, unix_no_cred, NULL});
	unix_run_append(u, &(struct unix_run){4, UNIX_PLAIN, {7, 8, 9}, NULL});
	unix_run_append(u, &(struct unix_run){1, UNIX_URGENT, unix_no_cred, NULL});
	u->urgent = true;
}

/* ---- packets ---- */

static int unix_sock_save_packets(struct saver *s, const struct unix_sock *u, Sentry__UnixSock *m)
{
	struct unix_packet *p;

	m->packets = saver_alloc(s, u->n_packets * sizeof(m->packets[0]));
	TAILQ_FOREACH (p, &u->packets, link) {
		Sentry__UnixPacket *pm =
			saver_msg(s, Sentry__UnixPacket, sentry__unix_packet__init);

		pm->from = saver_ref(s, p->from);
		pm->data.len = p->len;
		pm->data.data = p->data;
		pm->stamp = p->stamp;
		pm->peeked = p->peeked;
		pm->cred = save_cred(s, &p->cred);
		pm->rights = save_rights(s, p->rights);
		m->packets[m->n_packets++] = pm;
	}
	return 0;
}

static int unix_sock_load_packets(struct loader *l, struct unix_sock *u, const Sentry__UnixSock *m)
{
	u64 sum = 0;

	for (size_t i = 0; i < m->n_packets; i++) {
		const Sentry__UnixPacket *pm = m->packets[i];
		struct unix_sock *from = NULL;
		struct unix_packet *p;
		int r;

		sum += pm->data.len;
		if (sum > QUEUE_MAX)
			return loader_error(l, "too much in a socket's queue");
		r = loader_ref(l, pm->from, &unix_sock_type, &from);
		if (r < 0)
			return r;
		if (!from)
			return loader_error(l, "a packet from nobody");
		p = unix_packet_new(from, (u32)pm->data.len);
		unix_sock_put(from);
		if (pm->data.len > 0)
			memcpy(p->data, pm->data.data, pm->data.len);
		p->stamp = pm->stamp;
		p->peeked = pm->peeked;
		p->cred = load_cred(pm->cred);
		TAILQ_INSERT_TAIL(&u->packets, p, link);
		u->n_packets++;
		r = load_rights(l, pm->rights, &p->rights);
		if (r < 0)
			return r;
	}
	return 0;
}

static void unix_sock_sample_packets(struct sampler *sp, struct unix_sock *u)
{
	struct unix_sock *from = sampler_ref(sp, &unix_sock_type);
	struct unix_packet *p = unix_packet_new(from, 4);

	unix_sock_put(from);
	memcpy(p->data, "data", 4);
	p->stamp = 77;
	p->peeked = true;
	TAILQ_INSERT_TAIL(&u->packets, p, link);
	u->n_packets++;
}

/* clang-format off */
#define UNIX_SOCK_FIELDS(F)                                                                    \
	F(BASE, sk, sock)                                                                      \
	F(SKIP, all_link)                                                                      \
	F(SKIP, name_link)                                                                     \
	F(SKIP, listed)                                                                        \
	F(SKIP, named) /* after_load */                                                        \
	F(VAL, bound)                                                                          \
	F(VAL, addr_len)                                                                       \
	F(CUSTOM_ARRAY, addr, unix_sock) F(SUB, path, path) F(VAL, state) F(VAL, dead)         \
		F(REF, peer, unix_sock) F(REF, peer_creds, creds) F(VAL, peer_pid)             \
			F(SKIP, peer_wait) F(SKIP, connected) F(SKIP, connected_link)          \
				F(SKIP, watched) /* after_load */                              \
		F(SKIP, squeezed)                /* a call that waits comes again */           \
		F(SKIP, wmem)                    /* from others' packets */                    \
		F(SKIP, q_lock) F(VAL, backlog) F(SKIP, n_pending) /* counted */               \
		F(LIST, pending, unix_sock, pending_link) F(SKIP, pending_link)                \
			F(CUSTOM, ring, unix_sock) F(CUSTOM, runs, unix_sock) F(SKIP, n_runs)  \
				F(SKIP, first_run) F(SKIP, max_runs)                           \
					F(SKIP, urgent) /* with runs */                        \
		F(CUSTOM, packets, unix_sock) F(SKIP, n_packets) F(SKIP, inflight)             \
			F(SKIP, inflight_link) F(SKIP, gc_link) F(SKIP, gc_refs) /* counted */ \
		F(SKIP, gc_candidate) F(SKIP, gc_live)
/* clang-format on */
OBJECT_TYPE(unix_sock, Sentry__UnixSock, sentry__unix_sock__descriptor, UNIX_SOCK_FIELDS,
            .base = &sock_type, .ops = &unix_sock_ops, .init = unix_sock_init,
            .destroy = unix_sock_destroy, .after_load = unix_sock_after_load,
            .sample = unix_sock_sample);
