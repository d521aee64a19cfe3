#pragma once
/*
 * Saving: walks the object graph from the roots and writes one record per object, in the order of
 * first visit, so that equal graphs give equal bytes.
 *
 * Locking: none; everything is parked. Lifetime: one saver per save. A save changes nothing but the
 * objects' save ids. Saved: it is the save.
 */
#include "state/object.h"

struct page_source;

/* The record id of an object, queued for saving if it is new; 0 for NULL. */
u64 saver_ref(struct saver *s, const void *o);
/* The same without keeping it alive in the image's eyes: the id, or 0 if nothing else in the walk
 * refers to the object. Resolved when the record is packed, after the walk: the walk packs records
 * only when every reachable object has an id. */
u64 saver_weak(struct saver *s, const void *o);
/* Memory that lives until the record is packed; zeroed; never NULL. For CUSTOM fields. */
void *saver_alloc(struct saver *s, size_t size);
/* saver_alloc of a message and its <message>__init. */
#define saver_msg(s, Type, init_fn)                              \
	({                                                       \
		Type *saver_msg_ = saver_alloc(s, sizeof(Type)); \
		init_fn(saver_msg_);                             \
		saver_msg_;                                      \
	})
/*
 * Names pages of src for the image: page aligned off and len, len > 0. Saves a prefix of the range
 * that has consecutive page numbers in the image, returns its first number and its length in bytes;
 * the caller goes on with the rest. A page that was named before keeps its number, so what was
 * shared stays shared. Contents are read when the pages are written, while everything is parked.
 */
MUST_CHECK int saver_pages(struct saver *s, struct page_source *src, u64 off, u64 len,
                           u64 *ret_pgno, u64 *ret_len);
/* Remembers why a save fails, for the one line that people see. Returns err. */
PRINTF(3, 4) int saver_error(struct saver *s, int err, const char *fmt, ...);
/* What the caller of the save handed in. */
void *saver_user(struct saver *s);
