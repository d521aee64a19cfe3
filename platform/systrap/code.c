/* See code.h. */
#include "platform/regs_x86_64.h"
#include "platform/systrap/systrap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* A block: the thunks, then copies of pages. One for each address space that has hot sites. */
#define COPIES      (ST_N_PLACES * STUB_CODE_SIZE)
#define BLOCK_SIZE  (COPIES + ST_MAX_COPIES * PAGE_SIZE)
#define MAX_BLOCKS  4096u
#define THUNK_SIZE  64u
#define THUNK_TAIL  48u /* where in a thunk its comparison is */
#define N_THUNKS    (STUB_CODE_SIZE / THUNK_SIZE)
#define JUMP_SIZE   5u
#define CALL_SIZE   2u
#define BEHIND_CALL 6u /* the longest comparison */
#define TRY_AGAIN   1024u
#define NR_MAX      0xfffu

STUB_BLOB_SYM(systrap_call);
STUB_BLOB_SYM(systrap_call_stack);
STUB_BLOB_SYM(systrap_call_flags);
STUB_BLOB_SYM(systrap_call_saved);
STUB_BLOB_SYM(systrap_given);
STUB_BLOB_SYM(systrap_end);

static const u64 places[ST_N_PLACES] = {STUB_CODE, STUB_CODE_LOW};

int st_code_create(struct st_platform *p)
{
	const u64 size = MAX_BLOCKS * (u64)BLOCK_SIZE;

	p->free_blocks = calloc(MAX_BLOCKS, sizeof(*p->free_blocks));
	p->code_fd = memfd_create("stasis-code", MFD_CLOEXEC);
	if (!p->free_blocks || p->code_fd < 0 || ftruncate(p->code_fd, (off_t)size) < 0)
		return -ENOMEM;
	p->code =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, p->code_fd, 0);
	return p->code == MAP_FAILED ? -ENOMEM : 0;
}

void st_code_destroy(struct st_platform *p)
{
	if (p->code != MAP_FAILED)
		munmap(p->code, MAX_BLOCKS * (u64)BLOCK_SIZE);
	if (p->code_fd >= 0)
		close(p->code_fd);
	free(p->free_blocks);
}

static u32 block_alloc(struct st_platform *p)
{
	GUARD(&p->lock);

	if (p->n_free_blocks)
		return p->free_blocks[--p->n_free_blocks];
	return p->n_used_blocks < MAX_BLOCKS ? p->n_used_blocks++ : ST_NO_BLOCK;
}

static void block_free(struct st_platform *p, u32 block)
{
	(void)!fallocate(p->code_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	                 (off_t)block * BLOCK_SIZE, BLOCK_SIZE);
	GUARD(&p->lock);
	p->free_blocks[p->n_free_blocks++] = block;
}

void st_code_init(struct st_code *c)
{
	mutex_init(&c->lock, RANK_CODE);
	ranges_init(&c->text);
	c->block = ST_NO_BLOCK;
}

void st_code_finish(struct st_platform *p, struct st_code *c)
{
	ranges_finish(&c->text);
	if (c->block != ST_NO_BLOCK)
		block_free(p, c->block);
}

void st_code_reset(struct st_code *c)
{
	GUARD(&c->lock);

	ranges_finish(&c->text);
	atomic_store(&c->off, false);
	c->copies_used = 0;
	memset(c->thunks[0].used, 0, sizeof(c->thunks[0].used));
	/* It was below the guest's end, and is gone with all that was there. */
	memset(&c->thunks[1], 0, sizeof(c->thunks[1]));
	atomic_store(&c->n_sites, 0);
	atomic_store(&c->rets, 0);
	for (u32 i = 0; i < ST_HOT_SLOTS; i++)
		atomic_store_explicit(&c->hot[i], 0, memory_order_relaxed);
}

/* ---- what is mapped ---- */

void st_code_text(struct st_aspace *as, u64 start, u64 end)
{
	/* Without room for the note it is just not rewritten. */
	if (!atomic_load(&as->code.off))
		(void)!ranges_add(&as->code.text, start, end);
}

