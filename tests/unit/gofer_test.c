/* The gofer does what it is asked: files, directories, attributes, donation. */
#include "tests/unit/gofer_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static struct fixture X, *x = &X;

static void setup(void)
{
	fixture_init(x);
	fixture_start(x);
	fixture_session(x, P9_VERSION_EXT);
}

static void teardown(void)
{
	fixture_stop(x);
}

TestSuite(gofer, .init = setup, .fini = teardown, .timeout = 30);

Test(gofer, plain_9p_session_reads_and_writes)
{
	struct p9_rlopen o;
	struct p9_rread rd;
	struct p9_rwrite w;
	struct p9_rlcreate cr;
	struct p9_rfsync fs;
	struct p9_rwalkgetattr ext;

	fixture_session(x, P9_VERSION);
	cr_assert_eq(walk1(x, 0, 2, "file"), 0);
	cr_assert_eq(RPC(x, TREAD, tread, rread, &rd, 2, 0, 10), -EBADF);
	cr_assert_eq(RPC(x, TLOPEN, tlopen, rlopen, &o, 2, O_RDONLY), 0);
	cr_assert_eq(RPC(x, TREAD, tread, rread, &rd, 2, 7, 100), 0);
	cr_assert_eq(rd.data.count, 5);
	cr_assert_eq(memcmp(rd.data.p, "world", 5), 0);
	cr_assert_eq(RPC(x, TWRITE, twrite, rwrite, &w, 2, 0, {1, (const u8 *)"x"}), -EBADF);
	cr_assert_eq(clunk(x, 2), 0);
	cr_assert_eq(clunk(x, 2), -EBADF);
	cr_assert_eq(RPC(x, TWALKGETATTR, twalkgetattr, rwalkgetattr, &ext, 0), -EOPNOTSUPP);

	cr_assert_eq(RPC(x, TWALK, twalk, rwalk, &(struct p9_rwalk){}, 0, 3), 0);
	cr_assert_eq(
		RPC(x, TLCREATE, tlcreate, rlcreate, &cr, 3, p9_str("new"), O_RDWR, 0640, P9_NOID),
		0);
	cr_assert_eq(RPC(x, TWRITE, twrite, rwrite, &w, 3, 3, {4, (const u8 *)"data"}), 0);
	cr_assert_eq(w.count, 4);
	cr_assert_eq(RPC(x, TREAD, tread, rread, &rd, 3, 0, 100), 0);
	cr_assert_eq(rd.data.count, 7);
	cr_assert_eq(RPC(x, TFSYNC, tfsync, rfsync, &fs, 3, 1), 0);
	cr_assert_eq(clunk(x, 3), 0);
}

static int walkga(u32 fid, u32 newfid, unsigned n, const char *const *names, bool each,
                  struct p9_rwalkgetattr *r)
{
	struct p9_twalkgetattr t = {.fid = fid};

	t.names.count = (u16)n;
	t.newfids.count = each ? (u16)n : 1;
	for (unsigned i = 0; i < n; i++) {
		t.names.v[i] = p9_str(names[i]);
		t.newfids.v[each ? i : 0] = newfid + (each ? i : 0);
	}
	if (!each)
		t.newfids.v[0] = newfid;
	rpc_begin(x, P9_TWALKGETATTR);
	p9_put_twalkgetattr(&x->out, &t);
	if (rpc_end(x, P9_TWALKGETATTR) < 0)
		return -1;
	p9_get_rwalkgetattr(&x->in, r);
	cr_assert_eq(p9_done(&x->in), 0);
	return 0;
}

