/* Typed access to config.json. */
#include "cli/oci.h"

static int wrong(const char *where, const char *key, const char *what, struct error *err)
{
	return error_set(err, "config.json: %s%s%s %s", where, *where ? "." : "", key, what);
}

/* The member if it has the type; NULL and 0 if it is missing and may be. */
static int member(const json_t *obj, const char *where, const char *key, bool required,
                  json_type type, const char *type_name, json_t **ret, struct error *err)
{
	json_t *v = json_object_get(obj, key);

	*ret = NULL;
	if (!v || json_is_null(v))
		return required ? wrong(where, key, "is missing", err) : 0;
	if (json_typeof(v) != type)
		return wrong(where, key, type_name, err);
	*ret = v;
	return 0;
}

int oci_string(const json_t *obj, const char *where, const char *key, bool required,
               const char **ret, struct error *err)
{
	json_t *v;

	if (member(obj, where, key, required, JSON_STRING, "is not a string", &v, err) < 0)
		return -1;
	if (v)
		*ret = json_string_value(v);
	return 0;
}

int oci_bool(const json_t *obj, const char *where, const char *key, bool *ret, struct error *err)
{
	json_t *v = json_object_get(obj, key);

	if (!v || json_is_null(v))
		return 0;
	if (!json_is_boolean(v))
		return wrong(where, key, "is not true or false", err);
	*ret = json_is_true(v);
	return 0;
}

int oci_to_number(const json_t *v, u64 max, u64 *ret)
{
	double d = json_number_value(v);

	/* Doubles hold every id exactly; limits near 2^64 mean that there is none. */
	if (!json_is_number(v) || !(d >= 0))
		return -1;
	if (d >= 9.2e18 && max == ~0ull) {
		*ret = ~0ull;
		return 0;
	}
	if (d > (double)max || d >= 0x1p63 || d != (double)(u64)d)
		return -1;
	*ret = (u64)d;
	return 0;
}

int oci_number(const json_t *obj, const char *where, const char *key, bool required, u64 max,
               u64 *ret, struct error *err)
{
	json_t *v = json_object_get(obj, key);

	if (!v || json_is_null(v))
		return required ? wrong(where, key, "is missing", err) : 0;
	if (oci_to_number(v, max, ret) < 0)
		return wrong(where, key, "is not a whole number in range", err);
	return 0;
}

int oci_object(const json_t *obj, const char *where, const char *key, bool required, json_t **ret,
               struct error *err)
{
	return member(obj, where, key, required, JSON_OBJECT, "is not an object", ret, err);
}

int oci_array(const json_t *obj, const char *where, const char *key, bool required, json_t **ret,
              struct error *err)
{
	return member(obj, where, key, required, JSON_ARRAY, "is not a list", ret, err);
}

int oci_element(const json_t *array, const char *where, size_t i, const char **ret,
                struct error *err)
{
	json_t *v = json_array_get(array, i);

	if (!json_is_string(v))
		return error_set(err, "config.json: %s[%zu] is not a string", where, i);
	*ret = json_string_value(v);
	return 0;
}
