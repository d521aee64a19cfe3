/* Message queues: msgget(2), msgop(2), msgctl(2). */
#include "sentry/ctx/settings.h"
#include "sentry/auth/creds.h"
#include "sentry/ipc/ipc.h"
#include "sentry/mm/heap.h"
#include "sentry/mm/usercopy.h"

#include "proto/ipc.pb-c.h"
#include "state/base/bug.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/msg.h>

#ifndef MSG_STAT_ANY
#define MSG_STAT_ANY 13
#endif
#ifndef MSG_COPY
#define MSG_COPY 040000
#endif

#define MESSAGE_MAX (64u << 20)    /* more than msgmax may say */
#define QUEUE_MAX   (48ull << 20)  /* the same of one queue: what a record of an image holds */
#define TOTAL_MAX   (128ull << 20) /* what all messages of the namespace take of our heap */

struct ipc_message {
	TAILQ_ENTRY(ipc_message) link;
	s64 type;
	u32 len;
	u8 data[];
};
struct msg_queue {
	struct ipc_object object;
	s64 stime, rtime;
	u32 lspid, lrpid;
	u64 max_bytes;
	TAILQ_HEAD(, ipc_message) messages;
	u64 bytes;
	u32 count;
};

static void queue_init(void *p)
{
	struct msg_queue *q = p;

	TAILQ_INIT(&q->messages);
}

static void queue_destroy(void *p)
{
	struct msg_queue *q = p;
	struct ipc_message *m;

	while ((m = TAILQ_FIRST(&q->messages))) {
		TAILQ_REMOVE(&q->messages, m, link);
		free(m);
	}
}

static struct ipc_message *message_new(s64 type, u32 len)
{
	struct ipc_message *m = calloc(1, sizeof(*m) + len);

	BUG_ON(!m);
	m->type = type;
	m->len = len;
	return m;
}

static void append(struct msg_queue *q, struct ipc_message *m)
{
	TAILQ_INSERT_TAIL(&q->messages, m, link);
	q->bytes += m->len;
	q->count++;
}

static int msg_queue_save_messages(struct saver *s, const struct msg_queue *q, Sentry__MsgQueue *m)
{
	struct ipc_message *im;

	m->messages = saver_alloc(s, q->count * sizeof(*m->messages));
	TAILQ_FOREACH (im, &q->messages, link) {
		Sentry__IpcMessage *e = saver_msg(s, Sentry__IpcMessage, sentry__ipc_message__init);

		e->type = im->type;
		e->data.data = im->data;
		e->data.len = im->len;
		m->messages[m->n_messages++] = e;
	}
	return 0;
}

static int msg_queue_load_messages(struct loader *l, struct msg_queue *q, const Sentry__MsgQueue *m)
{
	for (size_t i = 0; i < m->n_messages; i++) {
		const Sentry__IpcMessage *e = m->messages[i];
		struct ipc_message *im;

		if (e->type < 1 || e->data.len > MESSAGE_MAX || q->bytes > TOTAL_MAX)
			return loader_range(l, "messages");
		im = message_new(e->type, (u32)e->data.len);
		if (e->data.len)
			memcpy(im->data, e->data.data, e->data.len);
		append(q, im);
	}
	return 0;
}

static void msg_queue_sample_messages(struct sampler *sp, struct msg_queue *q)
{
	struct ipc_message *m = message_new(5, 3);

	memcpy(m->data, "abc", 3);
	append(q, m);
}

#define QUEUE_FIELDS(F)                              \
	F(BASE, object, ipc_object)                  \
	F(VAL, stime)                                \
	F(VAL, rtime)                                \
	F(VAL, lspid)                                \
	F(VAL, lrpid)                                \
	F(VAL, max_bytes)                            \
	F(CUSTOM, messages, msg_queue)               \
	F(SKIP, bytes) /* counted by the messages */ \
	F(SKIP, count)
OBJECT_TYPE(msg_queue, Sentry__MsgQueue, sentry__msg_queue__descriptor, QUEUE_FIELDS,
            .base = &ipc_object_type, .init = queue_init, .destroy = queue_destroy);

