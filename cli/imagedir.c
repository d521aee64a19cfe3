/* Making and opening image directories. */
#include "cli/imagedir.h"
#include "state/base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void unlink_tmp(struct imagedir *d)
{
	AUTO_CLOSE int fd = -1;
	size_t i;

	if (!d->tmp_name)
		return;
	fd = openat(d->parent_fd, d->tmp_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	for (i = 0; fd >= 0 && i < IMAGE_FILES; i++)
		unlinkat(fd, image_file_names[i], 0);
	unlinkat(d->parent_fd, d->tmp_name, AT_REMOVEDIR);
	free(d->tmp_name);
	d->tmp_name = NULL;
}

/*
 * A child that outlives a kill of this process, and then removes what it made. It holds nothing of
 * the command's but the parent directory, and stays out of its process group.
 */
static int guard_start(struct imagedir *d, struct error *err)
{
	int p[2], parent = d->parent_fd;
	char done;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p) < 0)
		return error_set(err, "cannot make image %s: %s", d->path, strerror(errno));
	d->guard = fork();
	if (d->guard < 0) {
		d->guard = 0;
		close(p[0]);
		close(p[1]);
		return error_set(err, "cannot make image %s: %s", d->path, strerror(errno));
	}
	if (d->guard == 0) {
		int in = dup2(p[0], 0);

		(void)setsid();
		if (in == 0 && dup2(parent, 1) == 1 && close_range(2, ~0u, 0) == 0 &&
		    read(0, &done, 1) == 0) {
			d->parent_fd = 1;
			unlink_tmp(d);
		}
		_exit(0);
	}
	close(p[0]);
	d->guard_fd = p[1];
	return 0;
}

/* What the guard watched over is gone or has its name. */
static void guard_end(struct imagedir *d)
{
	if (!d->guard)
		return;
	(void)send(d->guard_fd, "", 1, MSG_NOSIGNAL);
	close(d->guard_fd);
	while (waitpid(d->guard, NULL, 0) < 0 && errno == EINTR)
		;
	d->guard = 0;
}

static void finish(struct imagedir *d)
{
	guard_end(d);
	imagedir_close(d->fds);
	if (d->parent_fd >= 0)
		close(d->parent_fd);
	free(d->tmp_name);
	free(d->path);
	free(d->name);
	d->tmp_name = d->path = d->name = NULL;
	d->parent_fd = -1;
}

void imagedir_abort(struct imagedir *d)
{
	unlink_tmp(d);
	finish(d);
}

static bool is_empty_dir(int parent_fd, const char *name)
{
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	bool empty = dir != NULL;
	struct dirent *e;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (empty && (e = readdir(dir)))
		empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
	closedir(dir);
	return empty;
}

