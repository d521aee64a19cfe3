/* Every object type that the program has: sample, save, load, save. */
#include "state/registry.h"
#include "state/sample.h"

#include <criterion/criterion.h>
#include <stdio.h>

Test(types, registry_is_sorted_and_found)
{
	const struct obj_type *t, *last = NULL;
	unsigned n = 0;

	for (; (t = registry_at(n)); n++) {
		cr_assert_eq(registry_find(t->msg->name), t);
		if (last)
			cr_assert_lt(strcmp(last->msg->name, t->msg->name), 0);
		last = t;
	}
	cr_assert_gt(n, 0);
	cr_assert_null(registry_find("no.Such"));
	cr_assert_null(registry_find(""));
}

Test(types, sample_save_load_save)
{
	const struct obj_type *t;
	unsigned failed = 0;

	for (unsigned i = 0; (t = registry_at(i)); i++) {
		char *why = NULL;

		if (state_type_selftest(t, NULL, &why) == 0)
			continue;
		fprintf(stderr, "%s\n", why);
		free(why);
		failed++;
	}
	cr_assert_eq(failed, 0, "%u types failed", failed);
}

/* A message in a message in a message...: unpacking recurses, so no schema may be recursive. */
static bool is_shallow(const ProtobufCMessageDescriptor *d, unsigned depth)
{
	if (depth == 0)
		return false;
	for (unsigned i = 0; i < d->n_fields; i++)
		if (d->fields[i].type == PROTOBUF_C_TYPE_MESSAGE &&
		    !is_shallow(d->fields[i].descriptor, depth - 1))
			return false;
	return true;
}

Test(types, no_message_is_recursive)
{
	const struct obj_type *t;

	for (unsigned i = 0; (t = registry_at(i)); i++)
		cr_assert(is_shallow(t->msg, 16), "%s", t->msg->name);
}
