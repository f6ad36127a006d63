/* SPDX-License-Identifier: MIT */
/* corpus.h - the two functions libFuzzer calls. */
#ifndef TESTS_FUZZ_CORPUS_H
#define TESTS_FUZZ_CORPUS_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A broken promise of a parser. Not assert(): it must stay in any build. */
#define PROMISE(x) ((x) ? (void)0 : __builtin_trap())

#endif /* TESTS_FUZZ_CORPUS_H */
