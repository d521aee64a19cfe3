/* File system type "sysfs": the little that C libraries and language runtimes read. */
#include "proto/leaf.pb-c.h"
#include "sentry/fs/pseudo.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/heap.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>

struct sys_super {
	struct pseudo_super pseudo;
};
OBJECT_DECL(sys_super);

extern const struct pseudo_dir sys_class_net;

#define SYS_SHOW(fn) static int fn(struct pseudo_inode *i, struct ctx *c, struct text *t)
#define REG(n, fn)                                            \
	{                                                     \
		.name = n, .mode = S_IFREG | 0444, .show = fn \
	}
#define DIR_OF(n, d)                                           \
	{                                                      \
		.name = n, .mode = S_IFDIR | 0755, .dir = &(d) \
	}

static unsigned ncpu(struct ctx *c)
{
	return MAX(c->kernel->machine->ncpu, 1u);
}

/* ---- devices/system/cpu ---- */

SYS_SHOW(show_cpus)
{
	if (ncpu(c) == 1)
		text_printf(t, "0\n");
	else
		text_printf(t, "0-%u\n", ncpu(c) - 1);
	return 0;
}

SYS_SHOW(show_no_cpus)
{
	text_char(t, '\n');
	return 0;
}

SYS_SHOW(show_kernel_max)
{
	text_printf(t, "8191\n");
	return 0;
}

/* Which CPU a file is about: the number that its directory was looked up by. */
SYS_SHOW(show_core_id)
{
	text_printf(t, "%d\n", i->key.num);
	return 0;
}

SYS_SHOW(show_0)
{
	text_printf(t, "0\n");
	return 0;
}

SYS_SHOW(show_1)
{
	text_printf(t, "1\n");
	return 0;
}

static void show_mask(struct text *t, unsigned from, unsigned to, unsigned n)
{
	for (int w = (int)((n - 1) / 32); w >= 0; w--) {
		u32 bits = 0;

		for (unsigned b = 0; b < 32; b++)
			if ((unsigned)w * 32 + b >= from && (unsigned)w * 32 + b < to)
				bits |= 1u << b;
		text_printf(t, "%0*x%s", n < 32 ? (int)(n + 3) / 4 : 8, bits, w ? "," : "\n");
	}
}

SYS_SHOW(show_own_mask)
{
	show_mask(t, (unsigned)i->key.num, (unsigned)i->key.num + 1, ncpu(c));
	return 0;
}

SYS_SHOW(show_all_mask)
{
	show_mask(t, 0, ncpu(c), ncpu(c));
	return 0;
}

SYS_SHOW(show_own)
{
	text_printf(t, "%d\n", i->key.num);
	return 0;
}

static const struct pseudo_entry topology_entries[] = {
	REG("core_cpus", show_own_mask),       REG("core_cpus_list", show_own),
	REG("core_id", show_core_id),          REG("core_siblings", show_all_mask),
	REG("core_siblings_list", show_cpus),  REG("die_id", show_0),
	REG("package_cpus", show_all_mask),    REG("package_cpus_list", show_cpus),
	REG("physical_package_id", show_0),    REG("thread_siblings", show_own_mask),
	REG("thread_siblings_list", show_own),
};
PSEUDO_DIR(sys_topology, .id = "sys.cpuN.topology", PSEUDO_ENTRIES(topology_entries));

static const struct pseudo_entry one_cpu_entries[] = {
	REG("online", show_1),
	DIR_OF("topology", sys_topology),
};
PSEUDO_DIR(sys_one_cpu, .id = "sys.cpuN", PSEUDO_ENTRIES(one_cpu_entries));

static const struct pseudo_entry cpu_templates[] = {DIR_OF("CPU", sys_one_cpu)};
PSEUDO_DIR(sys_cpu_numbered, .id = "sys.numbered", PSEUDO_ENTRIES(cpu_templates));

static int cpu_lookup(struct pseudo_inode *dir, struct ctx *c, const char *name,
                      struct pseudo_key *ret)
{
	u64 n;