void st_code_forget(struct st_aspace *as, u64 start, u64 end, bool unmap)
{
	struct st_code *c = &as->code;

	if (ranges_remove(&c->text, start, end) < 0)
		ranges_finish(&c->text);
	if (likely(!c->copies_used))
		return;
	for (u32 i = 0; i < ST_MAX_COPIES; i++) {
		if (!(c->copies_used >> i & 1) || c->copy_of[i] < start || c->copy_of[i] >= end)
			continue;
		/* If it can't go the stub is dead. */
		if (unmap && stub_unmap(&as->stub, c->copy_of[i], PAGE_SIZE) < 0)
			return;
		c->copies_used &= ~(1ull << i);
	}
}

void st_code_stop(struct st_aspace *as)
{
	GUARD(&as->code.lock);

	atomic_store(&as->code.off, true);
	st_code_forget(as, 0, STUB_BASE, true);
}

static u8 *block_at(const struct st_platform *p, const struct st_code *c)
{
	return p->code + (u64)c->block * BLOCK_SIZE;
}

/* The block is there, and the stub sees the thunks of that place. */
static int show_thunks(struct st_platform *p, struct st_aspace *as, u32 place)
{
	struct st_code *c = &as->code;
	struct stub_call call = {
		SYS_mmap,
		{places[place], STUB_CODE_SIZE, PROT_READ | PROT_EXEC, MAP_FIXED | MAP_SHARED},
		0};
	u32 done;
	s64 result;
	int r;

	if (c->thunks[place].shown)
		return 0;
	if (c->block == ST_NO_BLOCK)
		c->block = block_alloc(p);
	if (c->block == ST_NO_BLOCK)
		return -ENOSPC;
	call.arg[4] = (u64)p->code_fd;
	call.arg[5] = (u64)c->block * BLOCK_SIZE + place * STUB_CODE_SIZE;
	GUARD(&as->stub.lock);
	r = stub_call(&as->stub, &call, 1, &result, &done);
	if (r < 0 || done != 1)
		return -ENOMEM;
	c->thunks[place].shown = true;
	return 0;
}

/* ---- sites ---- */

/* Would a thread that executes this byte as an instruction of its own trap? */
static bool traps(u8 op)
{
	static const u8 ops[] = {0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f,
	                         0x37, 0x3f, 0x60, 0x61, 0x6c, 0x6d, 0x6e, 0x6f, 0x82,
	                         0x9a, 0xce, 0xd4, 0xd6, 0xea, 0xf4, 0xfa, 0xfb};

	return memchr(ops, op, sizeof(ops)) != NULL;
}

/* What is at the call whose end is at off in the page: fills what the bytes tell. */
static bool parse(const u8 *page, u64 page_addr, u32 off, struct st_site *s)
{
	const u8 *end = page + off;
	u32 nr;

	memset(s, 0, sizeof(*s));
	if (off < CALL_SIZE || end[-2] != 0x0f || end[-1] != 0x05)
		return false;
	s->ret = s->next = page_addr + off;
	if (off >= CALL_SIZE + JUMP_SIZE && end[-7] == 0xb8) {
		memcpy(&nr, end - 6, sizeof(nr));
		s->nr = nr;
		s->start = s->ret - CALL_SIZE - JUMP_SIZE;
		return nr <= NR_MAX;
	}
	if (off + BEHIND_CALL > PAGE_SIZE)
		return false;
	if (end[0] == 0x48 && end[1] == 0x3d)
		s->cmp_len = 6;
	else if (end[0] == 0x3d)
		s->cmp_len = 5;
	else
		return false;
	s->start = s->ret - CALL_SIZE;
	s->next = s->ret + s->cmp_len;
	return true;
}

static bool reaches(u64 from_end, u64 to, s32 *ret)
{
	s64 d = (s64)(to - from_end);

	*ret = (s32)d;
	return d == *ret;
}

/* The place that jumps from addr reach; ST_N_PLACES: none. */
static u32 place_for(u64 addr)
{
	s32 rel;
	u32 i;

	for (i = 0; i < ST_N_PLACES; i++)
		if (reaches(addr, places[i], &rel) &&
		    reaches(addr, places[i] + STUB_CODE_SIZE, &rel))
			break;
	return i;
}

