#pragma once
/*
 * All object types of the program, collected by the linker (section obj_types), found by the full
 * name of their protobuf message.
 *
 * Locking: immutable. Lifetime: static. Saved: no.
 */
#include "state/object.h"

/* NULL if no type has that message name. */
const struct obj_type *registry_find(const char *msg_name);
/* The i-th type in name order, NULL past the end. */
const struct obj_type *registry_at(unsigned i);
