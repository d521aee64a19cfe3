/* What a hostile client must not get out of the gofer: escapes, changes, crashes, memory. */
#include "tests/unit/gofer_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct fixture X, *x = &X;

static void setup(void)
{
	fixture_init(x);
	x->max_fids = 500;
	fixture_start(x);
	fixture_session(x, P9_VERSION_EXT);
}

static void teardown(void)
{
	fixture_stop(x);
}

TestSuite(gofer_hostile, .init = setup, .fini = teardown, .timeout = 60);

Test(gofer_hostile, no_way_out_by_names)
{
	static const char *const bad[] = {"..", ".", "", "../outside", "dir/inner", "/etc"};
	struct p9_rmkdir d;
	struct p9_rrenameat rr;
	struct p9_runlinkat u;
	struct p9_rsymlink s;
	struct p9_rlink l;
	struct p9_rcreatefd c;
	char longest[300];

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct p9_str b = p9_str(bad[i]);

		cr_assert_eq(walk1(x, 0, 5, bad[i]), -EINVAL);
		cr_assert_eq(RPC(x, TMKDIR, tmkdir, rmkdir, &d, 0, b, 0777), -EINVAL);
		cr_assert_eq(RPC(x, TUNLINKAT, tunlinkat, runlinkat, &u, 0, b, 0), -EINVAL);
		cr_assert_eq(RPC(x, TSYMLINK, tsymlink, rsymlink, &s, 0, b, p9_str("x")), -EINVAL);
		cr_assert_eq(RPC(x, TRENAMEAT, trenameat, rrenameat, &rr, 0, b, 0, p9_str("q")),
		             -EINVAL);
		cr_assert_eq(RPC(x, TRENAMEAT, trenameat, rrenameat, &rr, 0, p9_str("file"), 0, b),
		             -EINVAL);
		cr_assert_eq(RPC(x, TLINK, tlink, rlink, &l, 0, 0, b), -EINVAL);
		cr_assert_eq(RPC(x, TCREATEFD, tcreatefd, rcreatefd, &c, 0, 5, b, O_RDWR, 0600),
		             -EINVAL);
	}
	memset(longest, 'a', 299);
	longest[299] = 0;
	cr_assert_eq(walk1(x, 0, 5, longest), -ENAMETOOLONG);
}

Test(gofer_hostile, no_way_out_by_symlinks)
{
	struct p9_rlopen o;
	struct p9_ropenfd of;
	struct p9_rcreatefd c;
	struct p9_rsetattr sa;
	struct p9_rread rd;
	struct stat st;

	cr_assert_eq(symlink("../outside", fixture_path(x, "root/out")), 0);
	cr_assert_eq(symlink("../outside/secret", fixture_path(x, "root/sec")), 0);
	cr_assert_eq(symlink("/", fixture_path(x, "root/abs")), 0);
	cr_assert_eq(walk1(x, 0, 2, "out"), 0);
	cr_assert_eq(walk1(x, 2, 3, "secret"), -ENOTDIR);
	cr_assert_eq(RPC(x, TLOPEN, tlopen, rlopen, &o, 2, O_RDONLY), -ELOOP);
	cr_assert_eq(RPC(x, TOPENFD, topenfd, ropenfd, &of, 2, P9_NOFID, O_RDONLY), -ELOOP);
	cr_assert_eq(walk1(x, 0, 3, "sec"), 0);
	cr_assert_eq(RPC(x, TLOPEN, tlopen, rlopen, &o, 3, O_RDONLY), -ELOOP);
	cr_assert_eq(RPC(x, TREAD, tread, rread, &rd, 3, 0, 10), -EBADF);
	cr_assert_eq(RPC(x, TCREATEFD, tcreatefd, rcreatefd, &c, 0, 9, p9_str("sec"), O_RDWR, 0600),
	             -ELOOP);
	cr_assert_eq(RPC(x, TCREATEFD, tcreatefd, rcreatefd, &c, 2, 9, p9_str("new"), O_RDWR, 0600),
	             -ENOTDIR);
	cr_assert_eq(RPC(x, TSETATTR, tsetattr, rsetattr, &sa, 3, P9_SETATTR_SIZE), -EINVAL);
	cr_assert_eq(RPC(x, TSETATTR, tsetattr, rsetattr, &sa, 3, P9_SETATTR_MTIME_SET), 0);
	cr_assert_eq(stat(fixture_path(x, "outside/secret"), &st), 0);
	cr_assert_eq(st.st_size, 6);
	cr_assert_neq(st.st_mtim.tv_sec, 0);
	cr_assert_eq(walk1(x, 0, 4, "abs"), 0);
	cr_assert_eq(walk1(x, 4, 5, "etc"), -ENOTDIR);
	/* A directory that turns into a symbolic link while it is held is still that directory. */
	cr_assert_eq(walk1(x, 0, 6, "dir"), 0);
	cr_assert_eq(rename(fixture_path(x, "root/dir"), fixture_path(x, "root/old")), 0);
	cr_assert_eq(symlink("../outside", fixture_path(x, "root/dir")), 0);
	cr_assert_eq(walk1(x, 6, 7, "secret"), -ENOENT);
	cr_assert_eq(walk1(x, 6, 7, "inner"), 0);
}

