#include "tests/unit/gofer_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

const char *fixture_path(struct fixture *x, const char *fmt, ...)
{
	static char path[4][512];
	static unsigned turn;
	char *p = path[turn++ % 4];
	int n = snprintf(p, 512, "%s/", x->dir);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p + n, 512 - (size_t)n, fmt, ap);
	va_end(ap);
	return p;
}

void fixture_write(struct fixture *x, const char *path, const char *text)
{
	int fd = open(fixture_path(x, "%s", path), O_CREAT | O_WRONLY | O_TRUNC, 0644);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

void fixture_init(struct fixture *x)
{
	memset(x, 0, sizeof(*x));
	strcpy(x->dir, "/tmp/stasis-gofer.XXXXXX");
	cr_assert_not_null(mkdtemp(x->dir));
	snprintf(x->root, sizeof(x->root), "%s/root", x->dir);
	chmod(x->dir, 0755);
	cr_assert_eq(mkdir(x->root, 0777), 0);
	chmod(x->root, 0777);
	cr_assert_eq(mkdir(fixture_path(x, "outside"), 0755), 0);
	fixture_write(x, "outside/secret", "secret");
	fixture_write(x, "root/file", "hello, world");
	cr_assert_eq(mkdir(fixture_path(x, "root/dir"), 0777), 0);
	chmod(fixture_path(x, "root/dir"), 0777);
	fixture_write(x, "root/dir/inner", "inner");
	x->cleanup_dir = x->cleanup_parent = -1;
	x->fd = -1;
	x->req = malloc(P9_MAX_MSIZE);
	x->rep = malloc(P9_MAX_MSIZE);
}

void fixture_start(struct fixture *x)
{
	int sv[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	x->pid = fork();
	if (x->pid == 0) {
		const char *names[] = {"pid", "control"};
		struct gofer_attach at[] = {
			{.name = "root", .path = x->root, .fd = -1, .flags = x->flags},
			{.name = "ro", .path = x->root, .fd = -1, .readonly = true},
			{.name = "onefile", .fd = open(fixture_path(x, "root/file"), O_PATH)},
		};
		struct gofer_config cfg = {
			.attach = at,
			.n_attach = 3,
			.socks = &sv[1],
			.n_socks = 1,
			.log_fd = 2,
			.log_level = LOG_WARN,
			.max_fids = x->max_fids,
			.cleanup = {x->cleanup_dir, names, 2, x->cleanup_parent, "state"},
		};

		close(sv[0]);
		if (x->as_nobody && (setgroups(0, NULL) || setresgid(65534, 65534, 65534) ||
		                     setresuid(65534, 65534, 65534)))
			_exit(99);
		_exit(gofer_main(&cfg));
	}
	cr_assert_gt(x->pid, 0);
	close(sv[1]);
	x->sock = sv[0];
}

static int rm_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void fixture_stop(struct fixture *x)
{
	int status;

	if (x->sock >= 0)
		close(x->sock);
	cr_assert_eq(waitpid(x->pid, &status, 0), x->pid);
	nftw(x->dir, rm_one, 16, FTW_DEPTH | FTW_PHYS);
	free(x->req);
	free(x->rep);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "gofer ended with %#x", status);
}

void rpc_begin(struct fixture *x, u8 type)
{
	x->out = p9_buf(x->req, P9_MAX_MSIZE);
	x->start = p9_begin(&x->out, type, type == P9_TVERSION ? P9_NOTAG : 7);
}

static void recv_all(struct fixture *x, u8 *p, size_t n)
{
	while (n > 0) {
		char ctl[CMSG_SPACE(4 * sizeof(int))];
		struct iovec iov = {p, n};
		struct msghdr m = {.msg_iov = &iov,
		                   .msg_iovlen = 1,
		                   .msg_control = ctl,
		                   .msg_controllen = sizeof(ctl)};
		ssize_t got = recvmsg(x->sock, &m, MSG_CMSG_CLOEXEC);
		struct cmsghdr *h;

		cr_assert_gt(got, 0, "the gofer hung up");
		for (h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
			cr_assert_eq(h->cmsg_len, CMSG_LEN(sizeof(int)));
			cr_assert_eq(x->fd, -1);
			memcpy(&x->fd, CMSG_DATA(h), sizeof(int));
		}
		p += got;
		n -= (size_t)got;
	}
}

int rpc_end(struct fixture *x, u8 type)
{
	struct p9_header h;

	cr_assert_eq(p9_end(&x->out, x->start), 0);
	cr_assert_eq(send(x->sock, x->req, x->out.pos, MSG_NOSIGNAL), x->out.pos);
	if (x->fd >= 0)
		close(x->fd);
	x->fd = -1;
	recv_all(x, x->rep, P9_HEADER_SIZE);
	cr_assert(p9_peek(x->rep, P9_HEADER_SIZE, &h));
	cr_assert_leq(h.size, P9_MAX_MSIZE);
	recv_all(x, x->rep + P9_HEADER_SIZE, h.size - P9_HEADER_SIZE);
	x->in = p9_buf(x->rep + P9_HEADER_SIZE, h.size - P9_HEADER_SIZE);
	cr_assert_eq(h.tag, type == P9_TVERSION ? P9_NOTAG : 7);
	if (h.type == P9_RLERROR) {
		struct p9_rlerror e;

		p9_get_rlerror(&x->in, &e);
		cr_assert_eq(p9_done(&x->in), 0);
		cr_assert(e.ecode > 0 && e.ecode < 4096);
		return -(int)e.ecode;
	}
	cr_assert_eq(h.type, type + 1);
	return 0;
}

void fixture_session(struct fixture *x, const char *version)
{
	struct p9_rversion v;
	struct p9_rattach a;

	cr_assert_eq(RPC(x, TVERSION, tversion, rversion, &v, P9_MAX_MSIZE, p9_str(version)), 0);
	cr_assert(p9_str_is(v.version, version));
	cr_assert_eq(v.msize, P9_MAX_MSIZE);
	cr_assert_eq(RPC(x, TATTACH, tattach, rattach, &a, 0, P9_NOFID, p9_str("root"),
	                 p9_str("root"), 0),
	             0);
	cr_assert_eq(a.qid.type, P9_QTDIR);
	cr_assert_eq(
		RPC(x, TATTACH, tattach, rattach, &a, 1, P9_NOFID, p9_str("root"), p9_str("ro"), 0),
		0);
}

int walk1(struct fixture *x, u32 fid, u32 newfid, const char *name)
{
	struct p9_twalk t = {.fid = fid, .newfid = newfid, .names = {1, {p9_str(name)}}};
	struct p9_rwalk r;
	int ret;

	rpc_begin(x, P9_TWALK);
	p9_put_twalk(&x->out, &t);
	ret = rpc_end(x, P9_TWALK);
	if (ret < 0)
		return ret;
	p9_get_rwalk(&x->in, &r);
	cr_assert_eq(p9_done(&x->in), 0);
	cr_assert_eq(r.qids.count, 1);
	return 0;
}

int clunk(struct fixture *x, u32 fid)
{
	struct p9_rclunk r;

	return RPC(x, TCLUNK, tclunk, rclunk, &r, fid);
}
