/* `stasis checkpoint`: a running container into an image. The sandbox stays paused until the image
 * has its name, so a failure anywhere leaves it running and no image. */
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/imagedir.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <string.h>

/* The image is safe: the container that it was taken of ends. */
static int end(const struct container *c, int fd, struct error *err)
{
	Control__Request req = CONTROL__REQUEST__INIT;
	Control__CommitRequest commit = CONTROL__COMMIT_REQUEST__INIT;
	Control__Reply *reply;
	int r;

	commit.end = true;
	req.op_case = CONTROL__REQUEST__OP_COMMIT;
	req.commit = &commit;
	r = client_call(fd, &req, NULL, 0, CLIENT_TIMEOUT_MS, &reply);
	/* It may be gone faster than its reply. */
	if (r == -EPIPE)
		return 0;
	if (r < 0)
		return error_set(err,
		                 "checkpoint container %s: the image is there, but the "
		                 "container does not end: %s",
		                 c->id, strerror(-r));
	r = client_check(c, "checkpoint", reply, err);
	control__reply__free_unpacked(reply, NULL);
	return r;
}

static int checkpoint(const struct container *c, const char *image, bool leave_running, bool lz4,
                      struct error *err)
{
	Control__Request req = CONTROL__REQUEST__INIT;
	Control__CheckpointRequest ck = CONTROL__CHECKPOINT_REQUEST__INIT;
	AUTO_CLOSE int fd = -1;
	Control__Reply *reply;
	struct imagedir d;
	int r;

	r = container_connect(c, &fd, err);
	if (r == -ECONNREFUSED)
		return error_set(err, "checkpoint container %s: it is not running", c->id);
	if (r < 0 || imagedir_begin(image, &d, err) < 0)
		return -1;
	ck.leave_running = leave_running;
	ck.lz4 = lz4;
	req.op_case = CONTROL__REQUEST__OP_CHECKPOINT;
	req.checkpoint = &ck;
	r = client_call(fd, &req, d.fds, IMAGE_FILES, -1, &reply);
	if (r < 0) {
		imagedir_abort(&d);
		return error_set(err, "checkpoint container %s: %s", c->id,
		                 r == -EPIPE ? "it has ended" : strerror(-r));
	}
	r = client_check(c, "checkpoint", reply, err);
	control__reply__free_unpacked(reply, NULL);
	if (r < 0) {
		imagedir_abort(&d);
		return r;
	}
	if (imagedir_publish(&d, err) < 0)
		return -1;
	return leave_running ? 0 : end(c, fd, err);
}

int cmd_checkpoint(const struct globals *g, int argc, const char **argv, struct error *err)
{
	const char *image = NULL, *compression = "none", **args;
	int leave_running = 0;
	const struct poptOption table[] = {{"image-path", 0, POPT_ARG_STRING, &image, 0,
	                                    "directory to make; must not exist, or be empty",
	                                    "IMG"},
	                                   {"leave-running", 0, POPT_ARG_NONE, &leave_running, 0,
	                                    "the container goes on instead of ending", NULL},
	                                   {"compression", 0, POPT_ARG_STRING, &compression, 0,
	                                    "how memory is stored (default none)", "none|lz4"},
	                                   OPTIONS_END};
	struct container c;
	bool lz4;
	int n, r;

	if (parse_options(table, "[FLAG...] ID", 1, 1, argc, argv, &args, &n, err) < 0)
		return -1;
	if (!image)
		return error_usage(err, "checkpoint: --image-path is missing");
	lz4 = strcmp(compression, "lz4") == 0;
	if (!lz4 && strcmp(compression, "none") != 0)
		return error_usage(err, "checkpoint: --compression %s: none or lz4", compression);
	if (container_open(g, args[0], &c, err) < 0)
		return -1;
	r = checkpoint(&c, image, leave_running, lz4, err);
	if (r == 0 && !leave_running)
		client_await_stop(&c);
	container_finish(&c);
	return r;
}
