/* Queues of datagrams, bounded by SO_RCVBUF as Linux counts. */
#include "sentry/net/filter.h"
#include "sentry/net/inet/wire.h"

#include "state/base/bug.h"
#include "state/base/cleanup.h"

#include <linux/if_ether.h>
#include <stdlib.h>
#include <string.h>

struct packet *packet_new(u32 len)
{
	struct packet *p = malloc(sizeof(*p) + len);

	BUG_ON(!p);
	memset(p, 0, sizeof(*p));
	p->len = len;
	return p;
}

/* An sk_buff's overhead and its data rounded up, about: 768 for small ones. */
u32 packet_charge(const struct packet *p)
{
	return 512 + ALIGN_UP(p->len + 192, 256u);
}

void udp_charge(struct udp_sock *u, s64 bytes)
{
	struct inet_ns *ns = inet_ns_of(&u->inet.sk);

	u->charge += (u64)bytes;
	if (ns)
		atomic_fetch_add_explicit(&ns->mem, (u64)bytes, memory_order_relaxed);
}

/* What the socket's filter leaves of p; false: nothing. sk->lock is held. */
static bool filtered(struct udp_sock *u, struct packet *p)
{
	struct sock *sk = &u->inet.sk;
	u8 proto = (u8)sk->protocol;
	u32 head = proto == IPPROTO_UDP ? UDP_HEADER : 0, keep;
	struct filter_packet fp = {
		.len = wire_size(p, proto),
		.start = wire_ip_header(p),
		.protocol = ip_is_v4(&p->dst.ip) ? ETH_P_IP : ETH_P_IPV6,
	};
	u8 *wire;

	if (udp_is_raw(u)) {
		fp = (struct filter_packet){
			.bytes = p->data, .len = p->len, .protocol = fp.protocol};
		p->len = filter_run(sk, &fp);
		return p->len > 0;
	}
	wire = malloc(fp.len);
	BUG_ON(!wire);
	wire_write(p, proto, wire);
	fp.bytes = wire;
	keep = filter_run(sk, &fp);
	free(wire);
	/* The header stays, whatever is left of the rest. */
	if (keep)
		p->len = MIN(p->len, keep > head ? keep - head : 0);
	return keep != 0;
}

static bool is_full(const struct udp_sock *u)
{
	u64 most = (u64)u->inet.sk.opts.rcvbuf;

	/* UDP alone takes one more than fits. */
	return u->inet.sk.protocol == IPPROTO_UDP && !udp_is_raw(u) ? u->charge > most
	                                                            : u->charge >= most;
}

bool udp_enqueue(struct udp_sock *u, struct packet *p)
{
	struct sock *sk = &u->inet.sk;

	mutex_lock(&sk->lock);
	if ((filter_there(sk) && !filtered(u, p)) || is_full(u) || inet_mem_full(inet_ns_of(sk)) ||
	    ((sock_shut(sk) & SOCK_RCV_CLOSED) && !udp_is_raw(u))) {
		u->drops++;
		mutex_unlock(&sk->lock);
		free(p);
		return false;
	}
	p->drops = u->drops;
	STAILQ_INSERT_TAIL(&u->rxq, p, link);
	udp_charge(u, packet_charge(p));
	u->n_rx++;
	mutex_unlock(&sk->lock);
	waitq_wake(&sk->rwait, READY_IN);
	return true;
}

void udp_enqueue_error(struct udp_sock *u, struct packet *p)
{
	struct sock *sk = &u->inet.sk;

	mutex_lock(&sk->lock);
	if (u->err_charge > (u64)sk->opts.rcvbuf) {
		mutex_unlock(&sk->lock);
		free(p);
		return;
	}
	STAILQ_INSERT_TAIL(&u->errq, p, link);
	u->err_charge += packet_charge(p);
	mutex_unlock(&sk->lock);
}

struct packet *udp_dequeue(struct udp_sock *u)
{
	struct packet *p = STAILQ_FIRST(&u->rxq);

	if (!p)
		return NULL;
	STAILQ_REMOVE_HEAD(&u->rxq, link);
	udp_charge(u, -(s64)packet_charge(p));
	u->n_rx--;
	return p;
}

void packets_free(struct packet_list *l)
{
	struct packet *p;

	while ((p = STAILQ_FIRST(l))) {
		STAILQ_REMOVE_HEAD(l, link);
		free(p);
	}
}
