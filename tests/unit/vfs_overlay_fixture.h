#pragma once
/*
 * Two trees that must look the same whatever is done to them: an overlay over a tmpfs that the test
 * filled, and a plain tmpfs, which is the model.
 *
 * Locking: single threaded use. Lifetime: per test. Saved: no.
 */
#include "tests/unit/mm_fixture.h"
#include "sentry/fs/overlay/overlay.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/namei.h"

struct side {
	struct super_block *sb; /* owned by the mount */
	struct mount_ns *ns;
	struct fs_context *fs;
	struct ctx c;
};
extern struct world *overlay_world;
extern struct side over, model;
extern struct super_block *lower;

/* Fills a tree through its side. */
typedef void (*fill_fn)(struct side *s);
void overlay_begin(fill_fn fill);
void overlay_end(void);
/* Saves the overlay with everything below it and these files, throws it away, loads it. */
void overlay_reload(struct file **files, unsigned n);

int side_open(struct side *s, const char *path, u32 flags, struct file **ret);
int side_write(struct side *s, const char *path, const char *text); /* O_CREAT | O_TRUNC */
/* The content, malloc'd, with a NUL, zeros as '~'; NULL if it cannot be read. */
char *side_read(struct side *s, const char *path);
int side_stat(struct side *s, const char *path, struct kstat *ret);
int side_setattr(struct side *s, const char *path, struct iattr a);
/* Names of a directory but the dots, sorted, each followed by a space; malloc'd. */
char *side_list(struct side *s, const char *path);
/* Everything about the tree below path as text; malloc'd. */
char *side_dump(struct side *s, const char *path);
/* Both sides show the same. */
void overlay_compare(void);
/* What lower holds, seen through a mount of its own. */
char *lower_dump(void);
