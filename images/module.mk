# SPDX-License-Identifier: MIT
#
# Turns binaries into bootable images: initramfs, bundles, ISO, demo disk. Nothing here needs root,
# and the same input gives the same bytes.

images_out	:= $(O)/images
images_busybox	?= $(firstword $(wildcard /usr/bin/busybox /bin/busybox))
# One moment for everything that wants a time, twice: files' times, and the clock for grub-mkrescue.
images_epoch	:= 1700000000
images_date	:= 2023-11-14 22:13:20

# keeld and keelctl go into the initramfs once ipc/ knows how to build them.
images_tools	:= $(if $(wildcard ipc/module.mk),$(O)/ipc/keeld $(O)/ipc/keelctl)
# What `keelctl run` finds by name.
images_run	:= $(images_out)/lua.elf
images_tree	:= $(shell find images/initramfs -type f -o -type l)
# ROOTFS_EXTRA=DIR adds everything below DIR to the initramfs.
images_extra	:= $(if $(ROOTFS_EXTRA),$(shell find $(ROOTFS_EXTRA) -type f -o -type l))

image: $(images_out)/initramfs.cpio.gz $(images_out)/keel.elf $(images_out)/keel.bundle \
       $(images_out)/keel.iso $(images_out)/demo.img $(O)/linux/bzImage
	@echo 'Images:'
	@printf '  %-36s %s\n' \
		'$(images_out)/keel.elf' 'metakernel (multiboot 1 and 2)' \
		'$(images_out)/keel.bundle' 'its one module: manifest, Linux, initramfs, Lua' \
		'$(images_out)/keel.iso' 'both behind GRUB, for BIOS and UEFI' \
		'$(images_out)/demo.img' 'ext4 disk of the demo (pristine)' \
		'$(O)/linux/bzImage' 'the same Linux for native boots'

images_base_items = \
	dir:proc dir:sys dir:dev dir:tmp dir:mnt dir:root dir:run dir:sbin \
	node:dev/console=5,1 node:dev/null=1,3 \
	busybox:$(images_busybox) tree:images/initramfs \
	$(foreach t,$(images_tools),file:bin/$(notdir $(t))=$(t)) \
	$(foreach i,$(images_run),file:usr/lib/keel/images/$(notdir $(i))=$(i)) \
	$(if $(ROOTFS_EXTRA),tree:$(ROOTFS_EXTRA))

$(images_out)/initramfs.cpio.gz: $(images_busybox) $(images_tree) $(images_tools) $(images_run) $(images_extra) \
		scripts/mkcpio images/module.mk $(images_out)/extra
	$(call say,CPIO,$@)
	$(Q)mkdir -p $(@D)
	$(Q)scripts/mkcpio -z -o $@ $(images_base_items)

# Remembers ROOTFS_EXTRA, so that changing it rebuilds.
$(images_out)/extra: FORCE
	@mkdir -p $(@D); echo '$(ROOTFS_EXTRA) $(images_extra)' | cmp -s - $@ || echo '$(ROOTFS_EXTRA) $(images_extra)' > $@

# Guest programs of the tests ride in a second archive; Linux unpacks both, one after the other.
$(images_out)/initramfs-test.cpio.gz: $(images_out)/initramfs.cpio.gz $(TESTS_ROOTFS) scripts/mkcpio
	$(call say,CPIO,$@)
	$(Q)mkdir -p $(O)/tests/rootfs
	$(Q)scripts/mkcpio -z -o $@.tests tree:$(O)/tests/rootfs
	$(Q)cat $< $@.tests > $@.part && mv $@.part $@ && rm $@.tests

$(images_out)/vmlinux: $(O)/linux/vmlinux
	$(call say,STRIP,$@)
	$(Q)mkdir -p $(@D) && $(OBJCOPY) --strip-all $< $@

$(images_out)/demo.lua: images/demo/demo.lua
	$(Q)mkdir -p $(@D) && cp $< $@

images_bundle_parts := $(images_out)/vmlinux scripts/mkbundle scripts/mkcpio
images_mkbundle = scripts/mkbundle -I $(images_out) -o $@

# Only for looking at: the bundle has its own copy.
$(images_out)/system.dtb: images/system.dts
	$(call say,DTC,$@)
	$(Q)mkdir -p $(@D) && $(DTC) -q -I dts -O dtb -o $@ $<

$(images_out)/keel.bundle: images/system.dts $(images_out)/initramfs.cpio.gz $(images_out)/lua.elf \
		$(images_out)/demo.lua $(images_bundle_parts) | $(images_out)/system.dtb
	$(call say,BUNDLE,$@)
	$(Q)$(images_mkbundle) $<

# Linux alone, without and with the tests' programs.
$(images_out)/linux.bundle: images/linux-only.dts $(images_out)/initramfs.cpio.gz $(images_bundle_parts)
	$(call say,BUNDLE,$@)
	$(Q)$(images_mkbundle) $<

$(images_out)/linux-test.bundle: images/linux-only.dts $(images_out)/initramfs-test.cpio.gz $(images_bundle_parts)
	$(call say,BUNDLE,$@)
	$(Q)$(images_mkbundle) $< initramfs.cpio.gz=$(images_out)/initramfs-test.cpio.gz

$(images_out)/test.bundle: images/system.dts $(images_out)/initramfs-test.cpio.gz $(images_out)/lua.elf \
		$(images_out)/demo.lua $(images_bundle_parts)
	$(call say,BUNDLE,$@)
	$(Q)$(images_mkbundle) $< initramfs.cpio.gz=$(images_out)/initramfs-test.cpio.gz

$(images_out)/keel.iso: images/grub.cfg $(images_out)/keel.elf $(images_out)/keel.bundle
	$(call say,ISO,$@)
	$(Q)rm -rf $@.dir && mkdir -p $@.dir/boot/grub
	$(Q)cp images/grub.cfg $@.dir/boot/grub/ && cp $(filter-out images/%,$^) $@.dir/boot/
	$(Q)find $@.dir -exec touch -h -d @$(images_epoch) {} +
	$(Q)TZ=UTC SOURCE_DATE_EPOCH=$(images_epoch) faketime -f '$(images_date)' \
		grub-mkrescue -o $@.part $@.dir -- -volid KEEL >$@.log 2>&1 || { cat $@.log; exit 1; }
	$(Q)mv $@.part $@ && rm -r $@.dir

$(images_out)/demo.img: README.md scripts/mkdemodisk
	$(call say,DISK,$@)
	$(Q)mkdir -p $(@D) && scripts/mkdemodisk -o $@ README.md

# Runs write to a copy; `make clean` or removing it gives a fresh one.
$(O)/run/demo.img: $(images_out)/demo.img
	$(Q)mkdir -p $(@D) && cp --sparse=always $< $@
