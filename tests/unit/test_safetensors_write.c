// SPDX-License-Identifier: Apache-2.0
//
// What safetensors_write writes, safetensors_parse reads back: names, shapes, dtypes and every bit;
// the notes too, which the reader passes over.
#include "weights/safetensors_write.h"

#include "host/base/buffer.h"
#include "host/base/json.h"
#include "tests/check.h"
#include "weights/dtype.h"
#include "weights/model_files.h"
#include "weights/safetensors.h"

enum { WEIGHTS_MAX = 12 };

// A file's tensors, in rooms as those of a model that no file holds: the writer lets go of their
// pages. Their bytes begin at an odd address.
struct sample {
    struct named_weight weights[WEIGHTS_MAX];
    enum dtype dtypes[WEIGHTS_MAX];
    struct model_files rooms;
    struct safetensors_file file;
};

static struct check_random source = {20};

// Any bits but those of NaN and infinity, and none that fp16 cannot hold: those are tested apart.
static float value(void) {
    const double unit = (double)(check_next(&source) >> 11) * 0x1p-53 * 2 - 1;
    return (float)ldexp(unit, (int)check_below(&source, 30) - 14);
}

static void fill(struct tensor tensor, char *bytes) {
    for (size_t i = 0; i < tensor.n_elements; i++) {
        const float number = value();
        uint16_t half;
        if (tensor.dtype == DTYPE_F32) memcpy(bytes + 4 * i, &number, 4);
        if (tensor.dtype == DTYPE_F16) float_to_f16(&number, 1, &half);
        if (tensor.dtype == DTYPE_BF16) float_to_bf16(&number, 1, &half);
        if (tensor.dtype != DTYPE_F32) memcpy(bytes + 2 * i, &half, 2);
    }
}

static void add(struct sample *sample, enum dtype from, enum dtype to, size_t rows,
                size_t columns) {
    const size_t i = sample->file.n_weights++;
    struct named_weight *weight = &sample->weights[i];
    const size_t n = columns > 0 ? rows * columns : rows;
    snprintf(weight->name, sizeof weight->name, "layer.%zu \"q\" \xC3\xA9", i);
    weight->n_dims = columns > 0 ? 2 : 1;
    weight->dims[0] = rows;
    weight->dims[1] = columns;
    char *room;
    CHECK_INT(model_files_room(&sample->rooms, n * dtype_size(from) + 1, &room, NULL), STATUS_OK);
    weight->tensor = (struct tensor){room + 1, n, from};
    fill(weight->tensor, room + 1);
    sample->dtypes[i] = to;
    sample->file.weights = sample->weights;
    sample->file.dtypes = sample->dtypes;
}

static void free_sample(struct sample *sample) {
    model_files_close(&sample->rooms);
}

// ---- sinks

struct collector {
    struct buffer bytes;
    int calls_left;  // until it refuses; -1: it does not
};

static enum status collect(void *context, const char *bytes, size_t n, struct error *error) {
    struct collector *collector = context;
    if (collector->calls_left == 0) return error_set(error, STATUS_AGAIN, "no more");
    if (collector->calls_left > 0) collector->calls_left--;
    CHECK(n <= 1 << 20);
    buffer_add(&collector->bytes, bytes, n);
    return STATUS_OK;
}

static struct buffer write_file(const struct safetensors_file *file) {
    struct collector collector = {.calls_left = -1};
    const struct byte_sink sink = {collect, &collector};
    struct error error = {""};
    CHECK_INT(safetensors_write(file, &sink, &error), STATUS_OK);
    CHECK_STR(error.text, "");
    return collector.bytes;
}

// ---- what is read back

static void check_tensor(const struct named_weight *weight, enum dtype dtype,
                         const struct tensor_table *table, const char *data) {
    const struct named_tensor *found = tensor_table_find(table, span_text(weight->name));
    const size_t n = weight->tensor.n_elements, size = dtype_size(dtype);
    CHECK(found != NULL && found->usable && found->tensor.dtype == dtype &&
          found->tensor.n_elements == n);
    if (found == NULL || found->tensor.n_elements != n) return;
    CHECK_INT(found->n_dims, weight->n_dims);
    CHECK(memcmp(found->dims, weight->dims, weight->n_dims * sizeof *weight->dims) == 0);
    CHECK_INT((found->bytes.ptr - data) % (ptrdiff_t)size, 0);
    float *wide = malloc(n * sizeof *wide + 1);
    char *want = malloc(n * size + 1);
    tensor_read(weight->tensor, 0, n, wide);
    if (dtype == DTYPE_F32) memcpy(want, wide, n * size);
    if (dtype == DTYPE_F16) float_to_f16(wide, n, (uint16_t *)(void *)want);
    if (dtype == DTYPE_BF16) float_to_bf16(wide, n, (uint16_t *)(void *)want);
    if (dtype == weight->tensor.dtype) memcpy(want, weight->tensor.data, n * size);
    CHECK(memcmp(want, found->bytes.ptr, n * size) == 0);
    free(want);
    free(wide);
}

static void check_file(const struct sample *sample) {
    struct buffer bytes = write_file(&sample->file);
    struct tensor_table table;
    struct error error = {""};
    uint64_t header;
    memcpy(&header, bytes.bytes, sizeof header);
    CHECK_INT(header % 8, 0);
    CHECK_INT(bytes.len, 8 + header + safetensors_data_nbytes(&sample->file));
    CHECK_INT(safetensors_parse(bytes.bytes, bytes.len, "x", &table, &error), STATUS_OK);
    CHECK_STR(error.text, "");
    CHECK_INT(table.n_tensors, sample->file.n_weights);
    for (size_t i = 0; i < sample->file.n_weights; i++) {
        check_tensor(&sample->weights[i], sample->dtypes[i], &table, bytes.bytes + 8 + header);
    }
    tensor_table_free(&table);
    buffer_free(&bytes);
}

