/* A queue: its object, sending, receiving, notification. */
#include "proto/files.pb-c.h"
#include "sentry/ctx/settings.h"
#include "sentry/auth/creds.h"
#include "sentry/fs/mqueue/mqueue_impl.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/net/netlink/netlink.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <linux/capability.h>
#include <stdlib.h>

/* What the last byte of a cookie says (Linux: include/uapi/linux/mqueue.h). */
#define NOTIFY_WOKENUP 1
#define NOTIFY_REMOVED 2

#define COUNT_MAX     65536u /* of a queue, whoever makes it */
#define SIZE_MAX_HARD (16u << 20)
#define QUEUE_MAX     (48u << 20)    /* of one queue: what a record of an image holds */
#define HEAP_MAX      (128ull << 20) /* what all messages take of our memory */

struct mq_message *mq_message_new(u32 len)
{
	struct mq_message *m = calloc(1, sizeof(*m) + len);

	BUG_ON(!m);
	m->len = len;
	return m;
}

static struct mq_super *super_of(struct mq_inode *q)
{
	return container_of(q->ti.inode.sb, struct mq_super, ts.sb);
}

/* Behind all of its priority and above. */
static void insert(struct mq_inode *q, struct mq_message *m)
{
	struct mq_message *before;

	TAILQ_FOREACH_REVERSE(before, &q->messages, mq_messages, link)
	{
		if (before->priority >= m->priority)
			break;
	}
	if (before)
		TAILQ_INSERT_AFTER(&q->messages, before, m, link);
	else
		TAILQ_INSERT_HEAD(&q->messages, m, link);
	q->count++;
	q->bytes += m->len;
	atomic_fetch_add(&super_of(q)->heap, m->len + sizeof(*m));
}

static struct mq_message *take_first(struct mq_inode *q)
{
	struct mq_message *m = TAILQ_FIRST(&q->messages);

	TAILQ_REMOVE(&q->messages, m, link);
	q->count--;
	q->bytes -= m->len;
	atomic_fetch_sub(&super_of(q)->heap, m->len + sizeof(*m));
	return m;
}

/* ---- the object ---- */

static void mq_inode_init(void *p)
{
	struct mq_inode *q = p;

	mutex_init(&q->lock, RANK_FILE);
	waitq_init(&q->wait);
	TAILQ_INIT(&q->messages);
}

static void mq_inode_destroy(void *p)
{
	struct mq_inode *q = p;

	while (!TAILQ_EMPTY(&q->messages))
		free(take_first(q));
	obj_put(q->notify_sock);
}

static int mq_inode_save_messages(struct saver *s, const struct mq_inode *q, Sentry__MqInode *m)
{
	struct mq_message *qm;

	m->messages = saver_alloc(s, (q->count + 1) * sizeof(*m->messages));
	TAILQ_FOREACH (qm, &q->messages, link) {
		Sentry__MqMessage *e = saver_msg(s, Sentry__MqMessage, sentry__mq_message__init);

		e->priority = qm->priority;
		e->data.data = qm->data;
		e->data.len = qm->len;
		m->messages[m->n_messages++] = e;
	}
	return 0;
}

static int mq_inode_load_messages(struct loader *l, struct mq_inode *q, const Sentry__MqInode *m)
{
	if (!q->ti.inode.sb || !obj_is(q->ti.inode.sb, &mq_super_type))
		return loader_error(l, "message queue outside its file system");
	for (size_t i = 0; i < m->n_messages; i++) {
		const Sentry__MqMessage *e = m->messages[i];
		struct mq_message *qm;

		if (e->priority >= MQ_PRIORITIES || e->data.len > q->max_size ||
		    q->count >= q->max_messages)
			return loader_range(l, "messages");
		qm = mq_message_new((u32)e->data.len);
		qm->priority = e->priority;
		if (qm->len)
			memcpy(qm->data, e->data.data, qm->len);
		insert(q, qm);
	}
	return 0;
}

static void mq_inode_sample_messages(struct sampler *sp, struct mq_inode *q)
{
	struct mq_message *m = mq_message_new(3);

	obj_put(q->ti.inode.sb);
	q->ti.inode.sb = sampler_ref(sp, &mq_super_type);
	memcpy(m->data, "abc", 3);
	m->priority = 7;
	q->max_messages = q->max_size = 10;
	insert(q, m);
}

static int mq_inode_after_load(struct loader *l, void *p)
{
	struct mq_inode *q = p;

	if (!q->ti.inode.sb || !obj_is(q->ti.inode.sb, &mq_super_type))
		return loader_error(l, "message queue outside its file system");
	if (q->notify_signal > SIGNAL_MAX)
		return loader_range(l, "notify_signal");
	if (q->notify_sock && !obj_is(q->notify_sock, &netlink_sock_type))
		return loader_error(l, "a queue tells of arrivals through no netlink socket");
	if (q->max_messages > COUNT_MAX || q->max_size > SIZE_MAX_HARD)
		return loader_range(l, "max_messages or max_size");
	return 0;
}

