#include "sentry/loader/vdso.h"
#include "platform/platform.h"
#include "sentry/loader/vdso/vdso_blob.h"
#include "sentry/mm/memfile.h"
#include "sentry/mm/mm.h"

#include "proto/time.pb-c.h"
#include "state/fields.h"

#include <string.h>
#include <sys/mman.h>

#define CODE_MAX (64 * KIB)

int vdso_create(struct machine *m)
{
	struct vdso_machine *vm = calloc(1, sizeof(*vm));
	int r;

	if (!vm)
		return -ENOMEM;
	vm->memfile = m->memfile;
	r = memfile_alloc(m->memfile, PAGE_SIZE, 0, &vm->vvar_off);
	if (r == 0) {
		r = memfile_alloc(m->memfile, vdso_blob_size, 0, &vm->code_off);
		if (r < 0)
			memfile_put_pages(m->memfile, vm->vvar_off, PAGE_SIZE);
	}
	if (r < 0) {
		free(vm);
		return r;
	}
	memcpy(memfile_at(m->memfile, vm->code_off), vdso_blob, vdso_blob_size);
	fastclock_init(&vm->clock, memfile_at(m->memfile, vm->vvar_off));
	m->vdso = vm;
	return 0;
}

/* The machine's copy of the code if it is the same, else pages of its own. */
static int take_pages(struct vdso *v, struct vdso_machine *vm)
{
	int r;

	if (v->code_len == vdso_blob_size && memcmp(v->code, vdso_blob, vdso_blob_size) == 0) {
		memfile_get_pages(vm->memfile, vm->code_off, v->code_len);
		v->code_off = vm->code_off;
	} else {
		r = memfile_alloc(vm->memfile, v->code_len, 0, &v->code_off);
		if (r < 0)
			return r;
		memcpy(memfile_at(vm->memfile, v->code_off), v->code, v->code_len);
	}
	v->machine = vm;
	return 0;
}

void vdso_attach(struct kernel *k)
{
	struct vdso_machine *vm = k->machine ? k->machine->vdso : NULL;

	if (!vm)
		return;
	fastclock_set_offset(&vm->clock, k->clocks.mono_offset);
	k->clocks.fast = &vm->clock;
	if (!k->vdso) {
		k->vdso = obj_new(vdso);
		k->vdso->code_len = vdso_blob_size;
		k->vdso->code = malloc(vdso_blob_size);
		BUG_ON(!k->vdso->code);
		memcpy(k->vdso->code, vdso_blob, vdso_blob_size);
	}
	/* Without pages its mappings give SIGBUS and new programs none: the sandbox is out of
	 * memory already. */
	if (!k->vdso->machine && take_pages(k->vdso, vm) < 0)
		return;
}

static s64 map_part(struct mm *mm, struct vdso *v, u64 addr, u64 off, u64 len, int prot,
                    const char *name)
{
	return mm_mmap(mm, NULL,
	               &(struct mmap_args){.addr = addr,
	                                   .len = len,
	                                   .prot = prot,
	                                   .flags = MAP_PRIVATE | MAP_FIXED,
	                                   .mappable = &v->mappable,
	                                   .off = off,
	                                   .max_prot = prot,
	                                   .name = name});
}

int vdso_map(struct mm *mm, struct kernel *k, u64 *ret_addr)
{
	struct vdso *v = k->vdso;
	s64 at, r;

	if (!v || !v->machine) {
		*ret_addr = 0;
		return 0;
	}
	at = mm_mmap(mm, NULL,
	             &(struct mmap_args){.len = PAGE_SIZE + v->code_len,
	                                 .prot = PROT_NONE,
	                                 .flags = MAP_PRIVATE | MAP_ANONYMOUS,
	                                 .max_prot = PROT_READ});
	if (at < 0)
		return (int)at;
	r = map_part(mm, v, (u64)at, 0, PAGE_SIZE, PROT_READ, "[vvar]");
	if (r >= 0)
		r = map_part(mm, v, (u64)at + PAGE_SIZE, PAGE_SIZE, v->code_len,
		             PROT_READ | PROT_EXEC, "[vdso]");
	if (r < 0)
		return (int)r;
	*ret_addr = (u64)at + PAGE_SIZE;
	return 0;
}

static int vdso_translate(struct mappable *m, u64 off, u64 len, u32 access, struct backing *ret)
{
	struct vdso *v = obj_cast(vdso, m);
	struct mapfile *mf;

	/* A shared mapping for writing is none that vdso_map makes. */
	if (!v->machine || off >= PAGE_SIZE + v->code_len || access & ACCESS_WRITE)
		return -EFAULT;
	mf = &v->machine->memfile->mapfile;
	if (off < PAGE_SIZE) {
		ret->off = v->machine->vvar_off + off;
		ret->len = MIN(len, PAGE_SIZE - off);
	} else {
		ret->off = v->code_off + (off - PAGE_SIZE);
		ret->len = MIN(len, PAGE_SIZE + v->code_len - off);
	}
	ret->mf = mf;
	/* Nobody but the sentry writes to these pages, however they are mapped. */
	ret->cow = true;
	mapfile_get(mf);
	memfile_get_pages(v->machine->memfile, ret->off, ret->len);
	return 0;
}

static const struct mappable_ops vdso_ops = {
	.translate = vdso_translate,
};

static void vdso_destroy(void *p)
{
	struct vdso *v = p;

	if (v->machine)
		memfile_put_pages(v->machine->memfile, v->code_off, v->code_len);
	free(v->code);
}

static int vdso_save_code(struct saver *s, const struct vdso *v, Sentry__Vdso *m)
{
	m->code.data = v->code;
	m->code.len = v->code_len;
	return 0;
}

static int vdso_load_code(struct loader *l, struct vdso *v, const Sentry__Vdso *m)
{
	if (m->code.len == 0 || m->code.len > CODE_MAX || m->code.len % PAGE_SIZE)
		return loader_range(l, "code");
	v->code_len = (u32)m->code.len;
	v->code = malloc(v->code_len);
	BUG_ON(!v->code);
	memcpy(v->code, m->code.data, v->code_len);
	return 0;
}

static void vdso_sample_code(struct sampler *sp, struct vdso *v)
{
	v->code_len = 2 * PAGE_SIZE;
	v->code = malloc(v->code_len);
	BUG_ON(!v->code);
	memset(v->code, (int)sampler_value(sp), v->code_len);
}

#define VDSO_FIELDS(F)                     \
	F(BASE, mappable, mappable)        \
	F(SKIP, machine) /* vdso_attach */ \
	F(CUSTOM, code, vdso)              \
	F(SKIP, code_len)                  \
	F(SKIP, code_off) /* vdso_attach */
OBJECT_TYPE(vdso, Sentry__Vdso, sentry__vdso__descriptor, VDSO_FIELDS, .base = &mappable_type,
            .ops = &vdso_ops, .destroy = vdso_destroy);
