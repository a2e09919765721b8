// SPDX-License-Identifier: Apache-2.0
//
// Threads that do one thing at the same time, and how long that takes. Used by one thread.
#ifndef WADER_HOST_BENCH_CREW_H
#define WADER_HOST_BENCH_CREW_H

#include "host/base/base.h"

struct crew;
enum status crew_create(int32_t n_threads, struct crew **out, struct error *error);
void crew_destroy(struct crew *crew);  // NULL is fine

// Runs work(context, i) on thread i, for i below `n_threads`, which is at most the crew's. The same
// thread gets the same i in every call. Seconds until the last one is done.
double crew_run(struct crew *crew, int32_t n_threads, void (*work)(void *context, int32_t i),
                void *context);

#endif
