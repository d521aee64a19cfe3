/* The host's file behind the memory file, where the host is to hold it to a size. */
#include "sentry/mm/memfile.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

bool memfile_host_huge_always(void)
{
	AUTO_CLOSE int fd =
		open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);
	char text[64] = "";

	return fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && strstr(text, "[always]");
}

/*
 * Guests touch pages that were mapped for them without our knowing, so only the host can hold them
 * to a limit exactly: every page comes out of this file system. It is mounted nowhere, and is gone
 * with the file.
 */
int memfile_bounded(u64 size)
{
	AUTO_CLOSE int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
	AUTO_CLOSE int mnt = -1;
	char text[24];
	int fd;

	if (fs < 0)
		return -errno;
	/* For memfile_back_huge; a host without them does as well. */
	(void)fsconfig(fs, FSCONFIG_SET_STRING, "huge", "advise", 0);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)size);
	if (fsconfig(fs, FSCONFIG_SET_STRING, "size", text, 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	mnt = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (mnt < 0)
		return -errno;
	fd = openat(mnt, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}
