#include "sentry/boot/look_task.h"

#include "sentry/kernel/task_run.h"
#include "sentry/mm/mm.h"
#include "sentry/syscall/dispatch.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/file.h"
#include "state/base/cleanup.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#define FRAMES 12

/* The first argument of the call is the descriptor of what it waits for. */
static bool waits_for_descriptor(u64 nr)
{
	switch (nr) {
	case SYS_read:
	case SYS_write:
	case SYS_readv:
	case SYS_writev:
	case SYS_ioctl:
	case SYS_fcntl:
	case SYS_flock:
	case SYS_accept:
	case SYS_accept4:
	case SYS_connect:
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_recvmmsg:
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_sendmmsg:
	case SYS_splice:
	case SYS_tee:
	case SYS_sendfile:
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
	case SYS_pread64:
	case SYS_preadv:
	case SYS_pwritev:
	case SYS_mq_timedsend:
	case SYS_mq_timedreceive:
	case SYS_vmsplice:
		return true;
	}
	return false;
}

static void descriptor_in_words(struct task *t, int fd, char *buf, size_t size)
{
	AUTO(fd_table) fds = task_get_fds(t);
	AUTO(file) f = NULL;
	char name[200];
	u64 dev, ino;

	buf[0] = 0;
	if (!fds || fd_table_lookup(fds, fd, &f) < 0)
		return;
	file_describe(&f->id, name, sizeof(name), &dev, &ino);
	snprintf(buf, size, " %s", name);
}

/* It sleeps in a call, or was fetched out of one that it will make again. */
static bool in_a_wait(struct task *t)
{
	const struct run_state *run = READ_ONCE(t->run);

	return READ_ONCE(t->ctx.sleeping) ||
	       (READ_ONCE(t->in_syscall) && (run == &run_syscall || run == &run_interrupt));
}

char task_letter(struct task *t)
{
	char c = task_state_letter(t);

	return c == 'R' && in_a_wait(t) ? 'S' : c;
}

void task_waits_for(struct task *t, char *buf, size_t size)
{
	const char *on = READ_ONCE(t->waiting_on), *name;
	u64 nr = READ_ONCE(t->sysno);
	char what[220] = "";

	buf[0] = 0;
	if (t->exit_state != TASK_ALIVE)
		return;
	if (on) {
		snprintf(buf, size, "%s", on);
		return;
	}
	if (!in_a_wait(t))
		return;
	name = syscall_name(nr);
	if (nr == SYS_futex) {
		snprintf(buf, size, "futex(%#llx)", (unsigned long long)t->regs.rdi);
		return;
	}
	if (nr == SYS_semop || nr == SYS_semtimedop || nr == SYS_msgsnd || nr == SYS_msgrcv) {
		snprintf(buf, size, "%s(%d)", name, (int)t->regs.rdi);
		return;
	}
	if (!waits_for_descriptor(nr)) {
		snprintf(buf, size, "%s", name ? name : "?");
		return;
	}
	descriptor_in_words(t, (int)t->regs.rdi, what, sizeof(what));
	snprintf(buf, size, "%s(%d)%s", name ? name : "?", (int)t->regs.rdi, what);
}

/* Appends, as far as there is room. */
PRINTF(3, 4) static void add(char *buf, size_t size, const char *fmt, ...)
{
	size_t n = strlen(buf);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf + n, size - n, fmt, ap);
	va_end(ap);
}

static void place(struct mm *mm, u64 addr, char *buf, size_t size)
{
	struct vma_info v;

	if (!mm_next_vma(mm, addr, false, &v) || addr < v.start) {
		add(buf, size, "not mapped\n");
		return;
	}
	add(buf, size, "%s+%#llx (%llx-%llx %c%c%c)\n", v.name[0] ? v.name : "[anon]",
	    (unsigned long long)(addr - v.start + v.off), (unsigned long long)v.start,
	    (unsigned long long)v.end, v.prot & 1 ? 'r' : '-', v.prot & 2 ? 'w' : '-',
	    v.prot & 4 ? 'x' : '-');
}

/* Callers by the chain of frame pointers, as long as it makes sense. */
static void callers(struct mm *mm, const struct regs *r, char *buf, size_t size)
{
	u64 fp = r->rbp, low = r->rsp;

	for (int i = 0; i < FRAMES; i++) {
		u64 frame[2];
		struct vma_info v;

		if (fp < low || fp - low > 64 * MIB || fp % 8 ||
		    mm_access(mm, fp, frame, sizeof(frame), false, true) != (long)sizeof(frame))
			return;
		if (!mm_next_vma(mm, frame[1], false, &v) || frame[1] < v.start || !(v.prot & 4))
			return;
		add(buf, size, "  from %#llx ", (unsigned long long)frame[1]);
		place(mm, frame[1], buf, size);
		low = fp + sizeof(frame);
		fp = frame[0];
	}
}

static const char *state_word(struct task *t)
{
	switch (task_letter(t)) {
	case 'R':
		return "running";
	case 'S':
		return "sleeping";
	case 'D':
		return "waiting";
	case 'T':
		return "stopped";
	case 'Z':
		return "zombie";
	}
	return "gone";
}

void task_in_words(struct task *t, char *buf, size_t size)
{
	const struct run_state *run = READ_ONCE(t->run);
	AUTO(mm) mm = task_get_mm(t);
	char comm[TASK_COMM_LEN], text[400];
	struct regs r = t->regs;

	task_get_comm(t, comm);
	snprintf(buf, size, "task %u of process %u \"%.15s\": %s, %s\n", t->tid, t->tg->tgid, comm,
	         state_word(t), run ? run->name : "ended");
	if (t->exit_state != TASK_ALIVE)
		return;
	if (READ_ONCE(t->in_syscall)) {
		syscall_describe(t, text, sizeof(text));
		add(buf, size, "  in %s\n", text);
	}
	task_waits_for(t, text, sizeof(text));
	if (text[0])
		add(buf, size, "  waits for %s\n", text);
	add(buf, size, "  pending %016llx blocked %016llx\n",
	    (unsigned long long)(READ_ONCE(t->pending.pending) | READ_ONCE(t->tg->shared.pending)),
	    (unsigned long long)READ_ONCE(t->blocked));
	if (!mm)
		return;
#define R(reg) (unsigned long long)r.reg
	add(buf, size,
	    "  rip %016llx rsp %016llx rbp %016llx flags %08llx\n"
	    "  rax %016llx rbx %016llx rcx %016llx rdx    %llx\n"
	    "  rsi %016llx rdi %016llx r8  %016llx r9     %llx\n"
	    "  r10 %016llx r11 %016llx r12 %016llx r13    %llx\n"
	    "  r14 %016llx r15 %016llx fs  %016llx orig_rax %llx\n",
	    R(rip), R(rsp), R(rbp), R(rflags), R(rax), R(rbx), R(rcx), R(rdx), R(rsi), R(rdi),
	    R(r8), R(r9), R(r10), R(r11), R(r12), R(r13), R(r14), R(r15), R(fs_base), R(orig_rax));
#undef R
	add(buf, size, "  at   %#llx ", (unsigned long long)r.rip);
	place(mm, r.rip, buf, size);
	callers(mm, &r, buf, size);
}
