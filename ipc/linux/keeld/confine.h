/* SPDX-License-Identifier: MIT */
/* confine.h - a serving process gives up what it does not need. Each: 0, or negative errno. */
#ifndef KEELD_CONFINE_H
#define KEELD_CONFINE_H

/*
 * All capabilities, for good: neither by executing something nor from what children may inherit can they come back. The
 * process stays the user it was, and gets no further than that user's permission bits.
 */
int confine_capabilities(void);

/*
 * All system calls but those that server_run() and transport_keel.c make: files by name and by descriptor, io_uring, and of
 * /dev/keel what serves a channel. Any other ends the process. After confine_capabilities().
 */
int confine_calls(void);

#endif
