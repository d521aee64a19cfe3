#include "tests/guest/guest_test.h"

/* mincore, mlock and friends: residency as far as it is defined. */

GUEST_TEST(touched_pages_are_resident)
{
	unsigned char vec[8];
	char *p = guest_map(8 * GUEST_PAGE, 0);

	memset(p, 1, 8 * GUEST_PAGE);
	memset(vec, 0, sizeof(vec));
	EXPECT_OK(mincore(p, 8 * GUEST_PAGE, vec));
	for (int i = 0; i < 8; i++)
		EXPECT_EQ(vec[i] & 1, 1);
}

GUEST_TEST(one_byte_per_page)
{
	unsigned char vec[4] = {0xee, 0xee, 0xee, 0xee};
	char *p = guest_map(4 * GUEST_PAGE, 0);

	EXPECT_OK(mincore(p, 2 * GUEST_PAGE + 1, vec));
	EXPECT_EQ(vec[3], 0xee);
	EXPECT_NE(vec[2], 0xee);
}

GUEST_TEST(errors)
{
	unsigned char vec[4];
	char *p = guest_map(4 * GUEST_PAGE, 0);

	EXPECT_ERRNO(mincore(p + 1, GUEST_PAGE, vec), EINVAL);
	EXPECT_ERRNO(mincore(p, GUEST_PAGE, NULL), EFAULT);
	ASSERT_OK(munmap(p + GUEST_PAGE, GUEST_PAGE));
	EXPECT_ERRNO(mincore(p, 4 * GUEST_PAGE, vec), ENOMEM);
	EXPECT_OK(mincore(p, 0, vec));
}

GUEST_TEST(locking)
{
	char *p = guest_map(4 * GUEST_PAGE, 0);

	EXPECT_OK(mlock(p, GUEST_PAGE));
	EXPECT_OK(mlock(p + 1, 1));
	EXPECT_OK(munlock(p, 4 * GUEST_PAGE));
	EXPECT_OK(munlockall());
	p[0] = 'l';
	MAYBE_SAVE();
	EXPECT_EQ(p[0], 'l');
	ASSERT_OK(munmap(p + GUEST_PAGE, GUEST_PAGE));
	EXPECT_ERRNO(mlock(p, 3 * GUEST_PAGE), ENOMEM);
	EXPECT_ERRNO(mlockall(0), EINVAL);
	EXPECT_ERRNO(mlockall(1 << 10), EINVAL);
}
