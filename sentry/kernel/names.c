/* UTS namespace and signal actions: small objects of the kernel with nothing but names and values.
 */
#include "sentry/kernel/sighand.h"
#include "sentry/kernel/utsns.h"

#include "proto/task.pb-c.h"
#include "state/fields.h"

/* ---- utsns ---- */

static void utsns_init(void *p)
{
	struct utsns *u = p;

	mutex_init(&u->lock, RANK_LEAF);
}

static int utsns_save_hostname(struct saver *s, const struct utsns *u, Sentry__Utsns *m)
{
	m->hostname = (char *)(uintptr_t)u->hostname;
	return 0;
}

static int utsns_save_domainname(struct saver *s, const struct utsns *u, Sentry__Utsns *m)
{
	m->domainname = (char *)(uintptr_t)u->domainname;
	return 0;
}

static int load_name(struct loader *l, char dst[UTS_LEN + 1], const char *src)
{
	size_t n = strlen(src);

	if (n > UTS_LEN)
		return loader_error(l, "name of %zu bytes is too long", n);
	memcpy(dst, src, n + 1);
	return 0;
}

static int utsns_load_hostname(struct loader *l, struct utsns *u, const Sentry__Utsns *m)
{
	return load_name(l, u->hostname, m->hostname);
}

static int utsns_load_domainname(struct loader *l, struct utsns *u, const Sentry__Utsns *m)
{
	return load_name(l, u->domainname, m->domainname);
}

static void utsns_sample_hostname(struct sampler *sp, struct utsns *u)
{
	strcpy(u->hostname, "host");
}

static void utsns_sample_domainname(struct sampler *sp, struct utsns *u)
{
	strcpy(u->domainname, "domain");
}

#define UTSNS_FIELDS(F)                      \
	F(HDR, obj)                          \
	F(SKIP, lock) /* fresh after load */ \
	F(CUSTOM_ARRAY, hostname, utsns)     \
	F(CUSTOM_ARRAY, domainname, utsns) F(VAL, ino)
OBJECT_TYPE(utsns, Sentry__Utsns, sentry__utsns__descriptor, UTSNS_FIELDS, .init = utsns_init);

struct utsns *utsns_new(const char *hostname)
{
	struct utsns *u = obj_new(utsns);

	strncpy(u->hostname, hostname, UTS_LEN);
	strcpy(u->domainname, "(none)");
	return u;
}

struct utsns *utsns_copy(struct utsns *u, u64 ino)
{
	struct utsns *n = obj_new(utsns);

	utsns_get_hostname(u, n->hostname);
	utsns_get_domainname(u, n->domainname);
	n->ino = ino;
	return n;
}

void utsns_get_hostname(struct utsns *u, char buf[UTS_LEN + 1])
{
	GUARD(&u->lock);
	memcpy(buf, u->hostname, UTS_LEN + 1);
}

void utsns_get_domainname(struct utsns *u, char buf[UTS_LEN + 1])
{
	GUARD(&u->lock);
	memcpy(buf, u->domainname, UTS_LEN + 1);
}

static int set_name(struct utsns *u, char *dst, const char *name, size_t len)
{
	if (len > UTS_LEN)
		return -EINVAL;
	GUARD(&u->lock);
	memset(dst, 0, UTS_LEN + 1);
	memcpy(dst, name, len);
	return 0;
}

int utsns_set_hostname(struct utsns *u, const char *name, size_t len)
{
	return set_name(u, u->hostname, name, len);
}

int utsns_set_domainname(struct utsns *u, const char *name, size_t len)
{
	return set_name(u, u->domainname, name, len);
}

/* ---- sighand ---- */

static void sighand_init(void *p)
{
	struct sighand *h = p;

	mutex_init(&h->lock, RANK_LEAF);
}

static int sighand_save_action(struct saver *s, const struct sighand *h, Sentry__Sighand *m)
{
	m->n_action = SIGNAL_MAX;
	m->action = saver_alloc(s, SIGNAL_MAX * sizeof(*m->action));
	for (unsigned i = 0; i < SIGNAL_MAX; i++) {
		Sentry__Sigaction *a = saver_msg(s, Sentry__Sigaction, sentry__sigaction__init);

		a->handler = h->action[i].handler;
		a->flags = h->action[i].flags;
		a->restorer = h->action[i].restorer;
		a->mask = h->action[i].mask;
		m->action[i] = a;
	}
	return 0;
}

static int sighand_load_action(struct loader *l, struct sighand *h, const Sentry__Sighand *m)
{
	if (m->n_action != SIGNAL_MAX)
		return loader_error(l, "%zu signal actions instead of %d", m->n_action, SIGNAL_MAX);
	for (unsigned i = 0; i < SIGNAL_MAX; i++) {
		h->action[i] = (struct ksigaction){
			.handler = m->action[i]->handler,
			.flags = m->action[i]->flags,
			.restorer = m->action[i]->restorer,
			.mask = m->action[i]->mask & ~SIGSET_UNBLOCKABLE,
		};
	}
	return 0;
}

static void sighand_sample_action(struct sampler *sp, struct sighand *h)
{
	for (unsigned i = 0; i < SIGNAL_MAX; i++)
		h->action[i] = (struct ksigaction){sampler_value(sp), sampler_value(sp),
		                                   sampler_value(sp), 0x3};
}

#define SIGHAND_FIELDS(F)                    \
	F(HDR, obj)                          \
	F(SKIP, lock) /* fresh after load */ \
	F(CUSTOM_ARRAY, action, sighand)
OBJECT_TYPE(sighand, Sentry__Sighand, sentry__sighand__descriptor, SIGHAND_FIELDS,
            .init = sighand_init);

struct sighand *sighand_new(u64 ignored)
{
	struct sighand *s = obj_new(sighand);

	ignored &= ~SIGSET_UNBLOCKABLE;
	for (int i = 0; i < SIGNAL_MAX; i++)
		if (ignored >> i & 1)
			s->action[i].handler = (u64)(uintptr_t)SIG_IGN;
	return s;
}

struct sighand *sighand_copy(struct sighand *s)
{
	struct sighand *n = obj_new(sighand);

	GUARD(&s->lock);
	memcpy(n->action, s->action, sizeof(n->action));
	return n;
}

struct ksigaction sighand_get_action(struct sighand *s, int signo)
{
	GUARD(&s->lock);
	return s->action[signo - 1];
}

struct ksigaction sighand_set_action(struct sighand *s, int signo, const struct ksigaction *act)
{
	struct ksigaction old;

	GUARD(&s->lock);
	old = s->action[signo - 1];
	s->action[signo - 1] = *act;
	s->action[signo - 1].mask &= ~SIGSET_UNBLOCKABLE;
	return old;
}

void sighand_reset(struct sighand *s, int signo)
{
	GUARD(&s->lock);
	s->action[signo - 1].handler = (u64)(uintptr_t)SIG_DFL;
}

void sighand_exec(struct sighand *s)
{
	GUARD(&s->lock);
	for (unsigned i = 0; i < SIGNAL_MAX; i++) {
		struct ksigaction *a = &s->action[i];

		if (a->handler != (u64)(uintptr_t)SIG_IGN)
			a->handler = (u64)(uintptr_t)SIG_DFL;
		a->flags = 0;
		a->restorer = 0;
		a->mask = 0;
	}
}
