#pragma once
/* The initial stack (System V x86-64 psABI, "Process Initialization"). Private to the loader. */
#include "sentry/loader/loader.h"

struct stack_info {
	u64 entry, phdr, phent, phnum, base, vdso;
	bool secure;
	const struct creds *creds;
	const char *execfn;
};
/* Maps the stack into mm and writes strings, auxv and pointers. *ret_sp points at argc. */
MUST_CHECK int stack_build(struct mm *mm, struct ctx *c, const struct strings *argv,
                           const struct strings *envp, const struct stack_info *info, u64 *ret_sp);
