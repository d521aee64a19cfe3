/* config.json's mounts. */
#define LOG_SUBSYSTEM "oci"
#include "cli/oci.h"
#include "state/base/cleanup.h"
#include "state/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Options that change nothing here: propagation has nobody to propagate to, times are the guest
 * kernel's own. */
static const char *const ignored[] = {
	"bind",    "rbind",       "private",       "rprivate",   "slave",    "rslave",
	"shared",  "rshared",     "unbindable",    "defaults",   "relatime", "norelatime",
	"noatime", "strictatime", "nostrictatime", "nodiratime", "rw",       "suid",
	"exec",    "async",       "newinstance",   "rrw",        "rsuid",    "rexec",
	"rdev",    "silent",
};

static bool in(const char *const *list, size_t n, const char *s)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(list[i], s) == 0)
			return true;
	return false;
}

static int append_data(Control__Mount *m, const char *option, struct error *err)
{
	AUTO_FREE char *joined = NULL;

	if (asprintf(&joined, "%s%s%s", m->data, *m->data ? "," : "", option) < 0) {
		joined = NULL;
		return error_set(err, "out of memory");
	}
	return config_set(&m->data, joined, err);
}

static int parse_options_list(const json_t *list, Control__Mount *m, bool *ret_dev,
                              struct error *err)
{
	const char *o;
	size_t i;

	for (i = 0; i < json_array_size(list); i++) {
		if (oci_element(list, "mounts.options", i, &o, err) < 0)
			return -1;
		if (strcmp(o, "ro") == 0 || strcmp(o, "rro") == 0)
			m->readonly = true;
		else if (strcmp(o, "nosuid") == 0 || strcmp(o, "rnosuid") == 0)
			m->nosuid = true;
		else if (strcmp(o, "nodev") == 0 || strcmp(o, "rnodev") == 0)
			m->nodev = true;
		else if (strcmp(o, "noexec") == 0 || strcmp(o, "rnoexec") == 0)
			m->noexec = true;
		else if (strcmp(o, "dev") == 0)
			*ret_dev = true;
		else if (strcmp(o, "idmap") == 0 || strcmp(o, "ridmap") == 0)
			return error_set(err,
			                 "config.json: mount %s: option %s is not supported and "
			                 "leaving it out would change who owns the files",
			                 m->destination, o);
		else if (!in(ignored, ARRAY_SIZE(ignored), o) && append_data(m, o, err) < 0)
			return -1;
	}
	return 0;
}

static bool is_bind(const char *type, const json_t *options)
{
	size_t i;

	if (strcmp(type, "bind") == 0)
		return true;
	for (i = 0; i < json_array_size(options); i++) {
		const char *o = json_string_value(json_array_get(options, i));

		if (o && (strcmp(o, "bind") == 0 || strcmp(o, "rbind") == 0))
			return true;
	}
	return false;
}

static int add_bind(const char *source, const char *bundle, Control__Mount *m, bool devices,
                    struct config *c, struct error *err)
{
	AUTO_FREE char *path = NULL;
	Control__Attach *a;
	char name[32];

	if (!*source)
		return error_set(err, "config.json: mount %s: a bind mount needs a source",
		                 m->destination);
	if (asprintf(&path, "%s%s%s", source[0] == '/' ? "" : bundle, source[0] == '/' ? "" : "/",
	             source) < 0) {
		path = NULL;
		return error_set(err, "out of memory");
	}
	snprintf(name, sizeof(name), "mount%zu", c->sandbox->n_attach);
	a = config_add_attach(c->sandbox, name, path, err);
	if (!a)
		return -1;
	a->readonly = m->readonly;
	a->devices = devices;
	return config_set(&m->attach, name, err);
}

static int parse_mount(const json_t *o, const char *bundle, struct config *c, struct error *err)
{
	static const char *const known[] = {"proc", "sysfs", "tmpfs", "devpts", "mqueue"};
	/* Not there for the guest, which is told so when it looks. */
	static const char *const left_out[] = {"cgroup", "cgroup2"};
	const char *destination = "", *type = "", *source = "";
	bool devices = false, bind;
	json_t *options;
	Control__Mount *m;

	if (oci_string(o, "mounts", "destination", true, &destination, err) < 0 ||
	    oci_string(o, "mounts", "type", false, &type, err) < 0 ||
	    oci_string(o, "mounts", "source", false, &source, err) < 0 ||
	    oci_array(o, "mounts", "options", false, &options, err) < 0)
		return -1;
	if (destination[0] != '/')
		return error_set(err, "config.json: mount %s: destination is not absolute",
		                 destination);
	if (json_object_get(o, "uidMappings") || json_object_get(o, "gidMappings"))
		return error_set(err, "config.json: mount %s: id mappings are not supported",
		                 destination);
	bind = is_bind(type, options);
	if (!bind && in(left_out, ARRAY_SIZE(left_out), type)) {
		log_info("mount %s of type %s is left out", destination, type);
		return 0;
	}
	if (!bind && !in(known, ARRAY_SIZE(known), type))
		return error_set(err, "config.json: mount %s: type %s is not supported",
		                 destination, *type ? type : "(none)");
	/* A tmpfs on /dev is how OCI asks for device nodes. */
	if (!bind && strcmp(destination, "/dev") == 0 && strcmp(type, "tmpfs") == 0)
		type = "dev";
	m = config_add_mount(c->sandbox, bind ? "bind" : type, destination, err);
	if (!m || parse_options_list(options, m, &devices, err) < 0)
		return -1;
	return bind ? add_bind(source, bundle, m, devices, c, err) : 0;
}

int oci_mounts(const json_t *config, const char *bundle, struct config *c, struct error *err)
{
	json_t *list, *o;
	size_t i;

	if (oci_array(config, "", "mounts", false, &list, err) < 0)
		return -1;
	for (i = 0; i < json_array_size(list); i++) {
		o = json_array_get(list, i);
		if (!json_is_object(o))
			return error_set(err, "config.json: mounts[%zu] is not an object", i);
		if (parse_mount(o, bundle, c, err) < 0)
			return -1;
	}
	return 0;
}
