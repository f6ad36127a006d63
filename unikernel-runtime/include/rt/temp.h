/* SPDX-License-Identifier: MIT */
/* rt/temp.h - temporary files by name, for os.tmpname. */
#ifndef RT_TEMP_H
#define RT_TEMP_H

#define RT_TEMP_BYTES	256

/* Where they go. */
const char *rt_tempdir(void);

/* Make an empty file; its name. 0 or an errno. */
int rt_tempname(char name[RT_TEMP_BYTES]);

#endif /* RT_TEMP_H */
