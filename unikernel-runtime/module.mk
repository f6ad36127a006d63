# SPDX-License-Identifier: MIT
#
# The Lua image: our runtime, the part of musl that Lua needs, Lua, linked as one program with LTO.
# musl and Lua are Debian's sources, compiled in place with replaced files found first (-I order).

rt_dir	:= unikernel-runtime
rt_out	:= $(O)/unikernel
OBJDUMP	?= objdump

# ---- sources -----------------------------------------------------------------------------------

rt_sources := entry.S start.c syscall.c signal.c fd.c file.c remote.c stream.c session.c temp.c console.c event.c \
	clock.c mman.c heap.c memory.c paging.c string.c

# What of musl the link may pull in, below its src/. An undefined symbol at link time means a
rt_musl := $(shell sed -n 's/^\([a-z].*\)$$/\1/p' $(rt_dir)/musl/sources)

rt_lua := lapi lauxlib lbaselib lcode lcorolib lctype ldblib ldebug ldo ldump lfunc lgc linit liolib \
	llex lmathlib lmem loadlib lobject lopcodes loslib lparser lstate lstring lstrlib ltable \
	ltablib ltm lua lundump lutf8lib lvm lzio

# Those of both that a running script does not spend its time in.
rt_small := start.c stream.c signal.c file.c temp.c console.c clock.c mman.c memory.c paging.c
rt_lua_small := lcode lcorolib ldblib ldebug ldump linit loadlib loslib lparser lua lundump lzio

# ---- flags -------------------------------------------------------------------------------------

rt_clang := $(findstring clang,$(shell $(CC) --version | head -n 1))
rt_common := -nostdinc -fno-pic -fno-stack-protector -fno-asynchronous-unwind-tables \
	-ffunction-sections -fdata-sections -fcf-protection=none -fno-strict-aliasing -pipe \
	-fno-omit-frame-pointer \
	-ffile-prefix-map=$(rt_out)/= $(REPRO)
rt_lto	:= -flto
rt_musl_inc = -I$(rt_dir)/musl -I$(rt_out)/musl/arch/x86_64 -I$(rt_out)/musl/arch/generic \
	-I$(rt_out)/musl/src/include -I$(rt_out)/musl/src/internal -I$(rt_out)/include \
	-I$(rt_out)/musl/include
rt_libc_inc = -isystem $(rt_out)/musl/arch/x86_64 -isystem $(rt_out)/musl/arch/generic \
	-isystem $(rt_out)/include -isystem $(rt_out)/musl/include

rt_cflags = -std=gnu11 $(rt_opt) -ffreestanding -D_GNU_SOURCE $(rt_common) $(rt_lto) $(WARN) \
	-I$(rt_dir)/include -I$(rt_out)/include -Iipc/include $(rt_libc_inc)
rt_opt	:= -O2
$(rt_small:%=$(rt_out)/rt/%.o): rt_opt := -Os
# The compiler must not make calls of memcpy out of memcpy.
$(rt_out)/rt/string.c.o: rt_lto := -fno-lto $(if $(rt_clang),,-fno-tree-loop-distribute-patterns)

rt_musl_cflags = -std=gnu99 -Os -ffreestanding -D_XOPEN_SOURCE=700 -w $(rt_common) $(rt_musl_inc)
rt_lua_opt := -O2
$(rt_lua_small:%=$(rt_out)/lua-obj/%.c.o): rt_lua_opt := -Os
rt_lua_cflags = -std=gnu99 $(rt_lua_opt) -w $(rt_common) $(rt_lto) $(rt_libc_inc) -I$(rt_dir)/include/lua \
	-I$(rt_dir)/include -include keel_luaconf.h
