#include "state/base/bug.h"
#include "state/inspect.h"

#include <inttypes.h>
#include <string.h>

/* Length of the UTF-8 sequence at s, 0 if there is none. */
static size_t utf8_len(const u8 *s, size_t left)
{
	size_t n = s[0] < 0x80   ? 1
	           : s[0] < 0xc2 ? 0
	           : s[0] < 0xe0 ? 2
	           : s[0] < 0xf0 ? 3
	           : s[0] < 0xf5 ? 4
	                         : 0;

	if (n == 0 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, past the last code point. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

void inspect_string(FILE *out, const char *str, size_t len)
{
	const u8 *s = (const u8 *)str;

	putc('"', out);
	for (size_t i = 0; i < len;) {
		size_t n = utf8_len(s + i, len - i);

		if (s[i] == '"' || s[i] == '\\')
			fprintf(out, "\\%c", s[i]);
		else if (n == 0 || s[i] < 0x20 || s[i] == 0x7f)
			fprintf(out, "\\u%04x", s[i]);
		else
			fwrite(s + i, 1, n, out);
		i += MAX(n, (size_t)1);
	}
	putc('"', out);
}

static void put_bytes(FILE *out, const ProtobufCBinaryData *b, size_t max)
{
	size_t n = max && b->len > max ? max : b->len;

	fprintf(out, "{\"bytes\": %zu, \"hex\": \"", b->len);
	for (size_t i = 0; i < n; i++)
		fprintf(out, "%02x", b->data[i]);
	fprintf(out, n < b->len ? "...\"}" : "\"}");
}

static bool ends_with(const char *s, const char *end)
{
	size_t a = strlen(s), b = strlen(end);

	return a >= b && strcmp(s + a - b, end) == 0;
}

/* Guest addresses are easier to read in hex. */
static bool is_address(const ProtobufCFieldDescriptor *f)
{
	return (f->type == PROTOBUF_C_TYPE_UINT64 || f->type == PROTOBUF_C_TYPE_FIXED64) &&
	       (ends_with(f->name, "addr") || ends_with(f->name, "start") ||
	        ends_with(f->name, "end"));
}

static size_t value_size(const ProtobufCFieldDescriptor *f)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_ENUM:
		return 4;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	}
	BUG("no such protobuf type");
}

static void put_enum(FILE *out, const ProtobufCFieldDescriptor *f, int v)
{
	const ProtobufCEnumValue *e = protobuf_c_enum_descriptor_get_value(f->descriptor, v);

	if (e)
		fprintf(out, "\"%s\"", e->name);
	else
		fprintf(out, "%d", v);
}

static void put_value(FILE *out, const ProtobufCFieldDescriptor *f, const void *at,
                      const struct inspect_style *style)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		fprintf(out, "%" PRId32, *(const s32 *)at);
		break;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		fprintf(out, "%" PRIu32, *(const u32 *)at);
		break;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		fprintf(out, "%" PRId64, *(const s64 *)at);
		break;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		fprintf(out, is_address(f) ? "\"%#" PRIx64 "\"" : "%" PRIu64, *(const u64 *)at);
		break;
	case PROTOBUF_C_TYPE_FLOAT:
		fprintf(out, "%.9g", (double)*(const float *)at);
		break;
	case PROTOBUF_C_TYPE_DOUBLE:
		fprintf(out, "%.17g", *(const double *)at);
		break;
	case PROTOBUF_C_TYPE_BOOL:
		fputs(*(const protobuf_c_boolean *)at ? "true" : "false", out);
		break;
	case PROTOBUF_C_TYPE_ENUM:
		put_enum(out, f, *(const int *)at);
		break;
	case PROTOBUF_C_TYPE_STRING: {
		const char *s = *(const char *const *)at;

		inspect_string(out, s ? s : "", s ? strlen(s) : 0);
		break;
	}
	case PROTOBUF_C_TYPE_BYTES:
		put_bytes(out, at, style->max_bytes);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		inspect_message(out, *(ProtobufCMessage *const *)at, style);
		break;
	}
}

static void put_repeated(FILE *out, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
                         const struct inspect_style *style)
{
	size_t n = *(const size_t *)((const u8 *)m + f->quantifier_offset);
	const u8 *v = *(const u8 *const *)((const u8 *)m + f->offset);
	struct inspect_style inner = *style;
	bool lines = f->type == PROTOBUF_C_TYPE_MESSAGE || f->type == PROTOBUF_C_TYPE_STRING ||
	             f->type == PROTOBUF_C_TYPE_BYTES;

	inner.indent += 2;
	putc('[', out);
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			fputs(lines ? "," : ", ", out);
		if (lines)
			fprintf(out, "\n%*s", (int)inner.indent, "");
		put_value(out, f, v + i * value_size(f), &inner);
	}
	if (lines && n > 0)
		fprintf(out, "\n%*s", (int)style->indent, "");
	putc(']', out);
}

/* A field that is not there at all; proto3 scalars always are. */
static bool is_absent(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	const u8 *at = (const u8 *)m + f->offset;

	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		return *(const u32 *)((const u8 *)m + f->quantifier_offset) != f->id;
	if (f->type == PROTOBUF_C_TYPE_MESSAGE && f->label != PROTOBUF_C_LABEL_REPEATED)
		return !*(void *const *)at;
	return false;
}

void inspect_message(FILE *out, const ProtobufCMessage *m, const struct inspect_style *style)
{
	struct inspect_style inner = *style;
	bool first = true;

	inner.indent += 2;
	putc('{', out);
	for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];

		if (is_absent(m, f))
			continue;
		fprintf(out, "%s\n%*s\"%s\": ", first ? "" : ",", (int)inner.indent, "", f->name);
		first = false;
		if (f->label == PROTOBUF_C_LABEL_REPEATED)
			put_repeated(out, m, f, &inner);
		else
			put_value(out, f, (const u8 *)m + f->offset, &inner);
	}
	if (!first)
		fprintf(out, "\n%*s", (int)style->indent, "");
	putc('}', out);
}
