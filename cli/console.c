#include "cli/console.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void modes_save(struct saved_modes *m)
{
	m->valid = tcgetattr(STDIN_FILENO, &m->modes) == 0;
}

void modes_restore(const struct saved_modes *m)
{
	if (!m->valid)
		return;
	/* Also from the background. */
	signal(SIGTTOU, SIG_IGN);
	(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &m->modes);
}

static int send_fd(int sock, int fd, const char *name)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec iov = {(void *)(uintptr_t)name, strlen(name)};
	struct msghdr m = {.msg_iov = &iov,
	                   .msg_iovlen = 1,
	                   .msg_control = control.buf,
	                   .msg_controllen = sizeof(control.buf)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	return sendmsg(sock, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int console_socket_send(const char *path, int *ret_slave, struct error *err)
{
	AUTO_CLOSE int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	AUTO_CLOSE int master = -1;
	AUTO_CLOSE int slave = -1;
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char name[64];
	int r;

	if (strlen(path) >= sizeof(a.sun_path))
		return error_set(err, "console socket %s: the name is too long", path);
	strcpy(a.sun_path, path);
	if (sock < 0 || connect(sock, (const struct sockaddr *)&a, sizeof(a)) < 0)
		return error_set(err, "cannot connect to the console socket %s: %s", path,
		                 strerror(errno));
	master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 ||
	    ptsname_r(master, name, sizeof(name)) != 0)
		return error_set(err, "cannot make a terminal: %s", strerror(errno));
	slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (slave < 0)
		return error_set(err, "cannot open the terminal %s: %s", name, strerror(errno));
	r = send_fd(sock, master, name);
	if (r < 0)
		return error_set(err, "cannot send the terminal to %s: %s", path, strerror(-r));
	*ret_slave = TAKE_FD(slave);
	return 0;
}