// Every pair of dtypes, the lengths around those of a piece, and narrow tensors before wide ones.
static void round_trips(void) {
    static const size_t lengths[][2] = {
        {1, 0},     {3, 0}, {7, 5}, {65535, 0}, {65536, 0}, {65537, 0}, {(1 << 19) + 3, 0},
        {300, 1000}};
    for (size_t l = 0; l < ARRAY_LEN(lengths); l++) {
        struct sample sample = {.file = {.n_notes = 0}};
        for (enum dtype from = DTYPE_F32; from <= DTYPE_BF16; from++) {
            for (enum dtype to = DTYPE_F32; to <= DTYPE_BF16; to++) {
                add(&sample, from, (enum dtype)(2 - (int)to), lengths[l][0], lengths[l][1]);
            }
        }
        check_file(&sample);
        free_sample(&sample);
    }
    struct sample empty = {.file = {.n_notes = 0}};
    check_file(&empty);
}

static void notes(void) {
    static const struct safetensors_note some[] = {
        {"format", "pt"}, {"quote \" and \\", "line\nbreak\ttab"}, {"empty", ""}};
    struct sample sample = {.file = {.notes = some, .n_notes = ARRAY_LEN(some)}};
    add(&sample, DTYPE_F32, DTYPE_F32, 2, 2);
    check_file(&sample);
    struct buffer bytes = write_file(&sample.file);
    uint64_t len;
    memcpy(&len, bytes.bytes, sizeof len);
    struct json_value header, metadata, note;
    struct json_fault fault;
    CHECK(json_parse((struct span){bytes.bytes + 8, (size_t)len}, &header, &fault));
    CHECK(json_member(header, "__metadata__", &metadata));
    for (size_t i = 0; i < ARRAY_LEN(some); i++) {
        CHECK(json_member(metadata, some[i].key, &note) && note.type == JSON_STRING &&
              json_string_equal(note, some[i].value));
    }
    buffer_free(&bytes);
    free_sample(&sample);
}

// A sink that refuses ends the writing there, whichever piece it refuses.
static void refusing_sink(void) {
    struct sample sample = {.file = {.n_notes = 0}};
    add(&sample, DTYPE_F32, DTYPE_F32, 600000, 0);
    add(&sample, DTYPE_F32, DTYPE_F16, 200000, 0);
    int calls = 0;
    for (enum status status = STATUS_AGAIN; status != STATUS_OK; calls++) {
        struct collector collector = {.calls_left = calls};
        const struct byte_sink sink = {collect, &collector};
        struct error error = {""};
        status = safetensors_write(&sample.file, &sink, &error);
        CHECK(status == STATUS_OK || status == STATUS_AGAIN);
        CHECK_STR(error.text, status == STATUS_OK ? "" : "no more");
        buffer_free(&collector.bytes);
    }
    CHECK_INT(calls, 1 + 3 + 4 + 1);  // header, pieces of 1 MiB, pieces of 65536, none refused
    free_sample(&sample);
}

// `at` of n values is `number`, the others are 1. Whether that is written.
static bool takes(size_t n, size_t at, float number, enum dtype dtype, struct error *error) {
    float *values = malloc(n * sizeof *values);
    for (size_t i = 0; i < n; i++) values[i] = 1;
    values[at] = number;
    struct named_weight weight = {.name = "layer.weight", .dims = {n}, .n_dims = 1};
    weight.tensor = (struct tensor){values, n, DTYPE_F32};
    const struct safetensors_file file = {.weights = &weight, .dtypes = &dtype, .n_weights = 1};
    struct collector collector = {.calls_left = -1};
    const struct byte_sink sink = {collect, &collector};
    const enum status status = safetensors_write(&file, &sink, error);
    CHECK(status == STATUS_OK || status == STATUS_MODEL);
    buffer_free(&collector.bytes);
    free(values);
    return status == STATUS_OK;
}

static void overflow(void) {
    struct error error = {""};
    CHECK(takes(5, 2, 65519.996F, DTYPE_F16, &error));
    CHECK(takes(5, 2, -65519.996F, DTYPE_F16, &error));
    CHECK(takes(5, 2, INFINITY, DTYPE_F16, &error));
    CHECK(takes(5, 2, NAN, DTYPE_F16, &error));
    CHECK(takes(5, 2, 0x1.fep127F, DTYPE_BF16, &error));
    CHECK(takes(5, 2, INFINITY, DTYPE_BF16, &error));
    CHECK(takes(5, 2, 0x1.fffffep127F, DTYPE_F32, &error));
    CHECK_STR(error.text, "");
    static const size_t places[] = {0, 4, 65535, 65536, 69999};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        CHECK(!takes(70000, places[i], 65520.0F, DTYPE_F16, &error));
        char element[40];
        snprintf(element, sizeof element, "element %zu is 65520,", places[i]);
        CHECK_CONTAINS(error.text, "\"layer.weight\"");
        CHECK_CONTAINS(error.text, element);
        CHECK_CONTAINS(error.text, "65504");
    }
    CHECK(!takes(5, 2, -1e30F, DTYPE_F16, &error));
    CHECK_CONTAINS(error.text, "-1e+30");
    CHECK(!takes(5, 2, 0x1.ffp127F, DTYPE_BF16, &error));
    CHECK_CONTAINS(error.text, "BF16");
}

int main(void) {
    round_trips();
    notes();
    refusing_sink();
    overflow();
    return check_result();
}