Test(gofer_hostile, read_only_is_read_only)
{
	struct p9_rlopen o;
	struct p9_rmkdir d;
	struct p9_rrenameat rr;
	struct p9_runlinkat u;
	struct p9_rlink l;
	struct p9_rcreatefd c;
	struct p9_ropenfd of;
	struct p9_rsetattr sa;
	struct p9_rxattrcreate xc;
	struct p9_str q = p9_str("q");

	cr_assert_eq(walk1(x, 1, 2, "file"), 0);
	cr_assert_eq(RPC(x, TLOPEN, tlopen, rlopen, &o, 2, O_RDWR), -EROFS);
	cr_assert_eq(RPC(x, TLOPEN, tlopen, rlopen, &o, 2, O_RDONLY | O_TRUNC), -EROFS);
	cr_assert_eq(RPC(x, TOPENFD, topenfd, ropenfd, &of, 2, P9_NOFID, O_WRONLY), -EROFS);
	cr_assert_eq(RPC(x, TMKDIR, tmkdir, rmkdir, &d, 1, q, 0777), -EROFS);
	cr_assert_eq(RPC(x, TUNLINKAT, tunlinkat, runlinkat, &u, 1, p9_str("file")), -EROFS);
	cr_assert_eq(RPC(x, TRENAMEAT, trenameat, rrenameat, &rr, 0, p9_str("file"), 1, q), -EROFS);
	cr_assert_eq(RPC(x, TRENAMEAT, trenameat, rrenameat, &rr, 1, p9_str("file"), 0, q), -EROFS);
	cr_assert_eq(RPC(x, TLINK, tlink, rlink, &l, 1, 2, q), -EROFS);
	cr_assert_eq(RPC(x, TLINK, tlink, rlink, &l, 0, 2, q), -EXDEV);
	cr_assert_eq(
		RPC(x, TCREATEFD, tcreatefd, rcreatefd, &c, 1, 9, p9_str("file"), O_RDWR, 0600),
		-EROFS);
	cr_assert_eq(RPC(x, TSETATTR, tsetattr, rsetattr, &sa, 2, P9_SETATTR_MODE), -EROFS);
	cr_assert_eq(RPC(x, TXATTRCREATE, txattrcreate, rxattrcreate, &xc, 2, p9_str("user.x"), 1),
	             -EROFS);
	cr_assert_eq(RPC(x, TOPENFD, topenfd, ropenfd, &of, 2, P9_NOFID, O_RDONLY), 0);
	/* Neither what is donated nor the descriptor's other doors can write. */
	cr_assert_eq(ftruncate(x->fd, 0), -1);
}