Test(gofer, walkgetattr_tells_how_far_it_got)
{
	struct p9_rwalkgetattr r;
	struct stat st;

	cr_assert_eq(walkga(0, 10, 2, (const char *[]){"dir", "inner"}, false, &r), 0);
	cr_assert_eq(r.ecode, 0);
	cr_assert_eq(r.attrs.count, 2);
	cr_assert_eq(stat(fixture_path(x, "root/dir/inner"), &st), 0);
	cr_assert_eq(r.attrs.v[1].size, 5);
	cr_assert_eq(r.attrs.v[1].qid.path, st.st_ino);
	cr_assert_eq(r.attrs.v[1].mode, st.st_mode);
	cr_assert_eq(r.attrs.v[1].mtime_nsec, st.st_mtim.tv_nsec);
	cr_assert_eq(clunk(x, 10), 0);

	cr_assert_eq(walkga(0, 10, 3, (const char *[]){"dir", "none", "x"}, true, &r), 0);
	cr_assert_eq(r.ecode, ENOENT);
	cr_assert_eq(r.attrs.count, 1);
	cr_assert_eq(clunk(x, 10), 0);
	cr_assert_eq(clunk(x, 11), -EBADF);

	cr_assert_eq(walkga(0, 10, 2, (const char *[]){"file", "x"}, false, &r), 0);
	cr_assert_eq(r.ecode, ENOTDIR);
	cr_assert_eq(clunk(x, 10), -EBADF);

	cr_assert_eq(symlink("dir/inner", fixture_path(x, "root/link")), 0);
	cr_assert_eq(walkga(0, 10, 2, (const char *[]){"link", "x"}, false, &r), 0);
	cr_assert_eq(r.ecode, 0);
	cr_assert_eq(r.attrs.count, 1);
	cr_assert(S_ISLNK(r.attrs.v[0].mode));
	cr_assert(p9_str_is(r.target, "dir/inner"));
	cr_assert_eq(clunk(x, 10), 0);

	cr_assert_eq(walkga(0, 10, 0, NULL, false, &r), 0);
	cr_assert(S_ISDIR(r.attrs.v[0].mode));
	cr_assert_eq(clunk(x, 10), 0);
}

Test(gofer, donated_descriptors)
{
	struct p9_ropenfd o;
	struct p9_rcreatefd c;
	struct p9_rmulticlunk mc;
	char buf[32];
	char *map;

	cr_assert_eq(walk1(x, 0, 2, "file"), 0);
	cr_assert_eq(RPC(x, TOPENFD, topenfd, ropenfd, &o, 2, P9_NOFID, O_RDONLY), 0);
	cr_assert_eq(o.donated, 1);
	cr_assert_geq(x->fd, 0);
	cr_assert_eq(o.attr.size, 12);
	cr_assert_eq(pread(x->fd, buf, 32, 0), 12);
	cr_assert_eq(write(x->fd, "x", 1), -1);
	map = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, x->fd, 0);
	cr_assert_neq(map, MAP_FAILED);
	cr_assert_eq(memcmp(map, "hello", 5), 0);
	cr_assert_eq(fcntl(x->fd, F_GETFL) & O_NONBLOCK, 0);

	/* The fid stays unopened and may be opened again, also with a fid for the open file. */
	cr_assert_eq(RPC(x, TOPENFD, topenfd, ropenfd, &o, 2, 3, O_RDWR), 0);
	cr_assert_eq(pwrite(x->fd, "HELLO", 5, 0), 5);
	cr_assert_eq(memcmp(map, "HELLO", 5), 0);
	cr_assert_eq(clunk(x, 3), 0);

	cr_assert_eq(RPC(x, TOPENFD, topenfd, ropenfd, &o, 0, P9_NOFID, O_RDONLY), -EOPNOTSUPP);
	cr_assert_eq(RPC(x, TOPENFD, topenfd, ropenfd, &o, 0, 3, O_RDONLY), 0);
	cr_assert_eq(o.donated, 0);
	cr_assert_eq(x->fd, -1);

	cr_assert_eq(RPC(x, TCREATEFD, tcreatefd, rcreatefd, &c, 0, 5, p9_str("made"),
	                 O_RDWR | O_EXCL, 04755, P9_NOID, P9_NOID),
	             0);
	cr_assert_geq(x->fd, 0);
	cr_assert_eq(c.attr.mode, S_IFREG | 04755);
	cr_assert_eq(write(x->fd, "abc", 3), 3);
	cr_assert_eq(RPC(x, TCREATEFD, tcreatefd, rcreatefd, &c, 0, 6, p9_str("made"),
	                 O_RDWR | O_EXCL, 0755, P9_NOID, P9_NOID),
	             -EEXIST);
	cr_assert_eq(x->fd, -1);
	cr_assert_eq(RPC(x, TCREATEFD, tcreatefd, rcreatefd, &c, 0, 6, p9_str("made"), O_RDONLY,
	                 0755, P9_NOID, P9_NOID),
	             0);
	cr_assert_eq(c.attr.size, 3);
	cr_assert_eq(RPC(x, TMULTICLUNK, tmulticlunk, rmulticlunk, &mc, {3, {5, 6, 3}}), 0);
	cr_assert_eq(RPC(x, TMULTICLUNK, tmulticlunk, rmulticlunk, &mc, {2, {5, 2}}), -EBADF);
	cr_assert_eq(clunk(x, 2), -EBADF);
}

