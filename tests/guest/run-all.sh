#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs every guest program; `GUEST-TEST NAME STATUS` after each is what tests/system/test_guest.py reads.
failed=0
for program in /tests/*; do
	[ -x "$program" ] && [ "$program" != "$0" ] || continue
	name=${program##*/}
	echo "GUEST-TEST $name starts"
	timeout 60 "$program"
	status=$?
	echo "GUEST-TEST $name $status"
	[ $status -eq 0 ] || [ $status -eq 77 ] || failed=1
done
exit $failed
