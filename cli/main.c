/* The `stasis` command: flags that hold for every command, and the table of commands. */
#include "cli/cli.h"
#include "cli/container.h"
#include "platform/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REWRITE_AFTER 32

static const struct command commands[] = {
	{"do", "run a command in a sandbox that sees the host's files read-only", cmd_do},
	{"run", "run the container of an OCI bundle", cmd_run},
	{"checkpoint", "write a running container to an image", cmd_checkpoint},
	{"restore", "go on from an image in a new container", cmd_restore},
	{"exec", "run another command in a running container", cmd_exec},
	{"ps", "list the processes of a container", cmd_ps},
	{"debug", "show what every task of a container is doing", cmd_debug},
	{"events", "print a container's counters as JSON", cmd_events},
	{"features", "list the system calls and how much of each there is", cmd_features},
	{"list", "list containers", cmd_list},
	{"state", "print a container's OCI state", cmd_state},
	{"kill", "send a signal to a container", cmd_kill},
	{"wait", "wait for a container to end and print its exit status", cmd_wait},
	{"delete", "remove a container that has ended", cmd_delete},
	{"pause", "stop everything in a container", cmd_pause},
	{"resume", "let a paused container go on", cmd_resume},
	{"image", "look inside an image: show, tree, verify, decode", cmd_image},
	{"boot", NULL, cmd_boot},
	{"gofer", NULL, cmd_gofer},
};

static const struct command *find_command(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static void help(poptContext ctx)
{
	const char *name;
	unsigned i;

	poptPrintHelp(ctx, stdout, 0);
	printf("\nCommands (each has --help):\n");
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].summary)
			printf("  %-12s%s\n", commands[i].name, commands[i].summary);
	printf("\nPlatforms:");
	for (i = 0; (name = platform_name(i)); i++)
		printf(" %s", name);
	printf("\n");
}

/* A descriptor of the caller must not end up in the sandbox, and 0 to 2 must be something. */
static int own_descriptors(u32 *ret_closed, struct error *err)
{
	int fd;

	for (;;) {
		fd = open("/dev/null", O_RDWR);
		if (fd < 0)
			return error_set(err, "cannot open /dev/null: %s", strerror(errno));
		if (fd > STDERR_FILENO)
			break;
		*ret_closed |= 1u << fd;
	}
	close(fd);
	/* What is printed to nowhere is an error, as it is for other programs. */
	if (*ret_closed >> STDOUT_FILENO & 1) {
		FILE *unwritable = fopen("/dev/null", "re");

		if (!unwritable)
			return error_set(err, "cannot open /dev/null: %s", strerror(errno));
		stdout = unwritable;
	}
	if (close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		return error_set(err, "close_range: %s", strerror(errno));
	return 0;
}

static int open_log(struct globals *g, const char *path, struct error *err)
{
	g->log_level = g->debug ? LOG_DEBUG : path || g->strace ? LOG_INFO : LOG_ERR;
	g->log_fd = STDERR_FILENO;
	if (path) {
		g->log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
		if (g->log_fd < 0)
			return error_set(err, "cannot open the log %s: %s", path, strerror(errno));
	}
	log_init(g->log_fd, g->log_level);
	return 0;
}

static bool is_platform(const char *wanted)
{
	const char *name;

	for (unsigned i = 0; (name = platform_name(i)); i++)
		if (strcmp(name, wanted) == 0)
			return true;
	return false;
}

static int check_globals(struct globals *g, const char *overlay, struct error *err)
{
	if (!is_platform(g->platform))
		return error_usage(err, "--platform %s: there is no such platform: see --help",
		                   g->platform);
	if (strcmp(overlay, "memory") == 0)
		g->overlay = true;
	else if (strcmp(overlay, "none") != 0)
		return error_usage(err, "--overlay %s: memory or none", overlay);
	return 0;
}

static int run(int argc, const char **argv, struct error *err)
{
	const char *log = NULL, *overlay = "memory", *platform = "systrap", *root = NULL;
	int rewrite = REWRITE_AFTER, strace = 0, debug = 0, want_help = 0, version = 0, rc, n = 0;
	const struct command *cmd;
	struct globals g = {0};
	const char **rest;
	/* What it parsed is used as long as the process lives. */
	static poptContext ctx;
	const struct poptOption table[] = {
		{"root", 0, POPT_ARG_STRING, &root, 0,
	         "directory of state directories (default /run/stasis, or below "
	         "XDG_RUNTIME_DIR when not root)",
	         "DIR"},
		{"platform", 0, POPT_ARG_STRING, &platform, 0,
	         "how guest code is run (default systrap)", "NAME"},
		{"rewrite", 0, POPT_ARG_INT, &rewrite, 0,
	         "let a call site of the guest trap N times before it is rewritten not to "
	         "(default 32; 0: never)",
	         "N"},
		{"overlay", 0, POPT_ARG_STRING, &overlay, 0,
	         "where writes to the root go: to memory (default), or none: to the host",
	         "memory|none"},
		{"strace", 0, POPT_ARG_NONE, &strace, 0, "log system calls", NULL},
		{"log", 0, POPT_ARG_STRING, &log, 0, "append log lines to FILE", "FILE"},
		{"debug", 0, POPT_ARG_NONE, &debug, 0, "log everything; weakens isolation", NULL},
		{"version", 0, POPT_ARG_NONE, &version, 0, "print the version", NULL},
		{"help", 'h', POPT_ARG_NONE, &want_help, 0, "print this", NULL},
		POPT_TABLEEND};

	if (own_descriptors(&g.closed, err) < 0)
		return -1;
	ctx = poptGetContext("stasis", argc, argv, table, POPT_CONTEXT_POSIXMEHARDER);
	poptSetOtherOptionHelp(ctx, "[FLAG...] COMMAND ...");
	while ((rc = poptGetNextOpt(ctx)) > 0)
		;
	if (rc < -1)
		return error_usage(err, "%s: %s: see stasis --help",
		                   poptBadOption(ctx, POPT_BADOPTION_NOALIAS), poptStrerror(rc));
	if (want_help) {
		help(ctx);
		return 0;
	}
	if (version) {
		printf("stasis %s\n", STASIS_VERSION);
		return 0;
	}
	rest = poptGetArgs(ctx);
	while (rest && rest[n])
		n++;
	if (n == 0)
		return error_usage(err, "no command: see stasis --help");
	cmd = find_command(rest[0]);
	if (!cmd)
		return error_usage(err, "%s: there is no such command: see stasis --help", rest[0]);
	if (rewrite < 0)
		return error_usage(err, "--rewrite %d: a number of system calls, or 0", rewrite);
	g.rewrite_after = (u32)rewrite;
	g.platform = platform;
	g.strace = strace;
	g.debug = debug;
	if (check_globals(&g, overlay, err) < 0)
		return -1;
	if (cmd->summary && open_log(&g, log, err) < 0)
		return -1;
	/* Where it takes the owner's permissions, we could not use what we have just made. */
	g.umask = umask(077);
	umask(g.umask & 077);
	g.root = root ? root : container_default_root();
	return cmd->run(&g, n, rest, err);
}

/* What is said of an image or a guest may have names in it that are no text. */
static void one_line(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

int main(int argc, char **argv)
{
	struct error err = {0};
	int status = run(argc, (const char **)argv, &err);

	if (status >= 0 && output_done(&err) == 0)
		return status;
	if (err.text)
		one_line(err.text);
	fprintf(stderr, "stasis: %s\n", err.text ? err.text : "out of memory");
	status = err.usage ? 2 : 1;
	error_finish(&err);
	return status;
}
