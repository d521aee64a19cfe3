#include "platform/fpstate_x86_64.h"

#include <cpuid.h>
#include <errno.h>
#include <string.h>

#define LEGACY_SIZE   512u
#define HEADER_SIZE   64u
#define AT_FCW        0
#define AT_MXCSR      24
#define AT_MXCSR_MASK 28
#define AT_XSTATE_BV  512

static u32 mxcsr_mask(void)
{
	u8 area[LEGACY_SIZE] __attribute__((aligned(16))) = {0};
	u32 mask;

	__asm__ volatile("fxsave64 %0" : "+m"(area));
	memcpy(&mask, area + AT_MXCSR_MASK, sizeof(mask));
	return mask ? mask : 0xffbf;
}

int fpstate_probe(u64 *ret_xfeatures, u32 *ret_size)
{
	u32 a, b, c, d, lo, hi, i, size = LEGACY_SIZE + HEADER_SIZE;
	u64 features;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
		return -EOPNOTSUPP;
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	features = ((u64)hi << 32 | lo) & ~FP_NOT_CARRIED;
	for (i = 2; i < 63; i++) {
		if (!(features >> i & 1))
			continue;
		__cpuid_count(0xd, i, a, b, c, d);
		size = MAX(size, a + b);
	}
	if (size > FPSTATE_MAX)
		return -EOPNOTSUPP;
	*ret_xfeatures = features;
	*ret_size = size;
	return 0;
}

void fpstate_init(const struct platform *p, struct fpstate *ret_fp)
{
	const u16 fcw = 0x37f;
	const u32 mxcsr = 0x1f80;

	memset(ret_fp, 0, sizeof(*ret_fp));
	ret_fp->size = p->fpstate_size;
	memcpy(ret_fp->data + AT_FCW, &fcw, sizeof(fcw));
	memcpy(ret_fp->data + AT_MXCSR, &mxcsr, sizeof(mxcsr));
}

void fpstate_clean(const struct platform *p, struct fpstate *fp)
{
	u32 mxcsr, mask = mxcsr_mask();
	u64 bv;

	memcpy(&mxcsr, fp->data + AT_MXCSR, sizeof(mxcsr));
	mxcsr &= mask;
	memcpy(fp->data + AT_MXCSR, &mxcsr, sizeof(mxcsr));
	memcpy(fp->data + AT_MXCSR_MASK, &mask, sizeof(mask));
	memcpy(&bv, fp->data + AT_XSTATE_BV, sizeof(bv));
	bv &= p->xfeatures;
	/* XCOMP_BV and the rest of the header must be zero in this layout. */
	memset(fp->data + AT_XSTATE_BV, 0, HEADER_SIZE);
	memcpy(fp->data + AT_XSTATE_BV, &bv, sizeof(bv));
	/* Bytes that software may use, and that the kernel and libc do: not the guest's to choose.
	 */
	memset(fp->data + 416, 0, LEGACY_SIZE - 416);
}
