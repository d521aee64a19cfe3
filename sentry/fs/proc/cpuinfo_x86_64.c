/* /proc/cpuinfo, from what CPUID says to the sentry. */
#include "sentry/fs/proc/proc.h"
#include "sentry/kernel/kernel.h"

#include <cpuid.h>
#include <string.h>

/* Names in the order of the bits, "" for those that Linux does not show. */
static const char *const leaf1_edx[32] = {
	"fpu",  "vme",  "de",   "pse", "tsc",  "msr", "pae",   "mce", "cx8",     "apic", "",
	"sep",  "mtrr", "pge",  "mca", "cmov", "pat", "pse36", "pn",  "clflush", "",     "dts",
	"acpi", "mmx",  "fxsr", "sse", "sse2", "ss",  "ht",    "tm",  "ia64",    "pbe",
};
static const char *const ext1_edx[32] = {
	[11] = "syscall", [20] = "nx", [22] = "mmxext",   [25] = "fxsr_opt", [26] = "pdpe1gb",
	[27] = "rdtscp",  [29] = "lm", [30] = "3dnowext", [31] = "3dnow",
};
static const char *const leaf1_ecx[32] = {
	"pni",    "pclmulqdq",  "dtes64", "monitor", "ds_cpl",
	"vmx",    "smx",        "est",    "tm2",     "ssse3",
	"cid",    "sdbg",       "fma",    "cx16",    "xtpr",
	"pdcm",   "",           "pcid",   "dca",     "sse4_1",
	"sse4_2", "x2apic",     "movbe",  "popcnt",  "tsc_deadline_timer",
	"aes",    "xsave",      "",       "avx",     "f16c",
	"rdrand", "hypervisor",
};
static const char *const ext1_ecx[32] = {
	"lahf_lm",
	"cmp_legacy",
	"svm",
	"extapic",
	"cr8_legacy",
	"abm",
	"sse4a",
	"misalignsse",
	"3dnowprefetch",
	"osvw",
	"ibs",
	"xop",
	"skinit",
	"wdt",
	"",
	"lwp",
	"fma4",
	"tce",
	"",
	"nodeid_msr",
	"",
	"tbm",
	"topoext",
	"perfctr_core",
	"perfctr_nb",
	"",
	"bpext",
	"ptsc",
	"perfctr_llc",
	"mwaitx",
	"",
	"",
};
static const char *const leaf7_ebx[32] = {
	"fsgsbase",   "tsc_adjust", "sgx",        "bmi1",     "hle",      "avx2",     "",
	"smep",       "bmi2",       "erms",       "invpcid",  "rtm",      "cqm",      "",
	"mpx",        "rdt_a",      "avx512f",    "avx512dq", "rdseed",   "adx",      "smap",
	"avx512ifma", "",           "clflushopt", "clwb",     "intel_pt", "avx512pf", "avx512er",
	"avx512cd",   "sha_ni",     "avx512bw",   "avx512vl",
};
static const char *const leaf7_ecx[32] = {
	[1] = "avx512vbmi",   [2] = "umip",           [3] = "pku",
	[4] = "ospke",        [5] = "waitpkg",        [6] = "avx512_vbmi2",
	[8] = "gfni",         [9] = "vaes",           [10] = "vpclmulqdq",
	[11] = "avx512_vnni", [12] = "avx512_bitalg", [14] = "avx512_vpopcntdq",
	[16] = "la57",        [22] = "rdpid",         [24] = "bus_lock_detect",
	[25] = "cldemote",    [27] = "movdiri",       [28] = "movdir64b",
	[29] = "enqcmd",
};
static const char *const leaf7_edx[32] = {
	[4] = "fsrm",       [8] = "avx512_vp2intersect",
	[10] = "md_clear",  [14] = "serialize",
	[16] = "tsxldtrk",  [18] = "pconfig",
	[19] = "arch_lbr",  [20] = "ibt",
	[22] = "amx_bf16",  [23] = "avx512_fp16",
	[24] = "amx_tile",  [25] = "amx_int8",
	[28] = "flush_l1d", [29] = "arch_capabilities",
};
static const char *const leaf_d1_eax[32] = {"xsaveopt", "xsavec", "xgetbv1", "xsaves"};

static void show_bits(struct text *t, u32 bits, const char *const names[32])
{
	for (int b = 0; b < 32; b++)
		if ((bits >> b & 1) && names[b] && names[b][0])
			text_printf(t, " %s", names[b]);
}

