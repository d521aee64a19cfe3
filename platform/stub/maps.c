/*
 * What is mapped in a stub, and the calls that change it.
 *
 * A request to the service thread costs two switches, so calls whose effect may wait are queued and
 * go with the next request, in order, before what it asks for. What a guest thread has been told to
 * do meanwhile (stub_show_edits) may be done or not: it is hostile, and can also unmap what it
 * likes on its own. So every call here is one that may be made twice, and where the host refuses
 * one because something is not as we think, everything goes: what is still wanted faults back in.
 */
#include "platform/stub/host.h"
#include "state/base/bug.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* Makes the queued calls, and then c, which may be NULL; what c gave. */
static int call(struct stub *s, const struct stub_call *c)
{
	u32 n = s->n_queued, done;
	s64 result;
	int r;

	if (s->dead)
		return -ESRCH;
	if (c)
		s->queue[n] = *c;
	else if (n == 0)
		return 0;
	r = stub_call(s, s->queue, n + (c != NULL), &result, &done);
	if (r < 0)
		return r;
	s->n_queued = s->n_shown = 0;
	if (unlikely(done < n)) {
		const struct stub_call all = {SYS_munmap, {0, STUB_BASE}, 0};

		r = stub_call(s, &all, 1, &result, &done);
		if (r == 0 && done == 0)
			r = stub_fail(s);
		if (r < 0)
			return r;
		ranges_finish(&s->mapped);
		s->unsure = false;
		result = 0;
		if (c)
			r = stub_call(s, c, 1, &result, &done);
		if (r < 0)
			return r;
	}
	atomic_store_explicit(&s->settled, s->queued, memory_order_release);
	return c && result < 0 && result >= -4095 ? (int)result : 0;
}

/* Queues a call; there is room. */
static void enqueue(struct stub *s, u64 nr, u64 addr, u64 len, int prot)
{
	s->queue[s->n_queued++] = (struct stub_call){nr, {addr, len, (u64)prot}, 0};
	s->queued++;
}

static int make_room(struct stub *s)
{
	return s->n_queued < STUB_MAX_CALLS - 1 ? 0 : call(s, NULL);
}

int stub_map_file(struct stub *s, u64 addr, int fd, u64 off, u64 len, int prot, bool shared,
                  bool precommit)
{
	const u64 flags =
		MAP_FIXED | (shared ? MAP_SHARED : MAP_PRIVATE) | (precommit ? MAP_POPULATE : 0);
	const struct stub_call map = {SYS_mmap, {addr, len, (u64)prot, flags, (u64)fd, off}, 0};
	const struct stub_call undo = {SYS_munmap, {addr, len}, 0};
	int r;
	GUARD(&s->lock);

	r = call(s, &map);
	if (r == 0) {
		r = ranges_add(&s->mapped, addr, addr + len);
		if (r == 0)
			return 0;
	}
	if (r == -ESRCH)
		return r;
	/* What was there may be gone or not, depending on how far the host came. */
	if (call(s, &undo) < 0)
		s->unsure = true;
	else
		(void)!ranges_remove(&s->mapped, addr, addr + len);
	return r;
}

int stub_unmap(struct stub *s, u64 addr, u64 len)
{
	const struct stub_call unmap = {SYS_munmap, {addr, len}, 0};
	u64 start, end;
	int r;
	GUARD(&s->lock);

	if (s->dead)
		return -ESRCH;
	if (!ranges_next(&s->mapped, addr, addr + len, &start, &end))
		return 0;
	r = call(s, &unmap);
	if (r < 0)
		return r;
	return ranges_remove(&s->mapped, addr, addr + len);
}

/* The last queued call takes away what lies below addr. */
static struct stub_call *extendable(struct stub *s, u64 addr)
{
	struct stub_call *last = s->n_queued ? &s->queue[s->n_queued - 1] : NULL;

	return last && last->nr == SYS_munmap && last->arg[0] + last->arg[1] == addr ? last : NULL;
}