static struct msg_queue *find_locked(struct ipcns *ns, s32 id)
{
	struct ipc_object *o = ipc_by_id_locked(ns, IPC_MSG, id);

	return o ? obj_cast(msg_queue, o) : NULL;
}

long ipc_msgget(struct ctx *c, struct ipcns *ns, s32 key, int flags)
{
	AUTO(msg_queue) fresh = obj_new(msg_queue);
	struct ipc_object *o;
	int r;

	GUARD(&ns->lock);
	o = ipc_by_key_locked(ns, IPC_MSG, key);
	if (o)
		return ipc_found(c, o, flags);
	if (key != IPC_PRIVATE && !(flags & IPC_CREAT))
		return -ENOENT;
	fresh->max_bytes = setting(c->kernel, msgmnb);
	r = ipc_add_locked(ns, IPC_MSG, c, &fresh->object, key, (u32)flags);
	return r < 0 ? r : fresh->object.owner.id;
}

/* ---- sending and receiving ---- */

struct msg_call {
	struct ctx *c;
	struct ipcns *ns;
	struct msg_queue *q;
	struct ipc_message *m; /* to be sent (taken when it is), or received */
	s64 type;
	u64 len;
	int flags;
	int result; /* 0: done; 1: wait */
};

static u64 queue_heap(const struct msg_queue *q)
{
	return q->bytes + q->count * (sizeof(struct ipc_message) + 32);
}

static u64 heap_locked(struct ipcns *ns)
{
	struct ipc_object *o;
	u64 n = 0;

	TAILQ_FOREACH (o, &ns->objects, link) {
		struct msg_queue *q = obj_cast(msg_queue, o);

		n += q ? queue_heap(q) : 0;
	}
	return n;
}

static int send_locked(struct msg_call *call)
{
	struct msg_queue *q = call->q;
	int r;

	if (q->object.removed)
		return -EIDRM;
	r = ipc_may(call->c, &q->object, 2);
	if (r < 0)
		return r;
	if (q->bytes + call->m->len > q->max_bytes || q->count + 1ull > q->max_bytes)
		return call->flags & IPC_NOWAIT ? -EAGAIN : 1;
	if (queue_heap(q) + call->m->len > QUEUE_MAX || heap_locked(call->ns) > TOTAL_MAX)
		return -ENOMEM;
	append(q, TAKE(call->m));
	q->lspid = call->c->tgid;
	q->stime = ipc_now(call->c);
	waitq_wake(&q->object.waitq, ~0u);
	return 0;
}

static bool send_ready(void *arg)
{
	struct msg_call *call = arg;

	GUARD(&call->ns->lock);
	call->result = send_locked(call);
	return call->result != 1;
}

/* msgrcv(2)'s msgtyp: the first of a type, of any other, of the lowest up to one, or any. */
static struct ipc_message *select_message(const struct msg_queue *q, s64 type, int flags)
{
	struct ipc_message *m, *best = NULL;

	TAILQ_FOREACH (m, &q->messages, link) {
		if (type == 0)
			return m;
		if (type > 0 && (flags & MSG_EXCEPT ? m->type != type : m->type == type))
			return m;
		if (type < 0 && m->type <= -type && (!best || m->type < best->type))
			best = m;
	}
	return best;
}

/* MSG_COPY: the type is an index, and the message stays. */
static int copy_locked(struct msg_call *call)
{
	struct ipc_message *m = TAILQ_FIRST(&call->q->messages);

	for (s64 i = 0; m && i < call->type; i++)
		m = TAILQ_NEXT(m, link);
	if (!m || call->type < 0)
		return -ENOMSG;
	/* There are no copies of parts. */
	if (m->len > call->len)
		return call->flags & MSG_NOERROR ? -EINVAL : -E2BIG;
	call->m = message_new(m->type, m->len);
	memcpy(call->m->data, m->data, m->len);
	return 0;
}

