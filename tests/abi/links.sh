#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# links.sh SOURCE BUILD SHARED ARCHIVE LIBRARIES…
# Shows that the archive does not change its host's unwinding, however the host is linked, and that a
# copy of the library (shared, or part of a plugin) calls only itself, even if other code in the
# process has functions of the same names.
set -uo pipefail
source=$1 build=$2 shared=$3 archive=$4
shift 4
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
. "$source/tests/support/tap.sh"
flags=(-I "$build/include" -I "$source/include" -Wall -Wextra -Werror -g)
here=$source/tests/abi

for kind in "" -static -static-pie -fexceptions "-static -fexceptions"; do
	# shellcheck disable=SC2086
	check "links/cancelled/${kind:-dynamic}" cc "${flags[@]}" $kind "$here/cancelled.c" "$archive" "$@" \
		-pthread -o "$dir/cancelled"
	check "links/cancelled/${kind:-dynamic}/run" "$dir/cancelled"
done

{
	printf '#include <stdio.h>\n#include <stdlib.h>\n'
	grep -o '\<ks_[a-z0-9_]*;' "$source/lib/kernelsight.map" | tr -d ';' | while read -r name; do
		echo "void $name(void);"
		echo "void $name(void) { puts(\"$name() of the host is called\"); fflush(stdout); abort(); }"
	done
} >"$dir/traps.c"
check links/alone cc "${flags[@]}" -fno-builtin -rdynamic "$here/alone.c" "$dir/traps.c" -ldl \
	-o "$dir/alone"
check links/alone/traps test "$(nm -D --defined-only "$dir/alone" | grep -c ' T ks_')" -gt 30
check links/alone/shared "$dir/alone" "$shared"
check links/plugin cc -shared -o "$dir/plugin.so" -Wl,--whole-archive "$archive" -Wl,--no-whole-archive \
	"$@" -pthread
check links/alone/plugin "$dir/alone" "$dir/plugin.so"
echo "1..$count"
exit $failed
