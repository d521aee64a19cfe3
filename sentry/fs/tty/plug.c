/* The host's side of consoles: descriptors, and a thread each that moves bytes. */
#define LOG_SUBSYSTEM "console"
#include "sentry/fs/tty/console_impl.h"

#include "state/base/bug.h"
#include "state/base/cleanup.h"
#include "state/base/later.h"
#include "state/base/log.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CHUNK        2048u
#define SIZE_LOOK_MS 250
#define DRAIN_MAX_NS (3 * NSEC_PER_SEC)

struct plug {
	TAILQ_ENTRY(plug) link;
	struct consoles *cs;
	u64 slot;
	int in, out; /* owned; -1: gone */
	int wake_fd; /* owned: the pty or somebody here wants the thread to look */
	bool watch_size;
	bool in_ended; /* no more input, which is no hangup of its own: a file, a pipe */
	/* while it serves a pty */
	struct pty *pty; /* NULL: none */
	struct waiter waiter;
	pthread_t thread;
	bool stop;
	bool idle; /* all that was written has been shown */
};

struct consoles {
	struct mutex lock; /* RANK_CONSOLE */
	pthread_cond_t changed;
	unsigned paused;
	TAILQ_HEAD(, plug) plugs GUARDED_BY(lock);
};

int consoles_create(struct consoles **ret)
{
	struct consoles *cs = calloc(1, sizeof(*cs));
	pthread_condattr_t attr;

	if (!cs)
		return -ENOMEM;
	mutex_init(&cs->lock, RANK_CONSOLE);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&cs->changed, &attr);
	pthread_condattr_destroy(&attr);
	TAILQ_INIT(&cs->plugs);
	*ret = cs;
	return 0;
}

void consoles_pause(struct consoles *cs)
{
	if (!cs)
		return;
	GUARD(&cs->lock);
	cs->paused++;
}

void consoles_resume(struct consoles *cs)
{
	if (!cs)
		return;
	GUARD(&cs->lock);
	BUG_ON(cs->paused == 0);
	cs->paused--;
	pthread_cond_broadcast(&cs->changed);
}

static void poke(const struct plug *pl)
{
	u64 one = 1;

	/* Full is as good as written. */
	(void)!write(pl->wake_fd, &one, sizeof(one));
}

static bool pty_changed(struct waiter *w, u32 events)
{
	poke(container_of(w, struct plug, waiter));
	return true;
}

/* ---- moving ---- */

/* Output. False: the host side is gone. *want: poll events. */
static bool show(struct plug *pl, short *want)
{
	u8 buf[CHUNK];
	bool idle;
	u32 n;

	pl->idle = false;
	while ((n = pty_look(pl->pty, buf, sizeof(buf), &idle)) > 0) {
		ssize_t r = write(pl->out, buf, n);

		if (r < 0 && errno == EAGAIN) {
			*want |= POLLOUT;
			return true;
		}
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return false;
		pty_shown(pl->pty, (u32)r);
	}
	pl->idle = true;
	pthread_cond_broadcast(&pl->cs->changed);
	return true;
}

/* Input, as far as there is room. False: the host side is gone. */
static bool type(struct plug *pl, short *want)
{
	struct pollfd p = {.fd = pl->in, .events = POLLIN};
	u8 buf[CHUNK];
	ssize_t n;

	while (!pl->in_ended && pty_room(pl->pty) >= sizeof(buf)) {
		*want |= POLLIN;
		if (poll(&p, 1, 0) <= 0)
			return true;
		n = read(pl->in, buf, sizeof(buf));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (n <= 0) {
			*want &= (short)~POLLIN;
			pl->in_ended = true;
			/* A terminal that ends is one that is gone; a pipe is at its end. */
			return !(n < 0 && errno == EIO) && !isatty(pl->in);
		}
		pty_feed(pl->pty, buf, (u32)n);
	}
	return true;
}

/* lock held. */
static void take_size(struct plug *pl)
{
	struct ttysize s;

	if (pl->pty && pl->in >= 0 && ioctl(pl->in, TIOCGWINSZ, &s) == 0)
		terminal_resize(&pl->pty->term, pl->pty->kernel, &s);
}

/* lock held. The host side is gone. */
static void lose(struct plug *pl)
{
	if (pl->in >= 0)
		close(pl->in);
	if (pl->out >= 0)
		close(pl->out);
	pl->in = pl->out = -1;
	pl->idle = true;
	pthread_cond_broadcast(&pl->cs->changed);
	if (pl->pty) {
		pty_set_vacant(pl->pty, true);
		pty_hangup(pl->pty);
	}
}

static void make_raw(int fd)
{
	/* The kernel's structure, which TCGETS fills. */
	struct ttymodes t = {0};

	if (ioctl(fd, TCGETS, &t) < 0)
		return;
	t.iflag &= ~(u32)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
	t.oflag &= ~(u32)OPOST;
	t.lflag &= ~(u32)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
	t.cflag = (t.cflag & ~(u32)(CSIZE | PARENB)) | CS8;
	t.cc[VMIN] = 1;
	t.cc[VTIME] = 0;
	if (ioctl(fd, TCSETS, &t) < 0)
		log_warn("cannot switch a terminal to raw mode: %s", strerror(errno));
}

