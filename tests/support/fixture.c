// SPDX-License-Identifier: Apache-2.0
//
// Reads the scripts' JSON. The files are our own, so checks are for mistakes, not for malice.
#include "tests/support/fixture.h"

#include <math.h>
#include <stdlib.h>
#include <zlib.h>

#include "host/base/json.h"

// ---- the file, unpacked

enum { TEXT_MAX = 64 << 20 };

// zlib's gzread passes a file that is not gzip through as it is.
static enum status read_text(const char *path, char **out, size_t *len, struct error *error) {
    enum status status = STATUS_OK;
    void *text = NULL;
    size_t used = 0, size = 0;
    gzFile file = gzopen(path, "rb");
    if (file == NULL) return error_set(error, STATUS_INPUT, "%s: cannot be opened", path);
    for (;;) {
        if (used == size) {
            size = size == 0 ? 1 << 16 : 2 * size;
            void *grown = size > TEXT_MAX ? NULL : realloc(text, size);
            if (grown == NULL) {
                status = error_set(error, STATUS_IO, "%s: no memory for %zu bytes", path, size);
                goto out_close;
            }
            text = grown;
        }
        const int n = gzread(file, (char *)text + used, (unsigned)(size - used));
        if (n < 0) {
            status = error_set(error, STATUS_INPUT, "%s: damaged", path);
            goto out_close;
        }
        if (n == 0) break;
        used += (size_t)n;
    }
    *out = text;
    *len = used;
    text = NULL;
out_close:
    free(text);
    gzclose(file);
    return status;
}

// ---- its values; `*fault` names the first one that is not as it should be

static size_t count(struct json_value array) {
    size_t n = 0;
    for (struct json_walk walk = json_walk(array); json_next(&walk);) n++;
    return n;
}

static void *zeroed(size_t n, size_t size, const char **fault) {
    void *memory = NULL;
    if (*fault == NULL && alloc_zeroed(&memory, n, size, "a fixture", NULL) != STATUS_OK)
        *fault = "too big for this machine's memory";
    return memory;
}

static int32_t read_int(struct json_value object, const char *key, const char **fault) {
    struct json_value value;
    int64_t number = 0;
    if (!json_member(object, key, &value) || !json_int64(value, &number) || number < 0 ||
        number > INT32_MAX)
        *fault = key;
    return (int32_t)number;
}

static int32_t *read_ids(struct json_value object, int32_t *n_out, const char **fault) {
    struct json_value array;
    const size_t n = json_member(object, "ids", &array) ? count(array) : 0;
    int32_t *ids = zeroed(n + 1, sizeof *ids, fault);
    if (ids == NULL) return NULL;
    int32_t *at = ids;
    for (struct json_walk walk = json_walk(array); n > 0 && json_next(&walk);) {
        int64_t id = -1;
        if (!json_int64(walk.value, &id) || id < 0 || id > INT32_MAX) *fault = "ids";
        *at++ = (int32_t)id;
    }
    if (n < 2) *fault = "ids";
    *n_out = (int32_t)n;
    return ids;
}

// NULL where `object` has no such member. `*n_out` is the length of the first array read through
// it: all others must have the same.
static double *read_doubles(struct json_value object, const char *key, int32_t *n_out,
                            const char **fault) {
    struct json_value array;
    if (!json_member(object, key, &array)) return NULL;
    const size_t n = count(array);
    if (*n_out == 0) *n_out = (int32_t)n;
    if (n == 0 || n != (size_t)*n_out) *fault = key;
    double *values = zeroed(n + 1, sizeof *values, fault);
    if (values == NULL) return NULL;
    double *at = values;
    for (struct json_walk walk = json_walk(array); json_next(&walk);)
        if (!json_double(walk.value, at++)) *fault = key;
    return values;
}

static void read_states(struct json_value object, struct fixture *fixture, struct fixture_case *out,
                        const char **fault) {
    struct json_value array;
    if (!json_member(object, "hidden", &array)) return;
    out->states = zeroed(count(array) + 1, sizeof *out->states, fault);
    if (out->states == NULL) return;
    for (struct json_walk walk = json_walk(array); json_next(&walk);) {
        struct fixture_state *state = &out->states[out->n_states++];
        state->layer = read_int(walk.value, "layer", fault);
        state->token = read_int(walk.value, "token", fault);
        state->values = read_doubles(walk.value, "state", &fixture->state_size, fault);
        if (state->values == NULL || state->token >= out->n_ids) *fault = "hidden";
    }
}

