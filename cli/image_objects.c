/* What is in an image besides processes: sockets, terminals, and how many of every other kind. */
#include "cli/image_show.h"
#include "state/base/cleanup.h"

#include "proto/inet.pb-c.h"
#include "proto/net.pb-c.h"
#include "proto/tty.pb-c.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <termios.h>

#define COLUMNS 80

/* "127.0.0.1:80", "[::1]:80", "*:80". */
static void address_words(FILE *f, const Sentry__InetAddr *a)
{
	static const u8 mapped[12] = {[10] = 0xff, [11] = 0xff};
	char text[INET6_ADDRSTRLEN] = "*";
	static const u8 none[16];

	if (!a || a->ip.len != 16) {
		fprintf(f, "*");
		return;
	}
	if (memcmp(a->ip.data, mapped, sizeof(mapped)) == 0) {
		if (memcmp(a->ip.data + 12, none, 4) != 0)
			inet_ntop(AF_INET, a->ip.data + 12, text, sizeof(text));
		fprintf(f, "%s:%u", text, a->port);
	} else {
		if (memcmp(a->ip.data, none, sizeof(none)) != 0)
			inet_ntop(AF_INET6, a->ip.data, text, sizeof(text));
		fprintf(f, strchr(text, ':') ? "[%s]:%u" : "%s:%u", text, a->port);
	}
}

static void inet_words(FILE *f, const Sentry__InetSock *s)
{
	fprintf(f, " ");
	address_words(f, s->local);
	if (s->remote && s->remote->port) {
		fprintf(f, " to ");
		address_words(f, s->remote);
	}
}

static void tcp_words(FILE *f, const Sentry__TcpSock *s)
{
	/* As in /proc/net/tcp. */
	static const char *const states[] = {
		"",          "established", "syn-sent",   "syn-recv", "fin-wait-1", "fin-wait-2",
		"time-wait", "closed",      "close-wait", "last-ack", "listening",  "closing",
	};

	fprintf(f, "tcp");
	inet_words(f, s->inet);
	if (s->state > 0 && s->state < ARRAY_SIZE(states))
		fprintf(f, ", %s", states[s->state]);
	if (s->n_accept_q)
		fprintf(f, ", %zu to accept", s->n_accept_q);
	if (s->ring.len)
		fprintf(f, ", %zu bytes not read", s->ring.len);
}

static void unix_words(FILE *f, const struct image_model *m, const Sentry__UnixSock *s)
{
	static const char *const types[] = {
		[SOCK_STREAM] = "stream", [SOCK_DGRAM] = "datagrams", [SOCK_SEQPACKET] = "packets"};
	u32 type = s->sk ? s->sk->type : 0;
	AUTO_FREE char *name = NULL;
	bool abstract = s->addr.len > 0 && s->addr.data[0] == 0;

	fprintf(f, "unix %s", type < ARRAY_SIZE(types) && types[type] ? types[type] : "?");
	if (s->addr.len > 0)
		name = image_printable((const char *)s->addr.data + abstract,
		                       abstract ? s->addr.len - 1
		                                : strnlen((const char *)s->addr.data, s->addr.len));
	if (name)
		fprintf(f, " %s%s", abstract ? "@" : "", name);
	if (s->state == 1 || s->peer)
		fprintf(f, s->state == 1 ? ", listening" : ", connected");
	if (s->n_pending)
		fprintf(f, ", %zu to accept", s->n_pending);
	if (s->ring.len)
		fprintf(f, ", %zu bytes not read", s->ring.len);
	if (s->n_packets)
		fprintf(f, ", %zu messages not read", s->n_packets);
}

static void udp_words(FILE *f, const Sentry__UdpSock *s)
{
	u32 protocol = s->inet && s->inet->sk ? s->inet->sk->protocol : 0;

	fprintf(f, protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6 ? "icmp" : "udp");
	inet_words(f, s->inet);
	if (s->n_rxq)
		fprintf(f, ", %zu messages not read", s->n_rxq);
}

/* One line about a socket; false: it is none. */
static bool socket_words(FILE *f, const struct image_model *m, const struct inspect_record *rec)
{
	const ProtobufCMessageDescriptor *d = rec->msg->descriptor;
	const ProtobufCMessage *msg = rec->msg;

	if (d == &sentry__tcp_sock__descriptor && ((const Sentry__TcpSock *)msg)->inet)
		tcp_words(f, (const Sentry__TcpSock *)msg);
	else if (d == &sentry__udp_sock__descriptor && ((const Sentry__UdpSock *)msg)->inet)
		udp_words(f, (const Sentry__UdpSock *)msg);
	else if (d == &sentry__unix_sock__descriptor)
		unix_words(f, m, (const Sentry__UnixSock *)msg);
	else if (d == &sentry__netlink_sock__descriptor)
		fprintf(f, "netlink, port %u", ((const Sentry__NetlinkSock *)msg)->portid);
	else
		return false;
	return true;
}

