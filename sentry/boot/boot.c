/* Spec to kernel: everything is refused until there is a kernel to boot. */
#include "sentry/boot/ops.h"
#include "platform/platform.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int no_kernel(char **ret_why)
{
	*ret_why = strdup("this build has no kernel");
	return -ENOSYS;
}

int boot_prepare(const Control__BootConfig *cfg, struct boot **ret, char **ret_why)
{
	return no_kernel(ret_why);
}

const struct platform_syscall *boot_platform_syscalls(const struct boot *b)
{
	static const struct platform_syscall none[] = {{-1}};

	return none;
}

int boot_create(struct boot *b, const int *gofer_fds, size_t n_gofers, char **ret_why)
{
	return no_kernel(ret_why);
}

int boot_image_open(struct boot *b, void **ret_sandbox, size_t *ret_size, char **ret_why)
{
	return no_kernel(ret_why);
}

int boot_restore(struct boot *b, const Control__Sandbox *sandbox, const int *gofer_fds,
                 size_t n_gofers, char **ret_why)
{
	return no_kernel(ret_why);
}

int boot_start(struct boot *b, char **ret_why)
{
	return no_kernel(ret_why);
}

void boot_wait(struct boot *b, struct boot_exit *ret)
{
	*ret = (struct boot_exit){.ended = true};
}

void boot_end(struct boot *b)
{
}

int boot_signal(struct boot *b, int pid, int signo, bool group, bool all)
{
	return -ENOSYS;
}

int boot_ps(struct boot *b, int after_pid, size_t max, Control__PsReply *reply)
{
	return -ENOSYS;
}

int boot_pause(struct boot *b)
{
	return -ENOSYS;
}

int boot_resume(struct boot *b)
{
	return -ENOSYS;
}

int boot_checkpoint(struct boot *b, const struct boot_checkpoint *ck, Control__CheckpointReply *ret,
                    char **ret_why)
{
	return no_kernel(ret_why);
}
