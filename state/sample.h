#pragma once
/*
 * Samples of objects for tests: every saved field gets a value that is not the default, so that a
 * field which is forgotten on the way shows.
 *
 * Locking: none. Lifetime: the self-test makes and ends everything itself. Saved: no.
 */
#include "state/object.h"

struct snapshot;

struct selftest_params {
	void *user; /* sampler_user() and saver_user() */
	/* What loader_user() gives, made from the sample's save; NULL: user. */
	void *(*load_user)(void *user, const struct snapshot *snap);
	/* Called after each step's objects are gone, for what load_user made; may be NULL. */
	void (*done)(void *user, void *load_user);
};

void *sampler_user(struct sampler *sp);

/*
 * Sample, save, load, save: both saves are equal, every field of the type's message is saved and
 * none has its default value in the sample, and no object is left. Abstract types pass. params may
 * be NULL. -EINVAL with *ret_why (malloc'd) set.
 */
MUST_CHECK int state_type_selftest(const struct obj_type *type,
                                   const struct selftest_params *params, char **ret_why);
