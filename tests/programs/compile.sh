#!/bin/bash
# needs: bash gcc cc ld as
# gcc compiles and links a program of several files, which then runs.
set -euo pipefail
export LC_ALL=C
tmp=$(mktemp -d /tmp/program.XXXXXX)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

cat > table.h << 'END'
#ifndef TABLE_H
#define TABLE_H
#include <stddef.h>
struct table;
struct table *table_new(void);
void table_add(struct table *t, const char *key, long n);
long table_get(const struct table *t, const char *key);
size_t table_size(const struct table *t);
void table_each(const struct table *t, void (*fn)(const char *, long, void *), void *arg);
void table_free(struct table *t);
#endif
END
cat > table.c << 'END'
#include "table.h"
#include <stdlib.h>
#include <string.h>
struct node { struct node *next; long n; char key[]; };
struct table { struct node *b[1024]; size_t size; };
static size_t hash(const char *s) { size_t h = 5381; while (*s) h = h * 33 + (unsigned char)*s++; return h % 1024; }
struct table *table_new(void) { return calloc(1, sizeof(struct table)); }
void table_add(struct table *t, const char *key, long n)
{
	struct node **p = &t->b[hash(key)];
	while (*p && strcmp((*p)->key, key)) p = &(*p)->next;
	if (!*p) { *p = calloc(1, sizeof(**p) + strlen(key) + 1); strcpy((*p)->key, key); t->size++; }
	(*p)->n += n;
}
long table_get(const struct table *t, const char *key)
{
	for (struct node *p = t->b[hash(key)]; p; p = p->next) if (!strcmp(p->key, key)) return p->n;
	return 0;
}
size_t table_size(const struct table *t) { return t->size; }
void table_each(const struct table *t, void (*fn)(const char *, long, void *), void *arg)
{
	for (int i = 0; i < 1024; i++) for (struct node *p = t->b[i]; p; p = p->next) fn(p->key, p->n, arg);
}
void table_free(struct table *t)
{
	for (int i = 0; i < 1024; i++) for (struct node *p = t->b[i], *q; p; p = q) { q = p->next; free(p); }
	free(t);
}
END
cat > words.c << 'END'
#include "table.h"
#include <ctype.h>
#include <stdio.h>
void count_words(struct table *t, FILE *f)
{
	char w[128]; size_t n = 0; int c;
	while ((c = getc(f)) != EOF) {
		if (isalpha(c) || c == '_') { if (n < sizeof(w) - 1) w[n++] = (char)c; }
		else if (n) { w[n] = 0; table_add(t, w, 1); n = 0; }
	}
}
END
cat > main.c << 'END'
#include "table.h"
#include <math.h>
#include <stdio.h>
void count_words(struct table *t, FILE *f);
static void sum(const char *k, long n, void *arg) { double *s = arg; s[0] += (double)n; s[1] += sqrt((double)n); (void)k; }
int main(int argc, char **argv)
{
	struct table *t = table_new();
	double s[2] = {0, 0};
	for (int i = 1; i < argc; i++) { FILE *f = fopen(argv[i], "r"); if (!f) return 1; count_words(t, f); fclose(f); }
	table_each(t, sum, s);
	printf("%zu words, %.0f in all, roots %.3f, int %ld, define %ld\n", table_size(t), s[0], s[1],
	       table_get(t, "int"), table_get(t, "define"));
	table_free(t);
	return 0;
}
END
echo "compiling"
for f in table words main; do
	gcc -O2 -Wall -c "$f.c" -o "$f.o" &
	[ $f = words ] && echo @save@
done
wait
for f in table words main; do
	[ -s $f.o ] && echo "$f.o"
done
gcc table.o words.o main.o -lm -o words
./words /usr/include/stdio.h /usr/include/stdlib.h /usr/include/math.h
gcc -O0 -g -static table.c words.c main.c -lm -o words-static
./words-static /usr/include/stdio.h /usr/include/stdlib.h
gcc -O1 -shared -fPIC table.c -o libtable.so
gcc -O1 words.c main.c -L. -ltable -lm -Wl,-rpath,"$tmp" -o words-shared
./words-shared /usr/include/string.h
echo 'int main(void) { return missing(); }' > bad.c
gcc -Werror=implicit-function-declaration -c bad.c 2>/dev/null || echo "refused: $?"
gcc -E -P table.h | grep -c table
