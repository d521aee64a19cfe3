/* The sentry's 9P client against the real gofer, with the extensions and without. */
#include "sentry/fs/gofer/client.h"
#include "tests/unit/gofer_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static struct fixture X, *x = &X;
static struct p9_client *c;
static u32 root;

/* Threads note failures here: criterion's assertions are for the thread of the test. */
static unsigned g_wrong;

static void expect(bool ok)
{
	if (!ok)
		__atomic_add_fetch(&g_wrong, 1, __ATOMIC_RELAXED);
}

TestSuite(gofer_client, .timeout = 60);

static void begin(unsigned flags)
{
	struct p9_attr a;

	fixture_init(x);
	x->max_fids = 300;
	fixture_start(x);
	cr_assert_eq(p9_client_create(x->sock, flags, &c), 0);
	cr_assert_eq(p9_client_extended(c), !(flags & P9_CLIENT_PLAIN));
	cr_assert_eq(p9_client_attach(c, "root", &root, &a), 0);
	cr_assert(S_ISDIR(a.mode));
}

static void end(void)
{
	p9_client_destroy(c);
	x->sock = -1;
	fixture_stop(x);
	cr_assert_eq(g_wrong, 0);
}

/* Both kinds of connection give the same answers. */
static void everything(unsigned flags)
{
	struct p9_str names[] = {p9_str("dir"), p9_str("inner"), p9_str("none")};
	struct p9_str link[] = {p9_str("link"), p9_str("x")};
	struct p9_tsetattr sa = {
		.valid = P9_SETATTR_MODE | P9_SETATTR_SIZE, .mode = 0600, .size = 3};
	u32 dir, file, fid, made;
	struct p9_opened o, od;
	struct p9_attr a, b;
	struct p9_rstatfs sf;
	struct p9_dirent e;
	struct p9_buf list;
	struct p9_walk w;
	char buf[8192];
	unsigned seen = 0;
	size_t n;

	begin(flags);
	cr_assert_eq(p9_client_walk(c, root, names, 2, true, &w), 0);
	cr_assert(w.count == 2 && w.err == 0 && !w.has_target);
	cr_assert(S_ISDIR(w.attrs[0].mode) && w.attrs[1].size == 5);
	dir = w.fids[0];
	file = w.fids[1];
	cr_assert_eq(p9_client_walk(c, dir, names + 1, 2, false, &w), 0);
	cr_assert(w.count == 1 && w.err == -ENOTDIR && w.fids[0] == P9_NOFID);
	cr_assert_eq(p9_client_walk(c, root, names + 2, 1, true, &w), 0);
	cr_assert(w.count == 0 && w.err == -ENOENT);
	cr_assert_eq(p9_client_walk(c, root, names, 17, true, &w), -EINVAL);
	cr_assert_eq(p9_client_walk1(c, root, "none", &fid, &a), -ENOENT);
	cr_assert_eq(p9_client_walk1(c, root, "../etc", &fid, &a), -EINVAL);
	cr_assert_eq(p9_client_walk1(c, root, "file", &fid, &a), 0);
	cr_assert_eq(a.size, 12);

	cr_assert_eq(p9_client_make(c, root, "link", S_IFLNK | 0777, P9_NOID, P9_NOID, "dir/inner",
	                            &made, &a),
	             0);
	cr_assert_eq(p9_client_readlink(c, made, buf, 4, &n), 0);
	cr_assert(n == 4 && memcmp(buf, "dir/", 4) == 0);
	cr_assert_eq(p9_client_clunk(c, made), 0);
	cr_assert_eq(p9_client_walk(c, root, link, 2, false, &w), 0);
	cr_assert(w.count == 1 && w.err == 0 && w.has_target);
	cr_assert_str_eq(w.target, "dir/inner");
	p9_client_clunk_later(c, w.fids[0]);

	cr_assert_eq(p9_client_open(c, fid, O_RDWR, true, &o), 0);
	cr_assert_eq(o.fd >= 0, !(flags & P9_CLIENT_PLAIN));
	cr_assert_neq(o.fid, P9_NOFID);
	cr_assert_eq(p9_client_write(c, o.fid, 7, "there", 5, &n), 0);
	cr_assert_eq(p9_client_read(c, o.fid, 5, buf, sizeof(buf), &n), 0);
	cr_assert(n == 7 && memcmp(buf, ", there", 7) == 0);
	cr_assert_eq(p9_client_read(c, o.fid, 100, buf, sizeof(buf), &n), 0);
	cr_assert_eq(n, 0);
	cr_assert_eq(p9_client_fsync(c, o.fid, true), 0);
	if (o.fd >= 0)
		close(o.fd);
	cr_assert_eq(p9_client_clunk(c, o.fid), 0);
	cr_assert_eq(p9_client_setattr(c, fid, &sa), 0);
	cr_assert_eq(p9_client_getattr(c, fid, &a), 0);
	cr_assert(a.size == 3 && a.mode == (S_IFREG | 0600));
	cr_assert_eq(p9_client_statfs(c, fid, &sf), 0);
	cr_assert_eq(sf.namelen, 255);

	cr_assert_eq(p9_client_create_file(c, dir, "new", O_RDWR | O_EXCL, 0644, P9_NOID, P9_NOID,
	                                   &made, &o),
	             0);
	cr_assert_eq(p9_client_getattr(c, made, &b), 0);
	cr_assert_eq(b.qid.path, o.attr.qid.path);
	if (o.fd >= 0) {
		cr_assert_eq(write(o.fd, "abc", 3), 3);
		close(o.fd);
	} else {
		cr_assert_eq(p9_client_write(c, o.fid, 0, "abc", 3, &n), 0);
		cr_assert_eq(p9_client_clunk(c, o.fid), 0);
	}
	cr_assert_eq(p9_client_create_file(c, dir, "new", O_RDWR | O_EXCL, 0644, P9_NOID, P9_NOID,
	                                   &made, &o),
	             -EEXIST);
	cr_assert_eq(p9_client_link(c, made, root, "hard"), 0);
	cr_assert_eq(p9_client_rename(c, root, "hard", dir, "hard2", 0), 0);
	cr_assert_eq(p9_client_rename(c, dir, "hard2", dir, "new", 1 /* NOREPLACE */),
	             flags & P9_CLIENT_PLAIN ? -EINVAL : -EEXIST);
	cr_assert_eq(p9_client_getattr(c, made, &a), 0);
	cr_assert(a.nlink == 2 && a.size == 3);
	cr_assert_eq(
		p9_client_make(c, dir, "sub", S_IFDIR | 0755, P9_NOID, P9_NOID, NULL, &fid, &a), 0);
	cr_assert(S_ISDIR(a.mode));
	cr_assert_eq(p9_client_unlink(c, dir, "sub", 0), -EISDIR);
	cr_assert_eq(p9_client_unlink(c, dir, "sub", AT_REMOVEDIR), 0);
	cr_assert_eq(
		p9_client_make(c, dir, "pipe", S_IFIFO | 0600, P9_NOID, P9_NOID, NULL, &fid, &a),
		0);
	cr_assert(S_ISFIFO(a.mode));

	cr_assert_eq(p9_client_open(c, dir, O_RDONLY | O_DIRECTORY, true, &od), 0);
	cr_assert_eq(od.fd, -1);
	cr_assert_eq(p9_client_readdir(c, od.fid, 0, buf, sizeof(buf), &n), 0);
	list = p9_buf(buf, n);
	while (p9_get_dirent(&list, &e))
		seen++;
	cr_assert_eq(seen, 6);
	cr_assert_eq(p9_client_readdir(c, od.fid, e.offset, buf, sizeof(buf), &n), 0);
	cr_assert_eq(n, 0);
	cr_assert_eq(p9_client_readdirplus(c, od.fid, 0, buf, sizeof(buf), &n),
	             flags & P9_CLIENT_PLAIN ? -EOPNOTSUPP : 0);
	cr_assert_eq(p9_client_readdir(c, od.fid, 0, buf, 8, &n), -EINVAL);

	if (setxattr(fixture_path(x, "root/file"), "user.t", "", 0, 0) == 0) {
		cr_assert_eq(p9_client_setxattr(c, file, "user.a", "value", 5, 0), 0);
		cr_assert_eq(p9_client_getxattr(c, file, "user.a", buf, 100, &n), 0);
		cr_assert(n == 5 && memcmp(buf, "value", 5) == 0);
		cr_assert_eq(p9_client_getxattr(c, file, "user.a", buf, 4, &n), -ERANGE);
		cr_assert_eq(p9_client_getxattr(c, file, "user.a", NULL, 0, &n), 0);
		cr_assert_eq(p9_client_setxattr(c, file, "user.a", "", 0, XATTR_REPLACE), 0);
		cr_assert_eq(p9_client_listxattr(c, file, buf, 100, &n), 0);
		cr_assert_eq(n, 7);
		cr_assert_eq(p9_client_setxattr(c, file, "user.a", "v", 1, XATTR_CREATE), -EEXIST);
		cr_assert_eq(p9_client_removexattr(c, file, "user.a"), 0);
		cr_assert_eq(p9_client_getxattr(c, file, "user.a", NULL, 0, &n), -ENODATA);
	}
	cr_assert(!p9_client_dead(c));
	end();
}

