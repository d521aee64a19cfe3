/* Tables of sockets, in the formats of proc(5). */
#include "sentry/net/inet/list.h"

#include "sentry/net/inet/tcp.h"
#include "sentry/net/inet/udp.h"
#include "state/base/cleanup.h"

#include <stdio.h>
#include <string.h>

static void address(char *buf, size_t size, u16 family, const struct inet_addr *a)
{
	u32 w[4];

	memcpy(w, a->ip.b, sizeof(w));
	if (family == AF_INET)
		snprintf(buf, size, "%08X:%04X", w[3], a->port);
	else
		snprintf(buf, size, "%08X%08X%08X%08X:%04X", w[0], w[1], w[2], w[3], a->port);
}

struct row {
	u16 family;
	const struct inet_addr *local, *remote;
	u8 state;
	u32 tx, rx;
	u8 timer;
	u64 when;
	u32 uid;
	u64 ino;
	const char *tail; /* after the inode */
};

static void print(char *buf, size_t size, const char *index, const struct row *r)
{
	char local[64], remote[64];

	address(local, sizeof(local), r->family, r->local);
	address(remote, sizeof(remote), r->family, r->remote);
	snprintf(buf, size, "%s: %s %s %02X %08X:%08X %02X:%08llX %08X %5u %8d %llu %s", index,
	         local, remote, r->state, r->tx, r->rx, r->timer, (unsigned long long)r->when, 0u,
	         r->uid, 0, (unsigned long long)r->ino, r->tail);
}

struct out {
	void (*line)(const char *line, void *arg);
	void *arg;
	u16 family;
	enum inet_proto proto;
	u32 n;
};

/* IPv4 tables have lines of one length. */
static void emit(struct out *o, const struct row *r)
{
	char buf[384], padded[384], index[16];
	int width = o->family == AF_INET6 ? 0 : o->proto == INET_TCP ? 149 : 127;

	snprintf(index, sizeof(index), o->proto == INET_TCP ? "%4u" : "%5u", o->n++);
	print(buf, sizeof(buf), index, r);
	snprintf(padded, sizeof(padded), "%-*s", width, buf);
	o->line(padded, o->arg);
}

static void emit_tcp(struct out *o, struct inet_sock *is)
{
	struct tcp_sock *t = (struct tcp_sock *)is, *p = t->peer;
	bool listens = t->state == TCPS_LISTEN;
	struct row r = {
		.family = o->family,
		.local = &is->local,
		.remote = &is->remote,
		.state = t->state,
		.uid = is->sk.uid,
		.ino = t->orphan ? 0 : is->sk.ino,
		.tail = listens ? "1 0000000000000000 100 0 0 10 0"
	                        : "1 0000000000000000 20 4 30 10 -1",
	};

	if (t->state == TCPS_CLOSE)
		return;
	if (listens) {
		r.rx = t->n_accept;
	} else {
		mutex_lock(&is->sk.lock);
		r.rx = t->len;
		mutex_unlock(&is->sk.lock);
		if (p) {
			u32 most = (u32)MAX(p->inet.sk.opts.rcvbuf, 0);

			mutex_lock(&p->inet.sk.lock);
			r.tx = p->len > most ? p->len - most : 0;
			mutex_unlock(&p->inet.sk.lock);
		}
	}
	emit(o, &r);
}

static void emit_udp(struct out *o, struct inet_sock *is)
{
	struct udp_sock *u = (struct udp_sock *)is;
	char tail[64];
	struct row r = {
		.family = o->family,
		.local = &is->local,
		.remote = &is->remote,
		.state = u->connected ? TCPS_ESTABLISHED : TCPS_CLOSE,
		.uid = is->sk.uid,
		.ino = is->sk.ino,
		.tail = tail,
	};

	mutex_lock(&is->sk.lock);
	r.rx = (u32)u->charge;
	snprintf(tail, sizeof(tail), "2 0000000000000000 %u", u->drops);
	mutex_unlock(&is->sk.lock);
	emit(o, &r);
}

static void emit_tw(struct out *o, const struct inet_tw *tw, s64 now)
{
	struct row r = {
		.family = o->family,
		.local = &tw->local,
		.remote = &tw->remote,
		.state = TCPS_TIME_WAIT,
		.timer = 3,
		.when = tw->expires > now ? (u64)(tw->expires - now) / (NSEC_PER_SEC / 100) : 0,
		.tail = "3 0000000000000000",
	};

	emit(o, &r);
}

void inet_list(struct inet_ns *ns, enum inet_proto proto, u16 family,
               void (*line)(const char *line, void *arg), void *arg)
{
	struct out o = {line, arg, family, proto, 0};
	const struct inet_tw *tw;
	struct inet_sock *is;
	s64 now = inet_now(ns);

	GUARD_READ(&ns->lock);
	for (u32 i = 0; i < PORT_HASH; i++) {
		LIST_FOREACH (is, &ns->table[proto][i].listeners, link) {
			if (is->sk.family == family && proto == INET_TCP)
				emit_tcp(&o, is);
		}
	}
	for (u32 i = 0; i < PORT_HASH; i++) {
		LIST_FOREACH (is, &ns->table[proto][i].socks, link) {
			if (is->sk.family != family)
				continue;
			if (proto == INET_TCP)
				emit_tcp(&o, is);
			else
				emit_udp(&o, is);
		}
	}
	if (proto != INET_TCP)
		return;
	TAILQ_FOREACH (tw, &ns->tws, order) {
		if (tw->family == family && tw->expires > now)
			emit_tw(&o, tw, now);
	}
}

void inet_usage(struct inet_ns *ns, struct inet_usage *ret)
{
	struct inet_sock *is;

	*ret = (struct inet_usage){0};
	GUARD_READ(&ns->lock);
	for (u32 i = 0; i < PORT_HASH; i++) {
		LIST_FOREACH (is, &ns->table[INET_TCP][i].listeners, link)
			(*(is->sk.family == AF_INET ? &ret->tcp4 : &ret->tcp6))++;
		LIST_FOREACH (is, &ns->table[INET_TCP][i].socks, link) {
			u8 state = ((struct tcp_sock *)is)->state;

			(*(is->sk.family == AF_INET ? &ret->tcp4 : &ret->tcp6))++;
			ret->orphans += ((struct tcp_sock *)is)->orphan;
			ret->established += state == TCPS_ESTABLISHED || state == TCPS_CLOSE_WAIT;
		}
		LIST_FOREACH (is, &ns->table[INET_UDP][i].socks, link)
			(*(is->sk.family == AF_INET ? &ret->udp4 : &ret->udp6))++;
		LIST_FOREACH (is, &ns->table[INET_RAW][i].socks, link)
			(*(is->sk.family == AF_INET ? &ret->raw4 : &ret->raw6))++;
	}
	ret->tw = ns->n_tws;
}
