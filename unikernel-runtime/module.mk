# SPDX-License-Identifier: MIT
#
# The Lua image: our runtime, the part of musl that Lua needs, Lua, linked as one program with LTO.
# musl and Lua are Debian's sources, compiled in place with replaced files found first (-I order).

rt_dir	:= unikernel-runtime
rt_out	:= $(O)/unikernel

# ---- sources -----------------------------------------------------------------------------------

rt_sources := entry.S start.c syscall.c file.c remote.c session.c console.c event.c clock.c heap.c \
	paging.c string.c

# What of musl the link may pull in, below its src/. An undefined symbol at link time means a
rt_musl := $(shell sed -n 's/^\([a-z].*\)$$/\1/p' $(rt_dir)/musl/sources)

rt_lua := lapi lauxlib lbaselib lcode lcorolib lctype ldblib ldebug ldo ldump lfunc lgc linit liolib \
	llex lmathlib lmem loadlib lobject lopcodes loslib lparser lstate lstring lstrlib ltable \
	ltablib ltm lua lundump lutf8lib lvm lzio

# ---- flags -------------------------------------------------------------------------------------

rt_clang := $(findstring clang,$(shell $(CC) --version | head -n 1))
rt_common := -nostdinc -fno-pic -fno-stack-protector -fno-asynchronous-unwind-tables \
	-ffunction-sections -fdata-sections -fcf-protection=none -fno-strict-aliasing -pipe \
	-ffile-prefix-map=$(rt_out)/= $(REPRO)
rt_lto	:= -flto
rt_musl_inc = -I$(rt_dir)/musl -I$(rt_out)/musl/arch/x86_64 -I$(rt_out)/musl/arch/generic \
	-I$(rt_out)/musl/src/include -I$(rt_out)/musl/src/internal -I$(rt_out)/include \
	-I$(rt_out)/musl/include
rt_libc_inc = -isystem $(rt_out)/musl/arch/x86_64 -isystem $(rt_out)/musl/arch/generic \
	-isystem $(rt_out)/include -isystem $(rt_out)/musl/include

rt_cflags = -std=gnu11 -O2 -ffreestanding -D_GNU_SOURCE $(rt_common) $(rt_lto) $(WARN) \
	-I$(rt_dir)/include -Iipc/include $(rt_libc_inc)
# The compiler must not make calls of memcpy out of memcpy.
$(rt_out)/rt/string.c.o: rt_lto := -fno-lto $(if $(rt_clang),,-fno-tree-loop-distribute-patterns)

rt_musl_cflags = -std=gnu99 -Os -ffreestanding -D_XOPEN_SOURCE=700 -w $(rt_common) $(rt_musl_inc)
rt_lua_cflags = -std=gnu99 -O2 -w $(rt_common) $(rt_lto) $(rt_libc_inc) -I$(rt_dir)/include/lua \
	-include keel_luaconf.h
rt_ldflags := -nostdlib -static -Wl,--gc-sections,-z,max-page-size=4096,-z,noexecstack \
	-Wl,--build-id=none $(if $(rt_clang),-fuse-ld=lld,-no-pie -Wl,-z,noseparate-code -flto=2 -flto-partition=one)

# ---- rules -------------------------------------------------------------------------------------

rt_objs	:= $(rt_sources:%=$(rt_out)/rt/%.o)
rt_musl_objs := $(rt_musl:%=$(rt_out)/libc/%.o)
rt_lua_objs := $(rt_lua:%=$(rt_out)/lua-obj/%.c.o)

# Links to the unpacked sources, and the two headers that musl's build makes.
$(rt_out)/sources: scripts/fetch-source
	$(call say,FETCH,musl lua5.4)
	$(Q)mkdir -p $(rt_out)/include/bits
	$(Q)dir=$$(scripts/fetch-source musl) && ln -sfn "$$dir" $(rt_out)/musl
	$(Q)dir=$$(scripts/fetch-source lua5.4) && ln -sfn "$$dir" $(rt_out)/lua
	$(Q)cd $(rt_out) && sed -f musl/tools/mkalltypes.sed musl/arch/x86_64/bits/alltypes.h.in \
		musl/include/alltypes.h.in > include/bits/alltypes.h
	$(Q)cd $(rt_out) && { cat musl/arch/x86_64/bits/syscall.h.in; \
		sed -n -e s/__NR_/SYS_/p musl/arch/x86_64/bits/syscall.h.in; } > include/bits/syscall.h
	$(Q)touch $@

rt_deps	:= $(rt_out)/sources $(O)/flags $(rt_dir)/module.mk

$(rt_out)/rt/%.o: $(rt_dir)/% $(rt_deps)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(rt_cflags) -MMD -MP -c -o $@ $<

$(rt_out)/libc/%.o: $(rt_deps) $(rt_dir)/musl/syscall_arch.h $(rt_dir)/musl/stdio.h
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(rt_musl_cflags) -c -o $@ $(rt_out)/musl/src/$*

$(rt_out)/lua-obj/%.o: $(rt_deps) $(rt_dir)/include/lua/keel_luaconf.h
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(rt_lua_cflags) -c -o $@ $(rt_out)/lua/src/$*

# With symbols, for gdb and tests/unit/runtime.
$(rt_out)/lua.debug: $(rt_objs) $(rt_lua_objs) $(rt_musl_objs) $(rt_dir)/lua.lds
	$(call say,LD,$@)
	$(Q)$(CC) $(filter-out -nostdinc,$(rt_common)) $(rt_lto) -O2 $(rt_ldflags) -Wl,-T,$(rt_dir)/lua.lds -Wl,-Map,$@.map -o $@ \
		$(rt_objs) $(rt_lua_objs) $(rt_musl_objs)

$(O)/images/lua.elf: $(rt_out)/lua.debug
	$(call say,STRIP,$@)
	$(Q)mkdir -p $(@D) && $(OBJCOPY) --strip-all $< $@

.PHONY: unikernel
unikernel: $(O)/images/lua.elf

-include $(rt_objs:.o=.d)
