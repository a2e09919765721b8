// SPDX-License-Identifier: Apache-2.0
//
// Which share of the inputs is this process's: as somebody said, or as the engine that started it
// tells in the environment.
#ifndef WADER_HOST_JOB_SHARD_H
#define WADER_HOST_JOB_SHARD_H

#include "host/base/base.h"

struct shard {
    int index, n;  // 0 <= index < n; 0 of 1 takes all
};

// "3/8" to 3 of 8; STATUS_USAGE for anything but I/N with 0 <= I < N.
enum status shard_parse(const char *text, struct shard *shard, struct error *error);

// From the environment, as `get` (getenv, but for tests) gives it:
//   SLURM_ARRAY_TASK_ID      with _MIN, _MAX, _COUNT and _STEP: any start and step. With
//                            WADER_SHARDS=N the id itself is the share, from 0, of N: so that some
//                            tasks of an array can be run again by themselves.
//   JOB_COMPLETION_INDEX     (Kubernetes) with WADER_SHARDS
//   AWS_BATCH_JOB_ARRAY_INDEX             with WADER_SHARDS
// STATUS_USAGE where none is set, where what is set makes no sense or tells two things.
enum status shard_from_environment(const char *(*get)(const char *name), struct shard *shard,
                                   struct error *error);

#endif
