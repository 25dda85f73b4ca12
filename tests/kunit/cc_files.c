// SPDX-License-Identifier: GPL-2.0-only
/*
 * The files of the allocator, read and written as a process would, through a
 * mount of their file system and a user address; and functions that nobody but
 * the kernel's core calls, by name.
 */
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/kallsyms.h>
#include <linux/kernel.h>
#include <linux/mman.h>
#include <linux/mount.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "cc_test.h"

#define USER_SIZE	SZ_16K

/**
 * cc_test_symbol() - find a function by name
 * @test: the test, which is skipped if there is none
 * @name: name of a function that may be static
 *
 * Return: its address.
 */
void *cc_test_symbol(struct kunit *test, const char *name)
{
	void *fn = (void *)kallsyms_lookup_name(name);

	if (!fn)
		kunit_skip(test, "%s is not in kallsyms", name);
	return fn;
}

/**
 * cc_test_files() - make the files that a boot with swiotlb=cc would make
 * @test: the test, which is skipped if that is not possible any more
 *
 * They stay.
 */
void cc_test_files(struct kunit *test)
{
	static bool made;
	initcall_t init;

	if (!IS_ENABLED(CONFIG_DEBUG_FS))
		kunit_skip(test, "needs CONFIG_DEBUG_FS");
	if (made)
		return;
	if (system_state >= SYSTEM_FREEING_INITMEM)
		kunit_skip(test, "only while the kernel boots");
	init = cc_test_symbol(test, "cc_stats_init");
	KUNIT_ASSERT_EQ(test, 0, init());
	made = true;
}

/* One address per test: each has an address space of its own. */
static char __user *user_memory(struct kunit *test)
{
	unsigned long addr = kunit_vm_mmap(test, NULL, 0, USER_SIZE,
					   PROT_READ | PROT_WRITE,
					   MAP_ANONYMOUS | MAP_PRIVATE, 0);

	if (!addr || IS_ERR_VALUE(addr))
		kunit_skip(test, "no user memory");
	return (char __user *)addr;
}

static struct vfsmount *mount_of(struct kunit *test, const char *fs)
{
	struct file_system_type *type = get_fs_type(fs);
	struct vfsmount *mnt;

	KUNIT_ASSERT_NOT_NULL(test, type);
	mnt = kern_mount(type);
	put_filesystem(type);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, mnt);
	return mnt;
}

static ssize_t read_all(struct file *file, char __user *user, char *text)
{
	ssize_t len = 0, n;

	do {
		n = vfs_read(file, user + len, USER_SIZE - len, &file->f_pos);
		if (n < 0)
			return n;
		len += n;
	} while (n);
	return copy_from_user(text, user, len) ? -EFAULT : len;
}

/**
 * cc_test_read() - read a file
 * @test: the test that the text belongs to
 * @fs: file system, as "debugfs"
 * @path: path below the root of that
 *
 * Return: what was read; a failure ends the test.
 */
char *cc_test_read(struct kunit *test, const char *fs, const char *path)
{
	char *text = kunit_kzalloc(test, USER_SIZE + 1, GFP_KERNEL);
	char __user *user = user_memory(test);
	struct vfsmount *mnt = mount_of(test, fs);
	struct file *file = file_open_root_mnt(mnt, path, O_RDONLY, 0);
	ssize_t len = PTR_ERR_OR_ZERO(file);

	if (text && !IS_ERR(file)) {
		len = read_all(file, user, text);
		__fput_sync(file);
	}
	kern_unmount(mnt);
	KUNIT_ASSERT_NOT_NULL(test, text);
	KUNIT_ASSERT_GE_MSG(test, len, 0, "%s", path);
	return text;
}

/**
 * cc_test_write() - write to a file
 * @test: the test
 * @fs: file system, as "debugfs"
 * @path: path below the root of that
 * @text: what to write
 *
 * Return: 0 if all was written, or an error.
 */
int cc_test_write(struct kunit *test, const char *fs, const char *path,
		  const char *text)
{
	char __user *user = user_memory(test);
	struct vfsmount *mnt = mount_of(test, fs);
	struct file *file = file_open_root_mnt(mnt, path, O_WRONLY, 0);
	ssize_t len = PTR_ERR_OR_ZERO(file);

	if (!IS_ERR(file)) {
		len = copy_to_user(user, text, strlen(text)) ? -EFAULT :
		      vfs_write(file, user, strlen(text), &file->f_pos);
		__fput_sync(file);
	}
	kern_unmount(mnt);
	if (len >= 0)
		KUNIT_EXPECT_EQ(test, len, strlen(text));
	return min(len, 0);
}
