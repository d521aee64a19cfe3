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

/* All that a guest has. */
static const struct stub_call unmap_guest = {
	SYS_munmap, {STUB_USER_MIN, STUB_BASE - STUB_USER_MIN}, 0};

/* Makes the queued calls, and then the n of calls, for which there is room; *ret_done says how many
 * of these succeeded, what is returned why it is not all. */
static int call_all(struct stub *s, const struct stub_call *calls, u32 n, u32 *ret_done)
{
	u32 queued = s->n_queued, done;
	s64 result;
	int r;

	*ret_done = 0;
	if (s->dead)
		return -ESRCH;
	if (queued + n == 0)
		return 0;
	BUG_ON(queued + n > STUB_MAX_CALLS);
	for (u32 i = 0; i < n; i++)
		s->queue[queued + i] = calls[i];
	r = stub_call(s, s->queue, queued + n, &result, &done);
	if (r < 0)
		return r;
	s->n_queued = s->n_shown = 0;
	if (unlikely(done < queued)) {
		r = stub_call(s, &unmap_guest, 1, &result, &done);
		if (r == 0 && done == 0)
			r = stub_fail(s);
		if (r < 0)
			return r;
		ranges_finish(&s->mapped);
		done = queued;
		if (n > 0)
			r = stub_call(s, calls, n, &result, &done);
		if (r < 0)
			return r;
		done += n > 0 ? queued : 0;
	}
	atomic_store_explicit(&s->settled, s->queued, memory_order_release);
	*ret_done = done - queued;
	if (*ret_done == n)
		return 0;
	return result < 0 && result >= -4095 ? (int)result : -EIO;
}

/* The same for one call, or none. */
static int call(struct stub *s, const struct stub_call *c)
{
	u32 done;

	return call_all(s, c, c != NULL, &done);
}

/* Less is not to be had: the host has no room for the pieces of what is cut, or we none to note
 * them. -ESRCH, and then nothing is reached either. */
static int unmap_everything(struct stub *s)
{
	int r = call(s, &unmap_guest);

	if (r == 0)
		ranges_finish(&s->mapped);
	return r < 0 ? stub_fail(s) : 0;
}

static int unmap(struct stub *s, u64 addr, u64 len)
{
	const struct stub_call c = {SYS_munmap, {addr, len}, 0};
	int r = call(s, &c);

	if (r == 0)
		r = ranges_remove(&s->mapped, addr, addr + len);
	return r == 0 || r == -ESRCH ? r : unmap_everything(s);
}

/* Queues a call; there is room. */
static void enqueue(struct stub *s, u64 nr, u64 addr, u64 len, int prot)
{
	s->queue[s->n_queued++] = (struct stub_call){nr, {addr, len, (u64)prot}, 0};
	s->queued++;
}

static int make_room(struct stub *s)
{
	return s->n_queued < STUB_MAX_QUEUED ? 0 : call(s, NULL);
}

int stub_map_files(struct stub *s, const struct aspace_map *maps, u32 n, u32 *ret_done)
{
	struct stub_call calls[ASPACE_MAPS_MAX];
	u64 start, end;
	int r;
	GUARD(&s->lock);

	for (u32 i = 0; i < n; i++) {
		const struct aspace_map *m = &maps[i];
		const u64 flags = MAP_FIXED | (m->shared ? MAP_SHARED : MAP_PRIVATE) |
		                  (m->precommit ? MAP_POPULATE : 0);

		calls[i] = (struct stub_call){
			SYS_mmap, {m->addr, m->len, (u64)m->prot, flags, (u64)m->fd, m->off}, 0};
	}
	r = call_all(s, calls, n, ret_done);
	if (r == -ESRCH)
		return r;
	for (u32 i = 0; i < *ret_done; i++) {
		if (ranges_add(&s->mapped, maps[i].addr, maps[i].addr + maps[i].len) == 0)
			continue;
		*ret_done = 0;
		r = unmap_everything(s);
		return r < 0 ? r : -ENOMEM;
	}
	if (r == 0)
		return 0;
	/* What was there may be gone or not, depending on how far the host came. */
	if (unmap(s, maps[*ret_done].addr, maps[*ret_done].len) < 0)
		return -ESRCH;
	if (!ranges_next(&s->mapped, STUB_USER_MIN, STUB_BASE, &start, &end) && *ret_done > 0) {
		/* All of it had to go. */
		*ret_done = 0;
		r = -ENOMEM;
	}
	return r;
}

bool stub_maps(struct stub *s, u64 addr, u64 len)
{
	u64 start, end;
	GUARD(&s->lock);

	return ranges_next(&s->mapped, addr, addr + len, &start, &end);
}

int stub_unmap(struct stub *s, u64 addr, u64 len)
{
	u64 start, end;
	GUARD(&s->lock);

	if (s->dead)
		return -ESRCH;
	return ranges_next(&s->mapped, addr, addr + len, &start, &end) ? unmap(s, addr, len) : 0;
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
	const struct stub_call all = {SYS_munmap, {0, STUB_BASE}, 0};
	u64 start, end;
	int r;
	GUARD(&s->lock);

	if (s->dead)
		return -ESRCH;
	if (s->n_queued == 0 && !ranges_next(&s->mapped, 0, STUB_BASE, &start, &end))
		return 0;
	s->n_queued = s->n_shown = 0;
	r = call(s, &all);
	if (r == 0)
		ranges_finish(&s->mapped);
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

/* A guest thread may take rights away from itself, not give itself any. */
static bool showable(const struct stub *s)
{
	for (u32 i = 0; i < s->n_queued; i++)
		if (s->queue[i].nr == SYS_mprotect && s->queue[i].arg[2] & PROT_WRITE)
			return false;
	return true;
}

bool stub_show_edits(struct stub *s)
{
	u32 n = 0;
	GUARD(&s->lock);

	/* If that fails it is dead, and the turn tells. */
	if (!showable(s) && call(s, NULL) < 0)
		return false;
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
