/* config.json's process: what is run, as whom, with what limits. */
#include "cli/oci.h"

#include <cap-ng.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>

static int strings(const json_t *array, const char *where, char ***list, size_t *n,
                   struct error *err)
{
	const char *s;
	size_t i;

	for (i = 0; i < json_array_size(array); i++)
		if (oci_element(array, where, i, &s, err) < 0 ||
		    config_add_string(list, n, s, err) < 0)
			return -1;
	return 0;
}

static int parse_user(const json_t *process, Control__Process *p, struct error *err)
{
	u64 uid = 0, gid = 0, mask = 022;
	json_t *user, *groups;
	size_t i;

	if (oci_object(process, "process", "user", false, &user, err) < 0)
		return -1;
	if (user) {
		if (oci_number(user, "process.user", "uid", true, ~0u - 1, &uid, err) < 0 ||
		    oci_number(user, "process.user", "gid", true, ~0u - 1, &gid, err) < 0 ||
		    oci_number(user, "process.user", "umask", false, 0777, &mask, err) < 0 ||
		    oci_array(user, "process.user", "additionalGids", false, &groups, err) < 0)
			return -1;
		p->groups = calloc(json_array_size(groups) + 1, sizeof(*p->groups));
		for (i = 0; p->groups && i < json_array_size(groups); i++) {
			u64 id;

			if (oci_to_number(json_array_get(groups, i), ~0u - 1, &id) < 0)
				return error_set(err,
				                 "config.json: process.user.additionalGids[%zu] is "
				                 "not a group id",
				                 i);
			p->groups[p->n_groups++] = (u32)id;
		}
	}
	p->uid = (u32)uid;
	p->gid = (u32)gid;
	p->umask = (u32)mask;
	p->has_umask = true;
	return 0;
}

static int parse_caps(const json_t *process, Control__Caps *caps, struct error *err)
{
	const struct {
		const char *name;
		u64 *set;
	} sets[] = {{"bounding", &caps->bounding},
	            {"effective", &caps->effective},
	            {"permitted", &caps->permitted},
	            {"inheritable", &caps->inheritable},
	            {"ambient", &caps->ambient}};
	json_t *obj, *list;
	const char *name;
	size_t i, j;

	if (oci_object(process, "process", "capabilities", false, &obj, err) < 0)
		return -1;
	for (i = 0; obj && i < ARRAY_SIZE(sets); i++) {
		if (oci_array(obj, "process.capabilities", sets[i].name, false, &list, err) < 0)
			return -1;
		for (j = 0; j < json_array_size(list); j++) {
			int cap;

			if (oci_element(list, sets[i].name, j, &name, err) < 0)
				return -1;
			cap = strncasecmp(name, "CAP_", 4) == 0 ? capng_name_to_capability(name + 4)
			                                        : -1;
			/* Newer than we know of: a capability that is not there. */
			if (cap >= 0 && cap < 64)
				*sets[i].set |= 1ull << cap;
		}
	}
	return 0;
}

static int parse_rlimits(const json_t *process, Control__Process *p, struct error *err)
{
	static const char *const names[RLIM_NLIMITS] = {
		[RLIMIT_CPU] = "RLIMIT_CPU",           [RLIMIT_FSIZE] = "RLIMIT_FSIZE",
		[RLIMIT_DATA] = "RLIMIT_DATA",         [RLIMIT_STACK] = "RLIMIT_STACK",
		[RLIMIT_CORE] = "RLIMIT_CORE",         [RLIMIT_RSS] = "RLIMIT_RSS",
		[RLIMIT_NPROC] = "RLIMIT_NPROC",       [RLIMIT_NOFILE] = "RLIMIT_NOFILE",
		[RLIMIT_MEMLOCK] = "RLIMIT_MEMLOCK",   [RLIMIT_AS] = "RLIMIT_AS",
		[RLIMIT_LOCKS] = "RLIMIT_LOCKS",       [RLIMIT_SIGPENDING] = "RLIMIT_SIGPENDING",
		[RLIMIT_MSGQUEUE] = "RLIMIT_MSGQUEUE", [RLIMIT_NICE] = "RLIMIT_NICE",
		[RLIMIT_RTPRIO] = "RLIMIT_RTPRIO",     [RLIMIT_RTTIME] = "RLIMIT_RTTIME",
	};
	json_t *list;
	size_t i;
	unsigned k, seen = 0;

	if (oci_array(process, "process", "rlimits", false, &list, err) < 0)
		return -1;
	for (i = 0; i < json_array_size(list); i++) {
		const json_t *l = json_array_get(list, i);
		const char *type = "";
		u64 soft = 0, hard = 0;

		if (!json_is_object(l))
			return error_set(err, "config.json: process.rlimits[%zu] is not an object",
			                 i);
		if (oci_string(l, "process.rlimits", "type", true, &type, err) < 0 ||
		    oci_number(l, "process.rlimits", "soft", true, ~0ull, &soft, err) < 0 ||
		    oci_number(l, "process.rlimits", "hard", true, ~0ull, &hard, err) < 0)
			return -1;
		for (k = 0; k < RLIM_NLIMITS && (!names[k] || strcmp(names[k], type) != 0); k++)
			;
		if (k == RLIM_NLIMITS)
			return error_set(err, "config.json: process.rlimits: there is no limit %s",
			                 type);
		if (soft > hard)
			return error_set(
				err, "config.json: process.rlimits: %s: soft is above hard", type);
		if (seen & 1u << k)
			return error_set(err, "config.json: process.rlimits: %s twice", type);
		seen |= 1u << k;
		if (config_add_rlimit(p, k, soft, hard, err) < 0)
			return -1;
	}
	return 0;
}

int oci_process(const json_t *config, struct config *c, struct error *err)
{
	Control__Process *p = c->process;
	json_t *process, *args, *env;
	const char *cwd = "/";
	bool terminal = false, no_new_privs = false;

	if (oci_object(config, "", "process", true, &process, err) < 0 ||
	    oci_array(process, "process", "args", true, &args, err) < 0 ||
	    oci_array(process, "process", "env", false, &env, err) < 0 ||
	    oci_string(process, "process", "cwd", true, &cwd, err) < 0 ||
	    oci_bool(process, "process", "terminal", &terminal, err) < 0 ||
	    oci_bool(process, "process", "noNewPrivileges", &no_new_privs, err) < 0)
		return -1;
	if (json_array_size(args) == 0)
		return error_set(err, "config.json: process.args is empty");
	if (cwd[0] != '/')
		return error_set(err, "config.json: process.cwd is not an absolute path");
	if (strings(args, "process.args", &p->args, &p->n_args, err) < 0 ||
	    strings(env, "process.env", &p->env, &p->n_env, err) < 0 ||
	    config_set(&p->cwd, cwd, err) < 0 || parse_user(process, p, err) < 0 ||
	    parse_caps(process, p->caps, err) < 0 || parse_rlimits(process, p, err) < 0)
		return -1;
	p->terminal = terminal;
	p->no_new_privs = no_new_privs;
	return 0;
}
