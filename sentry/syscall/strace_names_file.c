/* Names of what files are opened, watched and changed with. */
#include "sentry/syscall/strace_names.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timerfd.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x8
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 0x10
#endif

static const struct name open_names[] = {
	N(O_RDONLY), N(O_WRONLY), N(O_RDWR), N(O_ACCMODE),
#define OPEN_FLAGS                                                                              \
	N(O_CREAT), N(O_EXCL), N(O_NOCTTY), N(O_TRUNC), N(O_APPEND), N(O_NONBLOCK), N(O_SYNC),  \
		N(O_DSYNC), N(O_DIRECT), {0100000, "O_LARGEFILE"}, N(O_NOFOLLOW), N(O_NOATIME), \
		N(O_CLOEXEC), N(O_PATH), N(O_TMPFILE), N(O_DIRECTORY),                          \
	{                                                                                       \
		O_ASYNC, "FASYNC"                                                               \
	}
	OPEN_FLAGS,
};
static const struct name access_names[] = {
	N(F_OK),
	N(R_OK),
	N(W_OK),
	N(X_OK),
};
static const struct name at_names[] = {
	N(AT_SYMLINK_NOFOLLOW), N(AT_REMOVEDIR),  N(AT_SYMLINK_FOLLOW),
	N(AT_NO_AUTOMOUNT),     N(AT_EMPTY_PATH), N(AT_RECURSIVE),
};
static const struct name at_access_names[] = {
	N(AT_SYMLINK_NOFOLLOW),
	N(AT_EACCESS),
	N(AT_EMPTY_PATH),
};
static const struct name at_statx_names[] = {
	{AT_STATX_SYNC_AS_STAT, "AT_STATX_SYNC_AS_STAT"},
	N(AT_STATX_FORCE_SYNC),
	N(AT_STATX_DONT_SYNC),
	N(AT_SYMLINK_NOFOLLOW),
	N(AT_REMOVEDIR),
	N(AT_SYMLINK_FOLLOW),
	N(AT_NO_AUTOMOUNT),
	N(AT_EMPTY_PATH),
	N(AT_RECURSIVE),
};
static const struct name statx_names[] = {
	N(STATX_ALL),    N(STATX_BASIC_STATS), N(STATX_TYPE),   N(STATX_MODE),
	N(STATX_NLINK),  N(STATX_UID),         N(STATX_GID),    N(STATX_ATIME),
	N(STATX_MTIME),  N(STATX_CTIME),       N(STATX_INO),    N(STATX_SIZE),
	N(STATX_BLOCKS), N(STATX_BTIME),       N(STATX_MNT_ID), N(STATX_DIOALIGN),
};
static const struct name statx_attr_names[] = {
	N(STATX_ATTR_COMPRESSED), N(STATX_ATTR_IMMUTABLE), N(STATX_ATTR_APPEND),
	N(STATX_ATTR_NODUMP),     N(STATX_ATTR_ENCRYPTED), N(STATX_ATTR_AUTOMOUNT),
	N(STATX_ATTR_MOUNT_ROOT), N(STATX_ATTR_VERITY),    N(STATX_ATTR_DAX),
};
static const struct name filetype_names[] = {
	N(S_IFREG), N(S_IFDIR), N(S_IFLNK), N(S_IFCHR), N(S_IFBLK), N(S_IFIFO), N(S_IFSOCK),
};
static const struct name whence_names[] = {
	N(SEEK_SET), N(SEEK_CUR), N(SEEK_END), N(SEEK_DATA), N(SEEK_HOLE),
};
static const struct name flock_names[] = {
	N(LOCK_SH),
	N(LOCK_EX),
	N(LOCK_NB),
	N(LOCK_UN),
};
static const struct name fcntl_names[] = {
	N(F_DUPFD),
	N(F_GETFD),
	N(F_SETFD),
	N(F_GETFL),
	N(F_SETFL),
	N(F_GETLK),
	N(F_SETLK),
	N(F_SETLKW),
	N(F_SETOWN),
	N(F_GETOWN),
	N(F_SETSIG),
	N(F_GETSIG),
	N(F_SETOWN_EX),
	N(F_GETOWN_EX),
	N(F_OFD_GETLK),
	N(F_OFD_SETLK),
	N(F_OFD_SETLKW),
	N(F_SETLEASE),
	N(F_GETLEASE),
	N(F_NOTIFY),
	N(F_DUPFD_CLOEXEC),
	N(F_SETPIPE_SZ),
	N(F_GETPIPE_SZ),
	N(F_ADD_SEALS),
	N(F_GET_SEALS),
	{1036, "F_GET_RW_HINT"},
	{1037, "F_SET_RW_HINT"},
	{1038, "F_GET_FILE_RW_HINT"},
	{1039, "F_SET_FILE_RW_HINT"},
};
static const struct name fdflags_names[] = {
	N(FD_CLOEXEC),
};
static const struct name lock_names[] = {
	N(F_RDLCK),
	N(F_WRLCK),
	N(F_UNLCK),
};
static const struct name owner_names[] = {
	N(F_OWNER_TID),
	N(F_OWNER_PID),
	N(F_OWNER_PGRP),
};
static const struct name seals_names[] = {
	N(F_SEAL_SEAL),
	N(F_SEAL_SHRINK),
	N(F_SEAL_GROW),
	N(F_SEAL_WRITE),
	{0x10, "F_SEAL_FUTURE_WRITE"},
};
static const struct name notify_names[] = {
	N(DN_ACCESS),
	N(DN_MODIFY),
	N(DN_CREATE),
	N(DN_DELETE),
	N(DN_RENAME),
	N(DN_ATTRIB),
	{0x80000000, "DN_MULTISHOT"},
};
static const struct name rename_names[] = {
	N(RENAME_NOREPLACE),
	N(RENAME_EXCHANGE),
	N(RENAME_WHITEOUT),
};
static const struct name memfd_names[] = {
	N(MFD_CLOEXEC),
	N(MFD_ALLOW_SEALING),
	N(MFD_HUGETLB),
};
static const struct name mount_names[] = {
	N(MS_RDONLY),    N(MS_NOSUID),      N(MS_NODEV),
	N(MS_NOEXEC),    N(MS_SYNCHRONOUS), N(MS_REMOUNT),
	N(MS_MANDLOCK),  N(MS_DIRSYNC),     {256, "MS_NOSYMFOLLOW"},
	N(MS_NOATIME),   N(MS_NODIRATIME),  N(MS_BIND),
	N(MS_MOVE),      N(MS_REC),         N(MS_SILENT),
	N(MS_POSIXACL),  N(MS_UNBINDABLE),  N(MS_PRIVATE),
	N(MS_SLAVE),     N(MS_SHARED),      N(MS_RELATIME),
	N(MS_KERNMOUNT), N(MS_I_VERSION),   N(MS_STRICTATIME),
	N(MS_LAZYTIME),
};
static const struct name umount_names[] = {
	N(MNT_FORCE),
	N(MNT_DETACH),
	N(MNT_EXPIRE),
	N(UMOUNT_NOFOLLOW),
};
static const struct name fallocate_names[] = {
	N(FALLOC_FL_KEEP_SIZE),      N(FALLOC_FL_PUNCH_HOLE), N(FALLOC_FL_NO_HIDE_STALE),
	N(FALLOC_FL_COLLAPSE_RANGE), N(FALLOC_FL_ZERO_RANGE), N(FALLOC_FL_INSERT_RANGE),
	N(FALLOC_FL_UNSHARE_RANGE),
};
static const struct name fadvise_names[] = {
	N(POSIX_FADV_NORMAL),   N(POSIX_FADV_RANDOM),   N(POSIX_FADV_SEQUENTIAL),
	N(POSIX_FADV_WILLNEED), N(POSIX_FADV_DONTNEED), N(POSIX_FADV_NOREUSE),
};
static const struct name resolve_names[] = {
	N(RESOLVE_NO_XDEV), N(RESOLVE_NO_MAGICLINKS), N(RESOLVE_NO_SYMLINKS),
	N(RESOLVE_BENEATH), N(RESOLVE_IN_ROOT),       N(RESOLVE_CACHED),
};
static const struct name close_range_names[] = {
	N(CLOSE_RANGE_UNSHARE),
	N(CLOSE_RANGE_CLOEXEC),
};
static const struct name xattr_names[] = {
	N(XATTR_CREATE),
	N(XATTR_REPLACE),
};
static const struct name rwf_names[] = {
	N(RWF_HIPRI), N(RWF_DSYNC), N(RWF_SYNC), N(RWF_NOWAIT), N(RWF_APPEND),
};
static const struct name sync_range_names[] = {
	N(SYNC_FILE_RANGE_WAIT_BEFORE),
	N(SYNC_FILE_RANGE_WRITE),
	N(SYNC_FILE_RANGE_WAIT_AFTER),
};
static const struct name splice_names[] = {
	N(SPLICE_F_MOVE),
	N(SPLICE_F_NONBLOCK),
	N(SPLICE_F_MORE),
	N(SPLICE_F_GIFT),
};
static const struct name inotify_names[] = {
	N(IN_ACCESS),        N(IN_MODIFY),      N(IN_ATTRIB),      N(IN_CLOSE_WRITE),
	N(IN_CLOSE_NOWRITE), N(IN_OPEN),        N(IN_MOVED_FROM),  N(IN_MOVED_TO),
	N(IN_CREATE),        N(IN_DELETE),      N(IN_DELETE_SELF), N(IN_MOVE_SELF),
	N(IN_UNMOUNT),       N(IN_Q_OVERFLOW),  N(IN_IGNORED),     N(IN_ONLYDIR),
	N(IN_DONT_FOLLOW),   N(IN_EXCL_UNLINK), N(IN_MASK_CREATE), N(IN_MASK_ADD),
	N(IN_ISDIR),         N(IN_ONESHOT),
};
static const struct name inotify_init_names[] = {
	N(IN_NONBLOCK),
	N(IN_CLOEXEC),
};
static const struct name poll_names[] = {
	N(POLLIN),     N(POLLPRI),
	N(POLLOUT),    N(POLLERR),
	N(POLLHUP),    N(POLLNVAL),
	N(POLLRDNORM), N(POLLRDBAND),
	N(POLLWRNORM), N(POLLWRBAND),
	N(POLLMSG),    {0x1000, "POLLREMOVE"},
	N(POLLRDHUP),  {0x8000, "POLL_BUSY_LOOP"},
};
static const struct name epoll_names[] = {
	N(EPOLLIN),        N(EPOLLPRI),         N(EPOLLOUT),     N(EPOLLERR),
	N(EPOLLHUP),       {0x20, "EPOLLNVAL"}, N(EPOLLRDNORM),  N(EPOLLRDBAND),
	N(EPOLLWRNORM),    N(EPOLLWRBAND),      N(EPOLLMSG),     N(EPOLLRDHUP),
	N(EPOLLEXCLUSIVE), N(EPOLLWAKEUP),      N(EPOLLONESHOT), N(EPOLLET),
};
static const struct name epollop_names[] = {
	N(EPOLL_CTL_ADD),
	N(EPOLL_CTL_DEL),
	N(EPOLL_CTL_MOD),
};
static const struct name epoll_create_names[] = {
	N(EPOLL_CLOEXEC),
};
static const struct name eventfd_names[] = {
	N(EFD_SEMAPHORE),
	N(EFD_CLOEXEC),
	N(EFD_NONBLOCK),
};
static const struct name signalfd_names[] = {
	N(SFD_CLOEXEC),
	N(SFD_NONBLOCK),
};
static const struct name timerfd_names[] = {
	N(TFD_TIMER_ABSTIME),
	N(TFD_TIMER_CANCEL_ON_SET),
	N(TFD_CLOEXEC),
	N(TFD_NONBLOCK),
};
static const struct name pipe_names[] = {
	OPEN_FLAGS,
};
static const struct name fstype_names[] = {
	N(EXT2_SUPER_MAGIC),
	N(TMPFS_MAGIC),
	N(PROC_SUPER_MAGIC),
	N(SYSFS_MAGIC),
	N(DEVPTS_SUPER_MAGIC),
	N(OVERLAYFS_SUPER_MAGIC),
	N(CGROUP2_SUPER_MAGIC),
	N(CGROUP_SUPER_MAGIC),
	{0x50495045, "PIPEFS_MAGIC"},
	{0x534f434b, "SOCKFS_MAGIC"},
	{0x09041934, "ANON_INODE_FS_MAGIC"},
	{0x19800202, "MQUEUE_MAGIC"},
	{0x58465342, "XFS_SUPER_MAGIC"},
	{0x9123683e, "BTRFS_SUPER_MAGIC"},
	{0x958458f6, "HUGETLBFS_MAGIC"},
	{0x01021997, "V9FS_MAGIC"},
	{0x65735546, "FUSE_SUPER_MAGIC"},
};
static const struct name statfs_flags_names[] = {
	{0x20, "ST_VALID"},
	N(ST_RDONLY),
	N(ST_NOSUID),
	{4, "ST_NODEV"},
	{8, "ST_NOEXEC"},
	{16, "ST_SYNCHRONOUS"},
	{64, "ST_MANDLOCK"},
	{1024, "ST_NOATIME"},
	{2048, "ST_NODIRATIME"},
	{4096, "ST_RELATIME"},
	{8192, "ST_NOSYMFOLLOW"},
};
static const struct name utime_names[] = {
	N(UTIME_NOW),
	N(UTIME_OMIT),
};

