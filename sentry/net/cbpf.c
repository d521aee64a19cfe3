#include "sentry/net/cbpf.h"

#include "state/base/bug.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool known(const struct sock_filter *in, bool (*may)(const struct sock_filter *in))
{
	switch (in->code) {
	case BPF_LD | BPF_W | BPF_ABS:
	case BPF_LD | BPF_H | BPF_ABS:
	case BPF_LD | BPF_B | BPF_ABS:
	case BPF_LD | BPF_W | BPF_IND:
	case BPF_LD | BPF_H | BPF_IND:
	case BPF_LD | BPF_B | BPF_IND:
	case BPF_LDX | BPF_B | BPF_MSH:
	case BPF_ALU | BPF_MOD | BPF_X:
		return may(in);
	case BPF_ALU | BPF_MOD | BPF_K:
		return in->k != 0 && may(in);
	case BPF_LD | BPF_W | BPF_LEN:
	case BPF_LDX | BPF_W | BPF_LEN:
	case BPF_LD | BPF_IMM:
	case BPF_LDX | BPF_IMM:
	case BPF_MISC | BPF_TAX:
	case BPF_MISC | BPF_TXA:
	case BPF_RET | BPF_K:
	case BPF_RET | BPF_A:
	case BPF_ALU | BPF_ADD | BPF_K:
	case BPF_ALU | BPF_ADD | BPF_X:
	case BPF_ALU | BPF_SUB | BPF_K:
	case BPF_ALU | BPF_SUB | BPF_X:
	case BPF_ALU | BPF_MUL | BPF_K:
	case BPF_ALU | BPF_MUL | BPF_X:
	case BPF_ALU | BPF_DIV | BPF_X:
	case BPF_ALU | BPF_AND | BPF_K:
	case BPF_ALU | BPF_AND | BPF_X:
	case BPF_ALU | BPF_OR | BPF_K:
	case BPF_ALU | BPF_OR | BPF_X:
	case BPF_ALU | BPF_XOR | BPF_K:
	case BPF_ALU | BPF_XOR | BPF_X:
	case BPF_ALU | BPF_LSH | BPF_X:
	case BPF_ALU | BPF_RSH | BPF_X:
	case BPF_ALU | BPF_NEG:
	case BPF_JMP | BPF_JA:
	case BPF_JMP | BPF_JEQ | BPF_K:
	case BPF_JMP | BPF_JEQ | BPF_X:
	case BPF_JMP | BPF_JGE | BPF_K:
	case BPF_JMP | BPF_JGE | BPF_X:
	case BPF_JMP | BPF_JGT | BPF_K:
	case BPF_JMP | BPF_JGT | BPF_X:
	case BPF_JMP | BPF_JSET | BPF_K:
	case BPF_JMP | BPF_JSET | BPF_X:
		return true;
	case BPF_ALU | BPF_DIV | BPF_K:
		return in->k != 0;
	case BPF_ALU | BPF_LSH | BPF_K:
	case BPF_ALU | BPF_RSH | BPF_K:
		return in->k < 32;
	case BPF_LD | BPF_MEM:
	case BPF_LDX | BPF_MEM:
	case BPF_ST:
	case BPF_STX:
		return in->k < BPF_MEMWORDS;
	default:
		return false;
	}
}

/*
 * Jumps go forward only, so one pass sees every way to an instruction before it: set[i] is what
 * all of them have stored in the scratch words.
 */
static bool flow_ok(const struct sock_filter *insns, u32 n, u16 *set)
{
	u16 now = 0;

	for (u32 i = 0; i < n; i++) {
		const struct sock_filter *in = &insns[i];

		now &= set[i];
		switch (in->code) {
		case BPF_ST:
		case BPF_STX:
			now |= (u16)(1u << in->k);
			break;
		case BPF_LD | BPF_MEM:
		case BPF_LDX | BPF_MEM:
			if (!(now & 1u << in->k))
				return false;
			break;
		case BPF_JMP | BPF_JA:
			if (in->k >= n - i - 1)
				return false;
			set[i + 1 + in->k] &= now;
			now = 0xffff;
			break;
		default:
			if (BPF_CLASS(in->code) != BPF_JMP)
				break;
			if (MAX(in->jt, in->jf) >= n - i - 1)
				return false;
			set[i + 1 + in->jt] &= now;
			set[i + 1 + in->jf] &= now;
			now = 0xffff;
			break;
		}
	}
	return BPF_CLASS(insns[n - 1].code) == BPF_RET;
}