Test(gofer_client, extended)
{
	everything(0);
}

Test(gofer_client, plain)
{
	everything(P9_CLIENT_PLAIN);
}

Test(gofer_client, large_transfers)
{
	size_t size = 3 << 20, n;
	u8 *a = malloc(size), *b = malloc(size);
	struct p9_opened o;
	u32 fid;

	begin(P9_CLIENT_PLAIN);
	for (size_t i = 0; i < size; i++)
		a[i] = (u8)(i * 7 >> 3);
	cr_assert_eq(
		p9_client_create_file(c, root, "big", O_RDWR, 0600, P9_NOID, P9_NOID, &fid, &o), 0);
	for (size_t at = 0; at < size; at += n)
		cr_assert_eq(p9_client_write(c, o.fid, at, a + at, size - at, &n), 0);
	for (size_t at = 0; at < size; at += n)
		cr_assert_eq(p9_client_read(c, o.fid, at, b + at, size - at, &n), 0);
	cr_assert_eq(memcmp(a, b, size), 0);
	free(a);
	free(b);
	end();
}

/* A server that is full takes more once the deferred clunks are sent. */
Test(gofer_client, deferred_clunks_make_room)
{
	struct p9_attr a;
	u32 fids[300], fid;
	unsigned n;
	int r;

	begin(0);
	for (n = 0; (r = p9_client_walk1(c, root, "file", &fids[n], &a)) == 0;)
		cr_assert_lt(++n, 300);
	cr_assert_eq(r, -EMFILE);
	cr_assert_eq(n, 299);
	cr_assert_eq(p9_client_fid_count(c), 300);
	for (unsigned i = 0; i < 10; i++)
		p9_client_clunk_later(c, fids[i]);
	cr_assert_eq(p9_client_fid_count(c), 300);
	cr_assert_eq(p9_client_walk1(c, root, "file", &fid, &a), 0);
	cr_assert_eq(p9_client_fid_count(c), 291);
	for (unsigned i = 10; i < n; i++)
		p9_client_clunk_later(c, fids[i]);
	p9_client_flush_clunks(c);
	cr_assert_eq(p9_client_fid_count(c), 2);
	end();
}