static int receive_locked(struct msg_call *call)
{
	struct msg_queue *q = call->q;
	struct ipc_message *m;
	int r;

	if (q->object.removed)
		return -EIDRM;
	r = ipc_may(call->c, &q->object, 4);
	if (r < 0)
		return r;
	if (call->flags & MSG_COPY)
		return copy_locked(call);
	m = select_message(q, call->type, call->flags);
	if (!m)
		return call->flags & IPC_NOWAIT ? -ENOMSG : 1;
	if (m->len > call->len && !(call->flags & MSG_NOERROR))
		return -E2BIG;
	TAILQ_REMOVE(&q->messages, m, link);
	q->bytes -= m->len;
	q->count--;
	q->lrpid = call->c->tgid;
	q->rtime = ipc_now(call->c);
	waitq_wake(&q->object.waitq, ~0u);
	call->m = m;
	return 0;
}

static bool receive_ready(void *arg)
{
	struct msg_call *call = arg;

	GUARD(&call->ns->lock);
	call->result = receive_locked(call);
	return call->result != 1;
}

static long run_call(struct msg_call *call, s32 id, bool (*ready)(void *arg))
{
	AUTO(msg_queue) q = NULL;
	int r;

	mutex_lock(&call->ns->lock);
	q = obj_get(find_locked(call->ns, id));
	mutex_unlock(&call->ns->lock);
	if (!q)
		return -EINVAL;
	call->q = q;
	r = ctx_block(call->c, &q->object.waitq, ready, call, NEVER);
	return r == 0 ? call->result : r == -ERESTARTSYS ? -ERESTARTNOHAND : r;
}

long ipc_msgsnd(struct ctx *c, struct ipcns *ns, s32 id, uaddr_t msg, u64 len, int flags)
{
	struct msg_call call = {.c = c, .ns = ns, .flags = flags};
	s64 type;
	long r;

	r = user_get(c, msg, &type);
	if (r < 0)
		return r;
	if (len > setting(c->kernel, msgmax) || id < 0 || type < 1)
		return -EINVAL;
	/* Whoever waits for room has its message here already. */
	if (!heap_grow(len))
		return -ENOMEM;
	call.m = message_new(type, (u32)len);
	r = user_copy_in(c, call.m->data, uaddr_add(msg, sizeof(type)), len);
	if (r == 0)
		r = run_call(&call, id, send_ready);
	free(call.m);
	return r;
}

long ipc_msgrcv(struct ctx *c, struct ipcns *ns, s32 id, uaddr_t msg, u64 len, s64 type, int flags)
{
	struct msg_call call = {.c = c, .ns = ns, .flags = flags, .type = type, .len = len};
	long r;

	if (id < 0 || (s64)len < 0)
		return -EINVAL;
	if ((flags & MSG_COPY) && (!(flags & IPC_NOWAIT) || (flags & MSG_EXCEPT)))
		return -EINVAL;
	if (type == INT64_MIN)
		call.type = -INT64_MAX;
	r = run_call(&call, id, receive_ready);
	if (r < 0)
		return r;
	len = MIN(len, (u64)call.m->len);
	r = user_put(c, msg, &call.m->type);
	if (r == 0)
		r = user_copy_out(c, uaddr_add(msg, sizeof(s64)), call.m->data, len);
	free(call.m);
	return r < 0 ? r : (long)len;
}

/* ---- msgctl ---- */

static long stat_out(struct ctx *c, struct ipcns *ns, s32 id, int cmd, uaddr_t buf)
{
	struct msqid_ds ds = {0};
	struct ipc_object *o;
	struct msg_queue *q;
	long r;

	mutex_lock(&ns->lock);
	r = ipc_find_stat_locked(c, ns, IPC_MSG, id, cmd != IPC_STAT, cmd == MSG_STAT_ANY, &o);
	if (r == 0) {
		q = obj_cast(msg_queue, o);
		ipc_perm_out(o, &ds.msg_perm);
		ds.msg_stime = q->stime;
		ds.msg_rtime = q->rtime;
		ds.msg_ctime = o->ctime;
		ds.__msg_cbytes = q->bytes;
		ds.msg_qnum = q->count;
		ds.msg_qbytes = q->max_bytes;
		ds.msg_lspid = (pid_t)q->lspid;
		ds.msg_lrpid = (pid_t)q->lrpid;
		r = cmd == IPC_STAT ? 0 : o->owner.id;
	}
	mutex_unlock(&ns->lock);
	if (r < 0)
		return r;
	return user_put(c, buf, &ds) < 0 ? -EFAULT : r;
}

