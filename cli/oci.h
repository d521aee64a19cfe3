#pragma once
/*
 * Strict access to the JSON of an OCI bundle: a member of the wrong type is an error that names it,
 * unknown members are ignored.
 *
 * Locking: none. Lifetime: what is returned is borrowed from the document. Saved: no.
 */
#include "cli/config.h"

/* where is the dotted name of obj, for errors ("process.user"; "" at the top). A missing optional
 * member leaves *ret alone. */
MUST_CHECK int oci_string(const json_t *obj, const char *where, const char *key, bool required,
                          const char **ret, struct error *err);
MUST_CHECK int oci_bool(const json_t *obj, const char *where, const char *key, bool *ret,
                        struct error *err);
MUST_CHECK int oci_number(const json_t *obj, const char *where, const char *key, bool required,
                          u64 max, u64 *ret, struct error *err);
MUST_CHECK int oci_object(const json_t *obj, const char *where, const char *key, bool required,
                          json_t **ret, struct error *err);
MUST_CHECK int oci_array(const json_t *obj, const char *where, const char *key, bool required,
                         json_t **ret, struct error *err);
/* The number that v is (read with JSON_DECODE_INT_AS_REAL); -1 if it is none from 0 to max. */
MUST_CHECK int oci_to_number(const json_t *v, u64 max, u64 *ret);
/* Element i of an array of strings. */
MUST_CHECK int oci_element(const json_t *array, const char *where, size_t i, const char **ret,
                           struct error *err);

/* The members of config.json that they are named for. */
MUST_CHECK int oci_process(const json_t *config, struct config *c, struct error *err);
MUST_CHECK int oci_mounts(const json_t *config, const char *bundle, struct config *c,
                          struct error *err);
