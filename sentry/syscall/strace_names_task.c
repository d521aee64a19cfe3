/* Names of what tasks are made, limited and controlled with. */
#include "sentry/syscall/strace_names.h"

#include <asm/prctl.h>
#include <linux/futex.h>
#include <linux/kcmp.h>
#include <linux/ioprio.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <linux/capability.h>
#include <sys/reboot.h>
#include <sys/timex.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#endif
#ifndef PR_GET_MDWE
#define PR_GET_MDWE 66
#endif
#ifndef FUTEX_WAIT_REQUEUE_PI
#define FUTEX_WAIT_REQUEUE_PI 11
#endif
#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif

static const struct name clone_names[] = {
	N(CLONE_VM),
	N(CLONE_FS),
	N(CLONE_FILES),
	N(CLONE_SIGHAND),
	N(CLONE_PIDFD),
	N(CLONE_PTRACE),
	N(CLONE_VFORK),
	N(CLONE_PARENT),
	N(CLONE_THREAD),
	N(CLONE_NEWNS),
	N(CLONE_SYSVSEM),
	N(CLONE_SETTLS),
	N(CLONE_PARENT_SETTID),
	N(CLONE_CHILD_CLEARTID),
	N(CLONE_DETACHED),
	N(CLONE_UNTRACED),
	N(CLONE_CHILD_SETTID),
	N(CLONE_NEWCGROUP),
	N(CLONE_NEWUTS),
	N(CLONE_NEWIPC),
	N(CLONE_NEWUSER),
	N(CLONE_NEWPID),
	N(CLONE_NEWNET),
	N(CLONE_IO),
	N(CLONE_CLEAR_SIGHAND),
	N(CLONE_INTO_CGROUP),
};
static const struct name ns_names[] = {
	{0x80, "CLONE_NEWTIME"}, N(CLONE_NEWNS),   N(CLONE_NEWCGROUP), N(CLONE_NEWUTS),
	N(CLONE_NEWIPC),         N(CLONE_NEWUSER), N(CLONE_NEWPID),    N(CLONE_NEWNET),
};
static const struct name unshare_names[] = {
	N(CLONE_VM),      N(CLONE_FS),      N(CLONE_FILES),  N(CLONE_SIGHAND),   N(CLONE_THREAD),
	N(CLONE_SYSVSEM), N(CLONE_NEWTIME), N(CLONE_NEWNS),  N(CLONE_NEWCGROUP), N(CLONE_NEWUTS),
	N(CLONE_NEWIPC),  N(CLONE_NEWUSER), N(CLONE_NEWPID), N(CLONE_NEWNET),
};
static const struct name wait_names[] = {
	N(WNOHANG), N(WSTOPPED),
	N(WEXITED), N(WCONTINUED),
	N(WNOWAIT), {0x80000000, "__WCLONE"},
	N(__WALL),  {0x20000000, "__WNOTHREAD"},
};
static const struct name wait4_names[] = {
	N(WNOHANG), {2, "WSTOPPED"},          N(WEXITED), N(WCONTINUED),
	N(WNOWAIT), {0x80000000, "__WCLONE"}, N(__WALL),  {0x20000000, "__WNOTHREAD"},
};
static const struct name futex_names[] = {
	N(FUTEX_WAIT),
	N(FUTEX_WAKE),
	N(FUTEX_FD),
	N(FUTEX_REQUEUE),
	N(FUTEX_CMP_REQUEUE),
	N(FUTEX_WAKE_OP),
	N(FUTEX_LOCK_PI),
	N(FUTEX_UNLOCK_PI),
	N(FUTEX_TRYLOCK_PI),
	N(FUTEX_WAIT_BITSET),
	N(FUTEX_WAKE_BITSET),
	N(FUTEX_WAIT_REQUEUE_PI),
	N(FUTEX_CMP_REQUEUE_PI),
	N(FUTEX_LOCK_PI2),
	{128, "FUTEX_WAIT_PRIVATE"},
	{129, "FUTEX_WAKE_PRIVATE"},
	{130, "FUTEX_FD_PRIVATE"},
	{131, "FUTEX_REQUEUE_PRIVATE"},
	{132, "FUTEX_CMP_REQUEUE_PRIVATE"},
	{133, "FUTEX_WAKE_OP_PRIVATE"},
	{134, "FUTEX_LOCK_PI_PRIVATE"},
	{135, "FUTEX_UNLOCK_PI_PRIVATE"},
	{136, "FUTEX_TRYLOCK_PI_PRIVATE"},
	{137, "FUTEX_WAIT_BITSET_PRIVATE"},
	{138, "FUTEX_WAKE_BITSET_PRIVATE"},
	{139, "FUTEX_WAIT_REQUEUE_PI_PRIVATE"},
	{140, "FUTEX_CMP_REQUEUE_PI_PRIVATE"},
	{141, "FUTEX_LOCK_PI2_PRIVATE"},
};
static const struct name futex2_names[] = {
	{0, "FUTEX_8"}, {1, "FUTEX_16"}, {2, "FUTEX_32"}, {3, "FUTEX_64"}, N(FUTEX_PRIVATE_FLAG),
};
static const struct name futex_wake_op_names[] = {
	{0, "FUTEX_OP_SET"},  {1, "FUTEX_OP_ADD"}, {2, "FUTEX_OP_OR"},
	{3, "FUTEX_OP_ANDN"}, {4, "FUTEX_OP_XOR"},
};
static const struct name futex_wake_cmp_names[] = {
	{0, "FUTEX_OP_CMP_EQ"}, {1, "FUTEX_OP_CMP_NE"}, {2, "FUTEX_OP_CMP_LT"},
	{3, "FUTEX_OP_CMP_LE"}, {4, "FUTEX_OP_CMP_GT"}, {5, "FUTEX_OP_CMP_GE"},
};
static const struct name futex_bitset_names[] = {
	{0xffffffff, "FUTEX_BITSET_MATCH_ANY"},
};
static const struct name clock_names[] = {
	N(CLOCK_REALTIME),          N(CLOCK_MONOTONIC),      N(CLOCK_PROCESS_CPUTIME_ID),
	N(CLOCK_THREAD_CPUTIME_ID), N(CLOCK_MONOTONIC_RAW),  N(CLOCK_REALTIME_COARSE),
	N(CLOCK_MONOTONIC_COARSE),  N(CLOCK_BOOTTIME),       N(CLOCK_REALTIME_ALARM),
	N(CLOCK_BOOTTIME_ALARM),    {10, "CLOCK_SGI_CYCLE"}, N(CLOCK_TAI),
};
static const struct name timer_names[] = {
	N(TIMER_ABSTIME),
};
static const struct name itimer_names[] = {
	N(ITIMER_REAL),
	N(ITIMER_VIRTUAL),
	N(ITIMER_PROF),
};
static const struct name rlimits_names[] = {
	N(RLIMIT_CPU),      N(RLIMIT_FSIZE), N(RLIMIT_DATA),   N(RLIMIT_STACK),
	N(RLIMIT_CORE),     N(RLIMIT_RSS),   N(RLIMIT_NPROC),  N(RLIMIT_NOFILE),
	N(RLIMIT_MEMLOCK),  N(RLIMIT_AS),    N(RLIMIT_LOCKS),  N(RLIMIT_SIGPENDING),
	N(RLIMIT_MSGQUEUE), N(RLIMIT_NICE),  N(RLIMIT_RTPRIO), N(RLIMIT_RTTIME),
};
static const struct name rusage_names[] = {
	N(RUSAGE_SELF),
	{-1, "RUSAGE_CHILDREN"},
	{4294967295, "RUSAGE_CHILDREN"},
	N(RUSAGE_THREAD),
};
static const struct name priority_names[] = {
	N(PRIO_PROCESS),
	N(PRIO_PGRP),
	N(PRIO_USER),
};
static const struct name sched_names[] = {
	N(SCHED_OTHER),   N(SCHED_FIFO), N(SCHED_RR),       N(SCHED_BATCH),
	{4, "SCHED_ISO"}, N(SCHED_IDLE), N(SCHED_DEADLINE),
};
static const struct name sched_set_names[] = {
	N(SCHED_OTHER),   N(SCHED_FIFO), N(SCHED_RR),       N(SCHED_BATCH),
	{4, "SCHED_ISO"}, N(SCHED_IDLE), N(SCHED_DEADLINE), {0x40000000, "SCHED_RESET_ON_FORK"},
};
static const struct name sched_flags_names[] = {
	{1, "SCHED_FLAG_RESET_ON_FORK"},   {2, "SCHED_FLAG_RECLAIM"},
	{4, "SCHED_FLAG_DL_OVERRUN"},      {8, "SCHED_FLAG_KEEP_POLICY"},
	{16, "SCHED_FLAG_KEEP_PARAMS"},    {32, "SCHED_FLAG_UTIL_CLAMP_MIN"},
	{64, "SCHED_FLAG_UTIL_CLAMP_MAX"},
};
static const struct name ioprio_who_names[] = {
	N(IOPRIO_WHO_PROCESS),
	N(IOPRIO_WHO_PGRP),
	N(IOPRIO_WHO_USER),
};
static const struct name ioprio_class_names[] = {
	N(IOPRIO_CLASS_NONE),
	N(IOPRIO_CLASS_RT),
	N(IOPRIO_CLASS_BE),
	N(IOPRIO_CLASS_IDLE),
};
static const struct name prctl_names[] = {
	N(PR_SET_PDEATHSIG),
	N(PR_GET_PDEATHSIG),
	N(PR_GET_DUMPABLE),
	N(PR_SET_DUMPABLE),
	N(PR_GET_UNALIGN),
	N(PR_SET_UNALIGN),
	N(PR_GET_KEEPCAPS),
	N(PR_SET_KEEPCAPS),
	N(PR_GET_FPEMU),
	N(PR_SET_FPEMU),
	N(PR_GET_FPEXC),
	N(PR_SET_FPEXC),
	N(PR_GET_TIMING),
	N(PR_SET_TIMING),
	N(PR_SET_NAME),
	N(PR_GET_NAME),
	N(PR_GET_ENDIAN),
	N(PR_SET_ENDIAN),
	N(PR_GET_SECCOMP),
	N(PR_SET_SECCOMP),
	N(PR_CAPBSET_READ),
	N(PR_CAPBSET_DROP),
	N(PR_GET_TSC),
	N(PR_SET_TSC),
	N(PR_GET_SECUREBITS),
	N(PR_SET_SECUREBITS),
	N(PR_SET_TIMERSLACK),
	N(PR_GET_TIMERSLACK),
	N(PR_TASK_PERF_EVENTS_DISABLE),
	N(PR_TASK_PERF_EVENTS_ENABLE),
	N(PR_MCE_KILL),
	N(PR_MCE_KILL_GET),
	N(PR_SET_MM),
	N(PR_SET_CHILD_SUBREAPER),
	N(PR_GET_CHILD_SUBREAPER),
	N(PR_SET_NO_NEW_PRIVS),
	N(PR_GET_NO_NEW_PRIVS),
	N(PR_GET_TID_ADDRESS),
	N(PR_SET_THP_DISABLE),
	N(PR_GET_THP_DISABLE),
	N(PR_MPX_ENABLE_MANAGEMENT),
	N(PR_MPX_DISABLE_MANAGEMENT),
	N(PR_SET_FP_MODE),
	N(PR_GET_FP_MODE),
	N(PR_CAP_AMBIENT),
	N(PR_SVE_SET_VL),
	N(PR_SVE_GET_VL),
	N(PR_GET_SPECULATION_CTRL),
	N(PR_SET_SPECULATION_CTRL),
	N(PR_PAC_RESET_KEYS),
	N(PR_SET_TAGGED_ADDR_CTRL),
	N(PR_GET_TAGGED_ADDR_CTRL),
	N(PR_SET_IO_FLUSHER),
	N(PR_GET_IO_FLUSHER),
	N(PR_SET_SYSCALL_USER_DISPATCH),
	N(PR_PAC_SET_ENABLED_KEYS),
	N(PR_PAC_GET_ENABLED_KEYS),
	N(PR_SCHED_CORE),
	N(PR_SME_SET_VL),
	N(PR_SME_GET_VL),
	N(PR_SET_PTRACER),
	N(PR_SET_VMA),
};
static const struct name dumpable_names[] = {
	{0, "SUID_DUMP_DISABLE"},
	{1, "SUID_DUMP_USER"},
	{2, "SUID_DUMP_ROOT"},
};
static const struct name cap_ambient_names[] = {
	N(PR_CAP_AMBIENT_IS_SET),
	N(PR_CAP_AMBIENT_RAISE),
	N(PR_CAP_AMBIENT_LOWER),
	N(PR_CAP_AMBIENT_CLEAR_ALL),
};
static const struct name seccomp_mode_names[] = {
	N(SECCOMP_MODE_DISABLED),
	N(SECCOMP_MODE_STRICT),
	N(SECCOMP_MODE_FILTER),
};
static const struct name seccomp_names[] = {
	N(SECCOMP_SET_MODE_STRICT),
	N(SECCOMP_SET_MODE_FILTER),
	N(SECCOMP_GET_ACTION_AVAIL),
	N(SECCOMP_GET_NOTIF_SIZES),
};
static const struct name seccomp_flags_names[] = {
	N(SECCOMP_FILTER_FLAG_TSYNC),       N(SECCOMP_FILTER_FLAG_LOG),
	N(SECCOMP_FILTER_FLAG_SPEC_ALLOW),  N(SECCOMP_FILTER_FLAG_NEW_LISTENER),
	N(SECCOMP_FILTER_FLAG_TSYNC_ESRCH),
};
static const struct name seccomp_action_names[] = {
	{0x80000000, "SECCOMP_RET_KILL_PROCESS"},
	{0, "SECCOMP_RET_KILL_THREAD"},
	{0x30000, "SECCOMP_RET_TRAP"},
	{0x50000, "SECCOMP_RET_ERRNO"},
	{0x7fc00000, "SECCOMP_RET_USER_NOTIF"},
	{0x7ff00000, "SECCOMP_RET_TRACE"},
	{0x7ffc0000, "SECCOMP_RET_LOG"},
	{0x7fff0000, "SECCOMP_RET_ALLOW"},
};
static const struct name archprctl_names[] = {
	N(ARCH_SET_GS),
	N(ARCH_SET_FS),
	N(ARCH_GET_FS),
	N(ARCH_GET_GS),
	N(ARCH_GET_CPUID),
	N(ARCH_SET_CPUID),
	{0x1021, "ARCH_GET_XCOMP_SUPP"},
	{0x1022, "ARCH_GET_XCOMP_PERM"},
	{0x1023, "ARCH_REQ_XCOMP_PERM"},
	{0x1024, "ARCH_GET_XCOMP_GUEST_PERM"},
	{0x1025, "ARCH_REQ_XCOMP_GUEST_PERM"},
	{0x2001, "ARCH_MAP_VDSO_X32"},
	{0x2002, "ARCH_MAP_VDSO_32"},
	{0x2003, "ARCH_MAP_VDSO_64"},
};
static const struct name idtype_names[] = {
	N(P_ALL),
	N(P_PID),
	N(P_PGID),
	N(P_PIDFD),
};
static const struct name kcmp_names[] = {
	N(KCMP_FILE),    N(KCMP_VM), N(KCMP_FILES),   N(KCMP_FS),
	N(KCMP_SIGHAND), N(KCMP_IO), N(KCMP_SYSVSEM), N(KCMP_EPOLL_TFD),
};
static const struct name random_names[] = {
	N(GRND_NONBLOCK),
	N(GRND_RANDOM),
	N(GRND_INSECURE),
};
static const struct name personality_names[] = {
	{0, "PER_LINUX"},
	{8, "PER_LINUX32"},
	{0x0020000, "UNAME26"},
	{0x0040000, "ADDR_NO_RANDOMIZE"},
	{0x0080000, "FDPIC_FUNCPTRS"},
	{0x0100000, "MMAP_PAGE_ZERO"},
	{0x0200000, "ADDR_COMPAT_LAYOUT"},
	{0x0400000, "READ_IMPLIES_EXEC"},
	{0x0800000, "ADDR_LIMIT_32BIT"},
	{0x1000000, "SHORT_INODE"},
	{0x2000000, "WHOLE_SECONDS"},
	{0x4000000, "STICKY_TIMEOUTS"},
	{0x8000000, "ADDR_LIMIT_3GB"},
};
static const struct name capversion_names[] = {
	{0x19980330, "_LINUX_CAPABILITY_VERSION_1"},
	{0x20071026, "_LINUX_CAPABILITY_VERSION_2"},
	{0x20080522, "_LINUX_CAPABILITY_VERSION_3"},
};
static const struct name cap_names[] = {
	N(CAP_CHOWN),
	N(CAP_DAC_OVERRIDE),
	N(CAP_DAC_READ_SEARCH),
	N(CAP_FOWNER),
	N(CAP_FSETID),
	N(CAP_KILL),
	N(CAP_SETGID),
	N(CAP_SETUID),
	N(CAP_SETPCAP),
	N(CAP_LINUX_IMMUTABLE),
	N(CAP_NET_BIND_SERVICE),
	N(CAP_NET_BROADCAST),
	N(CAP_NET_ADMIN),
	N(CAP_NET_RAW),
	N(CAP_IPC_LOCK),
	N(CAP_IPC_OWNER),
	N(CAP_SYS_MODULE),
	N(CAP_SYS_RAWIO),
	N(CAP_SYS_CHROOT),
	N(CAP_SYS_PTRACE),
	N(CAP_SYS_PACCT),
	N(CAP_SYS_ADMIN),
	N(CAP_SYS_BOOT),
	N(CAP_SYS_NICE),
	N(CAP_SYS_RESOURCE),
	N(CAP_SYS_TIME),
	N(CAP_SYS_TTY_CONFIG),
	N(CAP_MKNOD),
	N(CAP_LEASE),
	N(CAP_AUDIT_WRITE),
	N(CAP_AUDIT_CONTROL),
	N(CAP_SETFCAP),
	N(CAP_MAC_OVERRIDE),
	N(CAP_MAC_ADMIN),
	N(CAP_SYSLOG),
	N(CAP_WAKE_ALARM),
	N(CAP_BLOCK_SUSPEND),
	N(CAP_AUDIT_READ),
	N(CAP_PERFMON),
	N(CAP_BPF),
	N(CAP_CHECKPOINT_RESTORE),
};
static const struct name capbits_names[] = {
	{1ull << 0, "1<<CAP_CHOWN"},
	{1ull << 1, "1<<CAP_DAC_OVERRIDE"},
	{1ull << 2, "1<<CAP_DAC_READ_SEARCH"},
	{1ull << 3, "1<<CAP_FOWNER"},
	{1ull << 4, "1<<CAP_FSETID"},
	{1ull << 5, "1<<CAP_KILL"},
	{1ull << 6, "1<<CAP_SETGID"},
	{1ull << 7, "1<<CAP_SETUID"},
	{1ull << 8, "1<<CAP_SETPCAP"},
	{1ull << 9, "1<<CAP_LINUX_IMMUTABLE"},
	{1ull << 10, "1<<CAP_NET_BIND_SERVICE"},
	{1ull << 11, "1<<CAP_NET_BROADCAST"},
	{1ull << 12, "1<<CAP_NET_ADMIN"},
	{1ull << 13, "1<<CAP_NET_RAW"},
	{1ull << 14, "1<<CAP_IPC_LOCK"},
	{1ull << 15, "1<<CAP_IPC_OWNER"},
	{1ull << 16, "1<<CAP_SYS_MODULE"},
	{1ull << 17, "1<<CAP_SYS_RAWIO"},
	{1ull << 18, "1<<CAP_SYS_CHROOT"},
	{1ull << 19, "1<<CAP_SYS_PTRACE"},
	{1ull << 20, "1<<CAP_SYS_PACCT"},
	{1ull << 21, "1<<CAP_SYS_ADMIN"},
	{1ull << 22, "1<<CAP_SYS_BOOT"},
	{1ull << 23, "1<<CAP_SYS_NICE"},
	{1ull << 24, "1<<CAP_SYS_RESOURCE"},
	{1ull << 25, "1<<CAP_SYS_TIME"},
	{1ull << 26, "1<<CAP_SYS_TTY_CONFIG"},
	{1ull << 27, "1<<CAP_MKNOD"},
	{1ull << 28, "1<<CAP_LEASE"},
	{1ull << 29, "1<<CAP_AUDIT_WRITE"},
	{1ull << 30, "1<<CAP_AUDIT_CONTROL"},
	{1ull << 31, "1<<CAP_SETFCAP"},
	{1ull << 32, "1<<CAP_MAC_OVERRIDE"},
	{1ull << 33, "1<<CAP_MAC_ADMIN"},
	{1ull << 34, "1<<CAP_SYSLOG"},
	{1ull << 35, "1<<CAP_WAKE_ALARM"},
	{1ull << 36, "1<<CAP_BLOCK_SUSPEND"},
	{1ull << 37, "1<<CAP_AUDIT_READ"},
	{1ull << 38, "1<<CAP_PERFMON"},
	{1ull << 39, "1<<CAP_BPF"},
	{1ull << 40, "1<<CAP_CHECKPOINT_RESTORE"},
};
static const struct name timex_names[] = {
	{1, "ADJ_OFFSET"},    {2, "ADJ_FREQUENCY"},     {4, "ADJ_MAXERROR"},
	{8, "ADJ_ESTERROR"},  {0x10, "ADJ_STATUS"},     {0x20, "ADJ_TIMECONST"},
	{0x80, "ADJ_TAI"},    {0x100, "ADJ_SETOFFSET"}, {0x1000, "ADJ_MICRO"},
	{0x2000, "ADJ_NANO"}, {0x4000, "ADJ_TICK"},
};
static const struct name timex_state_names[] = {
	{0, "TIME_OK"},  {1, "TIME_INS"},  {2, "TIME_DEL"},
	{3, "TIME_OOP"}, {4, "TIME_WAIT"}, {5, "TIME_ERROR"},
};
static const struct name timex_status_names[] = {
	{1, "STA_PLL"},           {2, "STA_PPSFREQ"},       {4, "STA_PPSTIME"},
	{8, "STA_FLL"},           {0x10, "STA_INS"},        {0x20, "STA_DEL"},
	{0x40, "STA_UNSYNC"},     {0x80, "STA_FREQHOLD"},   {0x100, "STA_PPSSIGNAL"},
	{0x200, "STA_PPSJITTER"}, {0x400, "STA_PPSWANDER"}, {0x800, "STA_PPSERROR"},
	{0x1000, "STA_CLOCKERR"}, {0x2000, "STA_NANO"},     {0x4000, "STA_MODE"},
	{0x8000, "STA_CLK"},
};
static const struct name syslog_names[] = {
	{0, "SYSLOG_ACTION_CLOSE"},         {1, "SYSLOG_ACTION_OPEN"},
	{2, "SYSLOG_ACTION_READ"},          {3, "SYSLOG_ACTION_READ_ALL"},
	{4, "SYSLOG_ACTION_READ_CLEAR"},    {5, "SYSLOG_ACTION_CLEAR"},
	{6, "SYSLOG_ACTION_CONSOLE_OFF"},   {7, "SYSLOG_ACTION_CONSOLE_ON"},
	{8, "SYSLOG_ACTION_CONSOLE_LEVEL"}, {9, "SYSLOG_ACTION_SIZE_UNREAD"},
	{10, "SYSLOG_ACTION_SIZE_BUFFER"},
};
static const struct name reboot_magic1_names[] = {
	{0xfee1dead, "LINUX_REBOOT_MAGIC1"},
};
static const struct name reboot_magic2_names[] = {
	{672274793, "LINUX_REBOOT_MAGIC2"},
	{85072278, "LINUX_REBOOT_MAGIC2A"},
	{369367448, "LINUX_REBOOT_MAGIC2B"},
	{537993216, "LINUX_REBOOT_MAGIC2C"},
};
static const struct name reboot_names[] = {
	{0, "LINUX_REBOOT_CMD_CAD_OFF"},
	{0x1234567, "LINUX_REBOOT_CMD_RESTART"},
	{0x89abcdef, "LINUX_REBOOT_CMD_CAD_ON"},
	{0xcdef0123, "LINUX_REBOOT_CMD_HALT"},
	{0x4321fedc, "LINUX_REBOOT_CMD_POWER_OFF"},
	{0xa1b2c3d4, "LINUX_REBOOT_CMD_RESTART2"},
};
static const struct name set_mm_names[] = {
	N(PR_SET_MM_START_CODE), N(PR_SET_MM_END_CODE),    N(PR_SET_MM_START_DATA),
	N(PR_SET_MM_END_DATA),   N(PR_SET_MM_START_STACK), N(PR_SET_MM_START_BRK),
	N(PR_SET_MM_BRK),        N(PR_SET_MM_ARG_START),   N(PR_SET_MM_ARG_END),
	N(PR_SET_MM_ENV_START),  N(PR_SET_MM_ENV_END),     N(PR_SET_MM_AUXV),
	N(PR_SET_MM_EXE_FILE),   N(PR_SET_MM_MAP),         N(PR_SET_MM_MAP_SIZE),
};
static const struct name set_vma_names[] = {
	{0, "PR_SET_VMA_ANON_NAME"},
};
static const struct name tsc_names[] = {
	N(PR_TSC_ENABLE),
	N(PR_TSC_SIGSEGV),
};
static const struct name seccomp_got_names[] = {
	{1, "SECCOMP_MODE_STRICT"},
	{2, "SECCOMP_MODE_FILTER"},
};
static const struct name rseq_names[] = {
	{1, "RSEQ_FLAG_UNREGISTER"},
};

