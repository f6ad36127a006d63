/* SPDX-License-Identifier: MIT */
/*
 * lua5.4-deb-multiarch.h - Debian's Lua includes this generated file; here it also is the place for
 * our configuration, because luaconf.h reads it before it sets its defaults.
 */
#ifndef LUA5_4_DEB_MULTIARCH_H
#define LUA5_4_DEB_MULTIARCH_H

#define DEB_HOST_MULTIARCH	"x86_64-linux-gnu"

#endif
