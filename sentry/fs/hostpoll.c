#define LOG_SUBSYSTEM "hostpoll"
#include "sentry/fs/hostpoll.h"

#include "state/base/bug.h"
#include "state/base/cleanup.h"
#include "state/base/log.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define EVENTS_MAX 32
#define STOP_DATA  UINT64_MAX

struct watch {
	struct waitq *q; /* NULL: free */
	int fd;
	u32 round; /* so that an event for who had this place before is known */
};

struct hostpoll {
	int epfd, stopfd;
	pthread_t thread;
	struct mutex lock;
	struct watch *watches GUARDED_BY(lock);
	u32 n GUARDED_BY(lock);
};

static void deliver(struct hostpoll *hp, const struct epoll_event *ev)
{
	u32 i = (u32)ev->data.u64;
	u32 events = ev->events;

	/* A descriptor that failed may be read from and written to: the call says how. */
	if (events & (EPOLLERR | EPOLLHUP))
		events |= EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM;
	if (events & EPOLLIN)
		events |= EPOLLRDNORM;
	if (events & EPOLLOUT)
		events |= EPOLLWRNORM;
	GUARD(&hp->lock);
	if (i < hp->n && hp->watches[i].q && hp->watches[i].round == ev->data.u64 >> 32)
		waitq_wake(hp->watches[i].q, events);
}

static void *hostpoll_main(void *arg)
{
	struct hostpoll *hp = arg;
	struct epoll_event ev[EVENTS_MAX];

	for (;;) {
		int n = epoll_wait(hp->epfd, ev, EVENTS_MAX, -1);

		if (n < 0 && errno != EINTR) {
			log_err("epoll_wait: %s", strerror(errno));
			return NULL;
		}
		for (int i = 0; i < n; i++) {
			if (ev[i].data.u64 == STOP_DATA)
				return NULL;
			deliver(hp, &ev[i]);
		}
	}
}

int hostpoll_create(struct hostpoll **ret)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = STOP_DATA};
	AUTO_CLOSE int epfd = epoll_create1(EPOLL_CLOEXEC);
	AUTO_CLOSE int stopfd = eventfd(0, EFD_CLOEXEC);
	struct hostpoll *hp;
	sigset_t all, old;
	int r;

	if (epfd < 0 || stopfd < 0 || epoll_ctl(epfd, EPOLL_CTL_ADD, stopfd, &ev) < 0)
		return -errno;
	hp = calloc(1, sizeof(*hp));
	if (!hp)
		return -ENOMEM;
	mutex_init(&hp->lock, RANK_HOSTPOLL);
	hp->epfd = epfd;
	hp->stopfd = stopfd;
	/* Signals to the process are for others. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&hp->thread, NULL, hostpoll_main, hp);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r != 0) {
		free(hp);
		return -r;
	}
	TAKE_FD(epfd);
	TAKE_FD(stopfd);
	*ret = hp;
	return 0;
}

void hostpoll_destroy(struct hostpoll *hp)
{
	if (!hp)
		return;
	BUG_ON(eventfd_write(hp->stopfd, 1) < 0);
	pthread_join(hp->thread, NULL);
	close(hp->epfd);
	close(hp->stopfd);
	free(hp->watches);
	free(hp);
}

static u32 free_place(struct hostpoll *hp)
{
	u32 i;

	for (i = 0; i < hp->n; i++)
		if (!hp->watches[i].q)
			return i;
	hp->watches = realloc(hp->watches, (hp->n + 1) * sizeof(*hp->watches));
	BUG_ON(!hp->watches);
	memset(&hp->watches[hp->n], 0, sizeof(*hp->watches));
	return hp->n++;
}

int hostpoll_watch(struct hostpoll *hp, int fd, struct waitq *q)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET};
	struct watch *w;
	u32 i;

	GUARD(&hp->lock);
	i = free_place(hp);
	w = &hp->watches[i];
	w->round++;
	ev.data.u64 = (u64)w->round << 32 | i;
	if (epoll_ctl(hp->epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	w->fd = fd;
	w->q = q;
	return (int)i;
}

void hostpoll_unwatch(struct hostpoll *hp, int watch)
{
	if (!hp || watch < 0)
		return;
	GUARD(&hp->lock);
	BUG_ON((u32)watch >= hp->n || !hp->watches[watch].q);
	epoll_ctl(hp->epfd, EPOLL_CTL_DEL, hp->watches[watch].fd, NULL);
	hp->watches[watch].q = NULL;
}