/* mprotect would meet a hole. */
static bool protects_within(const struct stub *s, u64 addr, u64 len)
{
	for (u32 i = 0; i < s->n_queued; i++) {
		const struct stub_call *c = &s->queue[i];

		if (c->nr == SYS_mprotect && c->arg[0] < addr + len && addr < c->arg[0] + c->arg[1])
			return true;
	}
	return false;
}

int stub_unmap_soon(struct stub *s, u64 addr, u64 len, u64 *ret_ticket)
{
	struct stub_call *last;
	u64 start, end;
	int r;
	GUARD(&s->lock);

	*ret_ticket = 0;
	if (s->dead)
		return -ESRCH;
	if (!ranges_next(&s->mapped, addr, addr + len, &start, &end))
		return 0;
	r = protects_within(s, addr, len) ? call(s, NULL) : make_room(s);
	if (r == 0)
		r = ranges_remove(&s->mapped, addr, addr + len);
	if (r < 0)
		return r;
	last = extendable(s, addr);
	if (last && last->arg[1] + len <= STUB_EDIT_MAX) {
		last->arg[1] += len;
		s->n_shown = MIN(s->n_shown, s->n_queued - 1);
	} else {
		enqueue(s, SYS_munmap, addr, len, 0);
	}
	*ret_ticket = s->queued;
	return 0;
}

int stub_unmap_all(struct stub *s)
{
	const struct stub_call unmap = {SYS_munmap, {0, STUB_BASE}, 0};
	u64 start, end;
	int r;
	GUARD(&s->lock);

	if (s->dead)
		return -ESRCH;
	if (!s->unsure && s->n_queued == 0 && !ranges_next(&s->mapped, 0, STUB_BASE, &start, &end))
		return 0;
	s->n_queued = s->n_shown = 0;
	r = call(s, &unmap);
	if (r == 0) {
		ranges_finish(&s->mapped);
		s->unsure = false;
	}
	return r;
}

/* mprotect stops at a hole: one call for each mapped part, several to a request. */
static int protect(struct stub *s, u64 addr, u64 len, int prot)
{
	u64 at = addr, start, end;
	int r = 0;

	if (s->dead)
		return -ESRCH;
	while (r == 0 && ranges_next(&s->mapped, at, addr + len, &start, &end)) {
		r = make_room(s);
		if (r == 0)
			enqueue(s, SYS_mprotect, start, end - start, prot);
		at = end;
	}
	return r;
}

int stub_protect(struct stub *s, u64 addr, u64 len, int prot)
{
	int r;
	GUARD(&s->lock);

	r = protect(s, addr, len, prot);
	return r == 0 && !s->forking ? call(s, NULL) : r;
}

int stub_protect_soon(struct stub *s, u64 addr, u64 len, int prot)
{
	GUARD(&s->lock);

	return protect(s, addr, len, prot);
}

bool stub_show_edits(struct stub *s)
{
	u32 n = 0;
	GUARD(&s->lock);

	for (u32 i = s->n_shown; i < s->n_queued; i++) {
		const struct stub_call *c = &s->queue[i];

		s->ctrl->edits[n++] = (struct stub_edit){
			.addr = c->arg[0],
			.len = c->arg[1],
			.prot = c->nr == SYS_munmap ? EDIT_UNMAP : (s64)c->arg[2],
		};
	}
	s->n_shown = s->n_queued;
	s->ctrl->n_edits = n;
	return n > 0;
}

void stub_unshow_edits(struct stub *s)
{
	GUARD(&s->lock);

	s->n_shown = 0;
}

int stub_pre_fork(struct stub *s)
{
	GUARD(&s->lock);

	s->forking = true;
	return s->dead ? -ESRCH : 0;
}

int stub_post_fork(struct stub *s)
{
	GUARD(&s->lock);

	s->forking = false;
	return call(s, NULL);
}
