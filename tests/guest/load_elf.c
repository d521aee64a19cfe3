#include "tests/guest/guest_test.h"

#include <elf.h>

/* Hand-made ELF files: a valid one of 200 bytes, and variations of it. */

struct tiny {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[2];
	unsigned char code[64];
};

enum {
	BASE = 0x10000000
};

static const unsigned char exit_42[] = {0xb8, 60,  0, 0, 0, /* mov $60,%eax */
                                        0xbf, 42,  0, 0, 0, /* mov $42,%edi */
                                        0x0f, 0x05};        /* syscall */

static struct tiny make(void)
{
	struct tiny t = {.eh = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1}}};

	t.eh.e_type = ET_EXEC;
	t.eh.e_machine = EM_X86_64;
	t.eh.e_version = 1;
	t.eh.e_phoff = offsetof(struct tiny, ph);
	t.eh.e_ehsize = sizeof(t.eh);
	t.eh.e_phentsize = sizeof(Elf64_Phdr);
	t.eh.e_phnum = 1;
	t.eh.e_entry = BASE + offsetof(struct tiny, code);
	t.ph[0].p_type = PT_LOAD;
	t.ph[0].p_flags = PF_R | PF_X;
	t.ph[0].p_vaddr = BASE;
	t.ph[0].p_filesz = t.ph[0].p_memsz = sizeof(t);
	t.ph[0].p_align = 4096;
	memcpy(t.code, exit_42, sizeof(exit_42));
	return t;
}

static int run(const struct tiny *t, size_t size)
{
	char *argv[] = {(char *)"tiny", NULL};
	const char *path = guest_path("elf");
	int fd = ASSERT_OK(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755));
	pid_t pid;

	ASSERT_EQ(write(fd, t, size), size);
	close(fd);
	pid = guest_fork();
	if (pid == 0) {
		execve(path, argv, environ);
		_exit(100 + errno);
	}
	return guest_reap(pid);
}

GUEST_TEST(smallest)
{
	struct tiny t = make();

	EXPECT_EQ(run(&t, sizeof(t)), 42);
}

GUEST_TEST(position_independent)
{
	struct tiny t = make();

	t.eh.e_type = ET_DYN;
	t.ph[0].p_vaddr = 0;
	t.eh.e_entry = offsetof(struct tiny, code);
	EXPECT_EQ(run(&t, sizeof(t)), 42);
}

GUEST_TEST(bss_is_zero)
{
	/* mov 0x10001000,%edi (in the bss); add $7,%edi; mov $60,%eax; syscall */
	static const unsigned char code[] = {0x8b, 0x3c, 0x25, 0x00, 0x10, 0x00, 0x10, 0x83, 0xc7,
	                                     7,    0xb8, 60,   0,    0,    0,    0x0f, 0x05};
	struct tiny t = make();

	memcpy(t.code, code, sizeof(code));
	t.ph[0].p_flags = PF_R | PF_W | PF_X;
	t.ph[0].p_memsz = 0x5000;
	EXPECT_EQ(run(&t, sizeof(t)), 7);
}

GUEST_TEST(tail_of_the_file_page_is_zero)
{
	/* Reads the word behind p_filesz, which in the file is not zero. */
	static const unsigned char code[] = {0x8b, 0x3c, 0x25, 0, 0, 0,    0x10,
	                                     0xb8, 60,   0,    0, 0, 0x0f, 0x05};
	static struct {
		struct tiny t;
		unsigned tail;
	} f;

	f.t = make();
	memcpy(f.t.code, code, sizeof(code));
	f.t.code[3] = sizeof(struct tiny) & 255;
	f.t.code[4] = sizeof(struct tiny) >> 8;
	f.tail = 99;
	f.t.ph[0].p_flags = PF_R | PF_W | PF_X;
	f.t.ph[0].p_memsz = sizeof(f.t) + 4;
	EXPECT_EQ(run(&f.t, sizeof(f)), 0);
}

GUEST_TEST(missing_interpreter)
{
	struct tiny t = make();

	t.eh.e_phnum = 2;
	t.ph[1].p_type = PT_INTERP;
	t.ph[1].p_offset = offsetof(struct tiny, code) + 32;
	t.ph[1].p_filesz = 10;
	strcpy((char *)t.code + 32, "/no/ld.so");
	EXPECT_EQ(run(&t, sizeof(t)), 100 + ENOENT);
}

