// SPDX-License-Identifier: Apache-2.0
//
// Files that torch 1.1 to 2.11 saved (tests/golden/make_torch_fixtures.py): every tensor of every
// one has the values of the same weights in safetensors; and no front of a file, and no flipped bit
// of it, does worse than a refusal.
#include "weights/torch_file.h"

#include "tests/check.h"
#include "weights/safetensors.h"

static char directory[PATH_NBYTES_MAX];

static struct file_map open_map(const char *name) {
    char path[PATH_NBYTES_MAX];
    struct file_map map;
    struct error error = {""};
    CHECK_INT(path_join(path, sizeof path, directory, name, &error), STATUS_OK);
    CHECK_INT(file_map_open(path, &map, &error), STATUS_OK);
    if (error.text[0] != '\0') {
        fprintf(stderr, "%s\n", error.text);
        exit(1);
    }
    return map;
}

// How many usable tensors of `want` there are, and that all are in `got`, behind a prefix, with the
// same shapes and values.
static size_t compare(const struct tensor_table *want, const struct tensor_table *got,
                      const char *prefix) {
    size_t n = 0;
    for (size_t i = 0; i < want->n_tensors; i++) {
        const struct named_tensor *tensor = &want->tensors[i];
        char name[200];
        if (!tensor->usable) continue;
        n++;
        snprintf(name, sizeof name, "%s%.*s", prefix, (int)tensor->name.len, tensor->name.ptr);
        const struct named_tensor *other = tensor_table_find(got, span_text(name));
        CHECK(other != NULL && other->usable && other->n_dims == tensor->n_dims);
        if (other == NULL || !other->usable) continue;
        CHECK_INT(other->tensor.n_elements, tensor->tensor.n_elements);
        CHECK(memcmp(other->dims, tensor->dims, tensor->n_dims * sizeof *tensor->dims) == 0);
        for (size_t at = 0; at < tensor->tensor.n_elements; at++) {
            float first, second;
            tensor_read(tensor->tensor, at, 1, &first);
            tensor_read(other->tensor, at, 1, &second);
            CHECK(memcmp(&first, &second, sizeof first) == 0);
        }
    }
    return n;
}

