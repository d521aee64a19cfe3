#include "tests/guest/guest_test.h"

#include <sys/epoll.h>
#include <sys/uio.h>

/* The system call interface itself: registers, numbers, error sweeps. */

GUEST_TEST(registers_are_kept)
{
	unsigned long r[12];

	__asm__ volatile("mov $1,%%rdi\n\tmov $2,%%rsi\n\tmov $3,%%rdx\n\tmov $4,%%r8\n\t"
	                 "mov $5,%%r9\n\tmov $6,%%r10\n\tmov $7,%%r12\n\tmov $8,%%r13\n\t"
	                 "mov $9,%%r14\n\tmov $10,%%r15\n\tmov $39,%%eax\n\tsyscall\n\t"
	                 "mov %%rdi,0(%0)\n\tmov %%rsi,8(%0)\n\tmov %%rdx,16(%0)\n\t"
	                 "mov %%r8,24(%0)\n\tmov %%r9,32(%0)\n\tmov %%r10,40(%0)\n\t"
	                 "mov %%r12,48(%0)\n\tmov %%r13,56(%0)\n\tmov %%r14,64(%0)\n\t"
	                 "mov %%r15,72(%0)\n\tmov %%rax,80(%0)"
	                 :
	                 : "b"(r)
	                 : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
	                   "r13", "r14", "r15", "memory");
	for (unsigned long i = 0; i < 10; i++)
		EXPECT_EQ(r[i], i + 1);
	EXPECT_EQ(r[10], getpid());
}

GUEST_TEST(rcx_is_the_return_address)
{
	unsigned long rcx, next, r11, flags;

	__asm__ volatile("lea 1f(%%rip),%1\n\tpushfq\n\tpop %3\n\tmov $39,%%eax\n\tsyscall\n"
	                 "1:\tmov %%rcx,%0\n\tmov %%r11,%2"
	                 : "=&r"(rcx), "=&r"(next), "=&r"(r11), "=&r"(flags)
	                 :
	                 : "rax", "rcx", "r11", "memory");
	EXPECT_EQ(rcx, next);
	EXPECT_EQ(r11 & 0xcd5, flags & 0xcd5);
}

GUEST_TEST(upper_halves)
{
	/* Only the low 32 bits of an int argument count. */
	EXPECT_EQ(syscall(SYS_close, 0xffffffff00000000ul | 999), -1);
	EXPECT_EQ(errno, EBADF);
	EXPECT_ERRNO(syscall(SYS_dup, 0x100000000ul + 9999), EBADF);
}

GUEST_TEST(bad_descriptors)
{
	static const int with_fd[] = {SYS_read,       SYS_write,     SYS_fstat,     SYS_lseek,
	                              SYS_ioctl,      SYS_pread64,   SYS_pwrite64,  SYS_dup,
	                              SYS_fcntl,      SYS_fsync,     SYS_fdatasync, SYS_ftruncate,
	                              SYS_fchdir,     SYS_fchmod,    SYS_fchown,    SYS_fstatfs,
	                              SYS_getdents64, SYS_fallocate, SYS_close,     SYS_epoll_wait};
	struct epoll_event ev;

	for (size_t i = 0; i < GUEST_COUNT(with_fd); i++) {
		errno = 0;
		EXPECT_EQ(syscall(with_fd[i], 9999, &ev, 1, 1, 0, 0), -1);
		EXPECT_EQ(errno, EBADF);
		EXPECT_EQ(syscall(with_fd[i], -1, &ev, 1, 1, 0, 0), -1);
		EXPECT_EQ(errno, EBADF);
	}
}

GUEST_TEST(odd_numbers)
{
	static const long numbers[] = {500, 1000, 4096, 0x7fffffff, -5, -100};

	for (size_t i = 0; i < GUEST_COUNT(numbers); i++)
		EXPECT_ERRNO(syscall(numbers[i], 0, 0, 0, 0, 0, 0), ENOSYS);
	MAYBE_SAVE();
	EXPECT_ERRNO(syscall(999), ENOSYS);
}

GUEST_TEST(large_counts)
{
	int fd = ASSERT_OK(open("/dev/zero", O_RDONLY)),
	    null = ASSERT_OK(open("/dev/null", O_WRONLY));
	char *p = guest_map(GUEST_PAGE, 0);
	struct iovec iov[2] = {{p, SIZE_MAX / 2}, {p, SIZE_MAX / 2}};

	/* More than fits the buffer: what is there is filled. */
	EXPECT_GE(read(fd, p, GUEST_PAGE), 1);
	EXPECT_EQ(write(null, p, GUEST_PAGE), GUEST_PAGE);
	/* Whether the length or the address is at fault is a matter of taste. */
	EXPECT_EQ(read(fd, p, (size_t)-1), -1);
	iov[0].iov_len = (size_t)-1;
	EXPECT_ERRNO(readv(fd, iov, 2), EINVAL);
}

GUEST_TEST(many_calls)
{
	pid_t self = getpid();

	for (int i = 0; i < 3000; i++)
		if (syscall(SYS_getpid) != self)
			EXPECT_EQ(syscall(SYS_getpid), self);
}

GUEST_TEST(call_sites)
{
	/* Different ways to write a call, each run often: rewriting must not change what they do.
	 */
	for (int i = 0; i < 50; i++) {
		long a, b, c;
		unsigned char zf;

		__asm__ volatile("mov $39,%%eax\n\tsyscall" : "=a"(a) : : "rcx", "r11", "memory");
		__asm__ volatile("mov $39,%%rax\n\tsyscall\n\tcmp $-4095,%%rax\n\tsete %1"
		                 : "=&a"(b), "=q"(zf)
		                 :
		                 : "rcx", "r11", "memory", "cc");
		__asm__ volatile("push $39\n\tpop %%rax\n\tjmp 1f\n\tnop\n1:\tsyscall"
		                 : "=a"(c)
		                 :
		                 : "rcx", "r11", "memory");
		EXPECT_EQ(a, getpid());
		EXPECT_EQ(b, getpid());
		EXPECT_EQ(zf, 0);
		EXPECT_EQ(c, getpid());
		if (i == 25)
			MAYBE_SAVE();
	}
}

GUEST_TEST(flags_are_kept)
{
	unsigned char cf, zf, df;

	__asm__ volatile("std\n\tstc\n\tmov $39,%%eax\n\tsyscall\n\tsetc %0\n\t"
	                 "pushfq\n\ttestb $4,1(%%rsp)\n\tsetnz %2\n\tpopfq\n\tcld\n\t"
	                 "xor %%eax,%%eax\n\tmov $39,%%eax\n\tsyscall\n\tsetz %1"
	                 : "=&q"(cf), "=&q"(zf), "=&q"(df)
	                 :
	                 : "rax", "rcx", "r11", "memory", "cc");
	EXPECT_EQ(cf, 1);
	EXPECT_EQ(zf, 1);
	EXPECT_EQ(df, 1);
}
