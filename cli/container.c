/* State directories: making, finding, pruning, removing. state.json is in container_state.c. */
#include "cli/container.h"
#include "cli/container_impl.h"
#include "state/base/cleanup.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

const char *const container_files[] = {"lock", "control.sock", "state.json", "status", NULL};

const char *container_default_root(void)
{
	static char path[256];
	const char *run = getenv("XDG_RUNTIME_DIR");

	if (geteuid() == 0)
		return "/run/stasis";
	if (run && run[0] == '/' && strlen(run) < sizeof(path) - 16)
		snprintf(path, sizeof(path), "%s/stasis", run);
	else
		snprintf(path, sizeof(path), "/tmp/stasis-%u", geteuid());
	return path;
}

char *container_random_id(void)
{
	u64 n = 0;
	char *id;

	if (getrandom(&n, sizeof(n), 0) != sizeof(n))
		n = (u64)getpid();
	if (asprintf(&id, "stasis-%012llx", (unsigned long long)(n & 0xffffffffffffull)) < 0)
		return NULL;
	return id;
}

static int check_id(const char *id, struct error *err)
{
	const char *p;

	if (!*id || strlen(id) > 128)
		return error_set(err, "container id \"%.32s\": must have 1 to 128 characters", id);
	for (p = id; *p; p++)
		if (!isalnum((unsigned char)*p) && (p == id || !strchr("_+.-", *p)))
			return error_set(err,
			                 "container id \"%s\": letters, digits and _+.- only, "
			                 "beginning with a letter or digit",
			                 id);
	return 0;
}