/* Finds room for the thunk of s where its jump may lead. */
static bool find_room(struct st_code *c, u32 place, struct st_site *s, s32 *ret_rel)
{
	u64 *used = c->thunks[place].used;

	for (u32 n = 0; n < N_THUNKS; n++) {
		u32 i = (c->thunks[place].next + n) % N_THUNKS;

		if (used[i / 64] >> (i % 64) & 1)
			continue;
		s->thunk = places[place] + (u64)i * THUNK_SIZE;
		(void)reaches(s->start + JUMP_SIZE, s->thunk, ret_rel);
		if (s->cmp_len && !traps((u8)(*ret_rel >> 8)))
			continue;
		used[i / 64] |= 1ull << (i % 64);
		/* Those without a wish go from the front. */
		if (!s->cmp_len)
			c->thunks[place].next = i + 1;
		return true;
	}
	return false;
}

static u8 *put(u8 *to, const void *bytes, size_t n)
{
	memcpy(to, bytes, n);
	return to + n;
}

/* From to, which is at addr in the stub, to target; %r11 may change. */
static u8 *put_jump(u8 *to, u64 addr, u64 target)
{
	s32 rel;

	if (reaches(addr + JUMP_SIZE, target, &rel)) {
		to = put(to, "\xe9", 1);
		return put(to, &rel, sizeof(rel));
	}
	/* movabs $target, %r11; jmp *%r11 */
	to = put(to, "\x49\xbb", 2);
	to = put(to, &target, sizeof(target));
	return put(to, "\x41\xff\xe3", 3);
}

/* movabs $value, %rcx */
static u8 *put_rcx(u8 *to, u64 value)
{
	to = put(to, "\x48\xb9", 2);
	return put(to, &value, sizeof(value));
}

/* At start, which the stub has at s->thunk. */
static void make_thunk(u8 *start, struct st_site *s, const u8 *cmp)
{
	const s32 resume = SLOT_RESUME;
	u8 *at = start;

	if (s->cmp_len) {
		s->tail = s->thunk + THUNK_TAIL;
		at = put_rcx(at, s->tail);
	} else {
		/* mov $nr, %eax */
		at = put(at, "\xb8", 1);
		at = put(at, &s->nr, sizeof(s->nr));
		at = put_rcx(at, s->ret);
	}
	/* mov %rcx, %gs:SLOT_RESUME */
	at = put(at, "\x65\x48\x89\x0c\x25", 5);
	at = put(at, &resume, sizeof(resume));
	if (s->cmp_len)
		at = put_rcx(at, s->ret);
	put_jump(at, s->thunk + (u64)(at - start), STUB_ADDR(stub_blob_systrap_call));
	if (s->cmp_len) {
		at = put(start + THUNK_TAIL, cmp, s->cmp_len);
		put_jump(at, s->thunk + (u64)(at - start), s->next);
	}
}

static u8 *thunk_at(u8 *block, u32 place, u64 addr)
{
	return block + place * STUB_CODE_SIZE + (addr - places[place]);
}

static struct st_site *site_at(struct st_code *c, u64 start)
{
	u32 n = atomic_load(&c->n_sites);

	for (u32 i = 0; i < n; i++)
		if (c->sites[i].start == start)
			return &c->sites[i];
	return NULL;
}

/* The site's thunk: its own, if it was rewritten before and its bytes are still the same. */
static int add_site(struct st_code *c, u8 *block, u32 place, const u8 *bytes, struct st_site *s,
                    s32 *ret_rel)
{
	struct st_site *old = site_at(c, s->start);
	u32 n = atomic_load(&c->n_sites);

	if (old) {
		if (old->nr != s->nr || old->cmp_len != s->cmp_len ||
		    (s->cmp_len &&
		     memcmp(thunk_at(block, place, old->tail), bytes, s->cmp_len) != 0))
			return -EBUSY;
		*s = *old;
		(void)reaches(s->start + JUMP_SIZE, s->thunk, ret_rel);
		return 0;
	}
	if (n == ST_MAX_SITES || !find_room(c, place, s, ret_rel))
		return -ENOSPC;
	make_thunk(thunk_at(block, place, s->thunk), s, bytes);
	c->sites[n] = *s;
	atomic_store_explicit(&c->n_sites, n + 1, memory_order_release);
	if (s->tail)
		atomic_fetch_or(&c->rets, 1ull << (s->ret & 63));
	return 0;
}

