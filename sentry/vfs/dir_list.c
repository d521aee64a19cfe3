#include "sentry/vfs/dir_list.h"

#include "sentry/vfs/dentry.h"
#include "state/fields.h"

#include <stdlib.h>
#include <string.h>

void dir_list_add(struct dir_list *l, const char *name, size_t len, u64 ino, u8 type)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 32;
		l->v = realloc(l->v, l->cap * sizeof(*l->v));
		BUG_ON(!l->v);
	}
	l->v[l->n] = (struct dir_item){strndup(name, len), ino, type};
	BUG_ON(!l->v[l->n].name);
	l->n++;
}

void dir_list_finish(struct dir_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i].name);
	free(l->v);
	*l = (struct dir_list){0};
}

void dir_list_emit(const struct dir_list *l, struct dir_sink *sink, s64 *pos)
{
	while (*pos >= 2 && (u64)(*pos - 2) < l->n) {
		const struct dir_item *i = &l->v[*pos - 2];

		if (!sink->entry(sink, i->name, strlen(i->name), i->ino, i->type, *pos + 1))
			return;
		++*pos;
	}
}

void dir_list_save(struct saver *s, const struct dir_list *l, size_t *ret_n, Sentry__DirItem ***ret)
{
	Sentry__DirItem **items = saver_alloc(s, (l->n + 1) * sizeof(Sentry__DirItem *));

	for (size_t i = 0; i < l->n; i++) {
		items[i] = saver_msg(s, Sentry__DirItem, sentry__dir_item__init);
		items[i]->name = l->v[i].name;
		items[i]->ino = l->v[i].ino;
		items[i]->type = l->v[i].type;
	}
	*ret_n = l->n;
	*ret = items;
}

int dir_list_load(struct loader *ld, struct dir_list *l, size_t n, Sentry__DirItem *const *items)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(items[i]->name);

		if (len == 0 || len > DENTRY_NAME_MAX || strchr(items[i]->name, '/') ||
		    items[i]->type > 15)
			return loader_range(ld, "items");
		dir_list_add(l, items[i]->name, len, items[i]->ino, (u8)items[i]->type);
	}
	return 0;
}
