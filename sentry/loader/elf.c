/*
 * ELF programs and their interpreter, and #! scripts. The file's headers are hostile: every number
 * is checked against the file's size and the address space before it is used.
 */
#include "sentry/auth/creds.h"
#include "sentry/kernel/kernel.h"
#include "sentry/loader/loader.h"
#include "sentry/loader/stack.h"
#include "sentry/loader/vdso.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/usercopy.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/namei.h"
#include "sentry/vfs/stat.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#define SCRIPT_DEPTH 5
#define SCRIPT_LINE  256
#define PHDRS_MAX    128
#define DYN_BASE     0x555555554000ull
#define MMAP_TOP_GAP (256 * MIB) /* below the stack's top: room for it to grow */

static long read_at(struct ctx *c, struct file *f, u64 off, void *buf, size_t len)
{
	UITER(it);

	uiter_init_kernel(&it, buf, len);
	return file_pread(f, c, &it, (s64)off);
}

struct elf {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[PHDRS_MAX];
	u64 low, high; /* page-aligned span of the PT_LOADs, as linked */
	char interp[PATH_TEXT_MAX];
	int stack_prot;
};

static int elf_read(struct ctx *c, struct file *f, struct elf *e, u64 max_addr)
{
	size_t size;
	long r = read_at(c, f, 0, &e->eh, sizeof(e->eh));

	if (r < 0)
		return (int)r;
	if (r != sizeof(e->eh) || memcmp(e->eh.e_ident, ELFMAG, SELFMAG) != 0 ||
	    e->eh.e_ident[EI_CLASS] != ELFCLASS64 || e->eh.e_machine != EM_X86_64 ||
	    (e->eh.e_type != ET_EXEC && e->eh.e_type != ET_DYN) ||
	    e->eh.e_phentsize != sizeof(Elf64_Phdr))
		return -ENOEXEC;
	if (e->eh.e_phnum < 1 || e->eh.e_phnum > PHDRS_MAX)
		return -ENOEXEC;
	size = e->eh.e_phnum * sizeof(Elf64_Phdr);
	r = read_at(c, f, e->eh.e_phoff, e->ph, size);
	if (r != (long)size)
		return r < 0 ? (int)r : -ENOEXEC;
	e->low = UINT64_MAX;
	e->high = 0;
	e->interp[0] = 0;
	e->stack_prot = PROT_READ | PROT_WRITE | PROT_EXEC;
	for (unsigned i = 0; i < e->eh.e_phnum; i++) {
		const Elf64_Phdr *p = &e->ph[i];

		if (p->p_type == PT_GNU_STACK && !(p->p_flags & PF_X))
			e->stack_prot = PROT_READ | PROT_WRITE;
		if (p->p_type == PT_INTERP) {
			if (p->p_filesz < 2 || p->p_filesz > sizeof(e->interp))
				return -ENOEXEC;
			r = read_at(c, f, p->p_offset, e->interp, p->p_filesz);
			if (r != (long)p->p_filesz || e->interp[p->p_filesz - 1])
				return r < 0 ? (int)r : -ENOEXEC;
		}
		if (p->p_type != PT_LOAD)
			continue;
		if (p->p_filesz > p->p_memsz || !range_ok(p->p_vaddr, p->p_memsz, max_addr) ||
		    !range_ok(p->p_offset, p->p_filesz, INT64_MAX) ||
		    (p->p_filesz && ((p->p_vaddr ^ p->p_offset) & PAGE_MASK)))
			return -ENOEXEC;
		if (p->p_memsz == 0)
			continue;
		e->low = MIN(e->low, PAGE_DOWN(p->p_vaddr));
		e->high = MAX(e->high, PAGE_UP(p->p_vaddr + p->p_memsz));
	}
	return e->low < e->high ? 0 : -ENOEXEC;
}

static int map_segment(struct mm *mm, struct ctx *c, struct file *f, const Elf64_Phdr *p, u64 bias)
{
	u64 start = PAGE_DOWN(p->p_vaddr + bias), file_end = p->p_vaddr + bias + p->p_filesz;
	u64 mem_end = p->p_vaddr + bias + p->p_memsz, zero_from;
	int prot = (p->p_flags & PF_R ? PROT_READ : 0) | (p->p_flags & PF_W ? PROT_WRITE : 0) |
	           (p->p_flags & PF_X ? PROT_EXEC : 0);
	s64 r;

	if (p->p_filesz) {
		struct mmap_args a = {
			.addr = start,
			.len = PAGE_UP(file_end) - start,
			.prot = prot,
			.flags = MAP_PRIVATE | MAP_FIXED,
			.id = &f->id,
			.off = PAGE_DOWN(p->p_offset),
			.max_prot = PROT_READ | PROT_WRITE | PROT_EXEC,
		};

		r = file_mmap(f, c, &a);
		if (r == 0)
			r = mm_mmap(mm, NULL, &a);
		if (r < 0)
			return (int)r;
	}
	zero_from = p->p_filesz ? PAGE_UP(file_end) : start;
	if (PAGE_UP(mem_end) > zero_from) {
		struct mmap_args a = {
			.addr = zero_from,
			.len = PAGE_UP(mem_end) - zero_from,
			.prot = prot,
			.flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
			.max_prot = PROT_READ | PROT_WRITE | PROT_EXEC,
		};

		r = mm_mmap(mm, NULL, &a);
		if (r < 0)
			return (int)r;
	}
	/* The rest of the last file page is bss: the file's bytes there must not be seen. */
	if (p->p_memsz > p->p_filesz && p->p_filesz && (file_end & PAGE_MASK) &&
	    (p->p_flags & PF_W)) {
		static const u8 zeros[PAGE_SIZE];
		u64 n = PAGE_UP(file_end) - file_end;

		r = mm_access(mm, file_end, (void *)(uintptr_t)zeros, n, true, true);
		if (r != (s64)n)
			return r < 0 ? (int)r : -ENOEXEC;
	}
	return 0;
}