static int read_page(struct st_aspace *as, u64 addr, u8 *to)
{
	struct iovec local = {to, PAGE_SIZE}, remote = {(void *)(uintptr_t)addr, PAGE_SIZE};

	return process_vm_readv(as->stub.pid, &local, 1, &remote, 1, 0) == (ssize_t)PAGE_SIZE
	               ? 0
	               : -EFAULT;
}

static int rewrite(struct st_platform *p, struct st_aspace *as, u64 rip)
{
	const u64 page = PAGE_DOWN(rip - 1);
	const u32 place = place_for(page);
	struct st_code *c = &as->code;
	u64 start, end;
	struct st_site s;
	u8 *block, *copy;
	u32 index, done;
	s32 rel;
	int r;
	GUARD(&c->lock);

	if (place == ST_N_PLACES || atomic_load(&c->off) ||
	    !ranges_next(&c->text, page, page + PAGE_SIZE, &start, &end) || start != page ||
	    end != page + PAGE_SIZE || ~c->copies_used << (64 - ST_MAX_COPIES) == 0)
		return -ENOENT;
	r = show_thunks(p, as, place);
	if (r < 0)
		return r;
	block = block_at(p, c);
	index = (u32)__builtin_ctzll(~c->copies_used);
	copy = block + COPIES + index * PAGE_SIZE;
	r = read_page(as, page, copy);
	if (r < 0)
		return r;
	if (!parse(copy, page, (u32)(rip - page), &s))
		return -ENOEXEC;
	r = add_site(c, block, place, copy + (s.ret - page), &s, &rel);
	if (r < 0)
		return r;
	copy[s.start - page] = 0xe9;
	memcpy(copy + (s.start - page) + 1, &rel, sizeof(rel));
	r = stub_map_files(&as->stub,
	                   &(struct aspace_map){
				   .addr = page,
				   .off = (u64)c->block * BLOCK_SIZE + COPIES + index * PAGE_SIZE,
				   .len = PAGE_SIZE,
				   .fd = p->code_fd,
				   .prot = PROT_READ | PROT_EXEC,
				   .shared = true,
				   .precommit = true,
			   },
	                   1, &done);
	if (r < 0)
		return r;
	/* The copy that it was until now has no user any more. */
	for (u32 i = 0; i < ST_MAX_COPIES; i++)
		if (c->copies_used >> i & 1 && c->copy_of[i] == page)
			c->copies_used &= ~(1ull << i);
	c->copies_used |= 1ull << index;
	c->copy_of[index] = page;
	return 0;
}

void st_code_trapped(struct st_aspace *as, u64 rip)
{
	struct st_platform *p = st_platform(as->base.platform);
	struct st_code *c = &as->code;
	u32 n, i = (u32)(rip ^ rip >> 6 ^ rip >> 12) % ST_HOT_SLOTS;

	if (!p->base.rewrite_after)
		return;
	if (atomic_load_explicit(&c->hot_rip[i], memory_order_relaxed) != rip) {
		atomic_store_explicit(&c->hot_rip[i], rip, memory_order_relaxed);
		atomic_store_explicit(&c->hot[i], 0, memory_order_relaxed);
		return;
	}
	n = atomic_fetch_add_explicit(&c->hot[i], 1, memory_order_relaxed) + 1;
	if (n == p->base.rewrite_after || n % TRY_AGAIN == 0)
		(void)!rewrite(p, as, rip);
}

u64 st_code_resume(const struct st_code *c, u64 rip)
{
	u32 n;

	if (!(atomic_load_explicit(&c->rets, memory_order_relaxed) >> (rip & 63) & 1))
		return rip;
	n = atomic_load_explicit(&c->n_sites, memory_order_acquire);
	for (u32 i = 0; i < n; i++)
		if (c->sites[i].ret == rip && c->sites[i].tail)
			return c->sites[i].tail;
	return rip;
}

/* ---- traps in our code ---- */

