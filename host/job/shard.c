// SPDX-License-Identifier: Apache-2.0
#include "host/job/shard.h"

#include <string.h>

#define SHARDS "WADER_SHARDS"

typedef const char *(*getter)(const char *name);

// The digits at `text`, at most as many as an int surely holds; NULL where there are none.
static const char *parse_digits(const char *text, int *value) {
    int n = 0;
    for (*value = 0; n < 9 && text[n] >= '0' && text[n] <= '9'; n++) {
        *value = 10 * *value + (text[n] - '0');
    }
    return n > 0 ? text + n : NULL;
}

enum status shard_parse(const char *text, struct shard *shard, struct error *error) {
    const char *end = parse_digits(text, &shard->index);
    end = end != NULL && *end == '/' ? parse_digits(end + 1, &shard->n) : NULL;
    if (end == NULL || *end != '\0' || shard->index >= shard->n) {
        return error_set(error, STATUS_USAGE,
                         "--shard %s: give I/N with 0 <= I < N, for example 0/4, or auto", text);
    }
    return STATUS_OK;
}

// A variable that is set to nothing is not set.
static const char *look_up(getter get, const char *name) {
    const char *text = get(name);
    return text != NULL && *text != '\0' ? text : NULL;
}

// The whole number of at least `least` in variable `name`; -1 where it is not set.
static enum status read_number(getter get, const char *name, int least, int *value,
                               struct error *error) {
    const char *text = look_up(get, name);
    *value = -1;
    if (text == NULL) return STATUS_OK;
    const char *end = parse_digits(text, value);
    if (end != NULL && *end == '\0' && *value >= least) return STATUS_OK;
    return error_set(error, STATUS_USAGE,
                     "--shard auto: %s is \"%.100s\", not a whole number of at least %d", name,
                     text, least);
}

// Task ids MIN, MIN + STEP, ..., MAX, COUNT of them.
struct slurm_array {
    int id, min, max, count, step;
};

static enum status read_slurm(getter get, struct slurm_array *array, struct error *error) {
    const struct {
        const char *name;
        int least, *value;
    } variables[] = {
        {"SLURM_ARRAY_TASK_ID", 0, &array->id},     {"SLURM_ARRAY_TASK_MIN", 0, &array->min},
        {"SLURM_ARRAY_TASK_MAX", 0, &array->max},   {"SLURM_ARRAY_TASK_COUNT", 1, &array->count},
        {"SLURM_ARRAY_TASK_STEP", 1, &array->step},
    };
    for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
        enum status status =
            read_number(get, variables[i].name, variables[i].least, variables[i].value, error);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

// Ids left out of the middle (--array=3,7-9) would leave shares to nobody: no task knows which of
// them it is.
static enum status slurm_share(const struct slurm_array *array, struct shard *shard,
                               struct error *error) {
    const int step = array->step > 0 ? array->step : 1;
    if (array->min < 0 || array->max < 0 || array->count < 0) {
        return error_set(error, STATUS_USAGE,
                         "--shard auto: SLURM_ARRAY_TASK_ID is set, but not all of "
                         "SLURM_ARRAY_TASK_MIN, _MAX and _COUNT: set " SHARDS
                         " to the number of shares, with task ids from 0");
    }
    if (array->id < array->min || array->id > array->max || (array->id - array->min) % step != 0) {
        return error_set(error, STATUS_USAGE,
                         "--shard auto: SLURM_ARRAY_TASK_ID %d is not among the array's ids, %d to "
                         "%d in steps of %d",
                         array->id, array->min, array->max, step);
    }
    if ((array->max - array->min) / step + 1 != array->count) {
        return error_set(error, STATUS_USAGE,
                         "--shard auto: the array's %d task ids are no range of %d to %d in steps "
                         "of %d: set " SHARDS
                         " to the number of shares of the whole array, whose "
                         "ids count from 0",
                         array->count, array->min, array->max, step);
    }
    *shard = (struct shard){(array->id - array->min) / step, array->count};
    return STATUS_OK;
}

static enum status counted_share(const char *name, int index, int n_shards, struct shard *shard,
                                 struct error *error) {
    if (n_shards < 0) {
        return error_set(error, STATUS_USAGE,
                         "--shard auto: %s is set, but not " SHARDS
                         ": set it to the number of "
                         "shares",
                         name);
    }
    if (index >= n_shards) {
        return error_set(error, STATUS_USAGE,
                         "--shard auto: %s is %d, but " SHARDS " is %d: shares count from 0 to %d",
                         name, index, n_shards, n_shards - 1);
    }
    *shard = (struct shard){index, n_shards};
    return STATUS_OK;
}

// Two engines may have to do with one process (a pod that a Slurm job started), if they agree.
static enum status agree(const char *name, struct shard share, const char **found,
                         struct shard *shard, struct error *error) {
    if (*found != NULL && (shard->index != share.index || shard->n != share.n)) {
        return error_set(error, STATUS_USAGE,
                         "--shard auto: %s tells share %d/%d, %s tells %d/%d; say which with "
                         "--shard I/N",
                         *found, shard->index, shard->n, name, share.index, share.n);
    }
    *found = name;
    *shard = share;
    return STATUS_OK;
}

enum status shard_from_environment(const char *(*get)(const char *name), struct shard *shard,
                                   struct error *error) {
    static const char slurm[] = "SLURM_ARRAY_TASK_ID";
    static const char *const counted[] = {"JOB_COMPLETION_INDEX", "AWS_BATCH_JOB_ARRAY_INDEX"};
    const char *found = NULL;
    struct slurm_array array;
    struct shard share = {0, 1};
    int n_shards;
    enum status status = read_number(get, SHARDS, 1, &n_shards, error);
    if (status == STATUS_OK) status = read_slurm(get, &array, error);
    if (status == STATUS_OK && array.id >= 0) {
        status = n_shards > 0 ? counted_share(slurm, array.id, n_shards, &share, error)
                              : slurm_share(&array, &share, error);
        if (status == STATUS_OK) status = agree(slurm, share, &found, shard, error);
    }
    for (size_t i = 0; status == STATUS_OK && i < ARRAY_LEN(counted); i++) {
        int index;
        status = read_number(get, counted[i], 0, &index, error);
        if (status != STATUS_OK || index < 0) continue;
        status = counted_share(counted[i], index, n_shards, &share, error);
        if (status == STATUS_OK) status = agree(counted[i], share, &found, shard, error);
    }
    if (status != STATUS_OK || found != NULL) return status;
    return error_set(error, STATUS_USAGE,
                     "--shard auto: nothing tells which share this is: none of %s, %s, %s is set; "
                     "give --shard I/N",
                     slurm, counted[0], counted[1]);
}