const struct name_table strace_names_file[] = {
	NAME_TABLE_NUMBER(open, "O_???", O_ACCMODE),
	NAME_TABLE(access, "?_OK"),
	NAME_TABLE(at, "AT_???"),
	NAME_TABLE(at_access, "AT_???"),
	NAME_TABLE_NUMBER(at_statx, "AT_???", AT_STATX_SYNC_TYPE),
	NAME_TABLE(statx, "STATX_???"),
	NAME_TABLE(statx_attr, "STATX_ATTR_???"),
	NAME_TABLE(filetype, "S_IFMT???"),
	NAME_TABLE(whence, "SEEK_???"),
	NAME_TABLE(flock, "LOCK_???"),
	NAME_TABLE(fcntl, "F_???"),
	NAME_TABLE(fdflags, "FD_???"),
	NAME_TABLE(lock, "F_???"),
	NAME_TABLE(owner, "F_OWNER_???"),
	NAME_TABLE(seals, "F_SEAL_???"),
	NAME_TABLE(notify, "DN_???"),
	NAME_TABLE(rename, "RENAME_??"),
	NAME_TABLE(memfd, "MFD_???"),
	NAME_TABLE(mount, "MS_???"),
	NAME_TABLE(umount, "MNT_???"),
	NAME_TABLE(fallocate, "FALLOC_FL_???"),
	NAME_TABLE(fadvise, "POSIX_FADV_???"),
	NAME_TABLE(resolve, "RESOLVE_???"),
	NAME_TABLE(close_range, "CLOSE_RANGE_???"),
	NAME_TABLE(xattr, "XATTR_???"),
	NAME_TABLE(rwf, "RWF_???"),
	NAME_TABLE(sync_range, "SYNC_FILE_RANGE_???"),
	NAME_TABLE(splice, "SPLICE_F_???"),
	NAME_TABLE(inotify, "IN_???"),
	NAME_TABLE(inotify_init, "IN_???"),
	NAME_TABLE(poll, "POLL???"),
	NAME_TABLE(epoll, "EPOLL???"),
	NAME_TABLE(epollop, "EPOLL_CTL_???"),
	NAME_TABLE(epoll_create, "EPOLL_???"),
	NAME_TABLE(eventfd, "EFD_???"),
	NAME_TABLE(signalfd, "SFD_???"),
	NAME_TABLE(timerfd, "TFD_???"),
	NAME_TABLE(pipe, "O_???"),
	NAME_TABLE(fstype, NULL),
	NAME_TABLE(statfs_flags, "ST_???"),
	NAME_TABLE(utime, NULL),
	{0},
};