static const struct st_site *site_of_thunk(const struct st_code *c, u64 rip)
{
	u32 n = atomic_load_explicit(&c->n_sites, memory_order_acquire);

	for (u32 i = 0; i < n; i++)
		if (rip - c->sites[i].thunk < THUNK_SIZE)
			return &c->sites[i];
	return NULL;
}

static const struct st_site *site_of_ret(const struct st_code *c, u64 ret)
{
	u32 n = atomic_load_explicit(&c->n_sites, memory_order_acquire);

	for (u32 i = 0; i < n; i++)
		if (c->sites[i].ret == ret)
			return &c->sites[i];
	return NULL;
}

static void again(struct exit_info *e)
{
	memset(e, 0, sizeof(*e));
	e->reason = EXIT_KICK;
}

/* Before the turn was given. A kick finds the guest at the site; anything else (a gs base that is
 * not the slot, single steps) makes the call the slow way. */
static void begin_again(const struct st_site *s, struct regs *r, struct exit_info *e)
{
	if (!s) {
		/* Guest code jumped here. */
		e->reason = EXIT_SIGNAL;
		e->signo = SIGSEGV;
		e->code = SI_KERNEL;
		return;
	}
	if (e->reason == EXIT_KICK) {
		r->rip = s->start;
		return;
	}
	if (!s->tail)
		r->rax = s->nr;
	r->rip = r->rcx = s->ret;
	r->r11 = r->rflags;
	r->orig_rax = r->rax;
	memset(e, 0, sizeof(*e));
	e->reason = EXIT_SYSCALL;
}

static void in_thunk(const struct st_code *c, struct regs *r, struct exit_info *e)
{
	const struct st_site *s = site_of_thunk(c, r->rip);

	if (!s || !s->tail || r->rip < s->tail)
		begin_again(s, r, e);
	else if (r->rip == s->tail)
		r->rip = s->ret;
	else
		r->rip = s->next;
}

static void in_call(struct st_vehicle *v, struct regs *r, struct exit_info *e)
{
	const u64 rip = r->rip;
	struct regs slot;

	memcpy(&slot, &v->slot->regs, sizeof(slot));
	if (rip >= STUB_ADDR(stub_blob_systrap_call_saved)) {
		slot.fs_base = r->fs_base;
		slot.gs_base = r->gs_base;
		*r = slot;
	}
	if (rip >= STUB_ADDR(stub_blob_systrap_call_stack))
		r->rsp = slot.rsp;
	if (rip >= STUB_ADDR(stub_blob_systrap_call_flags))
		r->rflags = slot.rflags;
	r->orig_rax = ~0ull;
	begin_again(site_of_ret(&v->as->code, r->rcx), r, e);
}

/* The guest was given its turn but did not come out of our code: it is as it was given. */
static void on_its_way(struct st_context *c, struct regs *r, struct exit_info *e)
{
	struct st_vehicle *v = c->v;
	bool new_fp = v->go == GO_FRAME;

	*r = v->given;
	r->orig_rax = ~0ull;
	if (new_fp)
		c->fp_state = ST_FP_CACHE;
	st_edits_again(c);
	if (e->reason != EXIT_KICK) {
		memset(e, 0, sizeof(*e));
		e->reason = EXIT_SIGNAL;
		e->signo = SIGSEGV;
		e->code = SI_KERNEL;
	}
}

void st_code_settle(struct st_context *c, struct regs *r, struct exit_info *e)
{
	const struct st_code *code = &c->v->as->code;
	u64 rip = r->rip;

	if (rip - STUB_CODE_LOW < STUB_CODE_SIZE) {
		in_thunk(code, r, e);
	} else if (rip < STUB_BASE) {
		if ((e->signo == SIGILL || e->signo == SIGSEGV) && st_code_resume(code, rip) != rip)
			again(e);
	} else if (rip - STUB_CODE < STUB_CODE_SIZE) {
		in_thunk(code, r, e);
	} else if (rip >= STUB_ADDR(stub_blob_systrap_call) &&
	           rip < STUB_ADDR(stub_blob_systrap_given)) {
		in_call(c->v, r, e);
	} else if (rip >= STUB_ADDR(stub_blob_systrap_given) &&
	           rip < STUB_ADDR(stub_blob_systrap_end)) {
		on_its_way(c, r, e);
	}
}
