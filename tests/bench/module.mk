# SPDX-License-Identifier: MIT
#
# tests/bench/linux_bench.c and the operations become /bench/linux_bench, /bench/smp_bench ... in the tests' initramfs;
# scripts/bench runs them.

bench_out	:= $(O)/tests/rootfs/bench
bench_cflags	:= -std=gnu11 -O2 -g0 $(WARN) $(REPRO) -D_GNU_SOURCE -Iipc/include -static -s
bench_linux	:= $(addprefix tests/bench/,linux_bench.c ops_linux.c ops_io.c ops_memory.c ops_process.c)
bench_programs	:= $(addprefix $(bench_out)/,linux_bench smp_bench make_bench run_bench)

$(bench_out)/linux_bench: $(bench_linux)
$(bench_out)/make_bench: bench_cflags += -DSERIES=2
$(bench_out)/run_bench: bench_cflags += -DSERIES=10
$(bench_programs): $(bench_out)/%_bench: tests/bench/linux_bench.c tests/bench/ops_%.c
$(bench_programs): tests/bench/linux_bench.h ipc/include/keel/abi.h ipc/include/keel/ioctl.h $(O)/flags
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(bench_cflags) -pthread -o $@ $(filter %.c,$^)

$(bench_out)/nothing: tests/bench/nothing.c $(O)/flags
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(bench_cflags) -nostdlib -ffreestanding -o $@ $<

$(bench_out)/boot_mark: tests/bench/boot_mark.c ipc/include/keel/abi.h ipc/include/keel/ioctl.h $(O)/flags
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(bench_cflags) -o $@ $<

TESTS_ROOTFS += $(bench_programs) $(bench_out)/nothing $(bench_out)/boot_mark

bench: $(O)/images/linux-test.bundle

# The disk of make_j2: compilers, and Lua's sources for them.
bench_project	:= $(O)/tests/bench/project

$(bench_out)/make/run: tests/bench/make/run
	$(Q)mkdir -p $(@D) && cp $< $@

TESTS_ROOTFS += $(bench_out)/make/run

$(O)/tests/bench/build.img: scripts/mkprogdisk tests/bench/make/Makefile $(O)/unikernel/sources
	$(call say,DISK,$@)
	$(Q)rm -rf $(bench_project) && mkdir -p $(bench_project)
	$(Q)cp tests/bench/make/Makefile $(rt_dir)/include/lua/lua5.4-deb-multiarch.h $(O)/unikernel/lua/src/*.[ch] $(bench_project)
	$(Q)rm $(bench_project)/luac.c
	$(Q)scripts/mkprogdisk -o $@ --build $(bench_project)

bench: $(O)/tests/bench/build.img

# Partitions that measure the metakernel: each peer/*.dts becomes $(O)/tests/bench/NAME.bundle.
bench_peer_dir	:= tests/bench/peer
bench_peer_out	:= $(O)/tests/bench
bench_peer_bundles := $(patsubst $(bench_peer_dir)/%.dts,$(bench_peer_out)/%.bundle,$(wildcard $(bench_peer_dir)/*.dts))

$(bench_peer_out)/bench-peer.elf: $(wildcard $(bench_peer_dir)/*.[ch]) tests/peer/peer.lds \
		$(wildcard ipc/include/keel/*.h) $(O)/flags
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(PEER_CFLAGS) -msse2 -Wl,-T,tests/peer/peer.lds -o $@ $(filter %.c,$^)

$(bench_peer_bundles): $(bench_peer_out)/%.bundle: $(bench_peer_dir)/%.dts $(bench_peer_out)/bench-peer.elf \
		scripts/mkbundle scripts/mkcpio
	$(call say,BUNDLE,$@)
	$(Q)scripts/mkbundle -I $(bench_peer_out) -o $@ $<

bench: $(bench_peer_bundles)

# The metakernel that measures how long it keeps interrupts off, for irqs.json.
$(O)/measure/images/keel.elf: $(mk-srcs) $(mklib-srcs) $(hal-c-srcs) $(hal-s-srcs) FORCE
	$(Q)+$(MAKE) --no-print-directory O=$(O)/measure MEASURE=1 $@

bench: $(O)/measure/images/keel.elf

# Lua for app.json and drivercall.json: /bench/lua in the tests' initramfs, and a peer of the same sources
# in the runtime (unikernel-runtime/module.mk has its objects and flags).
bench_lua_dir	:= tests/bench/lua
bench_lua_core	 = $(filter-out lua,$(rt_lua))
bench_lua_inc	 = -I$(O)/unikernel/lua/src -I$(rt_dir)/include/lua
bench_lua_out	:= $(bench_out)/lua
bench_lua_files	:= $(addprefix $(bench_lua_out)/,$(notdir $(wildcard $(bench_lua_dir)/*.lua)) run beside)

$(bench_lua_out)/bench_lua: $(bench_lua_dir)/bench_lua.c $(bench_lua_dir)/nop_process.c $(O)/unikernel/sources $(O)/flags
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O2 -flto=auto -g0 $(REPRO) -w -static -s -DLUA_USE_POSIX $(bench_lua_inc) -o $@ \
		$(filter %.c,$^) $(bench_lua_core:%=$(O)/unikernel/lua/src/%.c) -lm 2>/dev/null

$(bench_lua_files): $(bench_lua_out)/%: $(bench_lua_dir)/%
	$(Q)mkdir -p $(@D) && cp $< $@

TESTS_ROOTFS += $(bench_lua_out)/bench_lua $(bench_lua_files)

bench_lua_objs	:= $(addprefix $(bench_peer_out)/lua-obj/,bench_lua.c.o nop_peer.c.o)

$(bench_lua_objs): $(bench_peer_out)/lua-obj/%.o: $(bench_lua_dir)/% $(bench_lua_dir)/bench_lua.h $(O)/unikernel/sources $(O)/flags
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(rt_cflags) $(bench_lua_inc) -c -o $@ $<

$(bench_peer_out)/bench-lua.elf: $(bench_lua_objs) $(O)/unikernel/lua.debug
	$(call say,LD,$@)
	$(Q)$(CC) $(filter-out -nostdinc,$(rt_common)) $(rt_lto) -O2 $(rt_ldflags) -s -Wl,-T,$(rt_dir)/lua.lds -o $@ \
		$(bench_lua_objs) $(rt_objs) $(filter-out %/lua.c.o,$(rt_lua_objs)) $(rt_musl_objs)

bench_lua_bundles := $(addprefix $(bench_peer_out)/,lua.bundle lua2.bundle)

$(bench_lua_bundles): $(bench_peer_out)/%.bundle: $(bench_lua_dir)/%.dts $(bench_peer_out)/bench-lua.elf $(wildcard $(bench_lua_dir)/*.lua) \
		$(O)/images/vmlinux $(O)/images/initramfs-test.cpio.gz scripts/mkbundle scripts/mkcpio
	$(call say,BUNDLE,$@)
	$(Q)scripts/mkbundle -I $(bench_peer_out) -I $(bench_lua_dir) -I $(O)/images -o $@ $< \
		initramfs.cpio.gz=$(O)/images/initramfs-test.cpio.gz

bench: $(bench_lua_bundles)
