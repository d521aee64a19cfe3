#include "platform/stub/ranges.h"

#include <bsd/sys/tree.h>
#include <errno.h>
#include <stdlib.h>

struct range_node {
	RB_ENTRY(range_node) link;
	u64 start, end;
};

RB_HEAD(range_tree, range_node);

static int compare(const struct range_node *a, const struct range_node *b)
{
	return a->start < b->start ? -1 : a->start > b->start;
}

RB_GENERATE_INTERNAL(range_tree, range_node, link, compare, UNUSED static)

static struct range_tree *tree(const struct ranges *s)
{
	_Static_assert(sizeof(struct range_tree) == sizeof(struct ranges), "one pointer");
	return (struct range_tree *)s;
}

/* The first range that ends after addr. */
static struct range_node *first_after(const struct ranges *s, u64 addr)
{
	struct range_node *n = RB_ROOT(tree(s)), *best = NULL;

	while (n) {
		if (n->end > addr) {
			best = n;
			n = RB_LEFT(n, link);
		} else {
			n = RB_RIGHT(n, link);
		}
	}
	return best;
}

void ranges_init(struct ranges *s)
{
	RB_INIT(tree(s));
}

void ranges_finish(struct ranges *s)
{
	struct range_node *n;

	while ((n = RB_ROOT(tree(s)))) {
		RB_REMOVE(range_tree, tree(s), n);
		free(n);
	}
}

int ranges_add(struct ranges *s, u64 start, u64 end)
{
	/* From 1 byte before, so that a neighbour that ends at start is found too. */
	struct range_node *n = first_after(s, start ? start - 1 : 0), *next;

	if (!n || n->start > end) {
		n = malloc(sizeof(*n));
		if (!n)
			return -ENOMEM;
		n->start = start;
		n->end = end;
		RB_INSERT(range_tree, tree(s), n);
		return 0;
	}
	/* Order among nodes stays: nothing else lies between the old start and the new. */
	n->start = MIN(n->start, start);
	n->end = MAX(n->end, end);
	while ((next = RB_NEXT(range_tree, tree(s), n)) && next->start <= n->end) {
		n->end = MAX(n->end, next->end);
		RB_REMOVE(range_tree, tree(s), next);
		free(next);
	}
	return 0;
}

int ranges_remove(struct ranges *s, u64 start, u64 end)
{
	struct range_node *n, *tail;

	while ((n = first_after(s, start)) && n->start < end) {
		if (n->start < start && n->end > end) {
			tail = malloc(sizeof(*tail));
			if (!tail)
				return -ENOMEM;
			tail->start = end;
			tail->end = n->end;
			n->end = start;
			RB_INSERT(range_tree, tree(s), tail);
			return 0;
		}
		if (n->start < start) {
			n->end = start;
		} else if (n->end > end) {
			n->start = end;
		} else {
			RB_REMOVE(range_tree, tree(s), n);
			free(n);
		}
	}
	return 0;
}

bool ranges_next(const struct ranges *s, u64 start, u64 end, u64 *ret_start, u64 *ret_end)
{
	struct range_node *n = first_after(s, start);

	/* A walk that has come to its end asks for an empty range, which may lie inside a node. */
	if (start >= end || !n || n->start >= end)
		return false;
	*ret_start = MAX(n->start, start);
	*ret_end = MIN(n->end, end);
	return true;
}
