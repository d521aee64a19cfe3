#pragma once
/*
 * What container.c (directories) and container_state.c (their content) share.
 *
 * Locking, lifetime, saved: see cli/container.h.
 */
#include "cli/container.h"

/* Names of all files of a state directory, NULL at the end. */
extern const char *const container_files[];

/* Reads state.json into c. */
MUST_CHECK int container_load(struct container *c, struct error *err);
/* True while any process of the sandbox lives. */
bool container_in_use(const struct container *c);
