# SPDX-License-Identifier: MIT
# What the tests of this directory share, on top of t/preload/preload.sh: a machine of several nodes, whatever this one
# has. It is QEMU, which needs no KVM, with a Debian kernel, and runs this build's own programs under the library; their
# results become results of the test.
#
#     node CPUS MIB DISTANCE…     once for each node; 0 for none; the distances are those to node 0, 1, …
#     disk MIB                    an empty disk, /dev/nvme0n1
#     run PROGRAM ARGUMENTS…      once for each program, by its name below t/; variables may come before it. What is
#                                 preloaded is guest_preload, which is the library
#     guest_options=…             for the kernel, if need be
#     boot                        starts the machine, waits for its end and takes the results over

. "${top_srcdir:-.}/t/preload/preload.sh"

top_builddir=$(cd "$top_builddir" && pwd)
kernel=$top_builddir/t/numa/vmlinuz
[ "$(uname -m)" = x86_64 ] || skip_all "the guest is a PC, and this machine's programs are not for one"
require qemu-system-x86_64 qemu-system-x86
require busybox busybox-static
require cpio cpio
[ -f "$kernel" ] || { "$top_srcdir/quickstart" kernel "$kernel" 2>&1 </dev/null | diag; }
[ -f "$kernel" ] || bail_out "no kernel for the guest: it could not be fetched; a Debian kernel's image may be put at $kernel"

guest_preload=$BM_LIB
guest_nodes=0 guest_cpus=0 guest_mib=0 guest_machine='' guest_distances='' guest_spec='' guest_programs=''
: >commands

node() {
	guest_spec="$guest_spec$1:$2:$(shift 2; echo "$*" | tr ' ' ,) "
	guest_node=node,nodeid=$guest_nodes
	if [ "$1" -gt 0 ]; then
		guest_node=$guest_node,cpus=$guest_cpus-$((guest_cpus + $1 - 1))
		guest_cpus=$((guest_cpus + $1))
	fi
	if [ "$2" -gt 0 ]; then
		guest_machine="$guest_machine -object memory-backend-ram,id=ram$guest_nodes,size=$2M"
		guest_node=$guest_node,memdev=ram$guest_nodes
		guest_mib=$((guest_mib + $2))
	fi
	guest_machine="$guest_machine -numa $guest_node"
	shift 2
	guest_to=0
	for guest_distance; do
		guest_distances="$guest_distances -numa dist,src=$guest_nodes,dst=$guest_to,val=$guest_distance"
		guest_to=$((guest_to + 1))
	done
	guest_nodes=$((guest_nodes + 1))
}

disk() {
	truncate -s "$1M" disk
	guest_machine="$guest_machine -drive file=disk,if=none,id=disk,format=raw -device nvme,drive=disk,serial=disk"
}

run() {
	guest_assigned=
	while case $1 in *=*) ;; *) false ;; esac do
		guest_assigned="$guest_assigned$1 "
		shift
	done
	guest_program=$top_builddir/t/$1
	[ -x "$guest_program" ] || bail_out "no program $guest_program"
	shift
	guest_programs="$guest_programs $guest_program $guest_preload"
	echo "${guest_assigned}LD_PRELOAD=$guest_preload $guest_program $*" >>commands
}

# The guest's file tree, packed. Its first process is a shell.
make_initrd() {
	# shellcheck disable=SC2086
	make_root "$TEST_DIR/root" $guest_programs
	mkdir -p root/bin root/dev root/proc root/sys root/tmp
	cp "$(command -v busybox)" root/bin/busybox
	cp commands root/commands
	cat >root/init <<-INIT
	#!/bin/busybox sh
	/bin/busybox --install -s /bin
	export PATH=/bin GUEST_NODES='$guest_spec'
	mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
	mount -t cgroup2 cgroup /sys/fs/cgroup
	echo '+memory +cpu +cpuset' >/sys/fs/cgroup/cgroup.subtree_control
	ln -s /proc/self/fd /dev/fd
	mkdir /dev/shm; mount -t tmpfs shm /dev/shm
	stty -F /dev/ttyS1 raw -echo
	while read -r command; do
		echo "%run \$command"
		timeout ${GUEST_TEST_TIMEOUT:-600} sh -c "\$command" </dev/null
		echo "%status \$?"
	done </commands >/dev/ttyS1 2>&1
	echo %end >/dev/ttyS1
	poweroff -f
	INIT
	chmod +x root/init
	(cd root && find . | cpio -o -H newc --quiet) >initrd
}

# One line of what programs printed: results are counted as this test's own.
take_line() {
	case $1 in
	'%run '*)
		guest_program=${1##*/t/} guest_planned='' guest_run=$tap_run ;;
	'%status '*)
		guest_run=$((tap_run - guest_run))
		[ "$1 $guest_planned" = "%status 0 $guest_run" ]
		ok $? "$guest_program: ran as planned" ||
			diag "status ${1#%status }, planned ${guest_planned:-nothing}, ran $guest_run" ;;
	%end) guest_ended=0 ;;
	'1..0 # SKIP '*) guest_planned=1; skip 1 "$guest_program: ${1#*SKIP }" ;;
	1..*) guest_planned=${1#1..} ;;
	'ok '*' # SKIP '*) skip 1 "$guest_program: ${1#*SKIP }" ;;
	'ok '*) ok 0 "$guest_program: ${1#ok * - }" ;;
	'not ok '*) ok 1 "$guest_program: ${1#not ok * - }" ;;
	*) echo "# ${1#\# }" ;;
	esac
}

# The kernel counts the timer's ticks while it starts and panics where they are few, as on a busy host: it shall not.
boot() {
	make_initrd
	: >results
	# shellcheck disable=SC2086
	timeout -k 5 "${GUEST_TIMEOUT:-1200}" qemu-system-x86_64 -accel tcg,thread=multi -machine q35,hpet=off -cpu max \
		-smp "$guest_cpus" -m "$guest_mib" $guest_machine $guest_distances -nodefaults -no-user-config \
		-display none -no-reboot -kernel "$kernel" -initrd initrd \
		-append "console=ttyS0 quiet panic=-1 numa_balancing=disable no_timer_check ${guest_options-}" \
		-serial file:console -serial file:results </dev/null >qemu.out 2>&1
	guest_status=$?
	guest_ended=1
	while IFS= read -r guest_line; do
		take_line "$guest_line"
	done <results
	[ $guest_status -eq 0 ] && [ $guest_ended -eq 0 ]
	ok $? "the guest came to its end" || {
		diag "QEMU's status was $guest_status; the last of the console:"
		tail -n 30 console | tr -d '\r' | diag
		diag <qemu.out
	}
}