# The interpreter's loop looks for ^C.
$(rt_out)/lua-obj/lvm.c.o: rt_lua_cflags += -I$(rt_out)/lua/src -include keel_lvm.h
$(addprefix $(rt_out)/lua-obj/,lmathlib.c.o lstate.c.o): rt_lua_cflags += -include keel_seed.h
rt_ldflags := -nostdlib -static -Wl,--gc-sections,-z,max-page-size=4096,-z,noexecstack \
	-Wl,--build-id=none $(if $(rt_clang),-fuse-ld=lld,-no-pie -Wl,-z,noseparate-code -flto=2 -flto-partition=one)

# ---- rules -------------------------------------------------------------------------------------

rt_objs	:= $(rt_sources:%=$(rt_out)/rt/%.o)
rt_musl_objs := $(rt_musl:%=$(rt_out)/libc/%.o) $(rt_out)/libc/__stdio_read.c.o
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

# The names of the system calls as one string for syscall.c; their numbers follow each other up to 334.
$(rt_out)/include/syscall_names.h: $(rt_out)/sources
	$(Q)awk '$$1 == "#define" && $$3 == n + 0 { n++; print "\"" substr($$2, 6) "\\0\"" }' \
		$(rt_out)/musl/arch/x86_64/bits/syscall.h.in > $@

rt_deps	:= $(rt_out)/sources $(O)/flags $(rt_dir)/module.mk
# Of the sources proper and their headers an object knows once it has been made; the first time they
# may not be there yet.
rt_dep_flags = -MMD -MP -MF $(@:.o=.d)

$(rt_out)/rt/%.o: $(rt_dir)/% $(rt_deps) $(rt_out)/include/syscall_names.h
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(rt_cflags) $(rt_dep_flags) -c -o $@ $<

$(rt_out)/libc/%.o: $(rt_deps) $(rt_dir)/musl/syscall_arch.h $(rt_dir)/musl/stdio.h
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(rt_musl_cflags) $(rt_dep_flags) -c -o $@ $(rt_out)/musl/src/$*

# Assembly that nobody preprocesses tells no dependencies.
$(filter %.s.o,$(rt_musl_objs)): $(rt_out)/libc/%.o: $(rt_out)/musl/src/%
$(rt_out)/musl/src/%.s: $(rt_out)/sources ;

$(rt_out)/libc/__stdio_read.c.o: $(rt_dir)/musl/__stdio_read.c $(rt_deps)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(rt_musl_cflags) $(rt_dep_flags) -c -o $@ $<

$(rt_out)/lua-obj/%.o: $(rt_deps)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(rt_lua_cflags) $(rt_dep_flags) -c -o $@ $(rt_out)/lua/src/$*

# $(call rt_link,OBJECTS OF THE PROGRAM): with symbols, for gdb and tests/unit/runtime. Nothing in it may
# execute SYSCALL (syscall.c says why); a file of musl that does needs a stand-in there.
rt_link = $(CC) $(filter-out -nostdinc,$(rt_common)) $(rt_lto) -O2 $(rt_ldflags) -Wl,-T,$(rt_dir)/lua.lds \
	-Wl,-Map,$@.map -o $@.part $(rt_objs) $(1) $(rt_musl_objs) && \
	if $(OBJDUMP) -d --no-show-raw-insn $@.part | grep -P '\t(syscall|sysenter)\b' >&2; then \
		echo '$@: a SYSCALL instruction has been linked' >&2; exit 1; \
	fi && mv $@.part $@

$(rt_out)/lua.debug: $(rt_objs) $(rt_lua_objs) $(rt_musl_objs) $(rt_dir)/lua.lds
	$(call say,LD,$@)
	$(Q)$(call rt_link,$(rt_lua_objs))

$(O)/images/lua.elf: $(rt_out)/lua.debug
	$(call say,STRIP,$@)
	$(Q)mkdir -p $(@D) && $(OBJCOPY) --strip-all $< $@

.PHONY: unikernel
unikernel: $(O)/images/lua.elf

-include $(rt_objs:.o=.d) $(rt_musl_objs:.o=.d) $(rt_lua_objs:.o=.d)