int cbpf_check(const struct sock_filter *insns, u32 n, bool (*may)(const struct sock_filter *in))
{
	u16 *set;
	bool ok;

	if (n == 0 || n > BPF_MAXINSNS)
		return -EINVAL;
	for (u32 i = 0; i < n; i++) {
		if (!known(&insns[i], may))
			return -EINVAL;
	}
	set = malloc(n * sizeof(*set));
	BUG_ON(!set);
	memset(set, 0xff, n * sizeof(*set));
	ok = flow_ok(insns, n, set);
	free(set);
	return ok ? 0 : -EINVAL;
}

/* false: the program divides by nothing, which ends it. */
static bool alu(u16 op, u32 *a, u32 b)
{
	switch (op) {
	case BPF_ADD:
		*a += b;
		return true;
	case BPF_SUB:
		*a -= b;
		return true;
	case BPF_MUL:
		*a *= b;
		return true;
	case BPF_DIV:
		if (b == 0)
			return false;
		*a /= b;
		return true;
	case BPF_MOD:
		if (b == 0)
			return false;
		*a %= b;
		return true;
	case BPF_AND:
		*a &= b;
		return true;
	case BPF_OR:
		*a |= b;
		return true;
	case BPF_XOR:
		*a ^= b;
		return true;
	case BPF_LSH:
		*a <<= b & 31;
		return true;
	case BPF_RSH:
		*a >>= b & 31;
		return true;
	default:
		*a = -*a;
		return true;
	}
}

static bool holds(u16 op, u32 a, u32 b)
{
	switch (op) {
	case BPF_JEQ:
		return a == b;
	case BPF_JGT:
		return a > b;
	case BPF_JGE:
		return a >= b;
	default:
		return (a & b) != 0;
	}
}

bool cbpf_run(const struct sock_filter *insns, u32 n, const struct cbpf_data *d, u32 *ret)
{
	u32 a = 0, x = 0, mem[BPF_MEMWORDS] = {0};

	for (u32 i = 0; i < n; i++) {
		const struct sock_filter *in = &insns[i];
		u32 operand = BPF_SRC(in->code) == BPF_X ? x : in->k, at = in->k;

		switch (in->code) {
		case BPF_LD | BPF_W | BPF_IND:
		case BPF_LD | BPF_H | BPF_IND:
		case BPF_LD | BPF_B | BPF_IND:
			at += x;
			FALLTHROUGH;
		case BPF_LD | BPF_W | BPF_ABS:
		case BPF_LD | BPF_H | BPF_ABS:
		case BPF_LD | BPF_B | BPF_ABS:
			if (BPF_MODE(in->code) == BPF_ABS &&
			    at == (u32)(SKF_AD_OFF + SKF_AD_ALU_XOR_X)) {
				a ^= x;
				continue;
			}
			if (!d->load(d, at,
			             BPF_SIZE(in->code) == BPF_W   ? 4
			             : BPF_SIZE(in->code) == BPF_H ? 2
			                                           : 1,
			             x, &a))
				return false;
			continue;
		case BPF_LDX | BPF_B | BPF_MSH:
			if (!d->load(d, at, 1, x, &x))
				return false;
			x = (x & 0xf) * 4;
			continue;
		case BPF_LD | BPF_W | BPF_LEN:
			a = d->len;
			continue;
		case BPF_LDX | BPF_W | BPF_LEN:
			x = d->len;
			continue;
		case BPF_LD | BPF_IMM:
			a = in->k;
			continue;
		case BPF_LDX | BPF_IMM:
			x = in->k;
			continue;
		case BPF_LD | BPF_MEM:
			a = mem[in->k];
			continue;
		case BPF_LDX | BPF_MEM:
			x = mem[in->k];
			continue;
		case BPF_ST:
			mem[in->k] = a;
			continue;
		case BPF_STX:
			mem[in->k] = x;
			continue;
		case BPF_MISC | BPF_TAX:
			x = a;
			continue;
		case BPF_MISC | BPF_TXA:
			a = x;
			continue;
		case BPF_RET | BPF_K:
			*ret = in->k;
			return true;
		case BPF_RET | BPF_A:
			*ret = a;
			return true;
		case BPF_JMP | BPF_JA:
			i += in->k;
			continue;
		default:
			break;
		}
		if (BPF_CLASS(in->code) == BPF_JMP)
			i += holds(BPF_OP(in->code), a, operand) ? in->jt : in->jf;
		else if (!alu(BPF_OP(in->code), &a, operand))
			return false;
	}
	BUG("a BPF program without a return");
}