static int make_tmp_dir(struct imagedir *d, int *ret_fd, struct error *err)
{
	AUTO_CLOSE int fd = -1;

	if (asprintf(&d->tmp_name, ".%s.%d.tmp", d->name, getpid()) < 0) {
		d->tmp_name = NULL;
		return error_set(err, "out of memory");
	}
	/* Of an earlier process with our number that was killed. */
	unlink_tmp(&(struct imagedir){.parent_fd = d->parent_fd, .tmp_name = strdup(d->tmp_name)});
	if (guard_start(d, err) < 0) {
		free(d->tmp_name);
		d->tmp_name = NULL;
		return -1;
	}
	if (mkdirat(d->parent_fd, d->tmp_name, 0700) < 0) {
		free(d->tmp_name);
		d->tmp_name = NULL;
		return error_set(err, "cannot make image %s: %s", d->path, strerror(errno));
	}
	fd = openat(d->parent_fd, d->tmp_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return error_set(err, "cannot make image %s: %s", d->path, strerror(errno));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int split(const char *path, struct imagedir *d, struct error *err)
{
	char *slash;

	d->path = strdup(path);
	if (!d->path)
		return error_set(err, "out of memory");
	while (strlen(d->path) > 1 && d->path[strlen(d->path) - 1] == '/')
		d->path[strlen(d->path) - 1] = '\0';
	slash = strrchr(d->path, '/');
	d->name = strdup(slash ? slash + 1 : d->path);
	if (!d->name || !*d->name || strcmp(d->name, ".") == 0 || strcmp(d->name, "..") == 0)
		return error_usage(err, "--image-path %s: must end in a name", path);
	/* A name beside it is longer. */
	if (strlen(d->name) > 200)
		return error_set(err, "cannot make image %s: its name is longer than 200 bytes",
		                 path);
	if (!slash) {
		d->parent_fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	} else {
		AUTO_FREE char *parent = strndup(d->path, (size_t)MAX(slash - d->path, 1l));

		d->parent_fd = parent ? open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	}
	if (d->parent_fd < 0)
		return error_set(err, "cannot open the directory of image %s: %s", path,
		                 strerror(errno));
	return 0;
}

static int open_files(struct imagedir *d, struct error *err)
{
	AUTO_CLOSE int tmp_fd = -1;
	size_t i;

	for (i = 0; i < IMAGE_FILES; i++) {
		d->fds[i] = openat(d->parent_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		if (d->fds[i] < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
			break;
		if (d->fds[i] < 0)
			return error_set(err, "cannot make image %s: %s", d->path, strerror(errno));
	}
	if (i == IMAGE_FILES)
		return 0;
	if (make_tmp_dir(d, &tmp_fd, err) < 0)
		return -1;
	for (i = 0; i < IMAGE_FILES; i++) {
		d->fds[i] = openat(tmp_fd, image_file_names[i],
		                   O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (d->fds[i] < 0)
			return error_set(err, "cannot make image %s: %s: %s", d->path,
			                 image_file_names[i], strerror(errno));
	}
	return 0;
}

static int exists(struct imagedir *d, struct error *err)
{
	return error_set(err, "image %s exists: remove it or choose another path", d->path);
}

int imagedir_begin(const char *path, struct imagedir *ret, struct error *err)
{
	struct imagedir d = {.parent_fd = -1, .fds = {-1, -1, -1, -1, -1}};
	struct stat st;
	int r;

	r = split(path, &d, err);
	if (r == 0 && fstatat(d.parent_fd, d.name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    !is_empty_dir(d.parent_fd, d.name))
		r = exists(&d, err);
	if (r == 0)
		r = open_files(&d, err);
	if (r < 0)
		imagedir_abort(&d);
	else
		*ret = d;
	return r;
}

static int link_files(struct imagedir *d, int tmp_fd, struct error *err)
{
	char proc[64];
	size_t i;

	for (i = 0; i < IMAGE_FILES; i++) {
		snprintf(proc, sizeof(proc), "/proc/self/fd/%d", d->fds[i]);
		if (linkat(AT_FDCWD, proc, tmp_fd, image_file_names[i], AT_SYMLINK_FOLLOW) < 0)
			return error_set(err, "cannot name %s of image %s: %s", image_file_names[i],
			                 d->path, strerror(errno));
	}
	return 0;
}

static int publish(struct imagedir *d, struct error *err)
{
	AUTO_CLOSE int tmp_fd = -1;
	size_t i;

	for (i = 0; i < IMAGE_FILES; i++)
		if (fsync(d->fds[i]) < 0)
			return error_set(err, "cannot write %s of image %s to disk: %s",
			                 image_file_names[i], d->path, strerror(errno));
	if (d->tmp_name) {
		tmp_fd = openat(d->parent_fd, d->tmp_name,
		                O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (tmp_fd < 0)
			return error_set(err, "image %s: %s", d->path, strerror(errno));
	} else if (make_tmp_dir(d, &tmp_fd, err) < 0 || link_files(d, tmp_fd, err) < 0) {
		return -1;
	}
	if (fsync(tmp_fd) < 0)
		return error_set(err, "cannot write image %s to disk: %s", d->path,
		                 strerror(errno));
	/* Replaces an empty directory, nothing else. */
	if (renameat(d->parent_fd, d->tmp_name, d->parent_fd, d->name) < 0) {
		if (errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR)
			return exists(d, err);
		return error_set(err, "cannot name image %s: %s", d->path, strerror(errno));
	}
	free(d->tmp_name);
	d->tmp_name = NULL;
	/* The image is there; that its name survives a power cut is as much as can still fail. */
	(void)fsync(d->parent_fd);
	return 0;
}

int imagedir_publish(struct imagedir *d, struct error *err)
{
	int r = publish(d, err);

	imagedir_abort(d);
	return r;
}

int imagedir_open(const char *path, int ret_fds[IMAGE_FILES], struct error *err)
{
	AUTO_CLOSE int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fds[IMAGE_FILES];
	struct stat st;
	size_t i;

	if (dir < 0)
		return error_set(err, "cannot open image %s: %s", path, strerror(errno));
	for (i = 0; i < IMAGE_FILES; i++)
		fds[i] = -1;
	for (i = 0; i < IMAGE_FILES; i++) {
		/* Not blocking on a FIFO that poses as a file. */
		fds[i] = openat(dir, image_file_names[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fds[i] < 0 && errno == ENOENT && i == IMAGE_STATS)
			continue;
		if (fds[i] < 0 || fstat(fds[i], &st) < 0) {
			int e = errno;

			imagedir_close(fds);
			return error_set(err, "cannot open image %s: %s%s", path,
			                 image_file_names[i],
			                 e == ENOENT ? " is missing" : strerror(e));
		}
		if (!S_ISREG(st.st_mode)) {
			imagedir_close(fds);
			return error_set(err, "cannot open image %s: %s is not a file", path,
			                 image_file_names[i]);
		}
	}
	memcpy(ret_fds, fds, sizeof(fds));
	return 0;
}

void imagedir_close(int fds[IMAGE_FILES])
{
	size_t i;

	for (i = 0; i < IMAGE_FILES; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}