static void same_values(void) {
    static const struct {
        const char *name, *twin, *prefix;
        size_t n_other;  // tensors that the twin lacks
        bool copied;
    } cases[] = {
        {"pytorch_model.bin", "other/twin.safetensors", "", 0, false},
        {"other/torch1_1.bin", "other/twin.safetensors", "", 0, false},
        {"other/python2.bin", "other/twin.safetensors", "", 0, false},
        {"other/transformers4_15_legacy.bin", "other/twin.safetensors", "", 0, false},
        {"other/torch2.bin", "other/twin.safetensors", "", 0, false},
        {"other/torch2_legacy.bin", "other/twin.safetensors", "", 0, false},
        {"other/nested.bin", "other/twin.safetensors", "", 0, false},
        {"other/views.bin", "other/twin.safetensors", "module.", 9, true},
        {"other/views_legacy.bin", "other/twin.safetensors", "", 0, true},
        {"other/half.bin", "other/half.safetensors", "", 0, false},
        {"other/bfloat16.bin", "other/bfloat16.safetensors", "", 0, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct file_map map = open_map(cases[i].name), twin = open_map(cases[i].twin);
        struct tensor_table table, want;
        struct model_files files = {0};
        struct error error = {""};
        CHECK_INT(safetensors_parse(twin.bytes, twin.nbytes, "twin", &want, &error), STATUS_OK);
        CHECK_INT(torch_parse((struct span){map.bytes, map.nbytes}, cases[i].name, &files, &table,
                              &error),
                  STATUS_OK);
        CHECK_STR(error.text, "");
        const size_t n = compare(&want, &table, cases[i].prefix);
        CHECK(n > 20);
        size_t n_usable = 0;
        for (size_t j = 0; j < table.n_tensors; j++) n_usable += table.tensors[j].usable;
        CHECK(n_usable >= n && table.n_tensors <= n + 1 + cases[i].n_other);
        CHECK_INT(files.n_rooms, cases[i].copied);
        tensor_table_free(&table);
        tensor_table_free(&want);
        model_files_close(&files);
        file_map_close(&map);
        file_map_close(&twin);
    }
}

// Reads a copy of its own size, and all of every tensor of it.
static bool reads(const char *bytes, size_t n, struct error *error) {
    char *copy = malloc(n > 0 ? n : 1);
    struct model_files files = {0};
    struct tensor_table table;
    if (n > 0) memcpy(copy, bytes, n);
    error->text[0] = '\0';
    enum status status = torch_parse((struct span){copy, n}, "x.bin", &files, &table, error);
    CHECK(status == STATUS_OK || status == STATUS_MODEL);
    if (status != STATUS_OK) CHECK(strncmp(error->text, "x.bin: ", 7) == 0);
    for (size_t i = 0; i < table.n_tensors; i++) {
        const struct tensor tensor = table.tensors[i].tensor;
        float out[64];
        if (!table.tensors[i].usable) continue;
        for (size_t at = 0; at < tensor.n_elements; at += ARRAY_LEN(out)) {
            const size_t rest = tensor.n_elements - at;
            tensor_read(tensor, at, rest < ARRAY_LEN(out) ? rest : ARRAY_LEN(out), out);
        }
    }
    tensor_table_free(&table);
    model_files_close(&files);
    free(copy);
    return status == STATUS_OK;
}

static const char *const spoiled[] = {"other/torch2.bin", "other/views.bin",
                                      "other/torch2_legacy.bin", "other/torch1_1.bin"};

// Every length where the file is dense with structure, every 61st in its weights.
static void every_length(void) {
    for (size_t i = 0; i < ARRAY_LEN(spoiled); i++) {
        struct file_map map = open_map(spoiled[i]);
        struct error error;
        for (size_t n = 0; n < map.nbytes; n++) {
            if (n > 5000 && n % 61 != 0 && n + 300 < map.nbytes) continue;
            CHECK(!reads(map.bytes, n, &error));
        }
        CHECK(reads(map.bytes, map.nbytes, &error));
        char *longer = calloc(1, map.nbytes + 1);
        memcpy(longer, map.bytes, map.nbytes);
        CHECK(!reads(longer, map.nbytes + 1, &error));
        free(longer);
        file_map_close(&map);
    }
}

// One bit of each byte outside the weights, and of some inside. Where torch wrote checksums, one in
// the pickle or in weights is found: the first file; in the others a flipped weight cannot be seen.
static void flipped_bits(void) {
    for (size_t i = 0; i < ARRAY_LEN(spoiled); i++) {
        struct file_map map = open_map(spoiled[i]);
        struct check_random random = {i};
        struct error error;
        char *bytes = malloc(map.nbytes);
        memcpy(bytes, map.bytes, map.nbytes);
        size_t n_refused = 0, n = 0;
        for (size_t at = 0; at < map.nbytes; at++) {
            if (at > 5000 && at % 61 != 0 && at + 4000 < map.nbytes) continue;
            const char flip = (char)(1 << check_below(&random, 8));
            bytes[at] = (char)(bytes[at] ^ flip);
            n++;
            n_refused += !reads(bytes, map.nbytes, &error);
            bytes[at] = (char)(bytes[at] ^ flip);
        }
        CHECK(n_refused > n / 4);
        free(bytes);
        file_map_close(&map);
    }
}

// Whether the file is refused or has the weights of the twin still.
static bool refuses_or_same(struct span file, const struct tensor_table *twin) {
    struct model_files files = {0};
    struct tensor_table table;
    struct error error = {""};
    bool same = true;
    if (torch_parse(file, "x.bin", &files, &table, &error) != STATUS_OK) return true;
    for (size_t i = 0; i < twin->n_tensors; i++) {
        const struct named_tensor *want = &twin->tensors[i];
        const struct named_tensor *got = tensor_table_find(&table, want->name);
        // Who binds the weights will miss one without its name or its shape.
        if (got == NULL || got->n_dims != want->n_dims) continue;
        if (memcmp(got->dims, want->dims, want->n_dims * sizeof *want->dims) != 0) continue;
        same = same && got->bytes.len == want->bytes.len &&
               memcmp(got->bytes.ptr, want->bytes.ptr, want->bytes.len) == 0;
    }
    tensor_table_free(&table);
    model_files_close(&files);
    return same;
}

// The legacy format has no checksum. A bit flipped in its pickles leads no weight to other bytes
// all the same: every storage has one tensor, which takes all of it.
static void legacy_pickles(void) {
    struct file_map map = open_map("other/torch2_legacy.bin");
    struct file_map twin_map = open_map("other/twin.safetensors");
    struct tensor_table table, twin;
    struct model_files files = {0};
    struct error error = {""};
    struct span file = {map.bytes, map.nbytes};
    CHECK_INT(safetensors_parse(twin_map.bytes, twin_map.nbytes, "twin", &twin, &error), STATUS_OK);
    CHECK_INT(torch_parse(file, "x.bin", &files, &table, &error), STATUS_OK);
    size_t n = map.nbytes;  // of the pickles: up to the first storage
    for (size_t i = 0; i < table.n_tensors; i++) {
        const size_t at = (size_t)(table.tensors[i].bytes.ptr - map.bytes);
        if (at < n) n = at;
    }
    char *bytes = malloc(map.nbytes);
    memcpy(bytes, map.bytes, map.nbytes);
    file.ptr = bytes;
    CHECK(n > 3000 && n < 5000);
    for (size_t i = 0; i < n * 8; i++) {
        bytes[i / 8] = (char)(bytes[i / 8] ^ 1 << i % 8);
        if (!refuses_or_same(file, &twin)) {
            fprintf(stderr, "bit %zu of byte %zu\n", i % 8, i / 8);
            CHECK(false);
        }
        bytes[i / 8] = map.bytes[i / 8];
    }
    free(bytes);
    tensor_table_free(&table);
    tensor_table_free(&twin);
    model_files_close(&files);
    file_map_close(&map);
    file_map_close(&twin_map);
}

// Each byte of the first tensor's weights, with a checksum.
static void checksums(void) {
    struct file_map map = open_map("other/torch2.bin");
    struct tensor_table table;
    struct model_files files = {0};
    struct error error = {""};
    const struct span file = {map.bytes, map.nbytes};
    CHECK_INT(torch_parse(file, "x.bin", &files, &table, &error), STATUS_OK);
    const size_t begin = (size_t)(table.tensors[0].bytes.ptr - map.bytes);
    char *bytes = malloc(map.nbytes);
    memcpy(bytes, map.bytes, map.nbytes);
    for (size_t i = 0; i < table.tensors[0].bytes.len; i++) {
        bytes[begin + i] = (char)(bytes[begin + i] ^ 1 << i % 8);
        CHECK(!reads(bytes, map.nbytes, &error));
        CHECK_CONTAINS(error.text, "its checksum is not that of its bytes");
        bytes[begin + i] = map.bytes[begin + i];
    }
    free(bytes);
    tensor_table_free(&table);
    model_files_close(&files);
    file_map_close(&map);
}

static void other_files(void) {
    static const char *const texts[] = {
        "",       "P", "PK",     "PK\3\4",          "\x80",
        "\x80\2", "L", "L1L\n.", "<!DOCTYPE html>", "version https://git-lfs.github.com"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct error error;
        CHECK(!reads(texts[i], strlen(texts[i]), &error));
    }
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    snprintf(directory, sizeof directory, "%s/bert_torch", argv[1]);
    same_values();
    every_length();
    flipped_bits();
    legacy_pickles();
    checksums();
    other_files();
    return check_result();
}
