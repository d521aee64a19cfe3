#include "state/unpack.h"

/* An empty submessage is 2 bytes in the file and some 200 unpacked, with what unpacking needs on
 * the way. */
#define FACTOR  256u
#define FREE    (1 * MIB)
#define CEILING (1 * GIB)

static void *unpack_alloc(void *data, size_t size)
{
	return arena_try(data, size);
}

static void unpack_free(void *data, void *p)
{
}

void *unpack_message(struct arena *a, const ProtobufCMessageDescriptor *d, const void *data,
                     size_t size)
{
	ProtobufCAllocator in_arena = {unpack_alloc, unpack_free, a};

	a->limit = a->total + (size_t)MIN(size * FACTOR + FREE, CEILING);
	return protobuf_c_message_unpack(d, &in_arena, size, data);
}
