# SPDX-License-Identifier: BSD-2-Clause
# A profile for AppArmor: all is allowed, but programs.
profile ks_no_programs {
	capability,
	deny capability bpf,
	deny capability perfmon,
	deny capability sys_admin,
	file,
	mount,
	umount,
	pivot_root,
	network,
	unix,
	signal,
	ptrace,
}