	if (strncmp(name, "cpu", 3) != 0 || !pseudo_number(name + 3, INT32_MAX, &n) || n >= ncpu(c))
		return -ENOENT;
	ret->entry = &cpu_templates[0];
	ret->num = (s32)n;
	return 0;
}

static bool cpu_next(struct pseudo_inode *dir, struct ctx *c, u64 *num, char name[24],
                     struct pseudo_key *ret)
{
	if (*num >= ncpu(c))
		return false;
	ret->entry = &cpu_templates[0];
	ret->num = (s32)*num;
	snprintf(name, 24, "cpu%u", (unsigned)*num);
	return true;
}

static const struct pseudo_entry cpu_entries[] = {
	REG("isolated", show_no_cpus), REG("kernel_max", show_kernel_max),
	REG("offline", show_no_cpus),  REG("online", show_cpus),
	REG("possible", show_cpus),    REG("present", show_cpus),
};
PSEUDO_DIR(sys_cpu, .id = "sys.cpu", PSEUDO_ENTRIES(cpu_entries), .lookup = cpu_lookup,
           .next = cpu_next);

SYS_SHOW(show_distance)
{
	text_printf(t, "10\n");
	return 0;
}

static void node_kb(struct text *t, const char *what, u64 bytes)
{
	text_printf(t, "Node 0 %-15s%8llu kB\n", what, (unsigned long long)(bytes / KIB));
}

SYS_SHOW(show_node_meminfo)
{
	struct memory_use m = memory_use(c->kernel->machine->memfile);

	node_kb(t, "MemTotal:", m.total);
	node_kb(t, "MemFree:", m.free);
	node_kb(t, "MemUsed:", m.total - m.free);
	node_kb(t, "AnonPages:", m.used - m.heap);
	text_printf(t, "Node 0 HugePages_Total:     0\nNode 0 HugePages_Free:      0\n");
	return 0;
}

static const struct pseudo_entry node0_entries[] = {
	REG("cpulist", show_cpus),
	REG("cpumap", show_all_mask),
	REG("distance", show_distance),
	REG("meminfo", show_node_meminfo),
};
PSEUDO_DIR(sys_node0, .id = "sys.node0", PSEUDO_ENTRIES(node0_entries));

static const struct pseudo_entry node_entries[] = {
	DIR_OF("node0", sys_node0),       REG("has_cpu", show_0), REG("has_memory", show_0),
	REG("has_normal_memory", show_0), REG("online", show_0),  REG("possible", show_0),
};
PSEUDO_DIR(sys_node, .id = "sys.node", PSEUDO_ENTRIES(node_entries));

static const struct pseudo_entry system_entries[] = {
	DIR_OF("cpu", sys_cpu),
	DIR_OF("node", sys_node),
};
PSEUDO_DIR(sys_system, .id = "sys.system", PSEUDO_ENTRIES(system_entries));
static const struct pseudo_entry devices_entries[] = {DIR_OF("system", sys_system)};
PSEUDO_DIR(sys_devices, .id = "sys.devices", PSEUDO_ENTRIES(devices_entries));

/* ---- kernel ---- */

/* As the memory of guests really is treated. */
SYS_SHOW(show_thp)
{
	const struct memfile *mf = c->kernel->machine->memfile;

	text_printf(t, "%s never\n",
	            mf && mf->huge_always ? "[always] madvise" : "always [madvise]");
	return 0;
}

SYS_SHOW(show_thp_defrag)
{
	text_printf(t, "always defer defer+madvise [madvise] never\n");
	return 0;
}

SYS_SHOW(show_pmd_size)
{
	text_printf(t, "2097152\n");
	return 0;
}

SYS_SHOW(show_shmem_thp)
{
	text_printf(t, "always within_size advise [never] deny force\n");
	return 0;
}

