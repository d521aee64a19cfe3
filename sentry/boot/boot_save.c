/* Saves: to an image, from an image, and the autosave that does both without files. */
#define LOG_SUBSYSTEM "save"
#include "sentry/boot/boot_impl.h"
#include "sentry/fs/hostfd.h"
#include "sentry/fs/tty/console.h"
#include "sentry/kernel/pidns.h"
#include "sentry/kernel/quiesce.h"
#include "sentry/kernel/task_run.h"
#include "sentry/mm/imagefile.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/pageload.h"
#include "sentry/time/timer.h"
#include "sentry/vfs/super.h"

#include "state/base/log.h"
#include "state/image.h"
#include "state/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- what the guest may rely on ---- */

struct cpu_feature {
	const char *name;
	bool (*here)(void);
};
#define FEATURE_LIST(X)             \
	X(sse3, "sse3")             \
	X(ssse3, "ssse3")           \
	X(sse4_1, "sse4.1")         \
	X(sse4_2, "sse4.2")         \
	X(popcnt, "popcnt")         \
	X(avx, "avx")               \
	X(avx2, "avx2")             \
	X(fma, "fma")               \
	X(bmi1, "bmi")              \
	X(bmi2, "bmi2")             \
	X(avx512f, "avx512f")       \
	X(avx512vl, "avx512vl")     \
	X(avx512bw, "avx512bw")     \
	X(avx512dq, "avx512dq")     \
	X(avx512cd, "avx512cd")     \
	X(avx512vbmi, "avx512vbmi") \
	X(avx512vnni, "avx512vnni") \
	X(gfni, "gfni")             \
	X(vpclmulqdq, "vpclmulqdq") \
	X(aes, "aes")               \
	X(pclmul, "pclmul")
#define FEATURE(id, text)                                 \
	static bool has_##id(void)                        \
	{                                                 \
		return __builtin_cpu_supports(text) != 0; \
	}
FEATURE_LIST(FEATURE)
static const struct cpu_feature cpu_features[] = {
#define ENTRY(id, text) {text, has_##id},
	FEATURE_LIST(ENTRY)
#undef ENTRY
};

static size_t list_features(const char *out[ARRAY_SIZE(cpu_features)])
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(cpu_features); i++) {
		if (cpu_features[i].here())
			out[n++] = cpu_features[i].name;
	}
	return n;
}

static bool feature_here(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(cpu_features); i++) {
		if (strcmp(cpu_features[i].name, name) == 0)
			return cpu_features[i].here();
	}
	return false;
}

/* How FP state in the image is laid out. */
struct cpu_state {
	u64 xfeatures;
	u64 size;
};

static int check_cpu(const struct image_info *info, const struct platform *p, char **ret_why)
{
	struct cpu_state st;

	for (size_t i = 0; i < info->n_cpu_features; i++) {
		if (!feature_here(info->cpu_features[i]))
			return boot_why(
				ret_why, -ENOTSUP,
				"inventory.img: the sandbox was saved on a CPU with %s, which "
				"this one lacks",
				info->cpu_features[i]);
	}
	if (info->cpu_state_len != sizeof(st))
		return boot_why(ret_why, -EBADMSG,
		                "inventory.img: the FP state's layout is unknown");
	memcpy(&st, info->cpu_state, sizeof(st));
	if (st.xfeatures & ~p->xfeatures)
		return boot_why(
			ret_why, -ENOTSUP,
			"inventory.img: the sandbox uses vector state (XCR0 bits 0x%llx) that "
			"this CPU lacks",
			(unsigned long long)(st.xfeatures & ~p->xfeatures));
	return 0;
}

/* The standard layout has every component at a fixed place: a shorter area is a prefix. */
static void fit_fp(struct kernel *k, u32 size)
{
	for (u32 i = 1; i < PID_MAX; i++) {
		struct task *t = k->pidns->slots[i].task;

		if (!t || !t->fp || t->fp->size == size)
			continue;
		if (t->fp->size > size)
			memset(t->fp->data + size, 0, t->fp->size - size);
		t->fp->size = size;
	}
}

/* ---- saving ---- */

static int save_kernel(struct kernel *k, struct snapshot *ret, char **ret_why)
{
	void *roots[] = {k};
	struct save_params p = {.roots = roots, .n_roots = 1};

	return state_save(&p, ret, ret_why);
}

static u64 now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (u64)timespec_ns(&ts);
}