const struct name_table strace_names_task[] = {
	NAME_TABLE(clone, "CLONE_???"),
	NAME_TABLE(ns, "CLONE_NEW???"),
	NAME_TABLE(unshare, "CLONE_???"),
	NAME_TABLE(wait, "W???"),
	NAME_TABLE(wait4, "W???"),
	NAME_TABLE(futex, "FUTEX_???"),
	NAME_TABLE_NUMBER(futex2, "FUTEX_???", 7),
	NAME_TABLE(futex_wake_op, "FUTEX_OP_???"),
	NAME_TABLE(futex_wake_cmp, "FUTEX_OP_CMP_???"),
	NAME_TABLE(futex_bitset, NULL),
	NAME_TABLE(clock, "CLOCK_???"),
	NAME_TABLE(timer, "TIMER_???"),
	NAME_TABLE(itimer, "ITIMER_???"),
	NAME_TABLE(rlimits, "RLIMIT_???"),
	NAME_TABLE(rusage, "RUSAGE_???"),
	NAME_TABLE(priority, "PRIO_???"),
	NAME_TABLE(sched, "SCHED_???"),
	NAME_TABLE_NUMBER(sched_set, "SCHED_???", 0xf),
	NAME_TABLE(sched_flags, "SCHED_FLAG_???"),
	NAME_TABLE(ioprio_who, "IOPRIO_WHO_???"),
	NAME_TABLE(ioprio_class, "IOPRIO_CLASS_???"),
	NAME_TABLE(prctl, "PR_???"),
	NAME_TABLE(dumpable, "SUID_DUMP_???"),
	NAME_TABLE(cap_ambient, "PR_CAP_AMBIENT_???"),
	NAME_TABLE(seccomp_mode, "SECCOMP_MODE_???"),
	NAME_TABLE(seccomp, "SECCOMP_SET_MODE_???"),
	NAME_TABLE(seccomp_flags, "SECCOMP_FILTER_FLAG_???"),
	NAME_TABLE(seccomp_action, "SECCOMP_RET_???"),
	NAME_TABLE(archprctl, "ARCH_???"),
	NAME_TABLE(idtype, "P_???"),
	NAME_TABLE(kcmp, "KCMP_???"),
	NAME_TABLE(random, "GRND_???"),
	NAME_TABLE_NUMBER(personality, "PER_???", 0xff),
	NAME_TABLE(capversion, "_LINUX_CAPABILITY_VERSION_???"),
	NAME_TABLE(cap, "CAP_???"),
	NAME_TABLE(capbits, "CAP_???"),
	NAME_TABLE(timex, "ADJ_???"),
	NAME_TABLE(timex_state, "TIME_???"),
	NAME_TABLE(timex_status, "STA_???"),
	NAME_TABLE(syslog, "SYSLOG_ACTION_???"),
	NAME_TABLE(reboot_magic1, "LINUX_REBOOT_MAGIC_???"),
	NAME_TABLE(reboot_magic2, "LINUX_REBOOT_MAGIC_???"),
	NAME_TABLE(reboot, "LINUX_REBOOT_CMD_???"),
	NAME_TABLE(set_mm, "PR_SET_MM_???"),
	NAME_TABLE(set_vma, "PR_SET_VMA_???"),
	NAME_TABLE(tsc, "PR_TSC_???"),
	NAME_TABLE(seccomp_got, NULL),
	NAME_TABLE(rseq, "RSEQ_FLAG_???"),
	{0},
};
