// SPDX-License-Identifier: GPL-2.0-only
/*
 * time.c - clock event by hypercall; TSC frequency, wall clock and steal time from the vCPU page.
 *
 * The timer, doorbells and console input share one vector, X86_PLATFORM_IPI_VECTOR; which of them
 * it was is in vcpu_page.events.
 */
#include <linux/clockchips.h>
#include <linux/interrupt.h>
#include <linux/math64.h>
#include <linux/percpu.h>
#include <linux/static_call.h>
#include <linux/time64.h>
#include <asm/hw_irq.h>
#include <asm/irq_vectors.h>
#include <asm/paravirt.h>
#include <asm/tsc.h>
#include <asm/x86_init.h>
#include "keel.h"

static_assert(KEEL_EVENT_VECTOR == X86_PLATFORM_IPI_VECTOR);

static DEFINE_PER_CPU(struct clock_event_device, keel_clock_event);

void (*keel_event_handler)(u64 events) __read_mostly;
EXPORT_SYMBOL_GPL(keel_event_handler);

static void keel_event_interrupt(void)
{
	u64 events = xchg(&keel_vcpu->events, 0);
	void (*handler)(u64 events);

	if (events & BIT_ULL(KEEL_EV_TIMER)) {
		struct clock_event_device *evt = this_cpu_ptr(&keel_clock_event);

		evt->event_handler(evt);
		events &= ~BIT_ULL(KEEL_EV_TIMER);
	}
	handler = READ_ONCE(keel_event_handler);
	if (events && handler)
		handler(events);
}

static int keel_timer_set_next_event(unsigned long delta, struct clock_event_device *evt)
{
	return keel_hypercall1(KEEL_HC_TIMER, rdtsc() + delta);
}

static int keel_timer_shutdown(struct clock_event_device *evt)
{
	return keel_hypercall1(KEEL_HC_TIMER, 0);
}

static void keel_timer_setup(void)
{
	struct clock_event_device *evt = this_cpu_ptr(&keel_clock_event);

	evt->name = "keel";
	evt->features = CLOCK_EVT_FEAT_ONESHOT;
	evt->rating = 500;
	evt->cpumask = cpumask_of(smp_processor_id());
	evt->set_next_event = keel_timer_set_next_event;
	evt->set_state_shutdown = keel_timer_shutdown;
	evt->set_state_oneshot_stopped = keel_timer_shutdown;
	clockevents_config_and_register(evt, tsc_khz * 1000, 0xf, LONG_MAX);
}

static unsigned long keel_tsc_khz(void)
{
	return keel_vcpu->tsc_khz;
}

static void keel_get_wallclock(struct timespec64 *now)
{
	u64 ticks = rdtsc_ordered() - keel_vcpu->wall_tsc;
	u64 ns = keel_vcpu->wall_ns + mul_u64_u64_div_u64(ticks, NSEC_PER_MSEC, keel_vcpu->tsc_khz);

	*now = ns_to_timespec64(ns);
}

/* ---- Steal time ------------------------------------------------------------------------------------ */

struct keel_steal {
	u64 ticks;	/* of the vCPU page that are in `ns` */
	u64 ns;
};

static DEFINE_PER_CPU(struct keel_steal, keel_steal);

/* Of another CPU, whose vCPU page cannot be seen: what it last knew itself. */
static u64 keel_steal_clock(int cpu)
{
	struct keel_steal *steal = per_cpu_ptr(&keel_steal, cpu);
	u64 ticks;

	if (cpu == raw_smp_processor_id()) {
		ticks = READ_ONCE(keel_vcpu->steal_tsc);
		if (ticks < steal->ticks)	/* the CPU was off and on */
			steal->ticks = 0;
		if (ticks != steal->ticks) {
			WRITE_ONCE(steal->ns, steal->ns + mul_u64_u64_div_u64(ticks - steal->ticks,
						NSEC_PER_MSEC, keel_vcpu->tsc_khz));
			steal->ticks = ticks;
		}
	}
	return READ_ONCE(steal->ns);
}

/*
 * The scheduler's own use of it costs at each switch: only where CPUs differ in it. Early, while one CPU runs: the
 * code that is patched here runs at each tick.
 */
static int __init keel_steal_init(void)
{
	if (!keel_guest())
		return 0;
	static_call_update(pv_steal_clock, keel_steal_clock);
	static_key_slow_inc(&paravirt_steal_enabled);
	if (keel_multi())
		static_key_slow_inc(&paravirt_steal_rq_enabled);
	return 0;
}
early_initcall(keel_steal_init);

void __init keel_time_init_ops(void)
{
	x86_platform.calibrate_tsc = keel_tsc_khz;
	x86_platform.calibrate_cpu = keel_tsc_khz;
	x86_platform.get_wallclock = keel_get_wallclock;
	x86_platform.set_wallclock = set_rtc_noop;
	x86_init.timers.timer_init = keel_timer_setup;
	x86_init.timers.setup_percpu_clockev = x86_init_noop;
	x86_cpuinit.setup_percpu_clockev = keel_timer_setup;
	x86_platform_ipi_callback = keel_event_interrupt;
}
