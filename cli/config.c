/* Building blocks of configurations. */
#include "cli/config.h"

#include <stdlib.h>
#include <string.h>

static int no_memory(struct error *err)
{
	return error_set(err, "out of memory");
}

void config_free(struct config *c)
{
	if (c->sandbox)
		control__sandbox__free_unpacked(c->sandbox, NULL);
	if (c->process)
		control__process__free_unpacked(c->process, NULL);
	json_decref(c->annotations);
	*c = (struct config){0};
}

int config_set(char **field, const char *s, struct error *err)
{
	char *copy = strdup(s);

	if (!copy)
		return no_memory(err);
	if (*field && *field != protobuf_c_empty_string)
		free(*field);
	*field = copy;
	return 0;
}

/* Room for one more element of a repeated field. */
static int grow(void *list, size_t n, size_t size, struct error *err)
{
	void *old, *more;

	memcpy(&old, list, sizeof(old));
	more = reallocarray(old, n + 1, size);
	if (!more)
		return no_memory(err);
	memcpy(list, &more, sizeof(more));
	return 0;
}

int config_add_string(char ***list, size_t *n, const char *s, struct error *err)
{
	if (grow(list, *n, sizeof(**list), err) < 0)
		return -1;
	(*list)[*n] = strdup(s);
	if (!(*list)[*n])
		return no_memory(err);
	(*n)++;
	return 0;
}

Control__Mount *config_add_mount(Control__Sandbox *sb, const char *type, const char *destination,
                                 struct error *err)
{
	Control__Mount *m;

	if (grow(&sb->mounts, sb->n_mounts, sizeof(*sb->mounts), err) < 0)
		return NULL;
	m = malloc(sizeof(*m));
	if (!m) {
		no_memory(err);
		return NULL;
	}
	control__mount__init(m);
	sb->mounts[sb->n_mounts++] = m;
	if (config_set(&m->type, type, err) < 0 ||
	    config_set(&m->destination, destination, err) < 0)
		return NULL;
	return m;
}

Control__Attach *config_add_attach(Control__Sandbox *sb, const char *name, const char *path,
                                   struct error *err)
{
	Control__Attach *a;

	if (grow(&sb->attach, sb->n_attach, sizeof(*sb->attach), err) < 0)
		return NULL;
	a = malloc(sizeof(*a));
	if (!a) {
		no_memory(err);
		return NULL;
	}
	control__attach__init(a);
	sb->attach[sb->n_attach++] = a;
	if (config_set(&a->name, name, err) < 0 || config_set(&a->path, path, err) < 0)
		return NULL;
	return a;
}

int config_add_rlimit(Control__Process *p, unsigned resource, u64 cur, u64 max, struct error *err)
{
	Control__Rlimit *l;

	if (grow(&p->rlimits, p->n_rlimits, sizeof(*p->rlimits), err) < 0)
		return -1;
	l = malloc(sizeof(*l));
	if (!l)
		return no_memory(err);
	control__rlimit__init(l);
	l->resource = resource;
	l->cur = cur;
	l->max = max;
	p->rlimits[p->n_rlimits++] = l;
	return 0;
}

int config_new(struct config *ret, struct error *err)
{
	struct config c = {0};

	c.sandbox = malloc(sizeof(*c.sandbox));
	if (c.sandbox)
		control__sandbox__init(c.sandbox);
	c.process = malloc(sizeof(*c.process));
	if (c.process) {
		control__process__init(c.process);
		c.process->caps = malloc(sizeof(*c.process->caps));
		if (c.process->caps)
			control__caps__init(c.process->caps);
	}
	if (!c.sandbox || !c.process || !c.process->caps) {
		config_free(&c);
		return no_memory(err);
	}
	*ret = c;
	return 0;
}