static void *worker(void *arg)
{
	struct p9_str path[] = {p9_str("dir"), p9_str("inner")};
	long id = (long)arg, ops = 0;
	char buf[4096];

	for (int i = 0; i < 400; i++) {
		struct p9_opened o;
		struct p9_walk w;
		size_t n;

		if (p9_client_walk(c, root, path, 2, false, &w) < 0)
			break;
		expect(w.count == 2 && w.err == 0);
		expect(w.attrs[1].size == 5);
		if (p9_client_open(c, w.fids[1], O_RDONLY, id & 1, &o) < 0)
			break;
		expect(o.fd >= 0);
		expect(pread(o.fd, buf, 10, 0) == 5);
		expect(memcmp(buf, "inner", 5) == 0);
		close(o.fd);
		if (id & 1) {
			if (p9_client_read(c, o.fid, 0, buf, sizeof(buf), &n) < 0)
				break;
			expect(n == 5);
			p9_client_clunk_later(c, o.fid);
		}
		p9_client_clunk_later(c, w.fids[1]);
		ops++;
	}
	return (void *)ops;
}

Test(gofer_client, many_threads)
{
	pthread_t t[8];
	void *ops;

	begin(0);
	for (long i = 0; i < 8; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, worker, (void *)i), 0);
	for (int i = 0; i < 8; i++) {
		pthread_join(t[i], &ops);
		cr_assert_eq((long)ops, 400);
	}
	p9_client_flush_clunks(c);
	cr_assert_eq(p9_client_fid_count(c), 1);
	end();
}

/* More threads than tags all get their turn; each blocks until its own reply is there. */
static void *getattr_worker(void *arg)
{
	struct p9_attr a;

	for (int i = 0; i < 20; i++)
		expect(p9_client_getattr(c, root, &a) == 0);
	return NULL;
}

Test(gofer_client, more_threads_than_tags)
{
	enum {
		N = 300
	};
	pthread_attr_t attr;
	pthread_t t[N];

	begin(0);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 << 10);
	for (int i = 0; i < N; i++)
		cr_assert_eq(pthread_create(&t[i], &attr, getattr_worker, NULL), 0);
	for (int i = 0; i < N; i++)
		pthread_join(t[i], NULL);
	pthread_attr_destroy(&attr);
	end();
}

