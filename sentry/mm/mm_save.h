#pragma once
/*
 * How an address space is saved: its mappings, and the pages that are its alone by image page
 * number. See proto/mm.proto.
 *
 * Locking: everything is parked. Lifetime: no state. Saved: it is the save.
 */
#include "proto/mm.pb-c.h"
#include "sentry/mm/pageload.h"
#include "sentry/mm/pma.h"

struct loader;
struct mm;
struct sampler;
struct saver;

int mm_save_vmas(struct saver *s, const struct mm *o, Sentry__Mm *m);
int mm_load_vmas(struct loader *l, struct mm *o, const Sentry__Mm *m);
void mm_sample_vmas(struct sampler *sp, struct mm *o);
int mm_save_pmas(struct saver *s, const struct mm *o, Sentry__Mm *m);
int mm_load_pmas(struct loader *l, struct mm *o, const Sentry__Mm *m);
void mm_sample_pmas(struct sampler *sp, struct mm *o);
void mm_sample(struct sampler *sp, void *o);
/* What the fields alone could not check. -EBADMSG (noted). */
MUST_CHECK int mm_check_loaded(struct loader *l, struct mm *mm, const struct kernel_load *kl);

/* Runs of pages (all, or only the owned ones) as messages, for the page sources they lie in. */
MUST_CHECK int pma_save(struct saver *s, const struct pma_tree *t, bool owned_only, size_t *ret_n,
                        Sentry__PageRun ***ret_runs);
/* And back, below limit; owned, to be copied before a write. -EBADMSG (noted). */
MUST_CHECK int pma_load(struct loader *l, struct pma_tree *t, size_t n,
                        Sentry__PageRun *const *runs, u64 limit, bool owned);
