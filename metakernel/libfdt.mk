# SPDX-License-Identifier: MIT
#
# libfdt, for the freestanding metakernel and (by tests/) for the host. Its source is the copy in
# Debian's linux-source-6.12, which the Linux partition is built from anyway: nothing more to fetch.
# Only the read-only part is used; manifest.c does the check of the whole tree itself.
#
#   $(O)/metakernel/libfdt.a     compiled with $(MK_CFLAGS)
#   $(LIBFDT_DIR)                sources and libfdt.h, there after $(LIBFDT_READY)
#
# A module that compiles manifest.c adds `-isystem $(LIBFDT_DIR)` and depends on $(LIBFDT_READY).

LIBFDT_TARBALL	?= $(or $(LINUX_TARBALL),/usr/src/linux-source-6.12.tar.xz)
LIBFDT_DIR	:= $(O)/libfdt
LIBFDT_READY	:= $(LIBFDT_DIR)/.ready
LIBFDT_SRCS	:= fdt.c fdt_ro.c fdt_strerror.c
LIBFDT_OBJS	:= $(LIBFDT_SRCS:%.c=$(O)/metakernel/libfdt/%.o)

# Reading through the archive takes some 15 s, once a build directory.
$(LIBFDT_READY): $(LIBFDT_TARBALL)
	$(call say,UNPACK,$(LIBFDT_DIR))
	$(Q)rm -rf $(LIBFDT_DIR) && mkdir -p $(LIBFDT_DIR)
	$(Q)tar -xf $< -C $(LIBFDT_DIR) --strip-components=4 --wildcards '*/scripts/dtc/libfdt/*'
	$(Q)touch $@

# Third party: no warnings. A section each: the linker leaves out what nobody calls.
$(LIBFDT_OBJS): $(O)/metakernel/libfdt/%.o: $(LIBFDT_READY) $(O)/flags
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(MK_CFLAGS) -Oz -ffunction-sections -w -I$(LIBFDT_DIR) -c -o $@ $(LIBFDT_DIR)/$*.c

$(O)/metakernel/libfdt.a: $(LIBFDT_OBJS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcsD $@ $^
