/* Calls whose arguments depend on one of them: what a request, an option, a flag makes of the rest.
 */
#include "sentry/syscall/strace_impl.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/fs.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static const struct variant {
	u16 nr;
	u8 arg; /* whose value it is that decides */
	u32 value;
	const char *spec;
} variants[] = {
	{SYS_fcntl, 1, F_DUPFD, "f =fcntl d"},
	{SYS_fcntl, 1, F_DUPFD_CLOEXEC, "f =fcntl d"},
	{SYS_fcntl, 1, F_GETFD, "#fdflags: f =fcntl"},
	{SYS_fcntl, 1, F_SETFD, "f =fcntl #fdflags"},
	{SYS_fcntl, 1, F_GETFL, "#open: f =fcntl"},
	{SYS_fcntl, 1, F_SETFL, "f =fcntl #open"},
	{SYS_fcntl, 1, F_GETLK, "f =fcntl *flock_found"},
	{SYS_fcntl, 1, F_SETLK, "f =fcntl &flock"},
	{SYS_fcntl, 1, F_SETLKW, "f =fcntl &flock"},
	{SYS_fcntl, 1, F_OFD_GETLK, "f =fcntl *flock_found"},
	{SYS_fcntl, 1, F_OFD_SETLK, "f =fcntl &flock"},
	{SYS_fcntl, 1, F_OFD_SETLKW, "f =fcntl &flock"},
	{SYS_fcntl, 1, F_GETOWN, "f =fcntl"},
	{SYS_fcntl, 1, F_SETOWN, "f =fcntl d"},
	{SYS_fcntl, 1, F_GETOWN_EX, "f =fcntl *owner"},
	{SYS_fcntl, 1, F_SETOWN_EX, "f =fcntl &owner"},
	{SYS_fcntl, 1, F_GETSIG, "=signal: f =fcntl"},
	{SYS_fcntl, 1, F_SETSIG, "f =fcntl =signal"},
	{SYS_fcntl, 1, F_GETLEASE, "#lock: f =fcntl"},
	{SYS_fcntl, 1, F_SETLEASE, "f =fcntl =lock"},
	{SYS_fcntl, 1, F_NOTIFY, "f =fcntl #notify"},
	{SYS_fcntl, 1, F_GETPIPE_SZ, "f =fcntl"},
	{SYS_fcntl, 1, F_SETPIPE_SZ, "f =fcntl d"},
	{SYS_fcntl, 1, F_GET_SEALS, "#seals: f =fcntl"},
	{SYS_fcntl, 1, F_ADD_SEALS, "f =fcntl #seals"},

	{SYS_ioctl, 1, TCGETS, "f K *termios"},
	{SYS_ioctl, 1, TCSETS, "f K &termios"},
	{SYS_ioctl, 1, TCSETSW, "f K &termios"},
	{SYS_ioctl, 1, TCSETSF, "f K &termios"},
	{SYS_ioctl, 1, TCSBRK, "f K d"},
	{SYS_ioctl, 1, TCSBRKP, "f K d"},
	{SYS_ioctl, 1, TCXONC, "f K =tcxonc"},
	{SYS_ioctl, 1, TCFLSH, "f K =tcflsh"},
	{SYS_ioctl, 1, TIOCGWINSZ, "f K *winsize"},
	{SYS_ioctl, 1, TIOCSWINSZ, "f K &winsize"},
	{SYS_ioctl, 1, TIOCGPGRP, "f K *int"},
	{SYS_ioctl, 1, TIOCSPGRP, "f K &int"},
	{SYS_ioctl, 1, TIOCGSID, "f K *int"},
	{SYS_ioctl, 1, TIOCGPTN, "f K *int"},
	{SYS_ioctl, 1, TIOCGPTLCK, "f K *int"},
	{SYS_ioctl, 1, TIOCGPKT, "f K *int"},
	{SYS_ioctl, 1, TIOCGEXCL, "f K *int"},
	{SYS_ioctl, 1, TIOCSPTLCK, "f K &int"},
	{SYS_ioctl, 1, TIOCPKT, "f K &int"},
	{SYS_ioctl, 1, TIOCOUTQ, "f K *int"},
	{SYS_ioctl, 1, TIOCMGET, "f K *int"},
	{SYS_ioctl, 1, TIOCGETD, "f K *int"},
	{SYS_ioctl, 1, TIOCSETD, "f K &int"},
	{SYS_ioctl, 1, TIOCSCTTY, "f K d"},
	{SYS_ioctl, 1, TIOCGPTPEER, "f K #open"},
	{SYS_ioctl, 1, TIOCNOTTY, "f K"},
	{SYS_ioctl, 1, TIOCEXCL, "f K"},
	{SYS_ioctl, 1, TIOCNXCL, "f K"},
	{SYS_ioctl, 1, TIOCVHANGUP, "f K"},
	{SYS_ioctl, 1, TIOCCONS, "f K"},
	{SYS_ioctl, 1, FIONREAD, "f K *int"},
	{SYS_ioctl, 1, FIONBIO, "f K &int"},
	{SYS_ioctl, 1, FIOASYNC, "f K &int"},
	{SYS_ioctl, 1, FIOCLEX, "f K"},
	{SYS_ioctl, 1, FIONCLEX, "f K"},
	{SYS_ioctl, 1, FIGETBSZ, "f K *int"},
	{SYS_ioctl, 1, FICLONE, "f K d"},
	{SYS_ioctl, 1, FICLONERANGE, "f K &clone_range"},
	{SYS_ioctl, 1, SIOCATMARK, "f K *int"},
	{SYS_ioctl, 1, SIOCGPGRP, "f K *int"},
	{SYS_ioctl, 1, SIOCSPGRP, "f K &int"},
	{SYS_ioctl, 1, SIOCGIFCONF, "f K *ifconf"},
	{SYS_ioctl, 1, SIOCGIFNAME, "f K *ifreq"},
	{SYS_ioctl, 1, SIOCGIFFLAGS, "f K *ifreq"},
	{SYS_ioctl, 1, SIOCSIFFLAGS, "f K &ifreq"},
	{SYS_ioctl, 1, SIOCGIFADDR, "f K *ifreq"},
	{SYS_ioctl, 1, SIOCSIFADDR, "f K &ifreq"},
	{SYS_ioctl, 1, SIOCGIFDSTADDR, "f K *ifreq"},
	{SYS_ioctl, 1, SIOCGIFBRDADDR, "f K *ifreq"},
	{SYS_ioctl, 1, SIOCGIFNETMASK, "f K *ifreq"},
	{SYS_ioctl, 1, SIOCSIFNETMASK, "f K &ifreq"},
	{SYS_ioctl, 1, SIOCGIFMETRIC, "f K *ifreq"},
	{SYS_ioctl, 1, SIOCGIFMTU, "f K *ifreq"},
	{SYS_ioctl, 1, SIOCSIFMTU, "f K &ifreq"},
	{SYS_ioctl, 1, SIOCGIFHWADDR, "f K *ifreq"},
	{SYS_ioctl, 1, SIOCGIFINDEX, "f K *ifreq"},
	{SYS_ioctl, 1, SIOCGIFTXQLEN, "f K *ifreq"},

	{SYS_prctl, 0, PR_SET_NAME, "=prctl N"},
	{SYS_prctl, 0, PR_GET_NAME, "=prctl *text"},
	{SYS_prctl, 0, PR_SET_PDEATHSIG, "=prctl =signal"},
	{SYS_prctl, 0, PR_GET_PDEATHSIG, "=prctl *signo"},
	{SYS_prctl, 0, PR_CAPBSET_READ, "=prctl =cap"},
	{SYS_prctl, 0, PR_CAPBSET_DROP, "=prctl =cap"},
	{SYS_prctl, 0, PR_GET_DUMPABLE, "=dumpable: =prctl"},
	{SYS_prctl, 0, PR_SET_DUMPABLE, "=prctl =dumpable"},
	{SYS_prctl, 0, PR_GET_KEEPCAPS, "=prctl"},
	{SYS_prctl, 0, PR_SET_KEEPCAPS, "=prctl u"},
	{SYS_prctl, 0, PR_GET_TIMERSLACK, "=prctl"},
	{SYS_prctl, 0, PR_SET_TIMERSLACK, "=prctl u"},
	{SYS_prctl, 0, PR_GET_SECCOMP, "=seccomp_got: =prctl"},
	{SYS_prctl, 0, PR_GET_SECUREBITS, "=prctl"},
	{SYS_prctl, 0, PR_SET_SECUREBITS, "=prctl x"},
	{SYS_prctl, 0, PR_GET_TIMING, "=prctl"},
	{SYS_prctl, 0, PR_SET_CHILD_SUBREAPER, "=prctl u"},
	{SYS_prctl, 0, PR_GET_CHILD_SUBREAPER, "=prctl *int"},
	{SYS_prctl, 0, PR_GET_TSC, "=prctl *tsc"},
	{SYS_prctl, 0, PR_GET_TID_ADDRESS, "=prctl *address"},
	{SYS_prctl, 0, PR_SET_PTRACER, "=prctl d"},
	{SYS_prctl, 0, PR_SET_MM, "=prctl =set_mm x x x"},
	{SYS_prctl, 0, PR_SET_VMA, "=prctl =set_vma p u S"},
	{SYS_prctl, 0, PR_SET_NO_NEW_PRIVS, "=prctl u x x x"},
	{SYS_prctl, 0, PR_SET_THP_DISABLE, "=prctl u x x x"},

	{SYS_arch_prctl, 0, 0x1001, "=archprctl x"},
	{SYS_arch_prctl, 0, 0x1002, "=archprctl x"},
	{SYS_arch_prctl, 0, 0x1003, "=archprctl *address"},
	{SYS_arch_prctl, 0, 0x1004, "=archprctl *address"},
	{SYS_arch_prctl, 0, 0x1011, "=archprctl"},

	{SYS_seccomp, 0, SECCOMP_SET_MODE_FILTER, "=seccomp #seccomp_flags &fprog"},
	{SYS_seccomp, 0, SECCOMP_GET_ACTION_AVAIL, "=seccomp x &action"},

	{SYS_semctl, 2, IPC_STAT, "d d =semctl *semds"},
	{SYS_semctl, 2, SEM_STAT, "d d =semctl *semds"},
	{SYS_semctl, 2, IPC_SET, "d d =semctl &semds"},
	{SYS_shmctl, 1, IPC_STAT, "d =shmctl *shmds"},
	{SYS_shmctl, 1, SHM_STAT, "d =shmctl *shmds"},
	{SYS_shmctl, 1, IPC_SET, "d =shmctl &shmds"},
	{SYS_shmctl, 1, IPC_INFO, "d =shmctl *shminfo"},
	{SYS_shmctl, 1, SHM_INFO, "d =shmctl *shmused"},
	{SYS_msgctl, 1, IPC_STAT, "d =msgctl *msgds"},
	{SYS_msgctl, 1, MSG_STAT, "d =msgctl *msgds"},
	{SYS_msgctl, 1, IPC_SET, "d =msgctl &msgds"},
	{SYS_msgctl, 1, IPC_INFO, "d =msgctl *msginfo"},
	{SYS_msgctl, 1, MSG_INFO, "d =msgctl *msginfo"},

	{SYS_socket, 0, AF_INET, "=family #socktype =ipproto"},
	{SYS_socket, 0, AF_INET6, "=family #socktype =ipproto"},
	{SYS_socket, 0, AF_NETLINK, "=family #socktype =netlink"},
	{SYS_setsockopt, 1, SOL_SOCKET, "f =sol =so &optval d"},
	{SYS_setsockopt, 1, IPPROTO_IP, "f =sol =ip &optval d"},
	{SYS_setsockopt, 1, IPPROTO_IPV6, "f =sol =ipv6 &optval d"},
	{SYS_setsockopt, 1, IPPROTO_TCP, "f =sol =tcp &optval d"},
	{SYS_setsockopt, 1, IPPROTO_UDP, "f =sol =udp &optval d"},
	{SYS_setsockopt, 1, SOL_RAW, "f =sol =rawopt &optval d"},
	{SYS_setsockopt, 1, SOL_NETLINK, "f =sol =nlopt &optval d"},
	{SYS_getsockopt, 1, SOL_SOCKET, "f =sol =so_got *optval L"},
	{SYS_getsockopt, 1, IPPROTO_IP, "f =sol =ip *optval L"},
	{SYS_getsockopt, 1, IPPROTO_IPV6, "f =sol =ipv6 *optval L"},
	{SYS_getsockopt, 1, IPPROTO_TCP, "f =sol =tcp *optval L"},
	{SYS_getsockopt, 1, IPPROTO_UDP, "f =sol =udp *optval L"},
	{SYS_getsockopt, 1, SOL_RAW, "f =sol =rawopt *optval L"},
	{SYS_getsockopt, 1, SOL_NETLINK, "f =sol =nlopt *optval L"},

	{SYS_personality, 0, 0xffffffff, "#personality: X"},
	{SYS_membarrier, 0, 0, "#membarrier: =membarrier #membarrier_flags"},
	{SYS_reboot, 2, 0xa1b2c3d4, "=reboot_magic1 =reboot_magic2 =reboot S"},
	{SYS_epoll_ctl, 1, 2, "f =epollop f p"}, /* EPOLL_CTL_DEL */
	{SYS_kcmp, 2, 0, "d d =kcmp d d"},       /* KCMP_FILE */
	{SYS_syslog, 0, 2, "Y r2 d"},
	{SYS_syslog, 0, 3, "Y r2 d"},
	{SYS_syslog, 0, 4, "Y r2 d"},
	{SYS_syslog, 0, 8, "Y p d"},
};

