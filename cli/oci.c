/* An OCI bundle: config.json as a whole, its root, and what we cannot do. */
#define LOG_SUBSYSTEM "oci"
#include "cli/host_share.h"
#include "cli/oci.h"
#include "state/base/cleanup.h"
#include "state/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int parse_root(const json_t *config, const char *bundle, bool overlay, struct config *c,
                      struct error *err)
{
	AUTO_FREE char *path = NULL;
	const char *given = "";
	bool readonly = false;
	Control__Attach *a;
	json_t *root;

	if (oci_object(config, "", "root", true, &root, err) < 0 ||
	    oci_string(root, "root", "path", true, &given, err) < 0 ||
	    oci_bool(root, "root", "readonly", &readonly, err) < 0)
		return -1;
	if (asprintf(&path, "%s%s%s", given[0] == '/' ? "" : bundle, given[0] == '/' ? "" : "/",
	             given) < 0) {
		path = NULL;
		return error_set(err, "out of memory");
	}
	a = config_add_attach(c->sandbox, "root", path, err);
	if (!a)
		return -1;
	a->readonly = readonly || overlay;
	c->sandbox->root_readonly = readonly;
	c->sandbox->overlay = overlay;
	return 0;
}

static bool nonempty(const json_t *v)
{
	return json_is_array(v)    ? json_array_size(v) > 0
	       : json_is_object(v) ? json_object_size(v) > 0
	       : json_is_string(v) ? *json_string_value(v) != '\0'
	                           : json_is_true(v);
}

/* Whatever would leave the host less protected, or the container's work undone, if it were
 * ignored. What only tightens a kernel that the container does not reach is logged. */
static int refuse_unsupported(const json_t *config, struct error *err)
{
	static const char *const fatal[] = {"uidMappings", "gidMappings", "intelRdt"};
	static const char *const noted[] = {"seccomp",     "maskedPaths",      "readonlyPaths",
	                                    "mountLabel",  "sysctl",           "devices",
	                                    "cgroupsPath", "rootfsPropagation"};
	json_t *linux_ = NULL;
	size_t i;

	if (oci_object(config, "", "linux", false, &linux_, err) < 0)
		return -1;
	if (nonempty(json_object_get(config, "hooks")))
		return error_set(err, "config.json: hooks are not supported");
	for (i = 0; i < ARRAY_SIZE(fatal); i++)
		if (nonempty(json_object_get(linux_, fatal[i])))
			return error_set(err, "config.json: linux.%s is not supported", fatal[i]);
	for (i = 0; i < ARRAY_SIZE(noted); i++)
		if (nonempty(json_object_get(linux_, noted[i])))
			log_info("linux.%s has no effect on a sandbox", noted[i]);
	return 0;
}

/* A positive limit; absent, null and -1 (none at all) leave *ret 0. */
static int parse_limit(const json_t *resources, const char *what, u64 *ret, struct error *err)
{
	json_t *group = NULL, *limit;
	char where[64];

	snprintf(where, sizeof(where), "linux.resources.%s", what);
	if (oci_object(resources, "linux.resources", what, false, &group, err) < 0)
		return -1;
	limit = json_object_get(group, "limit");
	if (!limit || json_is_null(limit) ||
	    (json_is_number(limit) && json_number_value(limit) <= 0))
		return 0;
	return oci_number(group, where, "limit", true, INT64_MAX, ret, err);
}

/* Memory and tasks; the rest of resources is about the host's cgroup, which whoever made the bundle
 * puts us into. */
static int parse_resources(const json_t *config, struct config *c, struct error *err)
{
	json_t *linux_ = NULL, *resources = NULL;

	if (oci_object(config, "", "linux", false, &linux_, err) < 0 ||
	    oci_object(linux_, "linux", "resources", false, &resources, err) < 0 ||
	    parse_limit(resources, "memory", &c->sandbox->memory_limit, err) < 0 ||
	    parse_limit(resources, "pids", &c->sandbox->pids_limit, err) < 0)
		return -1;
	if (c->sandbox->memory_limit)
		c->sandbox->memory_limit = MAX(c->sandbox->memory_limit, (u64)MEMORY_LEAST);
	return 0;
}

static int parse(const json_t *config, const char *bundle, bool overlay, struct config *c,
                 struct error *err)
{
	const char *hostname = "stasis", *version = "";
	json_t *annotations;

	if (!json_is_object(config))
		return error_set(err, "config.json: is not an object");
	if (oci_string(config, "", "ociVersion", true, &version, err) < 0)
		return -1;
	if (strncmp(version, "1.", 2) != 0)
		return error_set(err, "config.json: ociVersion %s is not supported: 1.x is",
		                 version);
	if (refuse_unsupported(config, err) < 0 ||
	    parse_root(config, bundle, overlay, c, err) < 0 || oci_process(config, c, err) < 0 ||
	    oci_mounts(config, bundle, c, err) < 0 || parse_resources(config, c, err) < 0 ||
	    oci_string(config, "", "hostname", false, &hostname, err) < 0 ||
	    config_set(&c->sandbox->hostname, hostname, err) < 0 ||
	    oci_object(config, "", "annotations", false, &annotations, err) < 0)
		return -1;
	c->annotations = annotations ? json_incref(annotations) : NULL;
	return 0;
}

int config_of_bundle(const char *bundle, bool overlay, struct config *ret, struct error *err)
{
	AUTO_FREE char *path = NULL;
	json_error_t why;
	struct config c;
	json_t *config;
	int r;

	if (asprintf(&path, "%s/config.json", bundle) < 0) {
		path = NULL;
		return error_set(err, "out of memory");
	}
	config = json_load_file(path, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &why);
	if (!config && why.line < 0)
		return error_set(err, "cannot read %s: %s", path, strerror(errno));
	if (!config)
		return error_set(err, "cannot read %s: line %d: %s", path, why.line, why.text);
	if (config_new(&c, err) < 0) {
		json_decref(config);
		return -1;
	}
	r = parse(config, bundle, overlay, &c, err);
	json_decref(config);
	if (r < 0)
		config_free(&c);
	else
		*ret = c;
	return r;
}
