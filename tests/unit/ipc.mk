# SPDX-License-Identifier: MIT
# Unit tests of ipc/: the ring, driver call formats, keeld's policy, checks and server loop.

keeld_request_test-srcs	  := ipc/linux/keeld/request.c
keeld_request_test-cflags := -Iipc/linux/keeld
keeld_policy_test-srcs	  := ipc/linux/keeld/policy.c
keeld_policy_test-cflags  := -Iipc/linux/keeld
keeld_server_test-srcs	  := $(addprefix ipc/linux/keeld/,server.c ops.c request.c policy.c log.c) tests/unit/keeld_fixture.c
keeld_server_test-cflags  := -Iipc/linux/keeld
keeld_server_test-libs	  := -luring -lpthread
keeld_session_test-srcs	  := $(keeld_server_test-srcs)
keeld_session_test-cflags := -Iipc/linux/keeld
keeld_session_test-libs	  := -luring -lpthread
keeld_stdio_test-srcs	  := $(keeld_server_test-srcs)
keeld_stdio_test-cflags	  := -Iipc/linux/keeld
keeld_stdio_test-libs	  := -luring -lpthread
keeld_fixture-cflags := -Iipc/linux/keeld
keeld_log_test-srcs	  := ipc/linux/keeld/log.c
keeld_log_test-cflags	  := -Iipc/linux/keeld
keeld_confine_test-srcs	  := ipc/linux/keeld/confine.c
keeld_confine_test-cflags := -Iipc/linux/keeld
ring_test-libs		  := -lpthread
virtqueue_threads_test-libs := -lpthread

$(O)/tests/unit/drivercall_test: | $(O)/ipc/headers.ok

# keelctl's commands, with ioctl() answered by the test
keelctl_test-srcs	:= $(addprefix ipc/linux/keelctl/,show.c caps.c top.c json.c control.c logtail.c job.c joblog.c options.c restart.c watchdog.c console.c device.c visible.c)
keelctl_test-cflags	:= -Iipc/linux/keelctl
keelctl_test-libs	:= -Wl,--wrap=ioctl
keelctl_image_test-srcs		:= ipc/linux/keelctl/image.c metakernel/boot/elf.c metakernel/boot/parse.c
keelctl_image_test-cflags	:= -Iipc/linux/keelctl
keelctl_options_test-srcs	:= $(addprefix ipc/linux/keelctl/,options.c restart.c watchdog.c cmdline.c device.c)
keelctl_options_test-cflags	:= -Iipc/linux/keelctl
keelctl_json_test-srcs		:= $(addprefix ipc/linux/keelctl/,json.c device.c)
keelctl_json_test-cflags	:= -Iipc/linux/keelctl
keelctl_job_test-srcs		:= $(addprefix ipc/linux/keelctl/,job.c joblog.c options.c restart.c watchdog.c device.c)
keelctl_job_test-cflags		:= -Iipc/linux/keelctl
keelctl_restart_test-srcs	:= $(addprefix ipc/linux/keelctl/,restart.c watchdog.c)
keelctl_restart_test-cflags	:= -Iipc/linux/keelctl
