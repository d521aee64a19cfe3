#include "sentry/net/inet/settings.h"

#include "proto/inet.pb-c.h"
#include "sentry/net/inet/ports.h"
#include "sentry/net/inet/state.h"

#include <errno.h>
#include <string.h>

static const struct {
	const char *name;
	s32 def, lo, hi;
} settings[] = {
#define X(id, name, def, lo, hi) {name, def, lo, hi},
	NET_SETTINGS(X)
#undef X
};

void net_settings_init(struct inet_ns *ns)
{
	for (unsigned i = 0; i < NET_SETTING_N; i++)
		ns->settings[i] = settings[i].def;
}

int net_setting_find(const char *name)
{
	for (unsigned i = 0; i < NET_SETTING_N; i++) {
		if (strcmp(settings[i].name, name) == 0)
			return (int)i;
	}
	return -1;
}

s32 net_setting_get(const struct inet_ns *ns, unsigned which)
{
	return READ_ONCE(ns->settings[which]);
}

int net_setting_set(struct inet_ns *ns, unsigned which, s64 v)
{
	if (v < settings[which].lo || v > settings[which].hi)
		return -EINVAL;
	WRITE_ONCE(ns->settings[which], (s32)v);
	return 0;
}

/* ---- saved by name, where they are not as they were ---- */

int inet_ns_save_settings(struct saver *s, const struct inet_ns *ns, Sentry__InetNs *m)
{
	m->settings = saver_alloc(s, NET_SETTING_N * sizeof(*m->settings));
	for (unsigned i = 0; i < NET_SETTING_N; i++) {
		Sentry__NetSetting *e;

		if (ns->settings[i] == settings[i].def)
			continue;
		e = saver_msg(s, Sentry__NetSetting, sentry__net_setting__init);
		e->name = (char *)(uintptr_t)settings[i].name;
		e->value = ns->settings[i];
		m->settings[m->n_settings++] = e;
	}
	return 0;
}

int inet_ns_load_settings(struct loader *l, struct inet_ns *ns, const Sentry__InetNs *m)
{
	net_settings_init(ns);
	for (size_t i = 0; i < m->n_settings; i++) {
		int which = net_setting_find(m->settings[i]->name);

		if (which >= 0 && net_setting_set(ns, (unsigned)which, m->settings[i]->value) < 0)
			return loader_range(l, "settings");
	}
	return 0;
}

void inet_ns_sample_settings(struct sampler *sp, struct inet_ns *ns)
{
	(void)sp;
	net_settings_init(ns);
	ns->settings[NET_IP_FORWARD] = 1;
}
