/* Every object type of the kernel, in a machine with memory: sample, save, load, save. */
#include "state/registry.h"
#include "state/sample.h"
#include "state/snapshot.h"
#include "tests/unit/mm_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void *load_user(void *user, const struct snapshot *snap)
{
	struct kernel_load *kl = user;

	kl->in_place = &snap->pages;
	kl->kernel = NULL;
	return kl;
}

/* A standard descriptor that keeps its offset, as saved host files do. */
static int seekable(void)
{
	int fd = memfd_create("stdio", MFD_CLOEXEC);

	cr_assert(fd >= 0 && ftruncate(fd, 4096) == 0);
	return fd;
}

/* Its own process per type: one that crashes does not hide the others. */
static bool holds(const struct obj_type *t)
{
	int status;
	pid_t pid;

	fflush(stderr);
	pid = fork();
	if (pid == 0) {
		struct world *w = world_new();
		struct selftest_params p = {.user = &w->load, .load_user = load_user};
		char *why = NULL;

		w->load.kernel = NULL;
		w->machine.stdio[2] = seekable();
		if (state_type_selftest(t, &p, &why) < 0) {
			fprintf(stderr, "%s: %s\n", t->name, why);
			_exit(1);
		}
		_exit(memfile_allocated(w->machine.memfile) == 0 ? 0 : 2);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	if (status != 0)
		fprintf(stderr, "%s: status 0x%x\n", t->name, (unsigned)status);
	return status == 0;
}

Test(sentry_types, sample_save_load_save)
{
	const struct obj_type *t;
	unsigned failed = 0;

	for (unsigned i = 0; (t = registry_at(i)); i++)
		failed += !holds(t);
	cr_assert_eq(failed, 0, "%u types failed", failed);
}
