/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* fs.h - include/linux/fs.h, fdtable.h and binfmts.h; included by ktypes.h */

struct backing_dev_info {
	uint64_t id; /* since 5.3; 0: never registered, as noop_backing_dev_info */
	void *dev;
};

struct super_block {
	uint32_t s_dev; /* major << 20 | minor */
	struct backing_dev_info *s_bdi;
};

struct inode {
	struct super_block *i_sb;
	kernel_long i_ino;
	uint64_t i_size;
	void *i_private; /* in kernfs: its struct kernfs_node */
	/* struct rw_semaphore; libbpf need not look up a type without a name */
	struct {
		struct {
			uint64_t counter;
		} owner;
	} i_rwsem;
};

/* struct inode of a PREEMPT_RT kernel, whose locks are mutexes with priority inheritance. */
struct inode___rt {
	struct {
		struct {
			struct {
				void *owner;
			} rtmutex;
		} rwbase;
	} i_rwsem;
};

struct file {
	struct inode *f_inode;
	void *f_mapping; /* page cache of the file; for a block device not that of f_inode */
};

struct kiocb {
	struct file *ki_filp;
	uint64_t ki_pos;
};

struct iov_iter {
	kernel_long count;
};

struct readahead_control {
	void *mapping;
	kernel_long _index;
};

struct fdtable {
	uint32_t max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct linux_binprm {
	const char *filename;
};
