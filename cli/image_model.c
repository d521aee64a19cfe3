/* Processes of an image. */
#include "cli/image_model.h"
#include "proto/mm.pb-c.h"
#include "state/base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_COMMAND 4096u

const void *image_find(const struct image_model *m, u64 id, const ProtobufCMessageDescriptor *d)
{
	const struct inspect_record *rec = id ? inspect_find(m->k, id) : NULL;

	return rec && rec->msg && rec->msg->descriptor == d ? rec->msg : NULL;
}

const void *image_base(const ProtobufCMessage *msg, const ProtobufCMessageDescriptor *d)
{
	unsigned depth;

	for (depth = 0; msg && depth < 6; depth++) {
		const ProtobufCFieldDescriptor *f = msg->descriptor->fields;

		if (msg->descriptor == d)
			return msg;
		if (msg->descriptor->n_fields == 0 || f->type != PROTOBUF_C_TYPE_MESSAGE ||
		    f->label == PROTOBUF_C_LABEL_REPEATED)
			return NULL;
		memcpy(&msg, (const char *)msg + f->offset, sizeof(msg));
	}
	return NULL;
}

char *image_printable(const char *s, size_t len)
{
	char *out = malloc(len + 1);
	size_t i;

	if (!out)
		return NULL;
	for (i = 0; i < len; i++)
		out[i] = (unsigned char)s[i] < ' ' || s[i] == 0x7f ? '?' : s[i];
	out[len] = '\0';
	return out;
}

/* Copies guest memory that the image holds; what it does not hold reads as zeros. Returns how many
 * bytes from addr on belong to the saved memory. */
static size_t read_memory(const struct image_model *m, const Sentry__Mm *mm, u64 addr, char *buf,
                          size_t len)
{
	static u8 page[PAGE_SIZE];
	size_t done = 0, i;

	while (done < len) {
		u64 at = addr + done, in_page = at & PAGE_MASK;
		size_t n = MIN(len - done, (size_t)(PAGE_SIZE - in_page));
		const Sentry__PageRun *run = NULL;

		for (i = 0; i < mm->n_pmas && !run; i++)
			if (at >= mm->pmas[i]->start && at - mm->pmas[i]->start < mm->pmas[i]->len)
				run = mm->pmas[i];
		if (!run || image_pages_read(image_pages(m->img),
		                             run->pgno + (at - run->start) / PAGE_SIZE, page) < 0)
			break;
		memcpy(buf + done, page + in_page, n);
		done += n;
	}
	return done;
}

/* Arguments with spaces between, or "[comm]" if the program has overwritten them. */
static char *command_of(const struct image_model *m, const struct image_proc *p,
                        const Sentry__Mm *mm)
{
	AUTO_FREE char *buf = NULL;
	char comm[40] = "?";
	size_t n = 0, i;

	if (mm && mm->layout && mm->layout->arg_end > mm->layout->arg_start) {
		size_t len = MIN(mm->layout->arg_end - mm->layout->arg_start, (u64)MAX_COMMAND);

		buf = malloc(len);
		if (buf)
			n = read_memory(m, mm, mm->layout->arg_start, buf, len);
	}
	while (n > 0 && buf[n - 1] == '\0')
		n--;
	for (i = 0; i < n; i++)
		if (buf[i] == '\0')
			buf[i] = ' ';
	if (n > 0)
		return image_printable(buf, n);
	if (p->leader)
		snprintf(comm, sizeof(comm), "[%.*s]", (int)MIN(p->leader->comm.len, (size_t)16),
		         p->leader->comm.data ? (const char *)p->leader->comm.data : "");
	return image_printable(comm, strlen(comm));
}

/* The leader may have ended before its threads: then one of those has what is the process's. */
static const Sentry__Task *speaker_of(const struct image_model *m, const struct image_proc *p)
{
	if (!p->leader || p->leader->exit_state == 0)
		return p->leader;
	for (size_t i = 0; i < inspect_count(m->k); i++) {
		const struct inspect_record *rec = inspect_at(m->k, i);
		const Sentry__Task *t = (const void *)rec->msg;

		if (t && t->base.descriptor == &sentry__task__descriptor && t->tg == p->id &&
		    t->exit_state == 0)
			return t;
	}
	return p->leader;
}

