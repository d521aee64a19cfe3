#pragma once
/*
 * Makes the messages that say what a sandbox is made of: from the caller's own surroundings (do),
 * or from an OCI bundle's config.json (run, restore --bundle).
 *
 * Locking: none. Lifetime: messages are malloc'd as protobuf-c would, and freed by config_free.
 * Saved: Control.Sandbox, in images.
 */
#include "cli/error.h"
#include "proto/control.pb-c.h"

#include <jansson.h>

struct config {
	Control__Sandbox *sandbox;
	Control__Process *process;
	json_t *annotations; /* or NULL */
};
void config_free(struct config *c);

/* The host's / and the caller's identity, directory, environment and limits. */
MUST_CHECK int config_of_caller(bool overlay, u32 mask, const char **args, int n_args,
                                struct config *ret, struct error *err);
/* bundle is the absolute path of the bundle's directory. */
MUST_CHECK int config_of_bundle(const char *bundle, bool overlay, struct config *ret,
                                struct error *err);

/* Building blocks. All return 0 or -1 with err; strings are copied. */
MUST_CHECK int config_add_string(char ***list, size_t *n, const char *s, struct error *err);
MUST_CHECK Control__Mount *config_add_mount(Control__Sandbox *sb, const char *type,
                                            const char *destination, struct error *err);
MUST_CHECK Control__Attach *config_add_attach(Control__Sandbox *sb, const char *name,
                                              const char *path, struct error *err);
MUST_CHECK int config_set(char **field, const char *s, struct error *err);
MUST_CHECK int config_add_rlimit(Control__Process *p, unsigned resource, u64 cur, u64 max,
                                 struct error *err);
/* An empty configuration: both messages and the process's caps exist. */
MUST_CHECK int config_new(struct config *ret, struct error *err);