static int set_locked(struct ctx *c, struct ipc_object *o, const struct msqid_ds *ds)
{
	if (ds->msg_qbytes > setting(c->kernel, msgmnb) &&
	    !creds_capable(c->creds, CAP_SYS_RESOURCE))
		return -EPERM;
	obj_cast(msg_queue, o)->max_bytes = MIN(ds->msg_qbytes, (u64)INT32_MAX);
	ipc_perm_set(c, o, &ds->msg_perm);
	/* Senders may find room now, and whoever lost the right to wait an error. */
	waitq_wake(&o->waitq, ~0u);
	return 0;
}

static long change(struct ctx *c, struct ipcns *ns, s32 id, int cmd, uaddr_t buf)
{
	struct ipc_object *o, *gone = NULL;
	struct msqid_ds ds = {0};
	int r;

	if (cmd == IPC_SET) {
		r = user_get(c, buf, &ds);
		if (r < 0)
			return r;
	}
	mutex_lock(&ns->lock);
	o = ipc_by_id_locked(ns, IPC_MSG, id);
	r = o ? ipc_may_control(c, o) : -EINVAL;
	if (r == 0 && cmd == IPC_SET)
		r = set_locked(c, o, &ds);
	else if (r == 0)
		gone = ipc_remove_locked(ns, o);
	mutex_unlock(&ns->lock);
	obj_put(gone);
	return r;
}

static long info(struct ctx *c, struct ipcns *ns, int cmd, uaddr_t buf)
{
	u64 mni = setting(c->kernel, msgmni), mnb = setting(c->kernel, msgmnb);
	struct msginfo mi = {.msgpool = (int)(mni * mnb / 1024),
	                     .msgmap = (int)mnb,
	                     .msgmax = (int)setting(c->kernel, msgmax),
	                     .msgmnb = (int)mnb,
	                     .msgmni = (int)mni,
	                     .msgssz = 16,
	                     .msgtql = (int)mnb,
	                     .msgseg = 0xffff};
	struct ipc_object *o;
	u32 used;
	s32 top;
	int r;

	mutex_lock(&ns->lock);
	top = ipc_top_slot_locked(ns, IPC_MSG, &used);
	if (cmd == MSG_INFO) {
		mi.msgpool = (int)used;
		mi.msgmap = mi.msgtql = 0;
		TAILQ_FOREACH (o, &ns->objects, link) {
			struct msg_queue *q = obj_cast(msg_queue, o);

			mi.msgmap += q ? (int)q->count : 0;
			mi.msgtql += q ? (int)q->bytes : 0;
		}
	}
	mutex_unlock(&ns->lock);
	r = user_put(c, buf, &mi);
	return r < 0 ? r : MAX(top, 0);
}

long ipc_msgctl(struct ctx *c, struct ipcns *ns, s32 id, int cmd, uaddr_t buf)
{
	if (id < 0 || cmd < 0)
		return -EINVAL;
	switch (cmd) {
	case IPC_INFO:
	case MSG_INFO:
		return info(c, ns, cmd, buf);
	case IPC_STAT:
	case MSG_STAT:
	case MSG_STAT_ANY:
		return stat_out(c, ns, id, cmd, buf);
	case IPC_SET:
	case IPC_RMID:
		return change(c, ns, id, cmd, buf);
	default:
		return -EINVAL;
	}
}

void ipc_msg_line_locked(FILE *out, const struct ipc_object *o)
{
	const struct msg_queue *q = container_of(o, struct msg_queue, object);

	fprintf(out, " %10llu %10u %5u %5u %5u %5u %5u %5u %10lld %10lld %10lld",
	        (unsigned long long)q->bytes, q->count, q->lspid, q->lrpid, o->owner.uid,
	        o->owner.gid, o->owner.cuid, o->owner.cgid, (long long)q->stime,
	        (long long)q->rtime, (long long)o->ctime);
}
