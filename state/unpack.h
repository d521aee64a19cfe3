#pragma once
/*
 * Unpacking hostile protobuf messages: into an arena, with a bound on the memory they may take.
 *
 * Locking: none. Lifetime: the message lives until the arena is reset. Saved: no.
 */
#include "state/base/arena.h"

#include <protobuf-c/protobuf-c.h>

/* NULL if the bytes are no such message, or ask for memory out of all proportion. */
void *unpack_message(struct arena *a, const ProtobufCMessageDescriptor *d, const void *data,
                     size_t size);
