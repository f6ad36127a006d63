# SPDX-License-Identifier: MIT
# ipc: headers shared by every side, and the Linux tools that use them (static, for the initramfs).
#   $(O)/ipc/keeld, $(O)/ipc/keelctl     the tools
#   $(O)/ipc/headers.ok                  every header compiles alone, as C and as C++, the ABI as assembly

ipc_headers	:= $(wildcard ipc/include/keel/*.h)
ipc_cflags	= -std=gnu11 -D_GNU_SOURCE -O2 -g $(WARN) $(REPRO) -Iipc/include

# What serves a channel: in keeld, and in the worker process of each `keelctl run`.
ipc_server_src	:= serve.c server.c ops.c request.c policy.c log.c transport_keel.c confine.c
ipc_server_obj	:= $(ipc_server_src:%.c=$(O)/ipc/keeld.d/%.o)
ipc_keeld_obj	:= $(O)/ipc/keeld.d/main.o $(ipc_server_obj)
ipc_keelctl_src	:= main.c show.c caps.c memory.c budget.c console.c device.c visible.c run.c options.c cmdline.c image.c text.c worker.c \
		   supervise.c joblog.c job.c jobs.c json.c inspect.c top.c control.c \
		   restart.c watchdog.c life.c adopt.c logtail.c
ipc_keelctl_obj	:= $(ipc_keelctl_src:%.c=$(O)/ipc/keelctl.d/%.o) $(ipc_server_obj)

$(O)/ipc/%.d/.dir:
	@mkdir -p $(@D); touch $@

$(O)/ipc/keeld.d/%.o: ipc/linux/keeld/%.c $(O)/flags ipc/module.mk | $(O)/ipc/keeld.d/.dir
	$(call say,CC,$@)
	$(Q)$(CC) $(ipc_cflags) -MMD -MP -c -o $@ $<

$(O)/ipc/keelctl.d/%.o: ipc/linux/keelctl/%.c $(O)/flags ipc/module.mk | $(O)/ipc/keelctl.d/.dir
	$(call say,CC,$@)
	$(Q)$(CC) $(ipc_cflags) -Iipc/linux/keeld -MMD -MP -c -o $@ $<

$(O)/ipc/keeld: $(ipc_keeld_obj)
	$(call say,LINK,$@)
	$(Q)$(CC) -static -s -o $@ $^ -luring

$(O)/ipc/keelctl: $(ipc_keelctl_obj)
	$(call say,LINK,$@)
	$(Q)$(CC) -static -s -o $@ $^ -luring

-include $(ipc_keeld_obj:.o=.d) $(ipc_keelctl_obj:.o=.d)

# Each header by itself: freestanding C11 as a unikernel sees it, and as C++; the ABI in assembly, too.
$(O)/ipc/headers.ok: $(ipc_headers) $(O)/flags ipc/module.mk
	$(call say,CHECK,ipc headers)
	$(Q)mkdir -p $(@D)
	$(Q)for h in $(notdir $(ipc_headers)); do \
		echo "#include <keel/$$h>" | $(CC) -std=c11 $(WARN) -Iipc/include -x c -c -o /dev/null - && \
		echo "#include <keel/$$h>" | $(CC) -std=c++17 -Wall -Wextra -Wno-missing-field-initializers \
			-Iipc/include -x c++ -fsyntax-only - || exit 1; \
	done
	$(Q)for h in abi note; do \
		echo "#include <keel/$$h.h>" | $(CC) -Iipc/include -x assembler-with-cpp -c -o /dev/null - || exit 1; \
	done
	$(Q)touch $@

.PHONY: ipc
ipc: $(O)/ipc/keeld $(O)/ipc/keelctl $(O)/ipc/headers.ok
