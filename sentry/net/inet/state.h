#pragma once
/*
 * How addresses and IP options embedded in sockets are saved: for the .c files that say SUB of
 * them.
 *
 * Locking, lifetime: the owner's. Saved: all of it.
 */
#include "proto/inet.pb-c.h"
#include "sentry/net/inet/inet.h"
#include "state/fields.h"

#define INET_ADDR_FIELDS(F) F(BYTES, ip) F(VAL, port) F(VAL, scope)
STRUCT_FIELDS(inet_addr, Sentry__InetAddr, sentry__inet_addr__descriptor, INET_ADDR_FIELDS);

int inet_opts_save_v(struct saver *s, const struct inet_opts *o, Sentry__IpOpts *m);
int inet_opts_load_v(struct loader *l, struct inet_opts *o, const Sentry__IpOpts *m);
void inet_opts_sample_v(struct sampler *sp, struct inet_opts *o);
int inet_opts_save_members(struct saver *s, const struct inet_opts *o, Sentry__IpOpts *m);
int inet_opts_load_members(struct loader *l, struct inet_opts *o, const Sentry__IpOpts *m);
void inet_opts_sample_members(struct sampler *sp, struct inet_opts *o);

/* settings.c, fib_state.c, reserved.c */
struct inet_ns;
int inet_ns_save_settings(struct saver *s, const struct inet_ns *ns, Sentry__InetNs *m);
int inet_ns_load_settings(struct loader *l, struct inet_ns *ns, const Sentry__InetNs *m);
void inet_ns_sample_settings(struct sampler *sp, struct inet_ns *ns);
int inet_ns_save_fib(struct saver *s, const struct inet_ns *ns, Sentry__InetNs *m);
int inet_ns_load_fib(struct loader *l, struct inet_ns *ns, const Sentry__InetNs *m);
void inet_ns_sample_fib(struct sampler *sp, struct inet_ns *ns);
int inet_ns_save_reserved(struct saver *s, const struct inet_ns *ns, Sentry__InetNs *m);
int inet_ns_load_reserved(struct loader *l, struct inet_ns *ns, const Sentry__InetNs *m);
void inet_ns_sample_reserved(struct sampler *sp, struct inet_ns *ns);

#define IP_OPTS_FIELDS(F)             \
	F(CUSTOM_ARRAY, v, inet_opts) \
	F(VAL, mc_if)                 \
	F(VAL, mc_if6)                \
	F(BYTES, mc_addr)             \
	F(CUSTOM, members, inet_opts) \
	F(SKIP, n_members) /* members */
STRUCT_FIELDS(inet_opts, Sentry__IpOpts, sentry__ip_opts__descriptor, IP_OPTS_FIELDS);