static void mq_inode_sample(struct sampler *sp, void *p)
{
	struct mq_inode *q = p;

	q->notify_signal = 10;
	obj_put(q->notify_sock);
	q->notify_sock = sampler_ref(sp, &netlink_sock_type);
}

#define MQ_INODE_FIELDS(X)                                  \
	X(BASE, ti, tmpfs_inode)                            \
	X(SKIP, lock)                                       \
	X(VAL, max_messages)                                \
	X(VAL, max_size)                                    \
	X(CUSTOM, messages, mq_inode)                       \
	X(SKIP, count) /* counted by the messages */        \
	X(SKIP, bytes)                                      \
	X(SKIP, receivers) /* nobody sleeps while parked */ \
	X(VAL, notify_tgid)                                 \
	X(VAL, notify_signal)                               \
	X(VAL, notify_value)                                \
	X(REF, notify_sock, sock)                           \
	X(BYTES, notify_cookie)                             \
	X(SKIP, wait)
OBJECT_TYPE(mq_inode, Sentry__MqInode, sentry__mq_inode__descriptor, MQ_INODE_FIELDS,
            .base = &tmpfs_inode_type, .ops = &mq_inode_ops, .init = mq_inode_init,
            .destroy = mq_inode_destroy, .after_load = mq_inode_after_load,
            .sample = mq_inode_sample);

/* What one queue may take at the most: counted against RLIMIT_MSGQUEUE from the start. */
static u64 cost(const struct mq_inode *q)
{
	return (u64)q->max_messages * (q->max_size + 128ull);
}

struct owned {
	u32 uid, queues;
	u64 cost;
};

static bool add_owned(const struct tmpfs_entry *e, void *arg)
{
	struct owned *o = arg;

	o->queues++;
	if (e->inode->uid == o->uid)
		o->cost += cost(container_of(e->inode, struct mq_inode, ti.inode));
	return true;
}

int mq_inode_new(struct super_block *sb, struct ctx *c, u32 mode, const struct mq_attr *attr,
                 struct inode **ret)
{
	struct kernel *k = c->kernel;
	bool may = creds_capable(c->creds, CAP_SYS_RESOURCE);
	struct owned o = {.uid = c->creds->euid};
	struct mq_super *ms = container_of(sb, struct mq_super, ts.sb);
	s64 messages = attr ? attr->mq_maxmsg
	                    : (s64)MIN(setting(k, mq_messages_default), setting(k, mq_messages));
	s64 size = attr ? attr->mq_msgsize
	                : (s64)MIN(setting(k, mq_size_default), setting(k, mq_size));
	AUTO(mq_inode) q = NULL;
	u64 ino;

	if (messages <= 0 || size <= 0 ||
	    (u64)messages > (may ? COUNT_MAX : setting(k, mq_messages)) ||
	    (u64)size > (may ? SIZE_MAX_HARD : setting(k, mq_size)))
		return -EINVAL;
	q = obj_new(mq_inode);
	q->max_messages = (u32)messages;
	q->max_size = (u32)size;
	tmpfs_walk(sb->root->inode, 0, add_owned, &o);
	if (o.queues >= setting(k, mq_queues) && !may)
		return -ENOSPC;
	mutex_lock(&ms->ts.tree);
	ino = ++ms->ts.next_ino;
	mutex_unlock(&ms->ts.tree);
	inode_setup(&q->ti.inode, sb, c, ino, mode);
	atomic_fetch_add(&ms->ts.inodes, 1);
	if (o.cost + cost(q) > task_rlimit(ctx_task(c), RLIMIT_MSGQUEUE))
		return -EMFILE;
	q->ti.inode.size = 80; /* what a read of the status finds */
	*ret = &TAKE(q)->ti.inode;
	return 0;
}

/* ---- calls ---- */

struct mq_call {
	struct file *f;
	struct ctx *c;
	struct mq_inode *q;
	struct mq_message **m;
	size_t room;
	u32 *asleep; /* where this call is counted while it sleeps */
	int result;
};

/* A registration's end: whom it told, and how. q->lock is held. */
static u32 take_notice_locked(struct mq_inode *q, struct mq_notice *ret)
{
	u32 tgid = q->notify_tgid;

	ret->signo = q->notify_signal;
	ret->value = q->notify_value;
	ret->sock = TAKE(q->notify_sock);
	memcpy(ret->cookie, q->notify_cookie, sizeof(ret->cookie));
	q->notify_tgid = 0;
	return tgid;
}