static int write_image(struct boot *b, const struct boot_checkpoint *ck,
                       const struct snapshot *snap, struct image_stats *stats, char **ret_why)
{
	const int fds[IMAGE_FILES] = {ck->inventory, ck->kernel, ck->pagemap, ck->pages, ck->stats};
	const struct platform *p = b->machine.platform;
	const char *features[ARRAY_SIZE(cpu_features)];
	struct cpu_state st = {p->xfeatures, p->fpstate_size};
	struct image_info info = {
		.producer = "stasis " STASIS_VERSION,
		.arch = "x86_64",
		.cpu_features = features,
		.n_cpu_features = list_features(features),
		.cpu_state = &st,
		.cpu_state_len = sizeof(st),
		.realtime_ns = now_ns(CLOCK_REALTIME),
		.monotonic_ns = (u64)clock_mono(&b->kernel->clocks),
		.boottime_ns = now_ns(CLOCK_BOOTTIME),
		.compression = ck->lz4 ? IMAGE_LZ4 : IMAGE_NONE,
		.sandbox = b->cfg->id,
		.config = ck->sandbox,
		.config_len = ck->sandbox_size,
	};

	if (__atomic_load_n(ck->cancel, __ATOMIC_ACQUIRE))
		return -ECANCELED;
	return image_write(fds, snap, &info, stats, ret_why);
}

static void let_run(struct boot *b, bool was_paused)
{
	consoles_resume(b->machine.consoles);
	timers_resume(b->machine.timers);
	if (!was_paused)
		kernel_resume(b->kernel);
}

/* Stops everything and takes the kernel's state; what fails leaves it running. */
static int stop_and_save(struct boot *b, bool was_paused, u64 *ret_stopped,
                         struct snapshot *ret_snap, char **ret_why)
{
	int r = 0;

	GUARD(&b->look_lock);
	if (!was_paused)
		r = kernel_pause(b->kernel, 20 * NSEC_PER_SEC);
	if (r < 0)
		return boot_why(ret_why, r, "a task can't be stopped: %s; the sandbox runs on",
		                strerror(-r));
	*ret_stopped = now_ns(CLOCK_MONOTONIC);
	timers_pause(b->machine.timers);
	consoles_pause(b->machine.consoles);
	r = save_kernel(b->kernel, ret_snap, ret_why);
	if (r < 0)
		let_run(b, was_paused);
	return r;
}

int boot_checkpoint(struct boot *b, const struct boot_checkpoint *ck, Control__CheckpointReply *ret,
                    char **ret_why)
{
	struct image_stats stats = {0};
	struct snapshot snap;
	bool was_paused;
	u64 start, stopped = 0;
	int r;

	GUARD(&b->save_lock);
	if (b->ended || !b->kernel)
		return boot_why(ret_why, -ESRCH, "the sandbox has ended");
	was_paused = b->paused_by_user;
	start = now_ns(CLOCK_MONOTONIC);
	r = stop_and_save(b, was_paused, &stopped, &snap, ret_why);
	if (r < 0)
		return r;
	stats.freezing_ns = stopped - start;
	stats.frozen_since_ns = start;
	r = write_image(b, ck, &snap, &stats, ret_why);
	snapshot_finish(&snap);
	if (r == 0 && __atomic_load_n(ck->cancel, __ATOMIC_ACQUIRE))
		r = -ECANCELED;
	let_run(b, was_paused || r == 0);
	if (r < 0)
		return r;
	b->paused_by_user = true;
	ret->pause_ns = now_ns(CLOCK_MONOTONIC) - start;
	ret->pages = stats.pages_written;
	ret->bytes = stats.bytes;
	return 0;
}

/* ---- loading ---- */

static int load_kernel(struct boot *b, const void *bytes, size_t size, struct kernel_load *kl,
                       char **ret_why)
{
	static const struct obj_type *const types[] = {&kernel_type};
	struct load_params p = {.root_types = types, .n_roots = 1, .user = kl};
	const char *why = NULL;
	void *root = NULL;
	int r;

	consoles_pause(b->machine.consoles);
	/* Loading and rewiring arm timers; they find a whole kernel when they fire. */
	timers_pause(b->machine.timers);
	r = state_load(bytes, size, &p, &root, ret_why);
	if (r < 0) {
		timers_resume(b->machine.timers);
		consoles_resume(b->machine.consoles);
		return r;
	}
	r = kernel_rewire(root, &b->machine, &why);
	timers_resume(b->machine.timers);
	consoles_resume(b->machine.consoles);
	if (r < 0)
		return boot_why(ret_why, r, "kernel.img: %s", why);
	fit_fp(root, b->machine.platform->fpstate_size);
	b->kernel = root;
	return 0;
}