Test(gofer_hostile, special_files_stay_closed)
{
	struct p9_rlopen o;
	struct p9_ropenfd of;
	struct p9_rcreatefd c;

	cr_assert_eq(mkfifo(fixture_path(x, "root/fifo"), 0666), 0);
	cr_assert_eq(walk1(x, 0, 2, "fifo"), 0);
	cr_assert_eq(RPC(x, TLOPEN, tlopen, rlopen, &o, 2, O_RDONLY), -ENXIO);
	cr_assert_eq(RPC(x, TOPENFD, topenfd, ropenfd, &of, 2, P9_NOFID, O_WRONLY), -EOPNOTSUPP);
	cr_assert_eq(
		RPC(x, TCREATEFD, tcreatefd, rcreatefd, &c, 0, 9, p9_str("fifo"), O_WRONLY, 0600),
		-ENXIO);
	if (mknod(fixture_path(x, "root/null"), S_IFCHR | 0666, 0x103) == 0) {
		cr_assert_eq(walk1(x, 0, 3, "null"), 0);
		cr_assert_eq(RPC(x, TLOPEN, tlopen, rlopen, &o, 3, O_RDONLY), -ENXIO);
	}
}

Test(gofer_hostile, fid_limit)
{
	struct p9_rmulticlunk mc;
	unsigned n = 0;
	int r;

	for (n = 2; (r = walk1(x, 0, n, "file")) == 0; n++)
		cr_assert_lt(n, 600);
	cr_assert_eq(r, -EMFILE);
	cr_assert_eq(n, 500);
	cr_assert_eq(RPC(x, TMULTICLUNK, tmulticlunk, rmulticlunk, &mc, {3, {2, 3, 4}}), 0);
	cr_assert_eq(walk1(x, 0, 2, "file"), 0);
	fixture_session(x, P9_VERSION_EXT);
	cr_assert_eq(walk1(x, 0, 2, "file"), 0);
	cr_assert_eq(walk1(x, 0, 2, "file"), -EINVAL);
	cr_assert_eq(walk1(x, 0, P9_NOFID, "file"), -EINVAL);
	cr_assert_eq(walk1(x, 77, 5, "file"), -EBADF);
}

Test(gofer_hostile, xattr_memory_is_bounded)
{
	struct p9_rxattrcreate c;
	unsigned n;
	int r = 0;

	for (n = 0; n < 200 && r == 0; n++) {
		cr_assert_eq(walk1(x, 0, 10 + n, "file"), 0);
		r = RPC(x, TXATTRCREATE, txattrcreate, rxattrcreate, &c, 10 + n, p9_str("user.x"),
		        65536);
	}
	cr_assert_eq(r, -ENOMEM);
	cr_assert_eq(n, 65);
	cr_assert_eq(clunk(x, 10), -EINVAL);
	cr_assert_eq(walk1(x, 0, 10, "file"), 0);
	cr_assert_eq(
		RPC(x, TXATTRCREATE, txattrcreate, rxattrcreate, &c, 10, p9_str("user.x"), 65537),
		-E2BIG);
}

/* Sends a request of type whose body is the n bytes given; 0 or -errno. */
static int raw(u8 type, const u8 *body, size_t n)
{
	rpc_begin(x, type);
	for (size_t i = 0; i < n; i++)
		p9_put_u8(&x->out, body[i]);
	return rpc_end(x, type);
}

Test(gofer_hostile, requests_cut_short_are_refused)
{
	u8 body[512];
	struct p9_buf b = p9_buf(body, sizeof(body));
	struct p9_tcreatefd t = {0, 9, p9_str("cut"), O_RDWR, 0600, P9_NOID, P9_NOID};
	struct p9_twalkgetattr w = {0, {2, {p9_str("dir"), p9_str("inner")}}, {1, {9}}};

	p9_put_tcreatefd(&b, &t);
	for (size_t n = 0; n < b.pos; n++)
		cr_assert_eq(raw(P9_TCREATEFD, body, n), -EBADMSG);
	cr_assert_eq(raw(P9_TCREATEFD, body, b.pos + 1), -EBADMSG);
	cr_assert_eq(access(fixture_path(x, "root/cut"), F_OK), -1);
	b = p9_buf(body, sizeof(body));
	p9_put_twalkgetattr(&b, &w);
	for (size_t n = 0; n < b.pos; n++)
		cr_assert_eq(raw(P9_TWALKGETATTR, body, n), -EBADMSG);
	cr_assert_eq(raw(P9_TWALKGETATTR, body, b.pos), 0);
}

