#include "platform/stub/stub.h"
#include "platform/placement.h"
#include "platform/stub/host.h"
#include "state/base/bug.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#define NOTIF_SYNC_WAKE_UP 1ull
/* Room for structures that newer kernels made longer. */
#define NOTIF_ROOM 256
/* How long to wait for a report before asking whether there is still somebody to send it. */
#define REPORT_TICK_MS 200

/* Older hosts tell a listener that its process ended only after we reaped it, which we can't do
 * while its threads are traced; but the memory is gone at once. */
static bool has_ended(const struct stub *s)
{
	u8 byte;
	struct iovec to = {&byte, 1}, from = {(void *)STUB_CTRL, 1};

	return process_vm_readv(s->pid, &to, 1, &from, 1, 0) < 0 && errno == ESRCH;
}

static int await_report(struct stub *s, struct seccomp_notif *n)
{
	struct pollfd p = {.fd = s->listener, .events = POLLIN};
	int r;

	for (;;) {
		r = poll(&p, 1, REPORT_TICK_MS);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0) {
			if (has_ended(s))
				return -ESRCH;
			continue;
		}
		if (!(p.revents & POLLIN))
			return -ESRCH;
		memset(n, 0, NOTIF_ROOM);
		if (ioctl(s->listener, SECCOMP_IOCTL_NOTIF_RECV, n) == 0)
			break;
		/* ENOENT: it ended between the two calls. */
		if (errno != EINTR && errno != ENOENT)
			return -errno;
	}
	/* Somebody jumped into the blob. */
	if ((pid_t)n->pid != s->pid || n->data.nr != STUB_REPORT_NR)
		return -ESRCH;
	return 0;
}

static int receive(struct stub *s, s64 *ret_result, u32 *ret_done)
{
	union {
		struct seccomp_notif n;
		u8 room[NOTIF_ROOM];
	} u;
	int r = await_report(s, &u.n);

	if (r < 0)
		return r;
	s->report = u.n.id;
	*ret_result = (s64)u.n.data.args[0];
	*ret_done = (u32)u.n.data.args[1];
	return 0;
}

int stub_fail(struct stub *s)
{
	if (!s->dead)
		kill(s->pid, SIGKILL);
	s->dead = true;
	return -ESRCH;
}

int stub_call(struct stub *s, const struct stub_call *calls, u32 n, s64 *ret_result, u32 *ret_done)
{
	struct seccomp_notif_resp answer = {.id = s->report};

	BUG_ON(n > STUB_MAX_CALLS);
	if (s->dead)
		return -ESRCH;
	placement_apply(placement_beside(), s->pid, &s->placed);
	memcpy(s->ctrl->calls, calls, n * sizeof(*calls));
	s->ctrl->n_calls = n;
	while (ioctl(s->listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) < 0)
		if (errno != EINTR)
			return stub_fail(s);
	if (receive(s, ret_result, ret_done) < 0)
		return stub_fail(s);
	return 0;
}

int stub_start(struct stub_host *h, struct stub *s)
{
	s64 hello;
	u32 done;
	int r;

	memset(s, 0, sizeof(*s));
	mutex_init(&s->lock, RANK_ASPACE);
	ranges_init(&s->mapped);
	s->host = h;
	s->placed = PLACEMENT_UNKNOWN;
	r = stub_host_page(h, &s->index);
	if (r < 0)
		return r;
	s->ctrl = stub_host_ctrl(h, s->index);
	memset(s->ctrl, 0, sizeof(*s->ctrl));
	memcpy(s->ctrl->filter, h->filter, h->filter_len * sizeof(h->filter[0]));
	s->ctrl->prog.len = (u16)h->filter_len;
	s->ctrl->prog.filter = (void *)(STUB_CTRL + CTRL_FILTER);
	memcpy(s->ctrl->guest_filter, h->guest_filter,
	       h->guest_filter_len * sizeof(h->guest_filter[0]));
	s->ctrl->guest_prog.len = (u16)h->guest_filter_len;
	s->ctrl->guest_prog.filter = (void *)(STUB_CTRL + offsetof(struct stub_ctrl, guest_filter));
	s->ctrl->ppid = (u64)h->self;
	strcpy(s->ctrl->name, "stasis-stub");
	r = stub_host_spawn(h, s->index, &s->pid, &s->listener);
	if (r < 0) {
		stub_host_page_free(h, s->index);
		return r;
	}
	/* Hosts before 6.6 do without. */
	(void)ioctl(s->listener, STUB_IOCTL_SET_FLAGS, NOTIF_SYNC_WAKE_UP);
	if (receive(s, &hello, &done) < 0) {
		stub_kill(s);
		stub_reap(s);
		return -EAGAIN;
	}
	return 0;
}

s64 stub_cpu_time(const struct stub *s)
{
	struct timespec ts;

	/* clock_getcpuclockid(3)'s: of the whole process. */
	if (clock_gettime((clockid_t)(~(u32)s->pid << 3 | 2), &ts) < 0)
		return -errno;
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

void stub_kill(struct stub *s)
{
	/* Not reaped, so the pid is still its own. */
	kill(s->pid, SIGKILL);
}

void stub_reap(struct stub *s)
{
	while (waitpid(s->pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	close(s->listener);
	stub_host_page_free(s->host, s->index);
	ranges_finish(&s->mapped);
}

int stub_thread(struct stub *s, u32 slot, pid_t *ret_tid)
{
	const u64 flags =
		CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
	const struct stub_call calls[] = {
		{SYS_mmap,
	         {stub_slot_addr(slot), STUB_SLOT_SIZE, PROT_READ | PROT_WRITE,
	          MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, (u64)-1, 0},
	         0},
		{SYS_clone, {flags, 0, 0, 0, 0, 0}, 0},
	};
	s64 tid;
	u32 done;
	int r = stub_call(s, calls, ARRAY_SIZE(calls), &tid, &done);

	if (r < 0)
		return r;
	if (tid < 0)
		return (int)tid;
	*ret_tid = (pid_t)tid;
	return 0;
}