Test(gofer, fids_outlive_names)
{
	struct p9_rgetattr a;
	struct p9_ropenfd o;
	struct p9_runlinkat u;
	struct p9_rlink l;
	char buf[16];

	cr_assert_eq(walk1(x, 0, 2, "file"), 0);
	cr_assert_eq(RPC(x, TUNLINKAT, tunlinkat, runlinkat, &u, 0, p9_str("file"), 0), 0);
	cr_assert_eq(walk1(x, 0, 3, "file"), -ENOENT);
	cr_assert_eq(RPC(x, TGETATTR, tgetattr, rgetattr, &a, 2, P9_GETATTR_ALL), 0);
	cr_assert_eq(a.attr.nlink, 0);
	cr_assert_eq(RPC(x, TOPENFD, topenfd, ropenfd, &o, 2, P9_NOFID, O_RDWR), 0);
	cr_assert_eq(pread(x->fd, buf, 16, 0), 12);
	/* A new file of that name is another one. */
	fixture_write(x, "root/file", "new");
	cr_assert_eq(RPC(x, TGETATTR, tgetattr, rgetattr, &a, 2, P9_GETATTR_ALL), 0);
	cr_assert_eq(a.attr.size, 12);
	cr_assert_eq(RPC(x, TLINK, tlink, rlink, &l, 0, 2, p9_str("back")), -ENOENT);
}

Test(gofer, directory_renamed_while_open)
{
	struct p9_rrenameat rr;
	struct p9_rrenameat2 r2;
	struct p9_ropenfd o;
	struct p9_rreaddir d;
	struct p9_dirent e;
	bool found = false;

	cr_assert_eq(walk1(x, 0, 2, "dir"), 0);
	cr_assert_eq(RPC(x, TOPENFD, topenfd, ropenfd, &o, 2, 3, O_RDONLY | O_DIRECTORY), 0);
	cr_assert_eq(
		RPC(x, TRENAMEAT, trenameat, rrenameat, &rr, 0, p9_str("dir"), 0, p9_str("moved")),
		0);
	cr_assert_eq(walk1(x, 2, 4, "inner"), 0);
	cr_assert_eq(RPC(x, TREADDIR, treaddir, rreaddir, &d, 3, 0, 4096), 0);
	x->in = p9_buf((void *)d.data.p, d.data.count);
	while (p9_get_dirent(&x->in, &e))
		found |= p9_str_is(e.name, "inner");
	cr_assert(found);
	/* Into itself: the host refuses. */
	cr_assert_eq(
		RPC(x, TRENAMEAT, trenameat, rrenameat, &rr, 0, p9_str("moved"), 2, p9_str("x")),
		-EINVAL);
	cr_assert_eq(RPC(x, TRENAMEAT2, trenameat2, rrenameat2, &r2, 0, p9_str("moved"), 0,
	                 p9_str("file"), 1),
	             -EEXIST);
	cr_assert_eq(RPC(x, TRENAMEAT2, trenameat2, rrenameat2, &r2, 0, p9_str("moved"), 0,
	                 p9_str("file"), 2),
	             0);
	cr_assert_eq(RPC(x, TRENAMEAT2, trenameat2, rrenameat2, &r2, 0, p9_str("moved"), 0,
	                 p9_str("file"), 4),
	             -EINVAL);
}