/* The socket learns what became of the registration; its reference is given up. */
static void tell_socket(struct mq_notice *n, u8 what)
{
	if (!n->sock)
		return;
	n->cookie[MQ_COOKIE - 1] = what;
	netlink_tell(n->sock, n->cookie, sizeof(n->cookie));
	obj_put(n->sock);
}

static void tell(struct ctx *c, u32 tgid, struct mq_notice *n)
{
	AUTO(thread_group) tg = n->signo ? thread_group_find(c->kernel, tgid) : NULL;
	siginfo_t info;

	tell_socket(n, NOTIFY_WOKENUP);
	if (!tg)
		return;
	memset(&info, 0, sizeof(info));
	info.si_signo = (int)n->signo;
	info.si_code = SI_MESGQ;
	info.si_pid = (pid_t)c->tgid;
	info.si_uid = c->creds->uid;
	info.si_ptr = (void *)(uintptr_t)n->value;
	signal_send_group(tg, &info);
}

static bool send_ready(void *arg)
{
	struct mq_call *call = arg;
	struct mq_inode *q = call->q;
	struct mq_notice notice = {0};
	u32 tgid = 0;

	mutex_lock(&q->lock);
	if (q->count >= q->max_messages) {
		mutex_unlock(&q->lock);
		call->result = -EAGAIN;
		return file_nonblock(call->f);
	}
	call->result = 0;
	if (q->bytes + (*call->m)->len > QUEUE_MAX ||
	    atomic_load(&super_of(q)->heap) + (*call->m)->len > HEAP_MAX) {
		mutex_unlock(&q->lock);
		call->result = -ENOMEM;
		return true;
	}
	insert(q, TAKE(*call->m));
	if (q->notify_tgid && q->count == 1 && !q->receivers)
		tgid = take_notice_locked(q, &notice);
	mutex_unlock(&q->lock);
	tell(call->c, tgid, &notice);
	waitq_wake(&q->wait, READY_IN);
	return true;
}

static bool receive_ready(void *arg)
{
	struct mq_call *call = arg;
	struct mq_inode *q = call->q;

	mutex_lock(&q->lock);
	if (q->count == 0) {
		mutex_unlock(&q->lock);
		call->result = -EAGAIN;
		return file_nonblock(call->f);
	}
	*call->m = take_first(q);
	mutex_unlock(&q->lock);
	waitq_wake(&q->wait, READY_OUT);
	call->result = 0;
	return true;
}

int mq_send_message(struct file *f, struct ctx *c, struct mq_message **m, struct deadline d)
{
	struct mq_call call = {.f = f, .c = c, .q = mq_of(f), .m = m};
	int r;

	if (!call.q || !file_writable(f))
		return -EBADF;
	if ((*m)->len > call.q->max_size)
		return -EMSGSIZE;
	r = ctx_block(c, &call.q->wait, send_ready, &call, d);
	if (r == 0 && call.result == 0)
		inode_touch(&call.q->ti.inode, c, false, true, true);
	return r < 0 ? r : call.result;
}

int mq_receive_message(struct file *f, struct ctx *c, size_t room, struct deadline d,
                       struct mq_message **ret)
{
	struct mq_call call = {.f = f, .c = c, .q = mq_of(f), .m = ret};
	int r;

	if (!call.q || !file_readable(f))
		return -EBADF;
	if (room < call.q->max_size)
		return -EMSGSIZE;
	if (receive_ready(&call))
		return call.result;
	mutex_lock(&call.q->lock);
	call.q->receivers++;
	mutex_unlock(&call.q->lock);
	r = ctx_block(c, &call.q->wait, receive_ready, &call, d);
	mutex_lock(&call.q->lock);
	call.q->receivers--;
	mutex_unlock(&call.q->lock);
	return r < 0 ? r : call.result;
}

int mq_register(struct file *f, struct ctx *c, const struct mq_notice *n)
{
	struct mq_inode *q = mq_of(f);

	if (!q)
		return -EBADF;
	GUARD(&q->lock);
	if (q->notify_tgid)
		return -EBUSY;
	q->notify_tgid = c->tgid;
	q->notify_signal = n->signo;
	q->notify_value = n->value;
	q->notify_sock = n->sock ? obj_get(n->sock) : NULL;
	memcpy(q->notify_cookie, n->cookie, sizeof(q->notify_cookie));
	return 0;
}

void mq_unregister(struct mq_inode *q, u32 tgid)
{
	struct mq_notice notice = {0};

	mutex_lock(&q->lock);
	if (q->notify_tgid == tgid)
		take_notice_locked(q, &notice);
	mutex_unlock(&q->lock);
	tell_socket(&notice, NOTIFY_REMOVED);
}