static void read_case(struct json_value object, struct fixture *fixture, struct fixture_case *out,
                      const char **fault) {
    struct json_value value;
    if (!json_member(object, "title", &value) || value.type != JSON_STRING) {
        *fault = "title";
        return;
    }
    char *title = zeroed(value.raw.len, 1, fault);
    if (title == NULL) return;
    out->title = (struct span){title, json_string(value, title)};
    out->ids = read_ids(object, &out->n_ids, fault);
    if (json_member(object, "truncated", &value) && !json_bool(value, &out->truncated))
        *fault = "truncated";
    out->logits = read_doubles(object, "logits", &fixture->n_logits, fault);
    if ((out->logits == NULL) != (fixture->n_logits == 0)) *fault = "logits";
    if (*fault == NULL) read_states(object, fixture, out, fault);
}

static void read_root(struct json_value root, struct fixture *fixture, const char **fault) {
    struct json_value cases;
    if (!json_member(root, "cases", &cases) || count(cases) == 0) {
        *fault = "cases";
        return;
    }
    fixture->max_length = read_int(root, "max_length", fault);
    fixture->cases = zeroed(count(cases), sizeof *fixture->cases, fault);
    for (struct json_walk walk = json_walk(cases); *fault == NULL && json_next(&walk);)
        read_case(walk.value, fixture, &fixture->cases[fixture->n_cases++], fault);
}

enum status fixture_read(const char *path, struct fixture **out, struct error *error) {
    *out = NULL;
    char *text = NULL;
    void *memory = NULL;
    size_t len = 0;
    enum status status = read_text(path, &text, &len, error);
    if (status != STATUS_OK) return status;
    struct json_value root;
    struct json_fault json_fault;
    const char *fault = NULL;
    if (!json_parse((struct span){text, len}, &root, &json_fault)) {
        status = error_set(error, STATUS_INPUT, "%s: not JSON at byte %zu: %s", path,
                           json_fault.offset, json_fault.what);
        goto out_free;
    }
    status = alloc_zeroed(&memory, 1, sizeof(struct fixture), "a fixture", error);
    if (status != STATUS_OK) goto out_free;
    read_root(root, memory, &fault);
    if (fault != NULL) {
        status = error_set(error, STATUS_INPUT, "%s: something is wrong about \"%s\"", path, fault);
        goto out_free;
    }
    *out = memory;
    memory = NULL;
out_free:
    fixture_close(memory);
    free(text);
    return status;
}

const char *const fixture_models[FIXTURE_MODELS] = {
    "bert_small",       "bert_v5",         "bert_three_heads", "bert_fp16",       "bert_bf16",
    "bert_sharded",     "bert_bare_names", "bert_gamma_beta",  "bert_multilabel", "bert_gelu_new",
    "distilbert_small", "distilbert_v5",   "bert_torch",
};

enum status fixture_open(const char *dir, struct fixture **out, struct error *error) {
    char path[PATH_NBYTES_MAX];
    *out = NULL;
    const enum status status = path_join(path, sizeof path, dir, "expected.json", error);
    return status != STATUS_OK ? status : fixture_read(path, out, error);
}

void fixture_close(struct fixture *fixture) {
    if (fixture == NULL) return;
    for (int32_t i = 0; i < fixture->n_cases; i++) {
        struct fixture_case *item = &fixture->cases[i];
        for (int32_t s = 0; s < item->n_states; s++) free(item->states[s].values);
        free(item->states);
        free(item->logits);
        free(item->ids);
        free((void *)(uintptr_t)item->title.ptr);
    }
    free(fixture->cases);
    free(fixture);
}

double fixture_distance(const double *got, const double *want, size_t n) {
    double top = 0, apart = 0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(got[i])) return INFINITY;
        top = fmax(top, fabs(want[i]));
        apart = fmax(apart, fabs(got[i] - want[i]));
    }
    return apart / top;
}