static void *plug_thread(void *arg)
{
	struct plug *pl = arg;
	struct consoles *cs = pl->cs;
	bool first = true;

	mutex_lock(&cs->lock);
	for (;;) {
		struct pollfd p[3] = {
			{.fd = pl->wake_fd, .events = POLLIN}, {.fd = -1}, {.fd = -1}};
		short in = 0, out = 0;
		u64 woken;
		int timeout;

		while (cs->paused && !pl->stop)
			pthread_cond_wait(&cs->changed, &cs->lock.m);
		if (pl->stop)
			break;
		if (first)
			make_raw(pl->in);
		if (first || pl->watch_size)
			take_size(pl);
		first = false;
		if (pl->in >= 0 && (!show(pl, &out) || !type(pl, &in)))
			lose(pl);
		if (in)
			p[1] = (struct pollfd){.fd = pl->in, .events = in};
		if (out)
			p[2] = (struct pollfd){.fd = pl->out, .events = out};
		timeout = pl->watch_size && pl->in >= 0 ? SIZE_LOOK_MS : -1;
		/* Under the lock: not while consoles are paused. */
		later_run();
		mutex_unlock(&cs->lock);
		if (poll(p, ARRAY_SIZE(p), timeout) < 0 && errno != EINTR)
			log_err("poll: %s", strerror(errno));
		if (p[0].revents)
			(void)!read(pl->wake_fd, &woken, sizeof(woken));
		mutex_lock(&cs->lock);
	}
	mutex_unlock(&cs->lock);
	return NULL;
}

/* ---- plugs ---- */

static struct plug *find(struct consoles *cs, u64 slot)
{
	struct plug *pl;

	TAILQ_FOREACH (pl, &cs->plugs, link) {
		if (pl->slot == slot)
			return pl;
	}
	return NULL;
}

int console_plug(struct consoles *cs, u64 slot, int in, int out, bool watch_size)
{
	struct plug *pl = calloc(1, sizeof(*pl));

	if (!pl)
		return -ENOMEM;
	pl->cs = cs;
	pl->slot = slot;
	pl->watch_size = watch_size;
	pl->waiter.wake = pty_changed;
	pl->in = fcntl(in, F_DUPFD_CLOEXEC, 3);
	pl->out = fcntl(out, F_DUPFD_CLOEXEC, 3);
	pl->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pl->in < 0 || pl->out < 0 || pl->wake_fd < 0) {
		int r = -errno;

		close(pl->in);
		close(pl->out);
		close(pl->wake_fd);
		free(pl);
		return r;
	}
	GUARD(&cs->lock);
	TAILQ_INSERT_TAIL(&cs->plugs, pl, link);
	return 0;
}

bool plug_attach(struct consoles *cs, u64 slot, struct pty *p)
{
	struct plug *pl;
	sigset_t all, old;
	int r;

	GUARD(&cs->lock);
	pl = find(cs, slot);
	if (!pl || pl->pty || pl->in < 0)
		return false;
	pl->pty = p;
	pl->stop = pl->idle = false;
	/* Signals to the process are for others. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&pl->thread, NULL, plug_thread, pl);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r != 0) {
		pl->pty = NULL;
		log_err("cannot start a console's thread: %s", strerror(r));
		return false;
	}
	waitq_add(&p->master_wait, &pl->waiter);
	return true;
}

/* lock held; it serves none and has no descriptors any more. */
static void plug_free(struct plug *pl)
{
	TAILQ_REMOVE(&pl->cs->plugs, pl, link);
	close(pl->wake_fd);
	free(pl);
}

void plug_detach(struct consoles *cs, u64 slot)
{
	struct plug *pl;
	pthread_t thread;

	mutex_lock(&cs->lock);
	pl = find(cs, slot);
	if (!pl || !pl->pty) {
		mutex_unlock(&cs->lock);
		return;
	}
	waitq_remove(&pl->waiter);
	pl->stop = true;
	thread = pl->thread;
	pthread_cond_broadcast(&cs->changed);
	poke(pl);
	mutex_unlock(&cs->lock);
	pthread_join(thread, NULL);
	mutex_lock(&cs->lock);
	pl->pty = NULL;
	if (pl->in < 0)
		plug_free(pl);
	mutex_unlock(&cs->lock);
}

void console_unplug(struct consoles *cs, u64 slot)
{
	struct plug *pl;

	GUARD(&cs->lock);
	/* A save reads the pty. */
	while (cs->paused)
		pthread_cond_wait(&cs->changed, &cs->lock.m);
	pl = find(cs, slot);
	if (!pl)
		return;
	lose(pl);
	if (!pl->pty)
		plug_free(pl);
}

void console_drain(struct consoles *cs, u64 slot)
{
	struct timespec ts;
	struct plug *pl;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts = ns_timespec(timespec_ns(&ts) + DRAIN_MAX_NS);
	mutex_lock(&cs->lock);
	pl = find(cs, slot);
	if (pl && pl->pty && pl->in >= 0) {
		pl->idle = false;
		poke(pl);
		while (!pl->idle && !pl->stop)
			if (pthread_cond_timedwait(&cs->changed, &cs->lock.m, &ts) != 0)
				break;
	}
	mutex_unlock(&cs->lock);
}

bool consoles_look_at_sizes(struct consoles *cs)
{
	struct plug *pl;
	bool any = false;

	GUARD(&cs->lock);
	TAILQ_FOREACH (pl, &cs->plugs, link) {
		if (pl->pty && pl->in >= 0) {
			take_size(pl);
			any = true;
		}
	}
	return any;
}
