// SPDX-License-Identifier: MIT
/*
 * corpus.c - start a fuzzer with its seeds: PROGRAM.corpus is added to the arguments unless they already
 * name a file or a directory.
 */
#include "corpus.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char **args;

	for (int i = 1; i < *argc; i++)
		if ((*argv)[i][0] != '-')
			return 0;
	args = calloc((size_t)*argc + 2, sizeof(*args));
	if (!args)
		abort();
	for (int i = 0; i < *argc; i++)
		args[i] = (*argv)[i];
	if (asprintf(&args[*argc], "%s.corpus", args[0]) < 0)
		abort();
	++*argc;
	*argv = args;
	return 0;
}
