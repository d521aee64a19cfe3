/*
 * Edits of the address space that the vehicle makes itself when it gets its turn, without a switch
 * to the service thread and without an interrupt for other cores. Only for a guest with one thread:
 * then nobody can see that an edit is not there yet. If a second thread begins meanwhile and maps
 * something in its place, a late edit takes that from the guest's view: the next touch is a fault,
 * which finds the pages and shows them again.
 */
#include "platform/systrap/systrap.h"

#include <sys/mman.h>

static bool showable(u64 addr, u64 len)
{
	return len <= STUB_EDIT_MAX && addr <= STUB_BASE - STUB_EDIT_MAX;
}

int st_unmap_soon(struct aspace *a, u64 addr, u64 len, u64 *ret_ticket)
{
	struct st_aspace *as = st_aspace(a);
	struct st_context *c = showable(addr, len) ? st_alone(as) : NULL;
	GUARD(&as->code.lock);

	st_code_forget(as, addr, addr + len, false);
	if (!c) {
		*ret_ticket = 0;
		return stub_unmap(&as->stub, addr, len);
	}
	c->edits = true;
	return stub_unmap_soon(&as->stub, addr, len, ret_ticket);
}

int st_protect_soon(struct aspace *a, u64 addr, u64 len, int prot)
{
	struct st_aspace *as = st_aspace(a);
	struct st_context *c = showable(addr, len) ? st_alone(as) : NULL;
	GUARD(&as->code.lock);

	if (prot != (PROT_READ | PROT_EXEC))
		st_code_forget(as, addr, addr + len, true);
	if (!c)
		return stub_protect(&as->stub, addr, len, prot);
	c->edits = true;
	return stub_protect_soon(&as->stub, addr, len, prot);
}

bool st_settled(struct aspace *a, u64 ticket)
{
	return atomic_load_explicit(&st_aspace(a)->stub.settled, memory_order_acquire) >= ticket;
}

void st_edits_show(struct st_context *c)
{
	c->edits = false;
	if (stub_show_edits(&c->v->as->stub))
		WRITE_ONCE(c->v->slot->edits, 1);
}

void st_edits_again(struct st_context *c)
{
	stub_unshow_edits(&c->v->as->stub);
	c->edits = true;
}
