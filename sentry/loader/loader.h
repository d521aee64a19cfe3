#pragma once
/*
 * Turning a file into a program: ELF images with their interpreter, #! scripts, the initial stack,
 * the vDSO (execve(2), elf(5), getauxval(3)).
 *
 * Locking: none; it works on an address space that nobody else has yet.
 * Lifetime: a struct program is filled by loader_load and emptied by program_finish.
 * Saved: nothing.
 */
#include "platform/platform.h"
#include "sentry/ctx/ctx.h"
#include "sentry/mm/uaddr.h"

struct file;
struct mm;

/* Strings of argv or envp: count pointers to NUL-ended strings, NULL at the end. */
struct strings {
	char **v;
	size_t n;
	size_t bytes; /* with the NULs */
};
void strings_finish(struct strings *s);
/* Copies a guest's NULL-ended vector. total: bytes that argv and envp may have together (E2BIG);
 * it is lowered by what was read. addr 0 is an empty vector. */
MUST_CHECK int strings_from_user(struct ctx *c, uaddr_t addr, size_t *total, struct strings *ret);
MUST_CHECK int strings_from_array(char *const *v, size_t n, struct strings *ret);
/* Puts a copy in front. */
void strings_prepend(struct strings *s, const char *text);

struct program {
	struct mm *mm;    /* the new address space, owned until taken */
	struct file *exe; /* what runs: the ELF file, after scripts; owned */
	u64 entry, sp;
	char name[16];  /* comm: last component of the path that was asked for */
	bool secure;    /* AT_SECURE: set-id changed something */
	s64 suid, sgid; /* owners whose set-id bits count, -1: none */
};
struct load_request {
	struct ctx *c; /* whose rights and limits; its mm is not touched */
	struct kernel *kernel;
	struct file *exe;     /* opened for execution; borrowed */
	const char *path;     /* as asked for: AT_EXECFN, script argument */
	struct strings *argv; /* scripts put their interpreter in front */
	struct strings *envp;
};
/*
 * Builds the new address space. -ENOEXEC (no format we know), -ENOENT/-EACCES (interpreter),
 * -ELOOP (scripts of scripts), -E2BIG (stack), -ENOMEM, -EINVAL, -EIO. Nothing changes on failure.
 */
MUST_CHECK int loader_load(const struct load_request *rq, struct program *ret);
void program_finish(struct program *p);

/* Registers at the first instruction of a program. */
struct regs program_regs(const struct program *p);
