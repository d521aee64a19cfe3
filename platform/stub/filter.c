#include "platform/stub/filter.h"
#include "platform/stub/layout.h"
#include "state/base/bug.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>

#define DATA(field) offsetof(struct seccomp_data, field)
#define IP_LOW      DATA(instruction_pointer)
#define IP_HIGH     (DATA(instruction_pointer) + 4)

static const int allowed[] = {
	SYS_mmap, SYS_munmap, SYS_mprotect, SYS_clone, SYS_pause, SYS_futex, SYS_exit_group,
};

u32 stub_filter(const int *extra, u32 n_extra, struct sock_filter ret_prog[STUB_FILTER_MAX])
{
	const u32 low = (u32)STUB_BASE;
	/* The outside tests; each jump over the trap is filled in by its distance. */
	const struct sock_filter head[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, DATA(arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, IP_HIGH),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (u32)(STUB_BASE >> 32), 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, IP_LOW),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, low, 0, 1),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, low + STUB_BLOB_SIZE, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, DATA(nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, STUB_REPORT_NR, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
	};
	u32 n, i, nr;

	BUG_ON(ARRAY_SIZE(head) + 2 * (ARRAY_SIZE(allowed) + n_extra) + 1 > STUB_FILTER_MAX);
	for (n = 0; n < ARRAY_SIZE(head); n++)
		ret_prog[n] = head[n];
	for (i = 0; i < ARRAY_SIZE(allowed) + n_extra; i++) {
		nr = (u32)(i < ARRAY_SIZE(allowed) ? allowed[i] : extra[i - ARRAY_SIZE(allowed)]);
		ret_prog[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1);
		ret_prog[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	ret_prog[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	return n;
}