static int elf_map(struct mm *mm, struct ctx *c, struct file *f, const struct elf *e, u64 bias)
{
	for (unsigned i = 0; i < e->eh.e_phnum; i++) {
		int r;

		if (e->ph[i].p_type != PT_LOAD || e->ph[i].p_memsz == 0)
			continue;
		r = map_segment(mm, c, f, &e->ph[i], bias);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Keeps the whole span in one piece, for objects that are placed wherever there is room. */
static int reserve(struct mm *mm, u64 len, u64 *ret)
{
	struct mmap_args a = {
		.len = len,
		.prot = PROT_NONE,
		.flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		.max_prot = PROT_READ | PROT_WRITE | PROT_EXEC,
	};
	s64 r = mm_mmap(mm, NULL, &a);

	if (r < 0)
		return (int)r;
	*ret = (u64)r;
	return mm_munmap(mm, (u64)r, PAGE_UP(len));
}

static void note_layout(struct mm *mm, const struct elf *e, u64 bias)
{
	struct mm_layout *lay = mm_layout(mm);
	u64 brk = 0;

	lay->start_code = UINT64_MAX;
	for (unsigned i = 0; i < e->eh.e_phnum; i++) {
		const Elf64_Phdr *p = &e->ph[i];
		u64 start = p->p_vaddr + bias;

		if (p->p_type != PT_LOAD)
			continue;
		if (p->p_flags & PF_X) {
			lay->start_code = MIN(lay->start_code, start);
			lay->end_code = MAX(lay->end_code, start + p->p_filesz);
		}
		if (p->p_flags & PF_W) {
			lay->start_data = start;
			lay->end_data = MAX(lay->end_data, start + p->p_filesz);
		}
		brk = MAX(brk, start + p->p_memsz);
	}
	if (lay->start_code == UINT64_MAX)
		lay->start_code = 0;
	mm_set_brk(mm, PAGE_UP(brk));
}

static u64 phdr_addr(const struct elf *e, u64 bias)
{
	for (unsigned i = 0; i < e->eh.e_phnum; i++) {
		const Elf64_Phdr *p = &e->ph[i];

		if (p->p_type == PT_PHDR)
			return p->p_vaddr + bias;
		if (p->p_type == PT_LOAD && e->eh.e_phoff >= p->p_offset &&
		    e->eh.e_phoff - p->p_offset < p->p_filesz)
			return p->p_vaddr + bias + (e->eh.e_phoff - p->p_offset);
	}
	return 0;
}

static u64 random_pages(unsigned bits)
{
	u64 r = 0;

	if (getrandom(&r, sizeof(r), 0) < 0)
		return 0;
	return (r & ((1ull << bits) - 1)) << PAGE_SHIFT;
}

static int load_elf(const struct load_request *rq, struct file *exe, struct program *p)
{
	struct platform *plat = rq->kernel->machine->platform;
	struct stack_info si = {.execfn = rq->path, .secure = p->secure};
	AUTO_FREE struct elf *e = malloc(sizeof(*e));
	AUTO_FREE struct elf *ie = NULL;
	AUTO(file) interp = NULL;
	struct creds *cr = creds_copy(rq->c->creds);
	u64 bias = 0, ibias = 0;
	int r;

	BUG_ON(!e);
	/* The stack's auxv shows the ids that the program will have. */
	p->secure = creds_exec(cr, p->suid, p->sgid);
	si.secure = p->secure;
	si.creds = cr;
	r = elf_read(rq->c, exe, e, plat->max_user_addr);
	if (r == 0 && e->interp[0]) {
		r = path_open_exec(rq->c, AT_FDCWD, e->interp, 0, &interp);
		if (r == 0) {
			ie = malloc(sizeof(*ie));
			BUG_ON(!ie);
			r = elf_read(rq->c, interp, ie, plat->max_user_addr);
			if (r == -ENOEXEC)
				r = -ELIBBAD;
		}
	}
	if (r == 0)
		r = mm_create(rq->kernel, &p->mm);
	if (r == 0) {
		mm_set_mmap_base(p->mm,
		                 plat->max_user_addr - MMAP_TOP_GAP - GIB - random_pages(16));
		if (e->eh.e_type == ET_DYN) {
			if (interp)
				bias = DYN_BASE + random_pages(16) - e->low;
			else if ((r = reserve(p->mm, e->high - e->low, &bias)) == 0)
				bias -= e->low;
		}
	}
	if (r == 0 && !range_ok(e->low + bias, e->high - e->low, plat->max_user_addr))
		r = -ENOMEM;
	if (r == 0)
		r = elf_map(p->mm, rq->c, exe, e, bias);
	if (r == 0)
		note_layout(p->mm, e, bias);
	p->entry = si.entry = e->eh.e_entry + bias;
	if (r == 0 && interp) {
		if (ie->eh.e_type == ET_DYN) {
			r = reserve(p->mm, ie->high - ie->low, &ibias);
			if (r == 0)
				si.base = ibias;
			ibias -= ie->low;
		}
		if (r == 0)
			r = elf_map(p->mm, rq->c, interp, ie, ibias);
		p->entry = ie->eh.e_entry + ibias;
	}
	if (r == 0)
		r = vdso_map(p->mm, rq->kernel, &si.vdso);
	if (r == 0) {
		si.phdr = phdr_addr(e, bias);
		si.phent = sizeof(Elf64_Phdr);
		si.phnum = e->eh.e_phnum;
		r = stack_build(p->mm, rq->c, rq->argv, rq->envp, &si, &p->sp);
	}
	if (r == 0) {
		mm_set_exe(p->mm, &exe->id);
		p->exe = obj_get(exe);
	}
	obj_put(cr);
	return r;
}

/* The set-id bits of what is executed, where the mount lets them count. */
static int note_setid(const struct load_request *rq, struct file *exe, struct program *p)
{
	struct kstat st;
	int r = file_stat(exe, rq->c, &st);

	p->suid = p->sgid = -1;
	if (r < 0)
		return r;
	if (rq->c->creds->no_new_privs ||
	    (exe->path.mount && (mount_flags(exe->path.mount) & MS_NOSUID)))
		return 0;
	if (st.mode & S_ISUID)
		p->suid = st.uid;
	if ((st.mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
		p->sgid = st.gid;
	return 0;
}

/* Splits "#! interpreter [one argument]". False: the line is no such thing. */
static bool parse_script(char *line, size_t n, char **ret_interp, char **ret_arg)
{
	char *end = memchr(line, '\n', n), *s = line + 2, *arg;

	if (!end) {
		if (n == SCRIPT_LINE)
			return false;
		end = line + n;
	}
	*end = 0;
	s += strspn(s, " \t");
	if (!*s)
		return false;
	while (end > s && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = 0;
	arg = s + strcspn(s, " \t");
	if (*arg) {
		*arg++ = 0;
		arg += strspn(arg, " \t");
	}
	*ret_interp = s;
	*ret_arg = *arg ? arg : NULL;
	return true;
}

int loader_load(const struct load_request *rq, struct program *ret)
{
	AUTO(file) exe = obj_get(rq->exe);
	AUTO_FREE char *path = strdup(rq->path);
	struct program p = {.suid = -1, .sgid = -1};
	const char *slash = strrchr(rq->path, '/');
	int r = 0;

	strncpy(p.name, slash ? slash + 1 : rq->path, sizeof(p.name) - 1);
	for (unsigned depth = 0;; depth++) {
		char line[SCRIPT_LINE + 1], *interp, *arg;
		struct file *next = NULL;
		long n = read_at(rq->c, exe, 0, line, SCRIPT_LINE);

		if (n < 0)
			return (int)n;
		line[n] = 0;
		if (n < 2 || line[0] != '#' || line[1] != '!')
			break;
		if (depth == SCRIPT_DEPTH)
			return -ELOOP;
		if (!parse_script(line, (size_t)n, &interp, &arg))
			return -ENOEXEC;
		/* argv[0] gives way to: interpreter, its argument, the script's path. */
		if (rq->argv->n) {
			rq->argv->bytes -= strlen(rq->argv->v[0]) + 1;
			free(rq->argv->v[0]);
			memmove(rq->argv->v, rq->argv->v + 1, --rq->argv->n * sizeof(char *));
		}
		strings_prepend(rq->argv, path);
		if (arg)
			strings_prepend(rq->argv, arg);
		strings_prepend(rq->argv, interp);
		r = path_open_exec(rq->c, AT_FDCWD, interp, 0, &next);
		if (r < 0)
			return r;
		free(path);
		path = strdup(interp);
		obj_put(exe);
		exe = next;
	}
	r = note_setid(rq, exe, &p);
	if (r == 0)
		r = load_elf(rq, exe, &p);
	if (r < 0) {
		program_finish(&p);
		return r;
	}
	*ret = p;
	return 0;
}

void program_finish(struct program *p)
{
	obj_put(TAKE(p->mm));
	obj_put(TAKE(p->exe));
}

struct regs program_regs(const struct program *p)
{
	return (struct regs){.rip = p->entry, .rsp = p->sp, .rflags = 0x202, .orig_rax = ~0ull};
}