int boot_image_open(struct boot *b, void **ret_sandbox, size_t *ret_size, char **ret_why)
{
	const Control__ImageFds *f = b->cfg->restore;
	const int fds[IMAGE_FILES] = {f->inventory, f->kernel, f->pagemap, f->pages, -1};
	const struct image_info *info;
	int r = image_open(fds, &b->image, ret_why);

	if (r < 0)
		return r;
	info = image_info(b->image);
	if (strcmp(info->arch, "x86_64") != 0)
		return boot_why(ret_why, -ENOTSUP, "inventory.img: saved on %s, this is x86_64",
		                info->arch);
	r = check_cpu(info, b->machine.platform, ret_why);
	if (r < 0)
		return r;
	*ret_sandbox = malloc(info->config_len + 1);
	BUG_ON(!*ret_sandbox);
	if (info->config_len)
		memcpy(*ret_sandbox, info->config, info->config_len);
	*ret_size = info->config_len;
	return 0;
}

int boot_restore(struct boot *b, const Control__Sandbox *sandbox, const int *gofer_fds,
                 size_t n_gofers, char **ret_why)
{
	struct kernel_load kl = {.machine = &b->machine};
	struct container *c;
	const void *bytes;
	size_t size;
	int r;

	r = boot_connect_gofers(b, gofer_fds, n_gofers, ret_why);
	if (r == 0)
		r = boot_plug_console(b, ret_why);
	if (r < 0)
		return r;
	b->machine.overlay = sandbox->overlay;
	boot_set_limits(&b->machine, b->cfg, sandbox);
	r = imagefile_create(image_take_pages(b->image), true, b->machine.memfile, &kl.image);
	if (r < 0)
		return boot_why(ret_why, r, "cannot map pages.img: %s", strerror(-r));
	bytes = image_kernel(b->image, &size);
	r = load_kernel(b, bytes, size, &kl, ret_why);
	image_close(b->image);
	b->image = NULL;
	if (r == 0 && b->cfg->background)
		imagefile_prefetch(kl.image, 0, imagefile_pages(kl.image) * PAGE_SIZE);
	mapfile_put(imagefile_mapfile(kl.image));
	if (r < 0)
		return r;
	hostfd_look_at_sizes(b->kernel);
	c = TAILQ_FIRST(&b->kernel->containers);
	if (!c)
		return boot_why(ret_why, -EBADMSG, "kernel.img: there is no container in it");
	free(c->id);
	c->id = strdup(b->cfg->id);
	return 0;
}

/* ---- autosave ---- */

static void drop_vehicles(const struct snapshot *snap)
{
	for (size_t i = 0; i < snap->n_objects; i++) {
		struct mm *mm = obj_cast(mm, snap->objs[i]);
		struct super_block *sb = obj_cast(super_block, snap->objs[i]);

		if (mm)
			mm_drop_aspace(mm);
		if (sb)
			super_shrink(sb);
	}
}

/* What was loaded must give the image that it came from. */
static int save_again(struct boot *b, const struct snapshot *first, u64 generation, char **ret_why)
{
	const u64 now = b->kernel->generation;
	struct snapshot again;
	int r;

	/* It knows that it was loaded. */
	b->kernel->generation = generation;
	r = save_kernel(b->kernel, &again, ret_why);
	b->kernel->generation = now;
	if (r < 0)
		return r;
	r = snapshot_compare("kernel.img", &first->kernel, &again.kernel, ret_why);
	snapshot_finish(&again);
	return r;
}

int boot_autosave(struct boot *b, char **ret_why)
{
	struct kernel_load kl = {.machine = &b->machine};
	const u64 generation = b->kernel->generation;
	struct snapshot snap;
	int r;

	timers_pause(b->machine.timers);
	consoles_pause(b->machine.consoles);
	r = save_kernel(b->kernel, &snap, ret_why);
	if (r == 0) {
		kl.in_place = &snap.pages;
		pageload_hold(&b->machine, &snap.pages);
		kernel_stop_threads(b->kernel);
		drop_vehicles(&snap);
		b->kernel = NULL;
		snapshot_discard_objects(&snap);
		r = load_kernel(b, snap.kernel.data, snap.kernel.len, &kl, ret_why);
		if (r == 0 && b->machine.autosave_on_request)
			r = save_again(b, &snap, generation, ret_why);
		pageload_release(&b->machine, &snap.pages);
		snapshot_finish(&snap);
	}
	consoles_resume(b->machine.consoles);
	timers_resume(b->machine.timers);
	if (r == 0)
		r = kernel_start_all(b->kernel);
	if (r == 0)
		kernel_resume(b->kernel);
	return r;
}