/* A futex call's arguments, by operation. */
static const char *const futexes[] = {
	[FUTEX_WAIT] = "p F U &timespec",
	[FUTEX_WAKE] = "p F U",
	[FUTEX_FD] = "p F U",
	[FUTEX_REQUEUE] = "p F U U p",
	[FUTEX_CMP_REQUEUE] = "p F U U p U",
	[FUTEX_WAKE_OP] = "p F U U p W",
	[FUTEX_LOCK_PI] = "p F - &timespec",
	[FUTEX_UNLOCK_PI] = "p F",
	[FUTEX_TRYLOCK_PI] = "p F",
	[FUTEX_WAIT_BITSET] = "p F U &timespec - =futex_bitset",
	[FUTEX_WAKE_BITSET] = "p F U - - =futex_bitset",
	[FUTEX_WAIT_REQUEUE_PI] = "p F U &timespec p",
	[FUTEX_CMP_REQUEUE_PI] = "p F U U p U",
	[13 /* FUTEX_LOCK_PI2 */] = "p F - &timespec",
};

/* clone has its arguments in an order of its own, and those alone that its flags speak of. */
#define CLONE_SPEC(parent, tls, child) "child_stack@1:p flags@0:C" parent tls child
#define PARENT                         " parent_tid@2:*int"
#define TLS                            " tls@4:p"
#define CHILD                          " child_tidptr@3:p"
static const char *clone_spec(u64 flags)
{
	static const char *const specs[] = {
		CLONE_SPEC("", "", ""),      CLONE_SPEC("", "", CHILD),
		CLONE_SPEC("", TLS, ""),     CLONE_SPEC("", TLS, CHILD),
		CLONE_SPEC(PARENT, "", ""),  CLONE_SPEC(PARENT, "", CHILD),
		CLONE_SPEC(PARENT, TLS, ""), CLONE_SPEC(PARENT, TLS, CHILD),
	};

	return specs[(flags & (CLONE_PARENT_SETTID | CLONE_PIDFD) ? 4 : 0) +
	             (flags & CLONE_SETTLS ? 2 : 0) +
	             (flags & (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID) ? 1 : 0)];
}

