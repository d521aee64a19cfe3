#pragma once
/*
 * Error numbers that never reach the guest: what a call that was interrupted says about being
 * called again (Linux: include/linux/errno.h). Used negated, like every error.
 *
 * Without a handler to run (also: a kick for a checkpoint) all of them call again, invisibly. With
 * a handler: SYS calls again under SA_RESTART and is EINTR otherwise, NOINTR always calls again,
 * NOHAND and RESTARTBLOCK are EINTR. UNSTOPPED, which Linux has no need of, is for calls that say
 * EINTR themselves (signal(7), "by stop signals"): EINTR with a handler, and after a group stop.
 */
#include <errno.h>

#define ERESTARTSYS           512
#define ERESTARTNOINTR        513
#define ERESTARTNOHAND        514
#define ERESTARTUNSTOPPED     515
#define ERESTART_RESTARTBLOCK 516