Test(gofer_hostile, noise)
{
	u64 s = 0x9e3779b97f4a7c15ull;
	u8 body[128];

	/* Little numbers, so that fids and lengths are often plausible. Reads and directory
	 * listings are included; Tversion is not, so that the extensions stay on. */
	for (int i = 0; i < 20000; i++) {
		u8 type;
		size_t n;

		for (unsigned j = 0; j < sizeof(body); j++) {
			s ^= s << 13;
			s ^= s >> 7;
			s ^= s << 17;
			body[j] = s % 4 ? 0 : s % 5 ? (u8)((s >> 8) % 8) : (u8)(s >> 16);
		}
		type = (u8)(s >> 24);
		n = (s >> 32) % sizeof(body);
		if (type == P9_TVERSION)
			continue;
		if (type != 255)
			raw(type, body, n);
	}
	cr_assert_eq(access(fixture_path(x, "outside/secret"), F_OK), 0);
}

static void expect_hangup(const u8 *p, size_t n)
{
	u8 c;

	cr_assert_eq(send(x->sock, p, n, MSG_NOSIGNAL), n);
	cr_assert_leq(recv(x->sock, &c, 1, 0), 0);
}

Test(gofer_hostile, lost_framing_ends_the_connection)
{
	expect_hangup((const u8 *)"\6\0\0\0\170\0\0", 7);
}

Test(gofer_hostile, oversized_message_ends_the_connection)
{
	expect_hangup((const u8 *)"\1\0\20\0\170\0\0", 7);
}

Test(gofer_hostile, half_a_message_then_gone)
{
	cr_assert_eq(send(x->sock, "\100\0\0\0\156", 5, 0), 5);
}

Test(gofer_hostile, nothing_before_version)
{
	struct p9_rversion v;
	struct p9_rgetattr a;

	cr_assert_eq(RPC(x, TVERSION, tversion, rversion, &v, 4096, p9_str(P9_VERSION)), -EMSGSIZE);
	cr_assert_eq(RPC(x, TVERSION, tversion, rversion, &v, 10000, p9_str("9P2000.u")), 0);
	cr_assert(p9_str_is(v.version, "unknown"));
	cr_assert_eq(v.msize, 10000);
	cr_assert_eq(RPC(x, TGETATTR, tgetattr, rgetattr, &a, 0, 0), -EPROTO);
}

Test(gofer_hostile, descriptors_sent_to_it_are_dropped)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} ctl = {.h = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec iov = {(void *)"\14\0\0\0\170\7\0\0\0\0\0\0", 12};
	struct msghdr m = {NULL, 0, &iov, 1, &ctl, sizeof(ctl), 0};
	int n = 0;

	memcpy(CMSG_DATA(&ctl.h), &x->sock, sizeof(int));
	for (int i = 0; i < 12; i++) {
		iov.iov_len = 1;
		n += (int)sendmsg(x->sock, &m, 0);
		iov.iov_base = (char *)iov.iov_base + 1;
	}
	cr_assert_eq(n, 12);
	/* The gofer holds none of its peer's descriptors, so closing ours ends it: see teardown. */
}

Test(gofer_hostile, group_signals_do_not_end_it)
{
	static const int sigs[] = {SIGINT, SIGHUP, SIGTERM, SIGQUIT, SIGTSTP};
	struct p9_rgetattr a;

	for (unsigned i = 0; i < ARRAY_SIZE(sigs); i++)
		cr_assert_eq(kill(x->pid, sigs[i]), 0);
	cr_assert_eq(RPC(x, TGETATTR, tgetattr, rgetattr, &a, 0, 0), 0);
}

