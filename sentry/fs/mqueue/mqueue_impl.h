#pragma once
/* What the parts of the mqueue file system share. Locking, lifetime, saved: see mqueue.h. */
#include "sentry/fs/mqueue/mqueue.h"

struct mq_super {
	struct tmpfs_super ts;
	_Atomic u64 heap; /* what the messages take; counted again by the queues */
};
OBJECT_DECL(mq_super);

extern const struct inode_ops mq_inode_ops;
/* A nameless queue. attr NULL: the defaults. -EINVAL, -ENOSPC, -EMFILE. */
MUST_CHECK int mq_inode_new(struct super_block *sb, struct ctx *c, u32 mode,
                            const struct mq_attr *attr, struct inode **ret);