Test(gofer, nodes_links_and_attributes)
{
	struct p9_rmakenode m;
	struct p9_rsymlink s;
	struct p9_rmkdir d;
	struct p9_rmknod n;
	struct p9_rlink l;
	struct p9_rgetattr a;
	struct p9_rreadlink rl;
	struct p9_rsetattr sa;
	struct p9_rstatfs sf;

	cr_assert_eq(RPC(x, TMKDIR, tmkdir, rmkdir, &d, 0, p9_str("d"), 01750, P9_NOID), 0);
	cr_assert_eq(RPC(x, TSYMLINK, tsymlink, rsymlink, &s, 0, p9_str("s"), p9_str("../../etc"),
	                 P9_NOID),
	             0);
	cr_assert_eq(walk1(x, 0, 2, "s"), 0);
	cr_assert_eq(RPC(x, TREADLINK, treadlink, rreadlink, &rl, 2), 0);
	cr_assert(p9_str_is(rl.target, "../../etc"));
	cr_assert_eq(RPC(x, TSETATTR, tsetattr, rsetattr, &sa, 2, P9_SETATTR_MODE, 0700),
	             -EOPNOTSUPP);
	cr_assert_eq(
		RPC(x, TSETATTR, tsetattr, rsetattr, &sa, 2, P9_SETATTR_MTIME_SET, .mtime_sec = 77),
		0);
	cr_assert_eq(RPC(x, TGETATTR, tgetattr, rgetattr, &a, 2, P9_GETATTR_ALL), 0);
	cr_assert(S_ISLNK(a.attr.mode));
	cr_assert_eq(a.attr.mtime_sec, 77);
	cr_assert_eq(RPC(x, TMKNOD, tmknod, rmknod, &n, 0, p9_str("fifo"), S_IFIFO | 0600), 0);
	cr_assert_eq(RPC(x, TMKNOD, tmknod, rmknod, &n, 0, p9_str("dev"), S_IFCHR | 0600, 1, 3),
	             -EPERM);
	cr_assert_eq(RPC(x, TMAKENODE, tmakenode, rmakenode, &m, 0, 3, p9_str("made"),
	                 S_IFDIR | 02755, P9_NOID, P9_NOID),
	             0);
	cr_assert_eq(m.attr.mode, S_IFDIR | 02755);
	cr_assert_eq(RPC(x, TMAKENODE, tmakenode, rmakenode, &m, 3, 4, p9_str("sock"),
	                 S_IFSOCK | 0600, P9_NOID, P9_NOID),
	             0);
	cr_assert_eq(RPC(x, TMAKENODE, tmakenode, rmakenode, &m, 3, 5, p9_str("ln"), S_IFLNK | 0777,
	                 P9_NOID, P9_NOID, p9_str("x")),
	             0);
	cr_assert_eq(m.attr.size, 1);
	cr_assert_eq(RPC(x, TLINK, tlink, rlink, &l, 0, 5, p9_str("ln2")), 0);
	cr_assert_eq(RPC(x, TLINK, tlink, rlink, &l, 0, 3, p9_str("dl")), -EPERM);
	cr_assert_eq(walk1(x, 0, 6, "file"), 0);
	cr_assert_eq(RPC(x, TSETATTR, tsetattr, rsetattr, &sa, 6,
	                 P9_SETATTR_MODE | P9_SETATTR_SIZE | P9_SETATTR_ATIME |
	                         P9_SETATTR_ATIME_SET | P9_SETATTR_MTIME,
	                 .mode = 04711, .size = 5, .atime_sec = 1, .atime_nsec = 999999999),
	             0);
	cr_assert_eq(RPC(x, TGETATTR, tgetattr, rgetattr, &a, 6, P9_GETATTR_ALL), 0);
	cr_assert_eq(a.attr.mode, S_IFREG | 04711);
	cr_assert_eq(a.attr.size, 5);
	cr_assert_eq(a.attr.atime_nsec, 999999999);
	cr_assert_eq(RPC(x, TSETATTR, tsetattr, rsetattr, &sa, 6, P9_SETATTR_ATIME_SET,
	                 .atime_nsec = UTIME_NOW),
	             -EINVAL);
	cr_assert_eq(RPC(x, TSETATTR, tsetattr, rsetattr, &sa, 0, P9_SETATTR_SIZE), -EISDIR);
	cr_assert_eq(RPC(x, TSTATFS, tstatfs, rstatfs, &sf, 6), 0);
	cr_assert_eq(sf.namelen, 255);
	if (geteuid() == 0) {
		cr_assert_eq(
			RPC(x, TSETATTR, tsetattr, rsetattr, &sa, 2, P9_SETATTR_UID, .uid = 12345),
			0);
		cr_assert_eq(RPC(x, TMAKENODE, tmakenode, rmakenode, &m, 0, 9, p9_str("own"),
		                 S_IFDIR | 0700, 1234, 4321),
		             0);
		cr_assert(m.attr.uid == 1234 && m.attr.gid == 4321);
	}
}

