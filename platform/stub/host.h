#pragma once
/*
 * The template process and the control pages, private to platform/stub.
 *
 * Locking: lock guards the template's page and the table of control pages. Lifetime, saved: see
 * stub.h.
 */
#include "platform/stub/stub.h"

#define STUB_MAX 16384u

struct stub_host {
	struct mutex lock; /* RANK_PLATFORM */
	pid_t template;    /* immutable */
	pid_t self;        /* immutable; our process, the parent of all */
	int ctrl_fd;       /* immutable; memfd: the template's page, then one page per stub */
	u8 *pages;         /* immutable; ctrl_fd, mapped whole */
	struct stub_template_page *page; /* the first of them */
	struct sock_filter filter[CTRL_MAX_INSNS];
	u32 filter_len;
	struct sock_filter guest_filter[CTRL_GUEST_INSNS];
	u32 guest_filter_len;
	u32 n_used;  /* control pages ever used */
	u32 n_free;  /* of which free */
	u32 *free;   /* their indexes */
	bool failed; /* the template is gone */
};

/* Starts a stub with the control page index and returns its pid and listener. */
MUST_CHECK int stub_host_spawn(struct stub_host *h, u32 index, pid_t *ret_pid, int *ret_listener);
MUST_CHECK int stub_host_page(struct stub_host *h, u32 *ret_index);
void stub_host_page_free(struct stub_host *h, u32 index);

/* Kills the stub, which did what it can't have done. -ESRCH. The caller holds s->lock. */
int stub_fail(struct stub *s);

static inline struct stub_ctrl *stub_host_ctrl(struct stub_host *h, u32 index)
{
	return (struct stub_ctrl *)(h->pages + (index + 1) * PAGE_SIZE);
}
