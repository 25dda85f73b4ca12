// SPDX-License-Identifier: GPL-2.0
// Firmware says that what is behind the root ports in slots 4 to 6 of QEMU's q35 can
// be reached from outside of the machine: the kernel does not trust these devices.
DefinitionBlock ("", "SSDT", 2, "CCTEST", "EXTERNAL", 1)
{
	External (\_SB.PCI0.S20, DeviceObj)
	External (\_SB.PCI0.S28, DeviceObj)
	External (\_SB.PCI0.S30, DeviceObj)

	Scope (\_SB.PCI0.S20)
	{
		Name (_DSD, Package () {
			ToUUID ("efcc06cc-73ac-4bc3-bff0-76143807c389"),
			Package () { Package () { "ExternalFacingPort", 1 } }
		})
	}
	Scope (\_SB.PCI0.S28)
	{
		Name (_DSD, Package () {
			ToUUID ("efcc06cc-73ac-4bc3-bff0-76143807c389"),
			Package () { Package () { "ExternalFacingPort", 1 } }
		})
	}
	Scope (\_SB.PCI0.S30)
	{
		Name (_DSD, Package () {
			ToUUID ("efcc06cc-73ac-4bc3-bff0-76143807c389"),
			Package () { Package () { "ExternalFacingPort", 1 } }
		})
	}
}