Test(gofer, listing_in_small_pieces)
{
	struct p9_rreaddir d;
	struct p9_rreaddirplus dp;
	struct p9_ropenfd o;
	struct p9_dirent e;
	struct p9_dirent_plus p;
	unsigned seen = 0, dots = 0, rounds = 0;
	u64 at = 0;

	for (int i = 0; i < 300; i++) {
		char name[64];

		snprintf(name, sizeof(name), "root/dir/a-name-of-some-length-%03d", i);
		fixture_write(x, name, "");
	}
	cr_assert_eq(walk1(x, 0, 2, "dir"), 0);
	cr_assert_eq(RPC(x, TOPENFD, topenfd, ropenfd, &o, 2, 3, O_RDONLY), 0);
	for (;; rounds++) {
		cr_assert_eq(RPC(x, TREADDIR, treaddir, rreaddir, &d, 3, at, 300), 0);
		if (d.data.count == 0)
			break;
		x->in = p9_buf((void *)d.data.p, d.data.count);
		while (p9_get_dirent(&x->in, &e)) {
			at = e.offset;
			if (p9_str_is(e.name, ".") || p9_str_is(e.name, ".."))
				dots++;
			else
				seen++;
		}
		cr_assert(!x->in.bad);
	}
	cr_assert_eq(seen, 301);
	cr_assert_eq(dots, 2);
	cr_assert_gt(rounds, 40);
	for (seen = 0, at = 0;;) {
		cr_assert_eq(RPC(x, TREADDIRPLUS, treaddirplus, rreaddirplus, &dp, 3, at, 5000), 0);
		if (dp.data.count == 0)
			break;
		x->in = p9_buf((void *)dp.data.p, dp.data.count);
		while (p9_get_dirent_plus(&x->in, &p)) {
			at = p.offset;
			cr_assert(S_ISREG(p.attr.mode));
			seen++;
		}
	}
	cr_assert_eq(seen, 301);
	cr_assert_eq(RPC(x, TREADDIR, treaddir, rreaddir, &d, 3, 0, 10), -EINVAL);
	cr_assert_eq(RPC(x, TREADDIR, treaddir, rreaddir, &d, 2, 0, 1000), -EBADF);
}

