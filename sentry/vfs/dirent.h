#pragma once
/*
 * Help for listing directories.
 *
 * Locking: see dirent_dots. Lifetime, saved: no state.
 */
#include "sentry/vfs/file.h"

/* d_type of a mode (readdir(3)). */
static inline u8 dirent_type(u32 mode)
{
	return (u8)(mode >> 12 & 15);
}
/* Gives "." and ".." at positions 0 and 1, moving *pos to 2. False if the sink is full. Takes
 * RANK_RENAME: call with nothing of RANK_DIR or lower but FILE_POS. */
bool dirent_dots(struct file *f, struct dir_sink *sink, s64 *pos);
