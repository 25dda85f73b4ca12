// SPDX-License-Identifier: GPL-2.0
/*
 * cvm-shim: let a stock QEMU create a protected VM under pKVM.
 *
 *	LD_PRELOAD=cvm-shim.so qemu-system-aarch64 -accel kvm -M virt ...
 *
 * QEMU (10.0) has no machine option for it. Two ioctls are all that differs:
 *
 * - KVM_CREATE_VM gets KVM_VM_TYPE_ARM_PROTECTED added to the VM type.
 *
 * - KVM_CHECK_EXTENSION(KVM_CAP_READONLY_MEM) is answered with 0. pKVM refuses
 *   read-only memory slots for protected VMs but answers the question on
 *   /dev/kvm for VMs of any type; told the truth, QEMU emulates its flash as
 *   MMIO instead of mapping it.
 *
 * Unnecessary once QEMU's virt machine can ask for the VM type itself, as it
 * does for CCA realms with "-machine confidential-guest-support=".
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#ifndef KVM_VM_TYPE_ARM_PROTECTED
#define KVM_VM_TYPE_ARM_PROTECTED	0x80000000UL
#endif

int ioctl(int fd, unsigned long request, ...)
{
	static int (*next)(int fd, unsigned long request, ...);
	unsigned long arg;
	va_list ap;

	va_start(ap, request);
	arg = va_arg(ap, unsigned long);
	va_end(ap);

	if (!next)
		next = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");

	if (request == KVM_CREATE_VM)
		arg |= KVM_VM_TYPE_ARM_PROTECTED;
	else if (request == KVM_CHECK_EXTENSION && arg == KVM_CAP_READONLY_MEM)
		return 0;

	return next(fd, request, arg);
}
