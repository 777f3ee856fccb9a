#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Shows that the installed files work: a host compiles against them with pkg-config, links the
# shared library, links the archive with `pkg-config --static`, and runs, in C and in C++; and that
# the host in README.md compiles.
set -euo pipefail
source=$1 build=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
. "$source/tests/support/tap.sh"

cat >"$dir/host.c" <<'C'
#include <kernelsight/kernelsight.h>
#include <kernelsight/schema.h>
#include <stdio.h>

int main(void)
{
	struct ks *ks;

	if (ks_version() != KS_VERSION || ks_open(NULL, &ks))
		return 1;
	ks_close(ks);
	return puts("opened") < 0;
}
C
cp "$dir/host.c" "$dir/host.cc"
sed -n '/^```c$/,/^```$/{/^```/!p}' "$source/README.md" >"$dir/readme.c"

DESTDIR=$dir/root meson install -C "$build" --no-rebuild --quiet >"$dir/install.log" 2>&1 ||
	{ sed 's/^/# /' "$dir/install.log"; echo "Bail out! meson install failed"; exit 1; }
pc=$(find "$dir/root" -name kernelsight.pc)
export PKG_CONFIG_PATH=${pc%/*}
# The installed .pc file has the final prefix, but here everything is below DESTDIR.
prefix=$(pkg-config --variable=prefix kernelsight)
config() { pkg-config --define-variable=prefix="$dir/root$prefix" "$@" kernelsight; }
libdir=$(config --variable=libdir)
headers=$(config --variable=includedir)/kernelsight

check install/headers test -f "$headers/kernelsight.h" -a -f "$headers/events.h" \
	-a -f "$headers/schema.h" -a -f "$headers/version.h" -a -f "$headers/stats.h"
licences=$(find "$dir/root" -path '*/licenses/kernelsight/*' -printf '%f\n' | sort)
check install/licences test "$licences" = "$(ls "$source/LICENSES")"
check install/soname test -L "$libdir/libkernelsight.so.0" -a -L "$libdir/libkernelsight.so"

# shellcheck disable=SC2046
{
	check install/shared/c cc "$dir/host.c" -o "$dir/shared" $(config --cflags --libs)
	check install/readme cc -std=c99 -pedantic -Wall -Wextra -Werror "$dir/readme.c" \
		-o "$dir/readme" $(config --cflags --libs)
	check install/shared/c++ c++ "$dir/host.cc" -o "$dir/shared++" $(config --cflags --libs)
	check install/archive cc "$dir/host.c" -o "$dir/archive" $(config --cflags) \
		"$libdir/libkernelsight.a" $(config --static --libs | sed 's/-lkernelsight//')
	check install/static cc -static "$dir/host.c" -o "$dir/static" \
		$(config --static --cflags --libs)
}
export LD_LIBRARY_PATH=$libdir
check install/shared/c/run "$dir/shared"
check install/shared/c++/run "$dir/shared++"
unset LD_LIBRARY_PATH
check install/archive/run "$dir/archive"
check install/static/run "$dir/static"
echo "1..$count"
exit $failed
