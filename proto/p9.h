#pragma once
/*
 * What: the 9P2000.L codec: every message of proto/p9_messages.def as a struct with an encoder and
 * a decoder over a bounded buffer. No I/O, no allocation. Sentry (client) and gofer (server) meet
 * here and nowhere else.
 * Locking: none, a buffer belongs to one thread. Lifetime: decoded strings and data point into the
 * buffer they came from. Saved: no.
 *
 * Wire format. A message is size[4] type[1] tag[2] and its fields, little endian, size counting
 * itself; a message answers with type + 1 or RLERROR. Numbers below 200 are those of 9P2000.L
 * (diod's protocol.md, Linux include/net/9p/9p.h) with Linux's x86-64 open flags and errnos.
 *
 * Extensions, in force when both sides said "9P2000.L.stasis1" in Tversion/Rversion (a server that
 * does not know it answers "9P2000.L" or "unknown"):
 *
 * Twalkgetattr fid names newfids -> ecode attrs target
 *	Walks up to 16 names below fid, giving the attributes of each component reached. Stops
 *	early at a name that cannot be reached (ecode says why, the attributes of those before it
 *	are still given) and at a symbolic link (ecode 0, its attributes are the last). target is
 *	the content of the link when the last component is one. newfids has one element per name
 *	(element i is bound if attrs has more than i elements), or exactly one (bound to the last
 *	component if all names were walked or the walk ended at a symbolic link). No names and one
 *	newfid: a copy of fid. Nothing reached is no error of the message.
 * Topenfd fid newfid flags -> donated attr
 *	Opens the file of fid (which stays as it is). A regular file's host descriptor, opened as
 *	flags say, is donated: it comes as SCM_RIGHTS with the first byte of the reply whose donated
 *	is 1. newfid becomes an open fid on the server too (for directories and for what is not
 *	donated); P9_NOFID: no fid is wanted, and what cannot be donated is EOPNOTSUPP.
 * Tcreatefd dfid newfid name flags mode uid gid -> donated attr
 *	Creates a regular file and donates a descriptor as Topenfd does; newfid becomes an unopened
 *	fid of the new file. Without O_EXCL in flags an existing regular file is opened instead.
 *	uid or gid P9_NOID: the server's choice.
 * Treaddirplus fid offset count -> data
 *	Like Treaddir without "." and "..", each entry being offset[8] attr name[s]. Fewer bytes
 *	than count less P9_DIRENT_PLUS_MAX are the end of the directory.
 * Tmulticlunk fids -> nothing
 *	Clunks up to 256 fids; EBADF if one was unknown, the others are clunked all the same.
 * Trenameat2 olddirfid oldname newdirfid newname flags -> nothing
 *	Trenameat with the flags of renameat2(2).
 * Tmakenode dfid newfid name mode uid gid target -> attr
 *	Makes a directory, symbolic link (to target), FIFO or socket, as the type in mode says, with
 *	the owner asked for, and binds newfid to it.
 * Tplace core -> nothing
 *	The client's threads run on that core (from 1), so the server had better, too: waking an
 *	idle one costs more than most requests. 0: they run anywhere. Never an error.
 *
 * attr is the body of Rgetattr: valid[8] qid[13] mode[4] uid[4] gid[4] nlink[8] rdev[8] size[8]
 * blksize[8] blocks[8] and {atime mtime ctime btime}{sec[8] nsec[8]} gen[8] data_version[8].
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define P9_VERSION      "9P2000.L"
#define P9_VERSION_EXT  "9P2000.L.stasis1"
#define P9_NOTAG        0xffffu
#define P9_NOFID        0xffffffffu
#define P9_NOID         0xffffffffu
#define P9_HEADER_SIZE  7u
#define P9_MIN_MSIZE    8192u
#define P9_MAX_MSIZE    (1u << 20)
#define P9_MAX_WALK     16u
#define P9_MAX_FIDS     256u
#define P9_MAX_NAME     255u
#define P9_MAX_LINK     4095u
#define P9_READ_HEADER  (P9_HEADER_SIZE + 4u)  /* what precedes the data of Rread, Rreaddir */
#define P9_WRITE_HEADER (P9_HEADER_SIZE + 16u) /* what precedes the data of Twrite */
#define P9_FIRST_EXT    200u

/* More than any entry of Rreaddirplus. */
#define P9_DIRENT_PLUS_MAX 512u

/* Bits of p9_qid.type. */
#define P9_QTDIR     0x80u
#define P9_QTSYMLINK 0x02u
#define P9_QTFILE    0x00u

/* Tgetattr request_mask, p9_attr.valid. */
#define P9_GETATTR_BASIC 0x000007ffull
#define P9_GETATTR_BTIME 0x00000800ull
#define P9_GETATTR_ALL   0x00003fffull

/* Tsetattr valid. */
#define P9_SETATTR_MODE      0x001u
#define P9_SETATTR_UID       0x002u
#define P9_SETATTR_GID       0x004u
#define P9_SETATTR_SIZE      0x008u
#define P9_SETATTR_ATIME     0x010u
#define P9_SETATTR_MTIME     0x020u
#define P9_SETATTR_CTIME     0x040u
#define P9_SETATTR_ATIME_SET 0x080u
#define P9_SETATTR_MTIME_SET 0x100u
#define P9_SETATTR_ALL       0x1ffu

/* Not terminated; never holds a NUL when it was decoded. */
struct p9_str {
	const char *s;
	uint16_t len;
};

struct p9_qid {
	uint8_t type;
	uint32_t version;
	uint64_t path;
};

