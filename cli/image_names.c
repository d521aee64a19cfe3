/* Names of open files in an image: paths through dentries and mounts, or what kind of file it is.
 */
#include "cli/image_model.h"
#include "proto/net.pb-c.h"
#include "state/base/cleanup.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 256 /* of paths; records may form any graph */

/* Puts "/name" in front of *path (malloc'd). */
static int prepend(char **path, const char *name)
{
	AUTO_FREE char *old = *path;
	AUTO_FREE char *clean = image_printable(name, strlen(name));

	*path = NULL;
	if (!clean || asprintf(path, "/%s%s", clean, old ? old : "") < 0) {
		*path = NULL;
		return -1;
	}
	return 0;
}

char *image_path_name(const struct image_model *m, const Sentry__Path *path)
{
	const Sentry__Mount *mnt;
	const Sentry__Dentry *d;
	char *out = NULL;
	bool gone = false;
	unsigned depth;
	u64 id;

	if (!path)
		return NULL;
	id = path->dentry;
	mnt = image_find(m, path->mount, &sentry__mount__descriptor);
	for (depth = 0; depth < MAX_DEPTH; depth++) {
		if (mnt && id == mnt->root) {
			id = mnt->mountpoint;
			mnt = image_find(m, mnt->parent, &sentry__mount__descriptor);
			if (!mnt)
				break;
			continue;
		}
		d = image_find(m, id, &sentry__dentry__descriptor);
		if (!d || !d->parent || d->parent == id)
			break;
		gone = gone || d->unlinked;
		if (prepend(&out, d->name) < 0)
			return NULL;
		id = d->parent;
	}
	if (!out)
		out = strdup("/");
	if (out && gone) {
		AUTO_FREE char *old = out;

		if (asprintf(&out, "%s (deleted)", old) < 0)
			out = NULL;
	}
	return out;
}

/* "PipeFile" of "sentry.PipeFile" as "pipe". */
static void kind_name(const char *message, char *buf, size_t size)
{
	const char *dot = strrchr(message, '.');
	size_t n, i;

	snprintf(buf, size, "%s", dot ? dot + 1 : message);
	n = strlen(buf);
	if (n > 4 && strcmp(buf + n - 4, "File") == 0)
		buf[n - 4] = '\0';
	for (i = 0; buf[i]; i++)
		buf[i] = (char)tolower((unsigned char)buf[i]);
}

char *image_file_name(const struct image_model *m, u64 file_id)
{
	const struct inspect_record *rec = inspect_find(m->k, file_id);
	const Sentry__File *f;
	const Sentry__SocketFile *socket;
	const Sentry__Inode *inode;
	AUTO_FREE char *what = NULL;
	char kind[64];
	char *out;

	if (!rec || !rec->msg)
		return strdup("?");
	f = image_base(rec->msg, &sentry__file__descriptor);
	if (f && f->path && f->path->dentry && f->path->mount)
		return image_path_name(m, f->path);
	kind_name(rec->name, kind, sizeof(kind));
	socket = image_base(rec->msg, &sentry__socket_file__descriptor);
	rec = f ? inspect_find(m->k, f->inode) : NULL;
	inode = rec && rec->msg ? image_base(rec->msg, &sentry__inode__descriptor) : NULL;
	/* One of stdin, stdout, stderr of the command that started the sandbox. */
	if (strcmp(kind, "hostfd") == 0)
		return strdup("passed through from the host");
	if (socket)
		what = image_socket_name(m, socket->sock);
	if (asprintf(&out, "%s:[%llu]%s%s", kind, inode ? (unsigned long long)inode->ino : 0ull,
	             what ? "  " : "", what ? what : "") < 0)
		return NULL;
	return out;
}