GUEST_TEST(interpreter_that_is_no_elf)
{
	struct tiny t = make();

	guest_write_file(guest_path("i"),
	                 "this is no interpreter at all, but long enough to be read."
	                 "........................................................",
	                 0755);
	t.eh.e_phnum = 2;
	t.ph[1].p_type = PT_INTERP;
	t.ph[1].p_offset = offsetof(struct tiny, code) + 24;
	t.ph[1].p_filesz = 2;
	strcpy((char *)t.code + 24, "i");
	ASSERT_OK(chdir(guest_tmp()));
	EXPECT_EQ(run(&t, sizeof(t)), 100 + ELIBBAD);
}

GUEST_TEST(no_segments)
{
	struct tiny t = make();
	int status;

	t.eh.e_phnum = 0;
	EXPECT_EQ(run(&t, sizeof(t)), 100 + ENOEXEC);
	/* Nothing to load: the program dies at its entry point. */
	t = make();
	t.ph[0].p_type = PT_NOTE;
	status = run(&t, sizeof(t));
	EXPECT_TRUE(status == 1000 + SIGSEGV || status == 1000 + SIGKILL ||
	            status == 100 + ENOEXEC || status == 100 + EINVAL);
}

GUEST_TEST(wild_headers)
{
	struct tiny t = make();
	int status;

	t.ph[0].p_vaddr = 0xffff800000000000;
	status = run(&t, sizeof(t));
	EXPECT_TRUE(status >= 100 && status != 1000 + SIGBUS);
	t = make();
	t.ph[0].p_memsz = 1ul << 60;
	status = run(&t, sizeof(t));
	EXPECT_TRUE(status >= 100);
	t = make();
	t.ph[0].p_filesz = t.ph[0].p_memsz + 1;
	status = run(&t, sizeof(t));
	EXPECT_TRUE(status >= 100);
	t = make();
	t.eh.e_phoff = 1ul << 50;
	EXPECT_EQ(run(&t, sizeof(t)), 100 + ENOEXEC);
	t = make();
	t.eh.e_phnum = 60000;
	EXPECT_EQ(run(&t, sizeof(t)), 100 + ENOEXEC);
	MAYBE_SAVE();
}

GUEST_TEST(entry_outside)
{
	struct tiny t = make();

	t.eh.e_entry = 0x20000000;
	EXPECT_EQ(run(&t, sizeof(t)), 1000 + SIGSEGV);
}

GUEST_TEST(stack_is_not_executable)
{
	/* push $0xc3; call *%rsp */
	static const unsigned char code[] = {0x68, 0xc3, 0, 0, 0,    0xff, 0xd4, 0xb8,
	                                     60,   0,    0, 0, 0x31, 0xff, 0x0f, 0x05};
	struct tiny t = make();

	memcpy(t.code, code, sizeof(code));
	t.eh.e_phnum = 2;
	t.ph[1].p_type = PT_GNU_STACK;
	t.ph[1].p_flags = PF_R | PF_W;
	EXPECT_EQ(run(&t, sizeof(t)), 1000 + SIGSEGV);
}

GUEST_TEST(other_machines)
{
	struct tiny t = make();

	t.eh.e_ident[EI_CLASS] = ELFCLASS32;
	t.eh.e_machine = EM_ARM;
	EXPECT_EQ(run(&t, sizeof(t)), 100 + ENOEXEC);
	t = make();
	t.eh.e_machine = EM_AARCH64;
	EXPECT_EQ(run(&t, sizeof(t)), 100 + ENOEXEC);
}

GUEST_TEST(segment_without_a_file_part)
{
	/* mov 0x10003000,%edi; add $7,%edi; mov $60,%eax; syscall */
	static const unsigned char code[] = {0x8b, 0x3c, 0x25, 0x00, 0x30, 0x00, 0x10, 0x83, 0xc7,
	                                     7,    0xb8, 60,   0,    0,    0,    0x0f, 0x05};
	struct tiny t = make();

	memcpy(t.code, code, sizeof(code));
	t.eh.e_phnum = 2;
	t.ph[1] = (Elf64_Phdr){.p_type = PT_LOAD,
	                       .p_flags = PF_R | PF_W,
	                       .p_vaddr = BASE + 0x3000,
	                       .p_offset = 120, /* of nothing: it need not fit */
	                       .p_memsz = 4096,
	                       .p_align = 4096};
	EXPECT_EQ(run(&t, sizeof(t)), 7);
}