char *image_socket_name(const struct image_model *m, u64 sock_id)
{
	const struct inspect_record *rec = inspect_find(m->k, sock_id);
	char *text = NULL;
	size_t size;
	bool any;
	FILE *f;

	if (!rec || !rec->msg)
		return NULL;
	f = open_memstream(&text, &size);
	if (!f)
		return NULL;
	any = socket_words(f, m, rec);
	if (fclose(f) != 0 || !any) {
		free(text);
		return NULL;
	}
	return text;
}

static void show_sockets(const struct image_model *m)
{
	bool any = false;

	for (size_t i = 0; i < inspect_count(m->k); i++) {
		const struct inspect_record *rec = inspect_at(m->k, i);
		const Sentry__Sock *sk;
		AUTO_FREE char *name = NULL;

		sk = rec->msg ? image_base(rec->msg, &sentry__sock__descriptor) : NULL;
		name = sk ? image_socket_name(m, rec->id) : NULL;
		if (!name)
			continue;
		printf("%s", any ? "" : "\nsockets\n");
		printf("  %s\n", name);
		any = true;
	}
}

static void show_terminals(const struct image_model *m)
{
	bool any = false;

	for (size_t i = 0; i < inspect_count(m->k); i++) {
		const struct inspect_record *rec = inspect_at(m->k, i);
		const Sentry__Terminal *t;
		const Sentry__Session *s;
		u32 lflag;

		t = rec->msg ? image_base(rec->msg, &sentry__terminal__descriptor) : NULL;
		if (!t)
			continue;
		printf("%s", any ? "" : "\nterminals\n");
		any = true;
		if (major(t->rdev) == 136)
			printf("  pts/%u", minor(t->rdev));
		else
			printf("  console");
		if (t->size)
			printf(", %u rows of %u", t->size->rows, t->size->cols);
		lflag = t->termios ? t->termios->lflag : 0;
		printf(", %s, %s", lflag & ICANON ? "lines" : "raw",
		       lflag & ECHO ? "echo" : "no echo");
		s = image_find(m, t->session, &sentry__session__descriptor);
		if (s)
			printf(", session %u, foreground group %u", s->sid, t->foreground);
		printf("\n");
	}
}

struct kind {
	char name[40];
	size_t n;
};

static int by_count(const void *a, const void *b)
{
	const struct kind *x = a, *y = b;

	if (x->n != y->n)
		return x->n > y->n ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* "tcp sock" of "sentry.TcpSock". */
static void kind_words(const char *message, char *buf, size_t size)
{
	const char *dot = strrchr(message, '.'), *p = dot ? dot + 1 : message;
	size_t n = 0;

	for (const char *at = p; *at && n + 2 < size; at++) {
		if (isupper((unsigned char)*at) && at != p)
			buf[n++] = ' ';
		buf[n++] = isprint((unsigned char)*at) ? (char)tolower((unsigned char)*at) : '?';
	}
	buf[n] = 0;
}

static void show_kinds(const struct image_model *m)
{
	size_t n = 0, total = inspect_count(m->k), column = COLUMNS;
	AUTO_FREE struct kind *kinds = calloc(total + 1, sizeof(*kinds));

	if (!kinds)
		return;
	for (size_t i = 0; i < total; i++) {
		char name[sizeof(kinds->name)];
		size_t at = 0;

		kind_words(inspect_at(m->k, i)->name, name, sizeof(name));
		while (at < n && strcmp(kinds[at].name, name) != 0)
			at++;
		if (at == n)
			snprintf(kinds[n++].name, sizeof(name), "%s", name);
		kinds[at].n++;
	}
	qsort(kinds, n, sizeof(*kinds), by_count);
	printf("\nobjects");
	for (size_t i = 0; i < n; i++) {
		char item[80];
		int len = snprintf(item, sizeof(item), "%zu %s%s", kinds[i].n, kinds[i].name,
		                   i + 1 < n ? "," : "");

		if (column + 1 + (size_t)len > COLUMNS) {
			printf("\n ");
			column = 1;
		}
		printf(" %s", item);
		column += 1 + (size_t)len;
	}
	printf("\n");
}

void image_show_objects(const struct image_model *m)
{
	show_sockets(m);
	show_terminals(m);
	show_kinds(m);
}
