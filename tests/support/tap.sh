# SPDX-License-Identifier: BSD-2-Clause
# tap.sh - the Test Anything Protocol, for tests that are shell scripts. They set $dir, a folder.
count=0 failed=0

check() { # name, command…
	local name=$1
	shift
	count=$((count + 1))
	if "$@" >"$dir/log" 2>&1; then
		echo "ok $count $name"
	else
		echo "# exit status $?"
		sed 's/^/# /' "$dir/log"
		echo "not ok $count $name"
		failed=1
	fi
}
