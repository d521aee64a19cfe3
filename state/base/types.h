#pragma once
/*
 * Integer names, alignment helpers and attributes that every layer uses.
 *
 * Locking, lifetime, saved: nothing here has state.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096ull
#define PAGE_MASK  (PAGE_SIZE - 1)

#define KIB 1024ull
#define MIB (1024ull * KIB)
#define GIB (1024ull * MIB)

#define NSEC_PER_SEC  1000000000ll
#define NSEC_PER_MSEC 1000000ll
#define NSEC_PER_USEC 1000ll
#define USEC_PER_SEC  1000000ll

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(p, T, member) ((T *)((char *)(p)-offsetof(T, member)))

/* a and b are evaluated once; the result has their common type. Calls may nest. */
#define MINMAX_(a, b, op, x, y)        \
	({                             \
		__typeof__(a) x = (a); \
		__typeof__(b) y = (b); \
		x op y ? x : y;        \
	})
#define MINMAX_CAT_(x, n)          x##n
#define MINMAX_NAMED_(a, b, op, n) MINMAX_(a, b, op, MINMAX_CAT_(x_, n), MINMAX_CAT_(y_, n))
#define MINMAX_N_(a, b, op, n)     MINMAX_NAMED_(a, b, op, n)
#define MIN(a, b)                  MINMAX_N_(a, b, <, __COUNTER__)
#define MAX(a, b)                  MINMAX_N_(a, b, >, __COUNTER__)

/* align is a power of two. ALIGN_UP wraps to a small number at the top of the type. */
#define ALIGN_DOWN(x, align) ((x) & ~((__typeof__(x))(align)-1))
#define ALIGN_UP(x, align)   ALIGN_DOWN((x) + ((__typeof__(x))(align)-1), align)
#define IS_ALIGNED(x, align) (((x) & ((__typeof__(x))(align)-1)) == 0)
#define PAGE_DOWN(x)         ALIGN_DOWN(x, PAGE_SIZE)
#define PAGE_UP(x)           ALIGN_UP(x, PAGE_SIZE)

#define MUST_CHECK   __attribute__((warn_unused_result))
#define UNUSED       __attribute__((unused))
#define NORETURN     __attribute__((noreturn))
#define PRINTF(f, a) __attribute__((format(printf, f, a)))
#define likely(x)    __builtin_expect(!!(x), 1)
#define unlikely(x)  __builtin_expect(!!(x), 0)
/* For copies of what others change meanwhile, where that is right. */
#define NO_TSAN     __attribute__((no_sanitize("thread")))
#define FALLTHROUGH __attribute__((fallthrough))
/* Of plain variables that other threads change at any time. */
#define READ_ONCE(x)     __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)

/* off + len does not wrap and ends at or below limit. */
static inline bool range_ok(u64 off, u64 len, u64 limit)
{
	return off <= limit && len <= limit - off;
}
