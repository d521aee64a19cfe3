/*
 * Stubs that outlive their address space. A new process with its filters, its threads and their
 * stacks costs a few hundred microseconds, so one whose guest is gone is emptied and serves again.
 *
 * Nothing of the old guest may meet the new one: no mapping, no byte in a slot, no thread that is
 * somewhere else than it seems. Mappings and bytes we remove. What the threads do, we can't see:
 * the guest could have sent them into our code with registers of its choice, to wait for a turn
 * that is another's. But once nothing of the guest's is mapped, all that a thread can execute is
 * our code, and of that only what makes a frame at the place and with the registers that the host
 * gives it. So each thread gets a frame that traps at once, with a number that is new each time,
 * and must answer with a frame at the place where the host puts it for a thread with the right
 * signal stack. As many right answers as there are threads mean that each of them has its own
 * stack, our registers and signal mask, and waits for its own turn.
 */
#include "platform/systrap/systrap.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#define POOL_MAX 8u
/* One with more threads is rare, and not worth it. */
#define POOL_THREADS 4u
#define ANSWER_MS    20u

STUB_BLOB_SYM(systrap_again_site);

void st_pristine_take(struct st_platform *p, struct st_vehicle *v)
{
	struct st_pristine *f;
	GUARD(&p->lock);

	if (p->pristine)
		return;
	f = malloc(sizeof(*f));
	if (!f)
		return;
	f->off = (u32)(v->frame - v->slot_addr);
	f->fp_off = v->fp_off;
	f->fp_size = v->fp_size;
	memcpy(f->bytes, (u8 *)v->slot + f->off, STUB_SLOT_SIZE - f->off);
	p->pristine = f;
}

static bool has_room(struct st_platform *p)
{
	GUARD(&p->lock);

	return p->n_pool < POOL_MAX && p->pristine;
}

bool st_pool_put(struct st_platform *p, struct st_aspace *as)
{
	struct regs regs = {.rip = STUB_ADDR(stub_blob_systrap_again_site), .rflags = 0x202};
	struct st_vehicle *v;

	if (as->n_threads == 0 || as->n_threads > POOL_THREADS || !has_room(p))
		return false;
	if (stub_unmap_all(&as->stub) < 0 || st_vehicles_detach(as) < 0)
		return false;
	as->n_busy = 0;
	st_code_reset(&as->code);
	as->nonce = __rdtsc() ^ (u64)(uintptr_t)as << 16;
	regs.rax = as->nonce;
	LIST_FOREACH (v, &as->vehicles, link) {
		regs.rbx = v->index;
		st_frame_reset(p, v, &regs);
	}
	LIST_FOREACH (v, &as->vehicles, link)
		st_give_and_wake(v);
	GUARD(&p->lock);
	LIST_INSERT_HEAD(&p->pool, as, link);
	p->n_pool++;
	return true;
}

static bool answered(const struct st_platform *p, const struct st_aspace *as, struct st_vehicle *v)
{
	const struct st_pristine *f = p->pristine;
	struct exit_info e;
	struct regs regs;

	if (!st_await_ms(v, ANSWER_MS) || st_frame_take(v) < 0)
		return false;
	if (v->frame != v->slot_addr + f->off || v->fp_off != f->fp_off || v->fp_size != f->fp_size)
		return false;
	st_frame_get(p, v, &regs, &e);
	/* A kick that came late may be there before the trap. */
	return (e.reason == EXIT_KICK || (e.reason == EXIT_SIGNAL && e.signo == SIGILL)) &&
	       !v->odd_segments && regs.rip == STUB_ADDR(stub_blob_systrap_again_site) &&
	       regs.rax == as->nonce && regs.rbx == v->index && regs.rsp == 0;
}

static struct st_aspace *pop(struct st_platform *p)
{
	struct st_aspace *as;
	GUARD(&p->lock);

	as = LIST_FIRST(&p->pool);
	if (as) {
		LIST_REMOVE(as, link);
		p->n_pool--;
	}
	return as;
}

struct st_aspace *st_pool_get(struct st_platform *p)
{
	struct st_aspace *as;
	struct st_vehicle *v;

	while ((as = pop(p))) {
		bool good = !st_stub_ended(&as->stub);

		LIST_FOREACH (v, &as->vehicles, link)
			good = good && answered(p, as, v);
		if (good)
			return as;
		st_aspace_destroy(as);
	}
	return NULL;
}

void st_pool_drain(struct st_platform *p)
{
	struct st_aspace *as;

	while ((as = pop(p)))
		st_aspace_destroy(as);
	free(p->pristine);
}
