#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Shows that both libraries of a build by musl-gcc link into a host of musl, which runs: run.sh BUILD
set -eu
here=$(dirname "$0")
build=$1
host="musl-gcc -Wall -Wextra -Werror -O2 -I$here/../../include -I$build/include $here/host.c $here/find_object.c"

$host -o "$build/host-static" -static "$build/lib/libkernelsight.a" -lm -pthread
$host -o "$build/host-shared" "$build/lib/libkernelsight.so" -Wl,-rpath,"$(realpath "$build/lib")"
for kind in static shared; do
	"$build/host-$kind" >"$build/$kind.out" || [ $? = 1 ] || echo "not ok - $kind: died"
	sed "s/ - / - $kind: /" "$build/$kind.out"
done
