#pragma once
/*
 * /dev: a tmpfs with the nodes that every program expects, and the drivers behind them.
 *
 * A driver registers SPECIAL_FILE with its major number, so its nodes work in any file system.
 *
 * Locking, lifetime: those of tmpfs. Saved: the tree with the tmpfs; open devices as files.
 */

/* Documentation/admin-guide/devices.txt */
#define DEV_MEM_MAJOR     1
#define DEV_NULL_MINOR    3
#define DEV_ZERO_MINOR    5
#define DEV_FULL_MINOR    7
#define DEV_RANDOM_MINOR  8
#define DEV_URANDOM_MINOR 9
#define DEV_TTYAUX_MAJOR  5
