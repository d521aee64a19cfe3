#pragma once
/*
 * A directory listing taken as a whole when it is first read, so that positions stay meaningful
 * whatever happens to the directory, and across a save. For file systems whose directories live
 * elsewhere (gofer) or are put together from several (overlay).
 *
 * Locking: the owner's (an open file's pos_lock). Lifetime: embedded; zeroed is empty.
 * Saved: by the owner through the helpers.
 */
#include "proto/files.pb-c.h"
#include "sentry/vfs/file.h"

struct dir_item {
	char *name; /* owned */
	u64 ino;
	u8 type;
};
struct dir_list {
	struct dir_item *v;
	size_t n, cap;
};

void dir_list_add(struct dir_list *l, const char *name, size_t len, u64 ino, u8 type);
void dir_list_finish(struct dir_list *l);
/* Gives the items from *pos on (the first one is at 2, after the dots), advancing it. */
void dir_list_emit(const struct dir_list *l, struct dir_sink *sink, s64 *pos);
void dir_list_save(struct saver *s, const struct dir_list *l, size_t *ret_n,
                   Sentry__DirItem ***ret);
MUST_CHECK int dir_list_load(struct loader *ld, struct dir_list *l, size_t n,
                             Sentry__DirItem *const *items);