static const struct pseudo_entry thp_entries[] = {
	REG("defrag", show_thp_defrag),       REG("enabled", show_thp),
	REG("hpage_pmd_size", show_pmd_size), REG("shmem_enabled", show_shmem_thp),
	REG("use_zero_page", show_1),
};
PSEUDO_DIR(sys_thp, .id = "sys.kernel.mm.thp", PSEUDO_ENTRIES(thp_entries));
PSEUDO_DIR(sys_hugepages, .id = "sys.kernel.mm.hugepages");
static const struct pseudo_entry mm_entries[] = {
	DIR_OF("hugepages", sys_hugepages),
	DIR_OF("transparent_hugepage", sys_thp),
};
PSEUDO_DIR(sys_mm, .id = "sys.kernel.mm", PSEUDO_ENTRIES(mm_entries));
static const struct pseudo_entry kernel_entries[] = {DIR_OF("mm", sys_mm)};
PSEUDO_DIR(sys_kernel, .id = "sys.kernel", PSEUDO_ENTRIES(kernel_entries));

/* ---- empty directories, to mount on or to find nothing in ---- */

PSEUDO_DIR(sys_block, .id = "sys.block");
PSEUDO_DIR(sys_bus, .id = "sys.bus");
PSEUDO_DIR(sys_dev_block, .id = "sys.dev.block");
PSEUDO_DIR(sys_dev_char, .id = "sys.dev.char");
PSEUDO_DIR(sys_firmware, .id = "sys.firmware");
PSEUDO_DIR(sys_cgroup, .id = "sys.fs.cgroup");
PSEUDO_DIR(sys_module, .id = "sys.module");
PSEUDO_DIR(sys_power, .id = "sys.power");

static const struct pseudo_entry class_entries[] = {DIR_OF("net", sys_class_net)};
PSEUDO_DIR(sys_class, .id = "sys.class", PSEUDO_ENTRIES(class_entries));
static const struct pseudo_entry dev_entries[] = {
	DIR_OF("block", sys_dev_block),
	DIR_OF("char", sys_dev_char),
};
PSEUDO_DIR(sys_dev, .id = "sys.dev", PSEUDO_ENTRIES(dev_entries));
static const struct pseudo_entry fs_entries[] = {DIR_OF("cgroup", sys_cgroup)};
PSEUDO_DIR(sys_fs_dir, .id = "sys.fs", PSEUDO_ENTRIES(fs_entries));

static const struct pseudo_entry root_entries[] = {
	DIR_OF("block", sys_block),     DIR_OF("bus", sys_bus),
	DIR_OF("class", sys_class),     DIR_OF("dev", sys_dev),
	DIR_OF("devices", sys_devices), DIR_OF("firmware", sys_firmware),
	DIR_OF("fs", sys_fs_dir),       DIR_OF("kernel", sys_kernel),
	DIR_OF("module", sys_module),   DIR_OF("power", sys_power),
};
PSEUDO_DIR(sys_root_dir, .id = "sys.root", PSEUDO_ENTRIES(root_entries));
static const struct pseudo_entry roots[] = {DIR_OF("root", sys_root_dir)};
PSEUDO_DIR(sys_roots, .id = "sys", PSEUDO_ENTRIES(roots));

/* ---- super block ---- */

static int sys_mount(const struct fs_mount_args *a, struct super_block **ret)
{
	struct sys_super *ss = obj_new(sys_super);

	pseudo_super_setup(&ss->pseudo, a->kernel, &roots[0]);
	*ret = &ss->pseudo.sb;
	return 0;
}
FS_TYPE(sys_fs, .name = "sysfs", .mount = sys_mount);

static int sys_statfs(struct super_block *sb, struct ctx *c, struct statfs *ret)
{
	ret->f_type = SYSFS_MAGIC;
	ret->f_bsize = PAGE_SIZE;
	ret->f_frsize = PAGE_SIZE;
	ret->f_namelen = 255;
	return 0;
}

static const struct super_ops sys_super_ops = {
	.name = "sysfs",
	.statfs = sys_statfs,
	.revalidate = pseudo_revalidate,
};

#define SYS_SUPER_FIELDS(F) F(BASE, pseudo, pseudo_super)
OBJECT_TYPE(sys_super, Sentry__SysSuper, sentry__sys_super__descriptor, SYS_SUPER_FIELDS,
            .base = &pseudo_super_type, .ops = &sys_super_ops);