static int make_dirs(const char *path)
{
	AUTO_FREE char *copy = strdup(path);
	char *p;

	if (!copy)
		return -ENOMEM;
	for (p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return mkdir(copy, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* Opens ROOT, made if create is set. Whoever can write there can pose as a sandbox, so nobody else
 * may. -ENOENT with err unset if it does not exist. */
static int open_root(const struct globals *g, bool create, int *ret_fd, struct error *err)
{
	AUTO_CLOSE int fd = -1;
	struct stat st;
	int r;

	if (create && (r = make_dirs(g->root)) < 0)
		return error_set(err, "cannot make the state directory %s: %s: use --root DIR",
		                 g->root, strerror(-r));
	fd = open(g->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && !create)
		return -ENOENT;
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(err, "cannot open the state directory %s: %s", g->root,
		                 strerror(errno));
	if ((st.st_uid != geteuid() && geteuid() != 0) || (st.st_mode & 022))
		return error_set(err,
		                 "the state directory %s can be changed by others: use --root DIR "
		                 "or chmod it",
		                 g->root);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* Locks ROOT/.lock until the descriptor is closed. */
static int lock_root(int root_fd, int *ret_fd, struct error *err)
{
	AUTO_CLOSE int fd = openat(root_fd, ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return error_set(err, "cannot open the lock of the state directory: %s",
		                 strerror(errno));
	do {
		r = flock(fd, LOCK_EX);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return error_set(err, "cannot lock the state directory: %s", strerror(errno));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static void remove_dir(int root_fd, int dir_fd, const char *id)
{
	size_t i;

	for (i = 0; container_files[i]; i++)
		unlinkat(dir_fd, container_files[i], 0);
	unlinkat(dir_fd, "state.json.new", 0);
	unlinkat(root_fd, id, AT_REMOVEDIR);
}

/* True if any process of the sandbox lives. */
static bool in_use(int dir_fd)
{
	AUTO_CLOSE int fd = openat(dir_fd, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0;
}

/* Under the root's lock: removes what a killed sandbox left. True if nothing is left of id. */
static bool prune(int root_fd, const char *id)
{
	struct container c = {.root_fd = -1, .lock_fd = -1, .listen_fd = -1, .status_fd = -1};
	struct error ignored = {0};
	bool gone = false;

	c.dir_fd = openat(root_fd, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (c.dir_fd < 0)
		return errno == ENOENT;
	if (!in_use(c.dir_fd) && (container_load(&c, &ignored) < 0 || !c.detached)) {
		remove_dir(root_fd, c.dir_fd, id);
		gone = faccessat(root_fd, id, F_OK, 0) < 0;
	}
	error_finish(&ignored);
	container_finish(&c);
	return gone;
}

/* The address of control.sock through its directory: no limit on the length of ROOT. */
static void socket_address(int dir_fd, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/control.sock", dir_fd);
}

static int populate(struct container *c, struct error *err)
{
	struct sockaddr_un addr;

	c->lock_fd = openat(c->dir_fd, "lock", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (c->lock_fd < 0 || flock(c->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return error_set(err, "cannot lock container %s: %s", c->id, strerror(errno));
	c->status_fd = openat(c->dir_fd, "status", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (c->status_fd < 0)
		return error_set(err, "cannot make the state of container %s: %s", c->id,
		                 strerror(errno));
	socket_address(c->dir_fd, &addr);
	c->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->listen_fd < 0 || bind(c->listen_fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(c->listen_fd, 16) < 0)
		return error_set(err, "cannot make the control socket of container %s: %s", c->id,
		                 strerror(errno));
	return 0;
}

static void container_init(struct container *c)
{
	*c = (struct container){
		.root_fd = -1, .dir_fd = -1, .lock_fd = -1, .listen_fd = -1, .status_fd = -1};
}

int container_create(const struct globals *g, const char *id, struct container *ret,
                     struct error *err)
{
	AUTO_CLOSE int root_lock = -1;
	struct container c;

	container_init(&c);
	if (check_id(id, err) < 0 || open_root(g, true, &c.root_fd, err) < 0 ||
	    lock_root(c.root_fd, &root_lock, err) < 0) {
		container_finish(&c);
		return -1;
	}
	c.id = strdup(id);
	if (mkdirat(c.root_fd, id, 0700) < 0 &&
	    (errno != EEXIST || !prune(c.root_fd, id) || mkdirat(c.root_fd, id, 0700) < 0)) {
		if (errno == EEXIST || errno == ENOTEMPTY || faccessat(c.root_fd, id, F_OK, 0) == 0)
			error_set(err,
			          "container %s exists: choose another id, or remove it with "
			          "stasis delete %s",
			          id, id);
		else
			error_set(err, "cannot make the state of container %s: %s", id,
			          strerror(errno));
		container_finish(&c);
		return -1;
	}
	c.dir_fd = openat(c.root_fd, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (c.dir_fd < 0 || !c.id || populate(&c, err) < 0) {
		error_set(err, "cannot make the state of container %s: %s", id, strerror(errno));
		if (c.dir_fd >= 0)
			remove_dir(c.root_fd, c.dir_fd, id);
		container_finish(&c);
		return -1;
	}
	*ret = c;
	return 0;
}

int container_open(const struct globals *g, const char *id, struct container *ret,
                   struct error *err)
{
	AUTO_CLOSE int root_lock = -1;
	struct container c;
	int r;

	container_init(&c);
	if (check_id(id, err) < 0)
		return -1;
	r = open_root(g, false, &c.root_fd, err);
	if (r == -1 && err->text)
		return -1;
	if (r == 0) {
		c.dir_fd = openat(c.root_fd, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		c.id = strdup(id);
	}
	/* The guest may run, and be asked for, a moment before its maker has written state.json. */
	for (int tries = 0; c.dir_fd >= 0 && tries < 500 && in_use(c.dir_fd); tries++) {
		const struct timespec nap = {.tv_nsec = 10000000};

		if (faccessat(c.dir_fd, "state.json", F_OK, 0) == 0)
			break;
		nanosleep(&nap, NULL);
	}
	/* A directory without state.json is being made, unless its maker is dead. */
	if (c.dir_fd >= 0 && c.id && container_load(&c, err) < 0 && !in_use(c.dir_fd) &&
	    lock_root(c.root_fd, &root_lock, err) == 0)
		prune(c.root_fd, id);
	if (c.dir_fd < 0) {
		container_finish(&c);
		return error_set(err, "container %s does not exist: see stasis list", id);
	}
	if (err->text) {
		container_finish(&c);
		return -1;
	}
	*ret = c;
	return 0;
}

void container_finish(struct container *c)
{
	int *fds[] = {&c->root_fd, &c->dir_fd, &c->lock_fd, &c->listen_fd, &c->status_fd};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
	free(c->id);
	free(c->bundle);
	free(c->created);
	json_decref(c->annotations);
	c->id = c->bundle = c->created = NULL;
	c->annotations = NULL;
}

void container_remove(struct container *c)
{
	AUTO_CLOSE int root_lock = -1;
	struct error ignored = {0};
	struct stat ours, theirs;

	if (lock_root(c->root_fd, &root_lock, &ignored) < 0)
		error_finish(&ignored);
	/* Another may have taken the name since. */
	if (fstat(c->dir_fd, &ours) == 0 &&
	    fstatat(c->root_fd, c->id, &theirs, AT_SYMLINK_NOFOLLOW) == 0 &&
	    ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev)
		remove_dir(c->root_fd, c->dir_fd, c->id);
}

int container_connect(const struct container *c, int *ret_fd, struct error *err)
{
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr;

	if (fd < 0)
		return error_set(err, "cannot make a socket: %s", strerror(errno));
	socket_address(c->dir_fd, &addr);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		if (errno == ECONNREFUSED || errno == ENOENT)
			return -ECONNREFUSED;
		return error_set(err, "cannot reach container %s: %s", c->id, strerror(errno));
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

bool container_in_use(const struct container *c)
{
	return in_use(c->dir_fd);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int container_list(const struct globals *g, char ***ret_ids, size_t *ret_n, struct error *err)
{
	AUTO_CLOSE int root_fd = -1;
	AUTO_CLOSE int root_lock = -1;
	struct dirent *e;
	char **ids = NULL;
	size_t n = 0;
	DIR *d;
	int r;

	r = open_root(g, false, &root_fd, err);
	if (r == -ENOENT) {
		*ret_ids = NULL;
		*ret_n = 0;
		return 0;
	}
	if (r < 0 || lock_root(root_fd, &root_lock, err) < 0)
		return -1;
	r = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = r >= 0 ? fdopendir(r) : NULL;
	if (!d)
		return error_set(err, "cannot read %s: %s", g->root, strerror(errno));
	while ((e = readdir(d))) {
		char **more;

		if (e->d_name[0] == '.' || prune(root_fd, e->d_name))
			continue;
		more = reallocarray(ids, n + 1, sizeof(*ids));
		if (!more)
			break;
		ids = more;
		ids[n] = strdup(e->d_name);
		if (ids[n])
			n++;
	}
	closedir(d);
	if (n)
		qsort(ids, n, sizeof(*ids), by_name);
	*ret_ids = ids;
	*ret_n = n;
	return 0;
}

void container_list_free(char **ids, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		free(ids[i]);
	free(ids);
}
