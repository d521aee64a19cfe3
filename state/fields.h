#pragma once
/*
 * Field tables. An object's .c names every field of its struct, in struct order, with a kind:
 *
 *   HDR(f)            the struct obj itself                  not in the message
 *   BASE(f, B)        embedded base object                   message field f: B's message
 *   VAL(f)            integer, bool or enum
 *   ATOMIC(f)         the same, _Atomic
 *   STR(f)            owned char *, NULL and "" alike
 *   BYTES(f)          fixed-size array or struct of plain bytes, whole
 *   ARRAY(f)          fixed-size array of integers           repeated
 *   SUB(f, S)         embedded struct S with STRUCT_FIELDS   message field f: S's message
 *   REF(f, T)         owning pointer to an object            uint64 id
 *   WEAK(f, T)        pointer that does not own              uint64 id
 *   LIST(f, T, link)  TAILQ head that owns its elements      repeated uint64
 *   WEAKLIST(f, T, link)  TAILQ head that does not own       repeated uint64
 *   CUSTOM(f, T)      T_save_f, T_load_f, T_sample_f         one message field, by custom
 *   CUSTOM_ARRAY(f, T)  the same where f is an array
 *   SKIP(f)           not saved; say why in a comment
 *   SKIP_ARRAY(f)     the same where f is an array
 *
 * An omitted field, a wrong order, a message field too narrow or missing do not compile; a message
 * field that no table line saves fails the registry test.
 *
 *   int T_save_f(struct saver *s, const struct T *o, Msg *m);
 *   int T_load_f(struct loader *l, struct T *o, const Msg *m);
 *   void T_sample_f(struct sampler *sp, struct T *o);
 */
#include "state/load.h"
#include "state/object.h"
#include "state/save.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* What the generated code calls; nothing else does. */
void *saver_submsg(struct saver *s, const ProtobufCMessageDescriptor *d);
MUST_CHECK int loader_missing(struct loader *l, const char *field);
MUST_CHECK int loader_range(struct loader *l, const char *field);
char *loader_str(const char *s);
u64 sampler_value(struct sampler *sp);
/* A new object of the type (or of one derived from it), with a reference for the caller. */
void *sampler_ref(struct sampler *sp, const struct obj_type *type);
/* The same, kept alive by the sampler's own root. */
void *sampler_weak(struct sampler *sp, const struct obj_type *type);
/* The same for a list, which takes an object once only: never one that exists; NULL deep down,
 * where lists stay empty. */
void *sampler_element(struct sampler *sp, const struct obj_type *type, bool weak);

/* Probe: initializes a struct positionally from itself. */
#define F_PROBE(k, ...)         FP_##k(__VA_ARGS__)
#define FP_HDR(f)               o->f,
#define FP_BASE(f, B)           o->f,
#define FP_VAL(f)               o->f,
#define FP_ATOMIC(f)            o->f,
#define FP_STR(f)               o->f,
#define FP_BYTES(f)             {0},
#define FP_ARRAY(f)             {0},
#define FP_SUB(f, S)            o->f,
#define FP_REF(f, T)            o->f,
#define FP_WEAK(f, T)           o->f,
#define FP_LIST(f, T, link)     o->f,
#define FP_WEAKLIST(f, T, link) o->f,
#define FP_CUSTOM(f, T)         o->f,
#define FP_CUSTOM_ARRAY(f, T)   {0},
#define FP_SKIP(f)              o->f,
#define FP_SKIP_ARRAY(f)        {0},

/* Count of message fields. */
#define F_COUNT(k, ...) FC_##k
#define FC_HDR          +0
#define FC_BASE         +1
#define FC_VAL          +1
#define FC_ATOMIC       +1
#define FC_STR          +1
#define FC_BYTES        +1
#define FC_ARRAY        +1
#define FC_SUB          +1
#define FC_REF          +1
#define FC_WEAK         +1
#define FC_LIST         +1
#define FC_WEAKLIST     +1
#define FC_CUSTOM       +1
#define FC_CUSTOM_ARRAY +1
#define FC_SKIP         +0
#define FC_SKIP_ARRAY   +0