static void fill_proc(struct image_model *m, struct image_proc *p)
{
	const Sentry__Task *speaker;
	const Sentry__TaskContext *ctx;
	const Sentry__Mm *mm = NULL;
	size_t i;

	p->leader = image_find(m, p->tg->leader, &sentry__task__descriptor);
	speaker = speaker_of(m, p);
	ctx = speaker ? speaker->ctx : NULL;
	if (ctx) {
		p->fds = image_find(m, ctx->fds, &sentry__fd_table__descriptor);
		p->fs = image_find(m, ctx->fs, &sentry__fs_context__descriptor);
		mm = image_find(m, ctx->mm, &sentry__mm__descriptor);
	}
	for (i = 0; mm && i < mm->n_vmas; i++)
		if (mm->vmas[i]->end > mm->vmas[i]->start)
			p->virt += mm->vmas[i]->end - mm->vmas[i]->start;
	for (i = 0; mm && i < mm->n_pmas; i++)
		p->saved_pages += mm->pmas[i]->len / PAGE_SIZE;
	p->zombie = speaker && speaker->exit_state != 0;
	p->command = command_of(m, p, mm);
}

static int by_pid(const void *a, const void *b)
{
	const struct image_proc *x = a, *y = b;

	return x->tg->tgid < y->tg->tgid ? -1 : x->tg->tgid > y->tg->tgid;
}

static struct image_proc *proc_of(struct image_model *m, u64 tg_id)
{
	size_t i;

	for (i = 0; i < m->n_procs; i++)
		if (m->procs[i].id == tg_id)
			return &m->procs[i];
	return NULL;
}

/* A process whose ancestors lead back to itself has none. */
static void link_parents(struct image_model *m)
{
	size_t i, steps;

	for (i = 0; i < m->n_procs; i++)
		m->procs[i].parent = proc_of(m, m->procs[i].tg->parent);
	for (i = 0; i < m->n_procs; i++) {
		struct image_proc *p = m->procs[i].parent;

		for (steps = 0; p && steps <= m->n_procs; steps++)
			p = p->parent;
		if (p)
			m->procs[i].parent = NULL;
	}
}

int image_model_make(const struct image *img, struct image_model *ret, struct error *err)
{
	struct image_model m = {.img = img};
	const struct image_info *info = image_info(img);
	size_t size, i, n;
	const void *kernel = image_kernel(img, &size);
	char *why = NULL;

	if (inspect_kernel_open(kernel, size, &m.k, &why) < 0) {
		error_set(err, "%s", why ? why : "kernel.img is damaged");
		free(why);
		return -1;
	}
	n = inspect_count(m.k);
	m.procs = calloc(n + 1, sizeof(*m.procs));
	if (!m.procs) {
		inspect_kernel_close(m.k);
		return error_set(err, "out of memory");
	}
	for (i = 0; i < n; i++) {
		const struct inspect_record *rec = inspect_at(m.k, i);

		if (rec->msg && rec->msg->descriptor == &sentry__thread_group__descriptor) {
			m.procs[m.n_procs].tg = (const void *)rec->msg;
			m.procs[m.n_procs++].id = rec->id;
		}
	}
	qsort(m.procs, m.n_procs, sizeof(*m.procs), by_pid);
	for (i = 0; i < n; i++) {
		const struct inspect_record *rec = inspect_at(m.k, i);
		const Sentry__Task *t = (const void *)rec->msg;
		struct image_proc *p;

		if (!t || t->base.descriptor != &sentry__task__descriptor)
			continue;
		p = proc_of(&m, t->tg);
		if (p)
			p->threads++;
		m.n_threads++;
	}
	for (i = 0; i < m.n_procs; i++)
		fill_proc(&m, &m.procs[i]);
	link_parents(&m);
	if (info->config_len)
		m.sandbox = control__sandbox__unpack(NULL, info->config_len, info->config);
	*ret = m;
	return 0;
}

void image_model_finish(struct image_model *m)
{
	size_t i;

	for (i = 0; i < m->n_procs; i++)
		free(m->procs[i].command);
	free(m->procs);
	if (m->sandbox)
		control__sandbox__free_unpacked(m->sandbox, NULL);
	inspect_kernel_close(m->k);
}
