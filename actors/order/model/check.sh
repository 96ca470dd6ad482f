#!/usr/bin/env bash
# Checks the cases of the model side by side and prints one line for each; README.md explains them.
#   check.sh            all cases
#   check.sh short      the short form
#   check.sh NAME...    some cases; with TRACE=1 also the runs that break an invariant, step by step
# JOBS is how many cases run at a time, TIMEOUT the most seconds of one search, MEMORY the most megabytes.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TIMEOUT=${TIMEOUT:-900} MEMORY=${MEMORY:-4000}

# prints the lines of the cases that are asked for
cases() {
	case ${1:-all} in
	all) awk 'NF && $1 !~ /^#/' "$here/cases" ;;
	short) awk 'NF && $1 !~ /^#/ && $2 == "short"' "$here/cases" ;;
	*) for name; do
		awk -v name="$name" '$1 == name { found = 1; print } END { exit !found }' "$here/cases" ||
			{ echo "no case $name: the names are in $here/cases" >&2; return 2; }
	done ;;
	esac
}

# says in one line what a finished search found; the search itself is in pan.out
found() {
	if [ "$1" -eq 124 ] || grep -qE 'search depth too small|MEMLIM|out of memory' pan.out; then
		echo incomplete
	elif ! grep -q 'states, stored' pan.out; then
		echo failed
	elif [ -s order.pml.trail ]; then
		# The trace ends with the name of the check that failed; a cycle has none.
		spin "${flags[@]}" -t order.pml 2>&1 | sed -n 's/^ *@//p; s/.*START OF CYCLE.*/(from here on repeatedly)/p' |
			tr -s ' ' >trace
		if grep -q '^pan:1: non-progress cycle' pan.out; then
			echo cycle
		else
			sed -n 's/^broken: \([^, ]*\).*/\1/p' trace | grep . || echo failed
		fi
	elif grep -q 'errors: 0' pan.out; then
		[ "$search" = cycles ] && echo no-cycle || echo proof
	else
		echo failed
	fi
}

# checks one case: its line, and the directory to work in
one() {
	local name short expect settings search
	read -r name short expect settings <<<"$1"
	mkdir "$2/$name" && cd "$2/$name" && cp "$here"/*.pml .
	flags=()
	for setting in $settings; do flags+=("-D$setting"); done
	# Breadth first finds the shortest trace; depth first does not store the states within a step.
	local options=() compile=()
	case $expect in
	proof) search=depth compile=(-DSAFETY -DNOREDUCE) options=(-m1000000) ;;
	cycle | no-cycle) search=cycles compile=(-DNP -DNOREDUCE) options=(-l -m1000000) flags+=(-DNP) ;;
	*) search=breadth compile=(-DBFS -DSAFETY -DNOREDUCE) ;;
	esac
	# Short searches do not repay the seconds that an optimizing compiler takes.
	if [ "$short" != short ]; then compile+=(-Og); fi
	local began=$SECONDS code=0 result
	spin "${flags[@]}" -a order.pml >spin.out 2>&1 || { cat spin.out >&2; return 1; }
	gcc -w "${compile[@]}" -DVECTORSZ=512 "-DMEMLIM=$MEMORY" -o pan pan.c
	timeout "$TIMEOUT" ./pan "${options[@]}" -n -E >pan.out 2>&1 || code=$?
	result=$(found "$code")
	printf '%-20s %-9s %-10s %9s states %5.0f MB %4d s%s\n' "$name" "$expect" "$result" \
		"$(awk '/states, stored/ { print $1; exit }' pan.out)" "$(awk '/total actual memory/ { print $1; exit }' pan.out)" \
		$((SECONDS - began)) "$([ "$result" = "$expect" ] || echo '   UNEXPECTED')"
	if [ "${TRACE:-}" = 1 ] && [ -s trace ]; then sed 's/^/    /' trace; fi
	[ "$result" = "$expect" ]
}

if [ "${1:-}" = -one ]; then
	one "$3" "$2"
	exit
fi
for tool in spin gcc; do
	command -v $tool >/dev/null || { echo "$tool is missing; on Debian: apt-get install $tool" >&2; exit 2; }
done
lines=$(cases "$@")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '%-20s %-9s %-10s\n' case expected found
code=0
tr '\n' '\0' <<<"$lines" | xargs -0 -n1 -P "${JOBS:-$(nproc)}" "${BASH_SOURCE[0]}" -one "$work" || code=1
if [ $code -ne 0 ]; then
	echo "the model does not show what is expected of it" >&2
fi
exit $code
