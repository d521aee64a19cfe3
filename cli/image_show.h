#pragma once
/*
 * Prints what a model of an image holds.
 *
 * Locking: none. Lifetime: nothing is kept. Saved: no.
 */
#include "cli/image_model.h"

/* A summary and the table of processes; fds are the image's files. */
int image_show(const struct image_model *m, const int fds[IMAGE_FILES]);
/* The tree of processes with their files, and the mounts. */
int image_tree(const struct image_model *m);
/* Its last part: sockets, terminals, how many of every kind. */
void image_show_objects(const struct image_model *m);