struct p9_attr {
	uint64_t valid;
	struct p9_qid qid;
	uint32_t mode, uid, gid;
	uint64_t nlink, rdev, size, blksize, blocks;
	uint64_t atime_sec, atime_nsec;
	uint64_t mtime_sec, mtime_nsec;
	uint64_t ctime_sec, ctime_nsec;
	uint64_t btime_sec, btime_nsec;
	uint64_t gen, data_version;
};

struct p9_names {
	uint16_t count;
	struct p9_str v[P9_MAX_WALK];
};

struct p9_qids {
	uint16_t count;
	struct p9_qid v[P9_MAX_WALK];
};

struct p9_attrs {
	uint16_t count;
	struct p9_attr v[P9_MAX_WALK];
};

struct p9_fids {
	uint16_t count;
	uint32_t v[P9_MAX_FIDS];
};

struct p9_data {
	uint32_t count;
	const uint8_t *p;
};

/*
 * A cursor. Writing: size is the room, pos what is written. Reading: size is what there is, pos
 * what was consumed. The first step out of bounds or rule sets bad; everything after it does
 * nothing and reads zeros, so that only the end needs a check.
 */
struct p9_buf {
	uint8_t *data;
	size_t pos, size;
	bool bad;
};

struct p9_header {
	uint32_t size;
	uint8_t type;
	uint16_t tag;
};

enum p9_type {
#define P9_MSG(NAME, nr, name, fields) P9_##NAME = nr,
#include "proto/p9_messages.def"
#undef P9_MSG
};

#define U8(f)    uint8_t f;
#define U16(f)   uint16_t f;
#define U32(f)   uint32_t f;
#define U64(f)   uint64_t f;
#define STR(f)   struct p9_str f;
#define QID(f)   struct p9_qid f;
#define ATTR(f)  struct p9_attr f;
#define NAMES(f) struct p9_names f;
#define FIDS(f)  struct p9_fids f;
#define QIDS(f)  struct p9_qids f;
#define ATTRS(f) struct p9_attrs f;
#define DATA(f)  struct p9_data f;
/*
 * For each message: struct p9_NAME, p9_put_NAME (appends the fields, not the header) and
 * p9_get_NAME (fills *ret_m; check with p9_done).
 */
#define P9_MSG(NAME, nr, name, fields)                                   \
	struct p9_##name {                                               \
		fields                                                   \
	};                                                               \
	void p9_put_##name(struct p9_buf *b, const struct p9_##name *m); \
	void p9_get_##name(struct p9_buf *b, struct p9_##name *ret_m);
#include "proto/p9_messages.def"
#undef P9_MSG
#undef U8
#undef U16
#undef U32
#undef U64
#undef STR
#undef QID
#undef ATTR
#undef NAMES
#undef FIDS
#undef QIDS
#undef ATTRS
#undef DATA

static inline struct p9_buf p9_buf(void *data, size_t size)
{
	struct p9_buf b = {.data = (uint8_t *)data, .size = size};

	return b;
}

/* s must be at most 65535 bytes long; a longer one is cut and so refused by the other side. */
struct p9_str p9_str(const char *s);
bool p9_str_is(struct p9_str a, const char *s);
/* One path component: 1..255 bytes, no '/' and no NUL, not "." or "..". */
bool p9_name_ok(struct p9_str name);

/* Reads a header without consuming it. False when fewer than seven bytes are there. */
bool p9_peek(const uint8_t *data, size_t size, struct p9_header *ret_h);
/* Starts a message; its start is to be given to p9_end. */
size_t p9_begin(struct p9_buf *b, uint8_t type, uint16_t tag);
/* Writes the size into the message begun at start. -EMSGSIZE if it did not fit (pos is then back at
 * start and the buffer usable). */
int p9_end(struct p9_buf *b, size_t start);
/* After p9_get_*: 0, or -EBADMSG if the fields were cut short, over-long or broke a rule. */
int p9_done(const struct p9_buf *b);

void p9_put_u8(struct p9_buf *b, uint8_t v);
void p9_put_u16(struct p9_buf *b, uint16_t v);
void p9_put_u32(struct p9_buf *b, uint32_t v);
void p9_put_u64(struct p9_buf *b, uint64_t v);
void p9_put_str(struct p9_buf *b, struct p9_str s);
void p9_put_qid(struct p9_buf *b, const struct p9_qid *q);
void p9_put_attr(struct p9_buf *b, const struct p9_attr *a);
/* n bytes to be filled by the caller, or NULL when there is no room. */
uint8_t *p9_put_space(struct p9_buf *b, size_t n);

uint8_t p9_get_u8(struct p9_buf *b);
uint16_t p9_get_u16(struct p9_buf *b);
uint32_t p9_get_u32(struct p9_buf *b);
uint64_t p9_get_u64(struct p9_buf *b);
struct p9_str p9_get_str(struct p9_buf *b);
struct p9_qid p9_get_qid(struct p9_buf *b);
struct p9_attr p9_get_attr(struct p9_buf *b);

/* An entry in the data of Rreaddir. */
struct p9_dirent {
	struct p9_qid qid;
	uint64_t offset;
	uint8_t type;
	struct p9_str name;
};
/* An entry in the data of Rreaddirplus. */
struct p9_dirent_plus {
	uint64_t offset;
	struct p9_attr attr;
	struct p9_str name;
};
/* False, with nothing written, when the entry does not fit. */
bool p9_put_dirent(struct p9_buf *b, const struct p9_dirent *d);
bool p9_put_dirent_plus(struct p9_buf *b, const struct p9_dirent_plus *d);
/* False at the end of the data; b->bad tells a broken entry from the end. */
bool p9_get_dirent(struct p9_buf *b, struct p9_dirent *ret_d);
bool p9_get_dirent_plus(struct p9_buf *b, struct p9_dirent_plus *ret_d);

/* "TWALK"; "?" for a type that is none. */
const char *p9_type_name(uint8_t type);
