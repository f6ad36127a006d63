# SPDX-License-Identifier: MIT
#
# The hostile partition (hostile.h) and its boots: each *.dts becomes $(O)/tests/guest/NAME.bundle.
# hostile-linux.bundle puts it beside Linux. tests/system/test_security.py runs them.

hostile_dir	:= tests/guest/hostile
hostile_out	:= $(O)/tests/guest
hostile_srcs	:= $(wildcard $(hostile_dir)/*.c $(hostile_dir)/*.S)
hostile_objs	:= $(hostile_srcs:$(hostile_dir)/%=$(hostile_out)/hostile-obj/%.o)
hostile_cflags	:= -std=gnu11 -O2 -g -ffreestanding -nostdlib -fno-pic -fno-pie -mno-red-zone \
	-mgeneral-regs-only -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
	-fno-strict-aliasing $(WARN) $(REPRO) -Iipc/include
hostile_dts	:= $(filter-out %linux.dts,$(wildcard $(hostile_dir)/*.dts))
hostile_bundles	:= $(hostile_dts:$(hostile_dir)/%.dts=$(hostile_out)/%.bundle)

$(hostile_out)/hostile-obj/%.o: $(hostile_dir)/% $(O)/flags $(hostile_dir)/module.mk
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(hostile_cflags) -MMD -MP -c -o $@ $<

$(hostile_out)/hostile.debug: $(hostile_objs) $(hostile_dir)/hostile.lds
	$(call say,LD,$@)
	$(Q)$(CC) -nostdlib -static -no-pie -Wl,--build-id=none,-z,max-page-size=4096,-z,noexecstack \
		-T $(hostile_dir)/hostile.lds -o $@ $(hostile_objs)

$(hostile_out)/hostile.elf: $(hostile_out)/hostile.debug
	$(Q)$(OBJCOPY) --strip-all $< $@

$(hostile_bundles): $(hostile_out)/%.bundle: $(hostile_dir)/%.dts $(hostile_out)/hostile.elf \
		$(O)/images/lua.elf $(O)/images/demo.lua scripts/mkbundle scripts/mkcpio
	$(call say,BUNDLE,$@)
	$(Q)scripts/mkbundle -I $(hostile_out) -I $(O)/images -I tests/guest/hostile -o $@ $<

$(hostile_out)/hostile-linux.bundle: $(hostile_dir)/hostile-linux.dts $(hostile_out)/hostile.elf \
		$(O)/images/vmlinux $(O)/images/initramfs-test.cpio.gz scripts/mkbundle scripts/mkcpio
	$(call say,BUNDLE,$@)
	$(Q)scripts/mkbundle -I $(hostile_out) -I $(O)/images -o $@ $< \
		initramfs.cpio.gz=$(O)/images/initramfs-test.cpio.gz

# For Bochs, which boots from a disc.
$(hostile_out)/hostile-quick.iso: images/grub.cfg $(O)/images/keel.elf $(hostile_out)/hostile-quick.bundle
	$(call say,ISO,$@)
	$(Q)rm -rf $@.dir && mkdir -p $@.dir/boot/grub && cp images/grub.cfg $@.dir/boot/grub/
	$(Q)cp $(O)/images/keel.elf $@.dir/boot/keel.elf && cp $(hostile_out)/hostile-quick.bundle $@.dir/boot/keel.bundle
	$(Q)grub-mkrescue -o $@ $@.dir -- -volid KEEL >$@.log 2>&1 || { cat $@.log; exit 1; }
	$(Q)rm -r $@.dir

# The same metakernel with its checks on (make DEBUG=1), in a tree of its own.
$(hostile_out)/keel-debug.elf: $(O)/images/keel.elf
	$(Q)+$(MAKE) --no-print-directory O=$(O)/debug DEBUG=1 $(O)/debug/images/keel.elf
	$(Q)cp $(O)/debug/images/keel.elf $@

.PHONY: hostile
hostile: $(hostile_bundles)
tests-build: $(hostile_bundles) $(hostile_out)/hostile-quick.iso $(hostile_out)/keel-debug.elf $(hostile_out)/hostile-linux.bundle

-include $(hostile_objs:.o=.d)