Test(gofer_confinement, state_is_removed_when_the_peer_is_gone)
{
	fixture_init(x);
	cr_assert_eq(mkdir(fixture_path(x, "state"), 0700), 0);
	fixture_write(x, "state/pid", "1");
	fixture_write(x, "state/control", "1");
	x->cleanup_parent = open(x->dir, O_PATH | O_DIRECTORY);
	x->cleanup_dir = open(fixture_path(x, "state"), O_PATH | O_DIRECTORY);
	fixture_start(x);
	fixture_session(x, P9_VERSION_EXT);
	close(x->sock);
	cr_assert_eq(waitpid(x->pid, NULL, 0), x->pid);
	cr_assert_eq(access(fixture_path(x, "state"), F_OK), -1);
	/* For fixture_stop: another gofer. */
	x->cleanup_dir = x->cleanup_parent = -1;
	fixture_start(x);
	fixture_stop(x);
}

/* The line of /proc/PID/status that starts with key. */
static void status_line(const char *key, char *ret_line, size_t n)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", x->pid);
	f = fopen(path, "re");
	cr_assert_not_null(f);
	while (fgets(ret_line, (int)n, f) && strncmp(ret_line, key, strlen(key)) != 0)
		;
	fclose(f);
}

Test(gofer_confinement, seccomp_capabilities_and_root)
{
	char line[256];

	fixture_init(x);
	fixture_start(x);
	fixture_session(x, P9_VERSION_EXT);
	status_line("Seccomp:", line, sizeof(line));
	cr_assert_str_eq(line, "Seccomp:\t2\n");
	status_line("NoNewPrivs:", line, sizeof(line));
	cr_assert_str_eq(line, "NoNewPrivs:\t1\n");
	status_line("CapBnd:", line, sizeof(line));
	cr_assert_str_eq(line, "CapBnd:\t0000000000000000\n");
	if (geteuid() == 0) {
		char path[64];
		FILE *f;

		status_line("CapEff:", line, sizeof(line));
		/* CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID */
		cr_assert_str_eq(line, "CapEff:\t000000000000001f\n");
		snprintf(path, sizeof(path), "/proc/%d/mountinfo", x->pid);
		f = fopen(path, "re");
		cr_assert_not_null(fgets(line, sizeof(line), f));
		cr_assert_not_null(strstr(line, "/fd / "), "%s", line);
		cr_assert_null(fgets(line, sizeof(line), f));
		fclose(f);
	}
	fixture_stop(x);
}

Test(gofer_confinement, as_an_ordinary_user)
{
	struct p9_rlopen o;
	struct p9_rmkdir d;
	struct p9_rcreatefd c;
	struct p9_rsetattr sa;
	char line[256];

	if (geteuid() != 0)
		cr_skip_test("the other tests ran as one");
	fixture_init(x);
	x->as_nobody = true;
	fixture_write(x, "root/private", "x");
	chmod(fixture_path(x, "root/private"), 0600);
	fixture_start(x);
	fixture_session(x, P9_VERSION_EXT);
	status_line("CapEff:", line, sizeof(line));
	cr_assert_str_eq(line, "CapEff:\t0000000000000000\n");
	cr_assert_eq(walk1(x, 0, 2, "private"), 0);
	cr_assert_eq(RPC(x, TLOPEN, tlopen, rlopen, &o, 2, O_RDONLY), -EACCES);
	cr_assert_eq(walk1(x, 0, 3, "file"), 0);
	cr_assert_eq(RPC(x, TLOPEN, tlopen, rlopen, &o, 3, O_RDONLY), 0);
	cr_assert_eq(RPC(x, TMKDIR, tmkdir, rmkdir, &d, 0, p9_str("d"), 0700, P9_NOID), 0);
	/* It cannot give files away: new ones are its own, and a plain request says so. */
	cr_assert_eq(
		RPC(x, TCREATEFD, tcreatefd, rcreatefd, &c, 0, 4, p9_str("f"), O_RDWR, 0600, 0, 0),
		0);
	cr_assert_eq(c.attr.uid, 65534);
	cr_assert_eq(RPC(x, TSETATTR, tsetattr, rsetattr, &sa, 4, P9_SETATTR_UID, .uid = 0),
	             -EINVAL);
	fixture_stop(x);
}