Test(gofer_client, death_of_the_gofer)
{
	struct p9_attr a;
	pthread_t t[6];
	void *ops;
	int status;
	u32 fid;

	begin(0);
	for (long i = 0; i < 6; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, worker, (void *)i), 0);
	usleep(5000);
	cr_assert_eq(kill(x->pid, SIGKILL), 0);
	for (int i = 0; i < 6; i++)
		pthread_join(t[i], &ops);
	cr_assert_eq(waitpid(x->pid, &status, 0), x->pid);
	cr_assert_eq(p9_client_getattr(c, root, &a), -EIO);
	cr_assert(p9_client_dead(c));
	cr_assert_eq(p9_client_walk1(c, root, "file", &fid, &a), -EIO);
	p9_client_clunk_later(c, root);
	p9_client_flush_clunks(c);
	p9_client_destroy(c);
	x->sock = -1;
	/* For fixture_stop: one that ends well. */
	fixture_start(x);
	fixture_stop(x);
	cr_assert_eq(g_wrong, 0);
}

Test(gofer_client, shutdown_ends_every_call)
{
	pthread_t t[4];

	begin(0);
	for (long i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, worker, (void *)i), 0);
	usleep(3000);
	p9_client_shutdown(c);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	cr_assert(p9_client_dead(c));
	end();
}

/* A server that answers with what it likes: the client never trusts it. */
struct liar {
	int sock;
	u64 seed;
};

static void *lie(void *arg)
{
	struct liar *l = arg;
	u8 req[8192], rep[256];

	for (;;) {
		struct p9_header h;
		struct p9_buf b = p9_buf(rep, sizeof(rep));
		ssize_t n = recv(l->sock, req, sizeof(req), 0);
		size_t start, len;

		if (n < (ssize_t)P9_HEADER_SIZE || !p9_peek(req, (size_t)n, &h))
			break;
		if (h.type == P9_TVERSION) {
			struct p9_rversion v = {P9_MIN_MSIZE, p9_str(P9_VERSION_EXT)};

			start = p9_begin(&b, P9_RVERSION, P9_NOTAG);
			p9_put_rversion(&b, &v);
			if (p9_end(&b, start) < 0 || send(l->sock, rep, b.pos, MSG_NOSIGNAL) < 0)
				break;
			continue;
		}
		l->seed = l->seed * 6364136223846793005ull + 1442695040888963407ull;
		len = 7 + (l->seed >> 33) % 60;
		start = p9_begin(&b, (u8)(l->seed >> 60 ? h.type + 1 : (l->seed >> 40)), h.tag);
		while (b.pos < len)
			p9_put_u8(&b, (u8)(l->seed >> (b.pos % 50)));
		if (p9_end(&b, start) < 0)
			break;
		if ((l->seed >> 50) % 16 == 0)
			rep[5]++; /* a tag that nobody waits for */
		if ((l->seed >> 20) % 16 == 0)
			rep[3] = 1; /* far too long */
		if (send(l->sock, rep, b.pos, MSG_NOSIGNAL) < 0)
			break;
	}
	close(l->sock);
	return NULL;
}

Test(gofer_client, lying_server)
{
	for (u64 seed = 1; seed < 200; seed++) {
		struct p9_str names[] = {p9_str("a"), p9_str("b")};
		struct p9_client *lc;
		struct p9_opened o;
		struct p9_walk w;
		struct p9_attr a;
		struct liar l;
		char buf[64];
		pthread_t t;
		int sv[2];
		size_t n;
		u32 fid;

		cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
		l = (struct liar){sv[1], seed};
		cr_assert_eq(pthread_create(&t, NULL, lie, &l), 0);
		cr_assert_eq(p9_client_create(sv[0], 0, &lc), 0);
		for (int i = 0; i < 20 && !p9_client_dead(lc); i++) {
			if (p9_client_walk(lc, 0, names, 2, i & 1, &w) == 0)
				cr_assert_leq(w.count, 2);
			if (p9_client_open(lc, 0, O_RDONLY, i & 1, &o) == 0 && o.fd >= 0)
				close(o.fd);
			if (p9_client_read(lc, 0, 0, buf, sizeof(buf), &n) == 0)
				cr_assert_leq(n, sizeof(buf));
			if (p9_client_write(lc, 0, 0, buf, 10, &n) == 0)
				cr_assert_leq(n, 10);
			if (p9_client_readlink(lc, 0, buf, sizeof(buf), &n) == 0)
				cr_assert_leq(n, sizeof(buf));
			if (p9_client_getxattr(lc, 0, "user.a", buf, sizeof(buf), &n) == 0)
				cr_assert_leq(n, sizeof(buf));
			if (p9_client_create_file(lc, 0, "x", O_RDWR, 0, 0, 0, &fid, &o) == 0)
				close(o.fd);
			if (p9_client_getattr(lc, 0, &a) == 0)
				fid = 0;
		}
		p9_client_destroy(lc);
		pthread_join(t, NULL);
	}
}