static void show_flags(struct text *t)
{
	u32 a, b, c, d, ea, eb, ec = 0, ed = 0;

	__cpuid(1, a, b, c, d);
	if (__get_cpuid_max(0x80000000, NULL) >= 0x80000001)
		__cpuid(0x80000001, ea, eb, ec, ed);
	text_printf(t, "flags\t\t:");
	show_bits(t, d, leaf1_edx);
	show_bits(t, ed, ext1_edx);
	text_printf(t, " constant_tsc rep_good nopl nonstop_tsc cpuid");
	show_bits(t, c, leaf1_ecx);
	show_bits(t, ec, ext1_ecx);
	if (__get_cpuid_max(0, NULL) >= 7) {
		__cpuid_count(7, 0, a, b, c, d);
		show_bits(t, b, leaf7_ebx);
		if (__get_cpuid_max(0, NULL) >= 0xd) {
			__cpuid_count(0xd, 1, ea, eb, ec, ed);
			show_bits(t, ea, leaf_d1_eax);
		}
		show_bits(t, c, leaf7_ecx);
		show_bits(t, d, leaf7_edx);
	}
	text_char(t, '\n');
}

struct cpu_facts {
	char vendor[13], brand[49];
	u32 family, model, stepping, level;
	u32 clflush, phys_bits, virt_bits, cache_kb;
	u64 khz;
};

static u64 frequency_khz(const struct cpu_facts *f)
{
	u32 a = 0, b = 0, c = 0, d = 0;
	const char *at = strstr(f->brand, "@ ");

	if (f->level >= 0x16)
		__cpuid(0x16, a, b, c, d);
	if (a & 0xffff)
		return (u64)(a & 0xffff) * 1000;
	if (at) {
		u64 whole = 0, frac = 0, scale = 1000000;

		for (at += 2; *at >= '0' && *at <= '9'; at++)
			whole = whole * 10 + (u64)(*at - '0');
		if (*at == '.')
			for (at++; *at >= '0' && *at <= '9' && scale > 1; at++) {
				scale /= 10;
				frac += (u64)(*at - '0') * scale;
			}
		return whole * 1000000 + frac;
	}
	return 2000000;
}

static void collect(struct cpu_facts *f)
{
	u32 a, b, c, d, ext;

	memset(f, 0, sizeof(*f));
	__cpuid(0, f->level, b, c, d);
	memcpy(f->vendor, &b, 4);
	memcpy(f->vendor + 4, &d, 4);
	memcpy(f->vendor + 8, &c, 4);
	__cpuid(1, a, b, c, d);
	f->stepping = a & 15;
	f->model = a >> 4 & 15;
	f->family = a >> 8 & 15;
	if (f->family == 6 || f->family == 15)
		f->model |= (a >> 16 & 15) << 4;
	if (f->family == 15)
		f->family += a >> 20 & 255;
	f->clflush = (b >> 8 & 255) * 8;
	f->phys_bits = 36;
	f->virt_bits = 48;
	ext = __get_cpuid_max(0x80000000, NULL);
	for (u32 k = 0; ext >= 0x80000004 && k < 3; k++) {
		u32 r[4];

		__cpuid(0x80000002 + k, r[0], r[1], r[2], r[3]);
		memcpy(f->brand + k * 16, r, 16);
	}
	if (ext >= 0x80000006) {
		__cpuid(0x80000006, a, b, c, d);
		f->cache_kb = c >> 16;
	}
	if (ext >= 0x80000008) {
		__cpuid(0x80000008, a, b, c, d);
		f->phys_bits = a & 255;
		f->virt_bits = a >> 8 & 255;
	}
	f->khz = frequency_khz(f);
}

PROC_SHOW(proc_cpuinfo)
{
	unsigned n = MAX(c->kernel->machine->ncpu, 1u);
	struct text flags = {0};
	struct cpu_facts f;

	collect(&f);
	show_flags(&flags);
	for (unsigned k = 0; k < n; k++) {
		text_printf(t,
		            "processor\t: %u\nvendor_id\t: %s\ncpu family\t: %u\nmodel\t\t: %u\n",
		            k, f.vendor, f.family, f.model);
		text_printf(t, "model name\t: %s\nstepping\t: %u\n",
		            f.brand[0] ? f.brand : "unknown", f.stepping);
		text_printf(t, "cpu MHz\t\t: %llu.%03llu\ncache size\t: %u KB\n",
		            (unsigned long long)(f.khz / 1000), (unsigned long long)(f.khz % 1000),
		            f.cache_kb);
		text_printf(t,
		            "physical id\t: 0\nsiblings\t: %u\ncore id\t\t: %u\ncpu cores\t: %u\n",
		            n, k, n);
		text_printf(t, "apicid\t\t: %u\ninitial apicid\t: %u\n", k, k);
		text_printf(t,
		            "fpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: %u\nwp\t\t: yes\n",
		            f.level);
		text_append(t, flags.s, flags.len);
		text_printf(t, "bugs\t\t:\nbogomips\t: %llu.%02llu\n",
		            (unsigned long long)(f.khz * 2 / 1000),
		            (unsigned long long)(f.khz * 2 % 1000 / 10));
		text_printf(t, "clflush size\t: %u\ncache_alignment\t: %u\n", f.clflush, f.clflush);
		text_printf(t,
		            "address sizes\t: %u bits physical, %u bits virtual\n"
		            "power management:\n\n",
		            f.phys_bits, f.virt_bits);
	}
	text_finish(&flags);
	return 0;
}
