/* `stasis image`: reads an image that anybody may have made, so once the files are open the command
 * gives up everything but reading them and printing. */
#include "cli/cli.h"
#include "cli/image_show.h"
#include "cli/imagedir.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DECODE_BYTES 64 /* of a bytes field */

/* Reading, memory, printing, and ending in a way that tells a developer something. */
static int confine(struct error *err)
{
	static const int allowed[] = {
		SCMP_SYS(read),          SCMP_SYS(pread64),
		SCMP_SYS(write),         SCMP_SYS(writev),
		SCMP_SYS(lseek),         SCMP_SYS(close),
		SCMP_SYS(fstat),         SCMP_SYS(newfstatat),
		SCMP_SYS(mmap),          SCMP_SYS(munmap),
		SCMP_SYS(mremap),        SCMP_SYS(mprotect),
		SCMP_SYS(madvise),       SCMP_SYS(brk),
		SCMP_SYS(futex),         SCMP_SYS(getrandom),
		SCMP_SYS(clock_gettime), SCMP_SYS(exit),
		SCMP_SYS(exit_group),    SCMP_SYS(rt_sigprocmask),
		SCMP_SYS(rt_sigaction),  SCMP_SYS(rt_sigreturn),
		SCMP_SYS(sigaltstack),   SCMP_SYS(getpid),
		SCMP_SYS(gettid),        SCMP_SYS(tgkill),
		SCMP_SYS(sched_yield),   SCMP_SYS(fadvise64),
	};
	scmp_filter_ctx f;
	size_t i;
	int r = 0;

	/* Both read files at their first use. */
	tzset();
	(void)strerror(EIO);
	f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!f)
		return error_set(err, "out of memory");
	for (i = 0; r == 0 && i < ARRAY_SIZE(allowed); i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0);
	if (r == 0)
		r = seccomp_load(f);
	seccomp_release(f);
	return r < 0 ? error_set(err, "cannot install a filter: %s", strerror(-r)) : 0;
}

static int bad(const char *path, char *why, struct error *err)
{
	error_set(err, "image %s: %s", path, why ? why : "is damaged");
	free(why);
	return -1;
}

static int look(const char *path, bool tree, struct error *err)
{
	struct error inner = {0};
	struct image_model m;
	struct image *img;
	char *why = NULL;
	int fds[IMAGE_FILES], r;

	if (imagedir_open(path, fds, err) < 0)
		return -1;
	if (confine(err) < 0 || image_open(fds, &img, &why) < 0) {
		imagedir_close(fds);
		return bad(path, why, err);
	}
	r = image_model_make(img, &m, &inner);
	if (r < 0) {
		bad(path, inner.text, err);
	} else {
		r = tree ? image_tree(&m) : image_show(&m, fds);
		image_model_finish(&m);
	}
	image_close(img);
	imagedir_close(fds);
	return r;
}

static int verify(const char *path, struct error *err)
{
	char *why = NULL;
	int fds[IMAGE_FILES], r;

	if (imagedir_open(path, fds, err) < 0)
		return -1;
	r = confine(err);
	if (r == 0 && inspect_verify(fds, &why) < 0)
		r = bad(path, why, err);
	imagedir_close(fds);
	if (r == 0)
		printf("%s: everything is as it was written\n", path);
	return r;
}

/* A directory is all its files as one object, but for the pages and the statistics. */
static int decode_all(const char *path, struct error *err)
{
	char *why = NULL;
	int fds[IMAGE_FILES], r = 0;
	size_t i;

	if (imagedir_open(path, fds, err) < 0)
		return -1;
	r = confine(err);
	printf("{\n");
	for (i = 0; r == 0 && i < IMAGE_FILES; i++) {
		if (i == IMAGE_PAGES || fds[i] < 0)
			continue;
		printf("%s\"%s\": ", i ? ",\n" : "", image_file_names[i]);
		if (inspect_decode(fds[i], image_file_names[i], stdout, DECODE_BYTES, &why) < 0)
			r = bad(path, why, err);
	}
	printf("}\n");
	imagedir_close(fds);
	return r;
}

static int decode(const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/');
	AUTO_CLOSE int fd = -1;
	char *why = NULL;
	struct stat st;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return decode_all(path, err);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return error_set(err, "cannot open %s: %s", path, strerror(errno));
	if (confine(err) < 0)
		return -1;
	if (inspect_decode(fd, slash ? slash + 1 : path, stdout, DECODE_BYTES, &why) < 0)
		return bad(path, why, err);
	return 0;
}

int cmd_image(const struct globals *g, int argc, const char **argv, struct error *err)
{
	const struct poptOption table[] = {OPTIONS_END};
	const char **args;
	int n;

	if (parse_options(table, "show|tree|verify|decode IMG", 2, 2, argc, argv, &args, &n, err) <
	    0)
		return -1;
	if (strcmp(args[0], "show") == 0)
		return look(args[1], false, err);
	if (strcmp(args[0], "tree") == 0)
		return look(args[1], true, err);
	if (strcmp(args[0], "verify") == 0)
		return verify(args[1], err);
	if (strcmp(args[0], "decode") == 0)
		return decode(args[1], err);
	return error_usage(err, "image: %s: show, tree, verify or decode", args[0]);
}