static bool creates(u64 flags)
{
	return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
}

static bool device(u64 mode)
{
	return S_ISCHR((u32)mode) || S_ISBLK((u32)mode);
}

const char *strace_variant(u64 nr, const struct sysargs *args)
{
	const u64 *a = args->a;
	u64 op;

	switch (nr) {
	case SYS_open:
		return creates(a[1]) ? NULL : "s #open";
	case SYS_openat:
		return creates(a[2]) ? NULL : "D s #open";
	case SYS_mq_open:
		return creates(a[1]) ? NULL : "S #open";
	case SYS_mknod:
		return device(a[1]) ? "s M V" : NULL;
	case SYS_mknodat:
		return device(a[2]) ? "D s M V" : NULL;
	case SYS_mremap:
		return a[3] & (MREMAP_FIXED | MREMAP_DONTUNMAP) ? "X: p u u #mremap p" : NULL;
	case SYS_clone:
		return clone_spec(a[0]);
	case SYS_futex:
		op = (u32)a[1] & ~(u32)(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);
		return op < ARRAY_SIZE(futexes) ? futexes[op] : NULL;
	case SYS_prctl:
		if (a[0] == PR_SET_SECCOMP)
			return a[1] == SECCOMP_MODE_FILTER ? "=prctl =seccomp_mode &fprog"
			                                   : "=prctl =seccomp_mode";
		if (a[0] == PR_CAP_AMBIENT)
			return a[1] == PR_CAP_AMBIENT_CLEAR_ALL ? "=prctl =cap_ambient x x x"
			                                        : "=prctl =cap_ambient =cap x x";
		break;
	}
	for (size_t i = 0; i < ARRAY_SIZE(variants); i++) {
		const struct variant *v = &variants[i];

		if (v->nr == nr && v->value == (u32)a[v->arg])
			return v->spec;
	}
	return NULL;
}