/* References, for tools. */
#define F_REFS(k, ...) FR_##k(__VA_ARGS__)
#define FR_HDR(f)
#define FR_BASE(f, B) {#f, OBJ_REF_BASE, &B##_type, NULL},
#define FR_VAL(f)
#define FR_ATOMIC(f)
#define FR_STR(f)
#define FR_BYTES(f)
#define FR_ARRAY(f)
#define FR_SUB(f, S)            {#f, OBJ_REF_SUB, NULL, S##_refs},
#define FR_REF(f, T)            {#f, OBJ_REF_OWN, &T##_type, NULL},
#define FR_WEAK(f, T)           {#f, OBJ_REF_WEAK, &T##_type, NULL},
#define FR_LIST(f, T, link)     {#f, OBJ_REF_OWN, &T##_type, NULL},
#define FR_WEAKLIST(f, T, link) {#f, OBJ_REF_WEAK, &T##_type, NULL},
#define FR_CUSTOM(f, T)
#define FR_CUSTOM_ARRAY(f, T)
#define FR_SKIP(f)
#define FR_SKIP_ARRAY(f)

/* Save: o is the const object, m its message, s the saver. */
#define F_SAVE(k, ...) FS_##k(__VA_ARGS__)
#define FS_HDR(f)
#define FS_BASE(f, B)                             \
	m->f = saver_submsg(s, B##_type.msg);     \
	r = B##_type.save_fields(s, &o->f, m->f); \
	if (r < 0)                                \
		return r;
#define FS_VAL(f)                                                                        \
	_Static_assert(sizeof(o->f) <= sizeof(m->f), "message field narrower than " #f); \
	m->f = (__typeof__(m->f))o->f;
#define FS_ATOMIC(f)                                                                     \
	_Static_assert(sizeof(o->f) <= sizeof(m->f), "message field narrower than " #f); \
	m->f = (__typeof__(m->f))o->f;
#define FS_STR(f) m->f = o->f ? (char *)(uintptr_t)o->f : (char *)(uintptr_t) "";
#define FS_BYTES(f)                         \
	m->f.data = (u8 *)(uintptr_t)&o->f; \
	m->f.len = sizeof(o->f);
#define FS_ARRAY(f)                                                                            \
	_Static_assert(sizeof(o->f[0]) <= sizeof(m->f[0]), "message field narrower than " #f); \
	m->n_##f = ARRAY_SIZE(o->f);                                                           \
	m->f = saver_alloc(s, sizeof(o->f) / sizeof(o->f[0]) * sizeof(m->f[0]));               \
	for (size_t i_ = 0; i_ < ARRAY_SIZE(o->f); i_++)                                       \
		m->f[i_] = (__typeof__(m->f[0]))o->f[i_];
#define FS_SUB(f, S)                      \
	m->f = saver_submsg(s, S##_msg);  \
	r = S##_save_sub(s, &o->f, m->f); \
	if (r < 0)                        \
		return r;
#define FS_REF(f, T)                           \
	{                                      \
		const struct T *typed_ = o->f; \
		m->f = saver_ref(s, typed_);   \
	}
#define FS_WEAK(f, T)                          \
	{                                      \
		const struct T *typed_ = o->f; \
		m->f = saver_weak(s, typed_);  \
	}
#define FS_LIST_BY(f, T, link, how)                      \
	{                                                \
		struct T *e_;                            \
		size_t n_ = 0;                           \
		TAILQ_FOREACH (e_, &o->f, link)          \
			n_++;                            \
		m->f = saver_alloc(s, n_ * sizeof(u64)); \
		TAILQ_FOREACH (e_, &o->f, link)          \
			m->f[m->n_##f++] = how(s, e_);   \
	}
#define FS_LIST(f, T, link)     FS_LIST_BY(f, T, link, saver_ref)
#define FS_WEAKLIST(f, T, link) FS_LIST_BY(f, T, link, saver_weak)
#define FS_CUSTOM(f, T)            \
	r = T##_save_##f(s, o, m); \
	if (r < 0)                 \
		return r;
#define FS_CUSTOM_ARRAY(f, T) FS_CUSTOM(f, T)
#define FS_SKIP(f)
#define FS_SKIP_ARRAY(f)

/* Load: o is the object, m the const message, l the loader. */
#define F_LOAD(k, ...) FL_##k(__VA_ARGS__)
#define FL_HDR(f)
#define FL_BASE(f, B)                             \
	if (!m->f)                                \
		return loader_missing(l, #f);     \
	r = B##_type.load_fields(l, &o->f, m->f); \
	if (r < 0)                                \
		return r;
#define FL_VAL(f)                           \
	o->f = (__typeof__(o->f))m->f;      \
	if ((__typeof__(m->f))o->f != m->f) \
		return loader_range(l, #f);
#define FL_ATOMIC(f)                        \
	o->f = m->f;                        \
	if ((__typeof__(m->f))o->f != m->f) \
		return loader_range(l, #f);
#define FL_STR(f) o->f = loader_str(m->f);
#define FL_BYTES(f)                         \
	if (m->f.len != sizeof(o->f))       \
		return loader_range(l, #f); \
	memcpy(&o->f, m->f.data, sizeof(o->f));
#define FL_ARRAY(f)                                            \
	if (m->n_##f != ARRAY_SIZE(o->f))                      \
		return loader_range(l, #f);                    \
	for (size_t i_ = 0; i_ < ARRAY_SIZE(o->f); i_++) {     \
		o->f[i_] = (__typeof__(o->f[0]))m->f[i_];      \
		if ((__typeof__(m->f[0]))o->f[i_] != m->f[i_]) \
			return loader_range(l, #f);            \
	}
#define FL_SUB(f, S)                          \
	if (!m->f)                            \
		return loader_missing(l, #f); \
	r = S##_load_sub(l, &o->f, m->f);     \
	if (r < 0)                            \
		return r;
#define FL_REF(f, T)                               \
	r = loader_ref(l, m->f, &T##_type, &o->f); \
	if (r < 0)                                 \
		return r;
#define FL_WEAK(f, T)                               \
	r = loader_weak(l, m->f, &T##_type, &o->f); \
	if (r < 0)                                  \
		return r;
#define FL_LIST_BY(f, T, link, how)                                                       \
	for (size_t i_ = 0; i_ < m->n_##f; i_++) {                                        \
		struct T *e_ = NULL;                                                      \
		r = m->f[i_] ? how(l, m->f[i_], &T##_type, offsetof(struct T, link), &e_) \
		             : loader_missing(l, #f);                                     \
		if (r < 0)                                                                \
			return r;                                                         \
		TAILQ_INSERT_TAIL(&o->f, e_, link);                                       \
	}
#define FL_LIST(f, T, link)     FL_LIST_BY(f, T, link, loader_list_ref)
#define FL_WEAKLIST(f, T, link) FL_LIST_BY(f, T, link, loader_list_weak)
#define FL_CUSTOM(f, T)            \
	r = T##_load_##f(l, o, m); \
	if (r < 0)                 \
		return r;
#define FL_CUSTOM_ARRAY(f, T) FL_CUSTOM(f, T)
#define FL_SKIP(f)
#define FL_SKIP_ARRAY(f)

/* As loader_ref/loader_weak, and -EBADMSG if a list already took the object by this link (its
 * offset in the object): one object linked twice would corrupt both lists. */
MUST_CHECK int loader_list_ref(struct loader *l, u64 id, const struct obj_type *type, size_t link,
                               void *ret);
MUST_CHECK int loader_list_weak(struct loader *l, u64 id, const struct obj_type *type, size_t link,
                                void *ret);

/* Sample: non-default values everywhere. */
#define F_SAMPLE(k, ...) FX_##k(__VA_ARGS__)
#define FX_HDR(f)
#define FX_BASE(f, B) B##_type.sample_fields(sp, &o->f);
#define FX_VAL(f)     o->f = (__typeof__(o->f))sampler_value(sp);
#define FX_ATOMIC(f)  o->f = sampler_value(sp);
#define FX_STR(f)     o->f = loader_str("sample");
#define FX_BYTES(f)   memset(&o->f, (int)sampler_value(sp), sizeof(o->f));
#define FX_ARRAY(f)                                      \
	for (size_t i_ = 0; i_ < ARRAY_SIZE(o->f); i_++) \
		o->f[i_] = (__typeof__(o->f[0]))sampler_value(sp);
#define FX_SUB(f, S)  S##_sample_sub(sp, &o->f);
#define FX_REF(f, T)  o->f = sampler_ref(sp, &T##_type);
#define FX_WEAK(f, T) o->f = sampler_weak(sp, &T##_type);
#define FX_LIST_BY(f, T, link, weak)                                 \
	{                                                            \
		struct T *e_ = sampler_element(sp, &T##_type, weak); \
		if (e_)                                              \
			TAILQ_INSERT_TAIL(&o->f, e_, link);          \
	}
#define FX_LIST(f, T, link)     FX_LIST_BY(f, T, link, false)
#define FX_WEAKLIST(f, T, link) FX_LIST_BY(f, T, link, true)
#define FX_CUSTOM(f, T)         T##_sample_##f(sp, o);
#define FX_CUSTOM_ARRAY(f, T)   T##_sample_##f(sp, o);
#define FX_SKIP(f)
#define FX_SKIP_ARRAY(f)

#define OBJECT_PROBE(T, FIELDS)                                                               \
	_Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wmissing-braces\"") \
		_Pragma("GCC diagnostic error \"-Wmissing-field-initializers\"")              \
			UNUSED static void T##_every_field(const struct T *o)                 \
	{                                                                                     \
		struct T p = {FIELDS(F_PROBE)};                                               \
		(void)p;                                                                      \
	}                                                                                     \
	_Pragma("GCC diagnostic pop")

/*
 * OBJECT_TYPE(struct name, message C type, message descriptor, field table, designated
 * initializers of struct obj_type...): defines T_type and registers it.
 */
#define OBJECT_TYPE(T, Msg, descriptor, FIELDS, ...)                                  \
	OBJECT_PROBE(T, FIELDS)                                                       \
	UNUSED static int T##_save_fields(struct saver *s, const void *o_, void *m_)  \
	{                                                                             \
		const struct T *o = o_;                                               \
		Msg *m = m_;                                                          \
		int r = 0;                                                            \
		(void)o, (void)m;                                                     \
		FIELDS(F_SAVE)                                                        \
		return r;                                                             \
	}                                                                             \
	UNUSED static int T##_load_fields(struct loader *l, void *o_, const void *m_) \
	{                                                                             \
		struct T *o = o_;                                                     \
		const Msg *m = m_;                                                    \
		int r = 0;                                                            \
		(void)o, (void)m;                                                     \
		FIELDS(F_LOAD)                                                        \
		return r;                                                             \
	}                                                                             \
	UNUSED static void T##_sample_fields(struct sampler *sp, void *o_)            \
	{                                                                             \
		struct T *o = o_;                                                     \
		(void)o;                                                              \
		FIELDS(F_SAMPLE)                                                      \
	}                                                                             \
	static const struct obj_ref_field T##_refs[] = {FIELDS(F_REFS){0}};           \
	static _Atomic u64 T##_live;                                                  \
	const struct obj_type T##_type = {.name = #T,                                 \
	                                  .size = sizeof(struct T),                   \
	                                  .msg = &(descriptor),                       \
	                                  .n_fields = 0 FIELDS(F_COUNT),              \
	                                  .live = &T##_live,                          \
	                                  .refs = T##_refs,                           \
	                                  .save_fields = T##_save_fields,             \
	                                  .load_fields = T##_load_fields,             \
	                                  .sample_fields = T##_sample_fields,         \
	                                  __VA_ARGS__};                               \
	static const struct obj_type *const T##_registered                            \
		__attribute__((used, section("obj_types"), aligned(sizeof(void *)))) = &T##_type

/* Embedded plain structs (not objects) that SUB saves. Message fields as for OBJECT_TYPE. */
#define STRUCT_FIELDS(S, Msg, descriptor, FIELDS)                                      \
	OBJECT_PROBE(S, FIELDS)                                                        \
	UNUSED static const ProtobufCMessageDescriptor *const S##_msg = &(descriptor); \
	UNUSED static const struct obj_ref_field S##_refs[] = {FIELDS(F_REFS){0}};     \
	UNUSED static int S##_save_sub(struct saver *s, const struct S *o, Msg *m)     \
	{                                                                              \
		int r = 0;                                                             \
		_Static_assert(sizeof(char[1 FIELDS(F_COUNT)]) > 1, "no fields");      \
		FIELDS(F_SAVE)                                                         \
		return r;                                                              \
	}                                                                              \
	UNUSED static int S##_load_sub(struct loader *l, struct S *o, const Msg *m)    \
	{                                                                              \
		int r = 0;                                                             \
		FIELDS(F_LOAD)                                                         \
		return r;                                                              \
	}                                                                              \
	UNUSED static void S##_sample_sub(struct sampler *sp, struct S *o)             \
	{                                                                              \
		FIELDS(F_SAMPLE)                                                       \
	}                                                                              \
	_Static_assert(1, "")
