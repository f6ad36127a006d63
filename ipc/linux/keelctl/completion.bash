# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Completion of keelctl's command line in bash: source it, or put it into /usr/share/bash-completion/completions/keelctl.

_keelctl_commands="adopt budget caps console images inspect kill log logs memory ps restart rm run stats stop top wait"
_keelctl_run_options="-d --detach -i --interactive -t --tty -m --memory -v --volume -e --env -w --workdir --name --cpus --vcpus
	--prio --budget --restart --watchdog --rm"

# Words that begin with $cur.
_keelctl_words() {
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

_keelctl_files() {
	mapfile -t COMPREPLY < <(compgen "-$1" -- "$cur")
	compopt -o filenames 2>/dev/null	# not while a completion is only tried out
}

# File names in a directory, without their suffix.
_keelctl_names_in() {
	local file
	for file in "$1"/*"$2"; do
		[ -e "$file" ] && basename "$file" "$2"
	done
}

_keelctl_detached() {
	_keelctl_names_in "${KEELCTL_JOBS:-/run/keel}" .job
}

_keelctl_partitions() {
	_keelctl_detached
	keelctl ps 2>/dev/null | sed -n 's/^\([a-z0-9][a-z0-9_-]*\) .*/\1/p'
}

_keelctl_image() {
	if [[ $cur == */* || $cur == .* ]]; then
		_keelctl_files f
	else
		_keelctl_words "$(_keelctl_names_in "${KEELCTL_IMAGES:-/usr/lib/keel/images}" .elf)"
	fi
}

# Behind `run`: options up to the image, then whatever it is that the program takes: files, as a rule.
_keelctl_run() {
	local i
	for ((i = command + 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-m | -v | -e | -w | --memory | --volume | --env | --workdir | --name | --cpus | --vcpus | --prio | --budget | --restart | --watchdog)
			i=$((i + 1)) ;;
		-*) ;;
		*)
			_keelctl_files f
			return ;;
		esac
	done
	case $prev in
	-v | -w | --volume | --workdir) _keelctl_files d ;;
	-e | --env) mapfile -t COMPREPLY < <(compgen -e -- "$cur") ;;
	--restart) _keelctl_words "no on-failure always" ;;
	-m | --memory | --name | --cpus | --vcpus | --prio | --budget | --watchdog) ;;
	*)
		if [[ $cur == -* ]]; then
			_keelctl_words "$_keelctl_run_options"
		else
			_keelctl_image
		fi ;;
	esac
}

_keelctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command=1
	COMPREPLY=()
	[ "${COMP_WORDS[1]}" = -d ] && command=3
	if [ "$COMP_CWORD" -lt "$command" ]; then
		[ "$COMP_CWORD" = 2 ] && _keelctl_files f
		[ "$COMP_CWORD" = 1 ] && _keelctl_words "$_keelctl_commands"
		return
	fi
	if [ "$COMP_CWORD" = "$command" ]; then
		_keelctl_words "$_keelctl_commands -d -h"
		return
	fi
	case ${COMP_WORDS[command]}:$cur in
	run:*) _keelctl_run ;;
	ps:-* | images:-*) _keelctl_words --json ;;
	top:-*) _keelctl_words "-n -d --json" ;;
	stats:-*) _keelctl_words "-p --json" ;;
	inspect:-*) _keelctl_words --json ;;
	console:-*) _keelctl_words "-a -t" ;;
	stop:-*) _keelctl_words -t ;;
	log:-* | logs:-*) _keelctl_words -f ;;
	logs:* | wait:* | rm:* | adopt:*) _keelctl_words "$(_keelctl_detached)" ;;
	budget:* | caps:* | memory:* | inspect:* | console:* | stats:* | stop:* | kill:* | restart:*) _keelctl_words "$(_keelctl_partitions)" ;;
	esac
}

complete -F _keelctl keelctl
