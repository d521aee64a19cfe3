#pragma once
/*
 * The table of commands, the flags that come before every command, and the parsing of the flags
 * that come after it.
 *
 * Locking: none, the command has one thread. Lifetime: strings of the command line live for ever.
 * Saved: no.
 */
#include "cli/error.h"
#include "state/base/log.h"

#include <popt.h>

struct globals {
	const char *root;     /* directory of state directories, absolute or as given */
	const char *platform; /* a name that platform_find knows */
	u32 rewrite_after;    /* struct platform.rewrite_after */
	bool overlay;         /* the root gets an upper layer in memory */
	bool strace;
	bool debug;
	u32 closed; /* bit N: our caller closed descriptor N, and it is /dev/null now */
	u32 umask;  /* our caller's; ours takes nothing from the owner */
	int log_fd;
	enum log_level log_level;
};

struct command {
	const char *name;
	const char *summary; /* one line for --help; NULL: hidden */
	/* argv[0] is the command's name. Returns the exit status, or -1 with err set. */
	int (*run)(const struct globals *g, int argc, const char **argv, struct error *err);
};

int cmd_boot(const struct globals *g, int argc, const char **argv, struct error *err);
int cmd_checkpoint(const struct globals *g, int argc, const char **argv, struct error *err);
int cmd_debug(const struct globals *g, int argc, const char **argv, struct error *err);
int cmd_delete(const struct globals *g, int argc, const char **argv, struct error *err);
int cmd_do(const struct globals *g, int argc, const char **argv, struct error *err);
int cmd_events(const struct globals *g, int argc, const char **argv, struct error *err);
int cmd_features(const struct globals *g, int argc, const char **argv, struct error *err);
int cmd_exec(const struct globals *g, int argc, const char **argv, struct error *err);
int cmd_gofer(const struct globals *g, int argc, const char **argv, struct error *err);
int cmd_image(const struct globals *g, int argc, const char **argv, struct error *err);
int cmd_kill(const struct globals *g, int argc, const char **argv, struct error *err);
int cmd_list(const struct globals *g, int argc, const char **argv, struct error *err);
int cmd_pause(const struct globals *g, int argc, const char **argv, struct error *err);
int cmd_ps(const struct globals *g, int argc, const char **argv, struct error *err);
int cmd_restore(const struct globals *g, int argc, const char **argv, struct error *err);
int cmd_resume(const struct globals *g, int argc, const char **argv, struct error *err);
int cmd_run(const struct globals *g, int argc, const char **argv, struct error *err);
int cmd_state(const struct globals *g, int argc, const char **argv, struct error *err);
int cmd_wait(const struct globals *g, int argc, const char **argv, struct error *err);

/*
 * Parses a command's flags into where the table points, up to the first operand or "--". operands
 * is what --help shows after the flags. *ret_operands (NULL terminated) and *ret_n are what is
 * left: min to max of them. --help prints and exits.
 */
MUST_CHECK int parse_options(const struct poptOption *table, const char *operands, int min, int max,
                             int argc, const char **argv, const char ***ret_operands, int *ret_n,
                             struct error *err);
/* --autosave N|request of do and run; arg NULL: not given. */
MUST_CHECK int parse_autosave(const char *arg, u64 *ret_every, bool *ret_on_request,
                              struct error *err);
/* For a command with flags of its own that wants --help in the same words. */
#define OPTION_HELP 0x100
#define OPTIONS_END \
	{"help", 'h', POPT_ARG_NONE, NULL, OPTION_HELP, "print this", NULL}, POPT_TABLEEND

/* Whatever was printed has been taken: to be asked before a successful end. */
MUST_CHECK int output_done(struct error *err);
