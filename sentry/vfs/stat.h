#pragma once
/*
 * Attributes of files as calls report and change them.
 *
 * Locking, lifetime, saved: plain values.
 */
#include "state/base/types.h"

/* What stat(2) and statx(2) are made from. Times are ns since 1970 (they saturate in 1677/2262). */
struct kstat {
	u64 dev, ino;
	u32 mode, nlink, uid, gid;
	u64 rdev, size, blksize, blocks; /* blocks of 512 bytes */
	s64 atime, mtime, ctime, btime;  /* btime 0: unknown */
	u64 mount_id;
	bool mount_root; /* it is what its mount shows at its place */
};

enum iattr_valid {
	IATTR_MODE = 1,
	IATTR_UID = 2,
	IATTR_GID = 4,
	IATTR_SIZE = 8,
	IATTR_ATIME = 0x10, /* to the value in atime */
	IATTR_MTIME = 0x20,
	IATTR_ATIME_NOW = 0x40, /* to the time of the change */
	IATTR_MTIME_NOW = 0x80,
	IATTR_OPEN = 0x100,      /* the size change is O_TRUNC or ftruncate: access was checked */
	IATTR_KILL_PRIV = 0x200, /* clear set-uid and set-gid as a write does */
};
struct iattr {
	u32 valid;
	u32 mode, uid, gid; /* mode: permission bits only */
	u64 size;
	s64 atime, mtime;
};