Test(gofer, xattrs)
{
	struct p9_rxattrwalk w;
	struct p9_rxattrcreate c;
	struct p9_rwrite wr;
	struct p9_rread rd;
	char v[8];
	int e;

	if (setxattr(fixture_path(x, "root/file"), "user.probe", "1", 1, 0) < 0)
		cr_skip_test("no user xattrs on this file system");
	cr_assert_eq(walk1(x, 0, 2, "file"), 0);
	cr_assert_eq(walk1(x, 0, 3, "file"), 0);
	cr_assert_eq(RPC(x, TXATTRCREATE, txattrcreate, rxattrcreate, &c, 3, p9_str("user.a"), 4),
	             0);
	cr_assert_eq(RPC(x, TWRITE, twrite, rwrite, &wr, 3, 0, {5, (const u8 *)"12345"}), -ENOSPC);
	cr_assert_eq(RPC(x, TWRITE, twrite, rwrite, &wr, 3, 0, {4, (const u8 *)"1234"}), 0);
	cr_assert_eq(clunk(x, 3), 0);
	cr_assert_eq(getxattr(fixture_path(x, "root/file"), "user.a", v, 8), 4);
	cr_assert_eq(RPC(x, TXATTRWALK, txattrwalk, rxattrwalk, &w, 2, 4, p9_str("user.a")), 0);
	cr_assert_eq(w.size, 4);
	cr_assert_eq(RPC(x, TREAD, tread, rread, &rd, 4, 1, 100), 0);
	cr_assert_eq(rd.data.count, 3);
	cr_assert_eq(clunk(x, 4), 0);
	cr_assert_eq(RPC(x, TXATTRWALK, txattrwalk, rxattrwalk, &w, 2, 4, p9_str("")), 0);
	cr_assert_eq(w.size, strlen("user.a") + strlen("user.probe") + 2);
	/* It is not shown, and the file has none: as the host says. */
	cr_assert_eq(getxattr(fixture_path(x, "root/file"), "system.posix_acl_access", v, 8), -1);
	e = errno;
	cr_assert_eq(RPC(x, TXATTRWALK, txattrwalk, rxattrwalk, &w, 2, 5,
	                 p9_str("system.posix_acl_access")),
	             -e);
	cr_assert_eq(walk1(x, 0, 3, "file"), 0);
	cr_assert_eq(RPC(x, TXATTRCREATE, txattrcreate, rxattrcreate, &c, 3,
	                 p9_str("trusted.overlay.opaque"), 1),
	             -EOPNOTSUPP);
	cr_assert_eq(RPC(x, TXATTRCREATE, txattrcreate, rxattrcreate, &c, 3, p9_str("user.a"), 0,
	                 XATTR_REPLACE),
	             0);
	cr_assert_eq(clunk(x, 3), 0);
	cr_assert_eq(getxattr(fixture_path(x, "root/file"), "user.a", v, 8), -1);
}

Test(gofer, attach_points)
{
	struct p9_rattach a;
	struct p9_ropenfd o;

	cr_assert_eq(RPC(x, TATTACH, tattach, rattach, &a, 5, P9_NOFID, p9_str(""),
	                 p9_str("nowhere"), 0),
	             -ENOENT);
	cr_assert_eq(RPC(x, TATTACH, tattach, rattach, &a, 5, P9_NOFID, p9_str(""), p9_str(""), 0),
	             0);
	cr_assert_eq(RPC(x, TATTACH, tattach, rattach, &a, 5, P9_NOFID, p9_str(""), p9_str(""), 0),
	             -EINVAL);
	cr_assert_eq(RPC(x, TATTACH, tattach, rattach, &a, 6, P9_NOFID, p9_str(""),
	                 p9_str("onefile"), 0),
	             0);
	cr_assert_eq(a.qid.type, P9_QTFILE);
	cr_assert_eq(walk1(x, 6, 7, "x"), -ENOTDIR);
	cr_assert_eq(RPC(x, TOPENFD, topenfd, ropenfd, &o, 6, P9_NOFID, O_RDONLY), 0);
	cr_assert_geq(x->fd, 0);
}

Test(gofer, goes_where_its_client_is)
{
	cpu_set_t all, now;
	struct p9_rplace r;
	u32 core = 0;

	cr_assert_eq(sched_getaffinity(0, sizeof(all), &all), 0);
	while (!CPU_ISSET(core, &all))
		core++;
	cr_assert_eq(RPC(x, TPLACE, tplace, rplace, &r, core + 1), 0);
	cr_assert_eq(sched_getaffinity(x->pid, sizeof(now), &now), 0);
	cr_assert_eq(CPU_COUNT(&now), 1);
	cr_assert(CPU_ISSET(core, &now));
	/* One that is not there, or none: anywhere. */
	cr_assert_eq(RPC(x, TPLACE, tplace, rplace, &r, 1u << 30), 0);
	cr_assert_eq(sched_getaffinity(x->pid, sizeof(now), &now), 0);
	cr_assert(CPU_EQUAL(&now, &all));
	cr_assert_eq(RPC(x, TPLACE, tplace, rplace, &r, core + 1), 0);
	cr_assert_eq(RPC(x, TPLACE, tplace, rplace, &r, 0), 0);
	cr_assert_eq(sched_getaffinity(x->pid, sizeof(now), &now), 0);
	cr_assert(CPU_EQUAL(&now, &all));
}
