// SPDX-License-Identifier: Apache-2.0
//
// State dicts put together by hand: tensors of every kind, and what is wrong with a hostile one.
#include "tests/check.h"
#include "tests/support/torch_bytes.h"
#include "weights/torch_file.h"

// A tensor, by what the pickle says of it.
struct spec {
    const char *type;   // of its storage, "FloatStorage"
    int64_t n_storage;  // elements
    int64_t offset, dims[3], strides[3];
    int n_dims, n_strides;
    const char *rebuild;  // NULL: _rebuild_tensor_v2
};

static void put_sizes(struct torch_bytes *out, const int64_t *sizes, int n) {
    torch_put_text(out, "(");
    for (int i = 0; i < n; i++) pickle_put_int(out, sizes[i]);
    torch_put_text(out, "t");
}

// A call that rebuilds a tensor of the storage `key`.
static void put_tensor(struct torch_bytes *out, const struct spec *spec, const char *key) {
    char type[64];
    snprintf(type, sizeof type, "torch\n%s", spec->type);
    pickle_put_global(out,
                      spec->rebuild != NULL ? spec->rebuild : "torch._utils\n_rebuild_tensor_v2");
    torch_put_text(out, "((");
    pickle_put_text(out, "storage");
    pickle_put_global(out, type);
    pickle_put_text(out, key);
    pickle_put_text(out, "cpu");
    pickle_put_int(out, spec->n_storage);
    torch_put_text(out, "tQ");
    pickle_put_int(out, spec->offset);
    put_sizes(out, spec->dims, spec->n_dims);
    put_sizes(out, spec->strides, spec->n_strides);
    if (spec->rebuild == NULL || strstr(spec->rebuild, "_v") != NULL) torch_put_text(out, "\x89N");
    if (spec->rebuild != NULL && strstr(spec->rebuild, "_v3") != NULL) {
        pickle_put_global(out, "torch\nbfloat16");
    }
    torch_put_text(out, "tR");
}

// What is read of an archive with this pickle and a storage "0" of these bytes.
struct opened {
    struct torch_zip_bytes zip;
    struct tensor_table table;
    struct model_files files;
    struct error error;
};

static enum status open_pickle(struct opened *opened, const struct torch_bytes *pickle,
                               const void *storage, size_t nbytes) {
    memset(opened, 0, sizeof *opened);
    torch_zip_put(&opened->zip, "a/data.pkl", pickle->bytes, pickle->n);
    torch_zip_put(&opened->zip, "a/data/0", storage, nbytes);
    torch_zip_put_end(&opened->zip, TORCH_ZIP_PLAIN);
    return torch_parse((struct span){opened->zip.file.bytes, opened->zip.file.n}, "x.bin",
                       &opened->files, &opened->table, &opened->error);
}

static void close_pickle(struct opened *opened) {
    tensor_table_free(&opened->table);
    model_files_close(&opened->files);
}

static enum status open_tensor(struct opened *opened, const struct spec *spec, const void *storage,
                               size_t nbytes) {
    struct torch_bytes pickle = {.n = 0};
    torch_put_text(&pickle, "\x80\2}");
    pickle_put_text(&pickle, "w");
    put_tensor(&pickle, spec, "0");
    torch_put_text(&pickle, "s.");
    return open_pickle(opened, &pickle, storage, nbytes);
}

static struct opened opened;  // too large for the stack of a sanitizer

static const char v1[] = "torch._utils\n_rebuild_tensor", v3[] = "torch._utils\n_rebuild_tensor_v3";

static void good(void) {
    static const float floats[] = {0, 1, 2, 3, 4, 5, 6, 7};
    static const double doubles[] = {0, 1, 2, 3, 4, 5, 6, 7};
    static const uint16_t halves[] = {0x0000, 0x3c00, 0x4000, 0x4200,
                                      0x4400, 0x4500, 0x4600, 0x4700};
    static const uint16_t brains[] = {0x0000, 0x3f80, 0x4000, 0x4040,
                                      0x4080, 0x40a0, 0x40c0, 0x40e0};
    static const struct {
        struct spec spec;
        const void *storage;
        bool copied;
        size_t n;
        float want[8];
    } cases[] = {
        {{"FloatStorage", 8, 0, {8}, {1}, 1, 1, NULL}, floats, 0, 8, {0, 1, 2, 3, 4, 5, 6, 7}},
        {{"FloatStorage", 8, 3, {2, 2}, {2, 1}, 2, 2, NULL}, floats, 0, 4, {3, 4, 5, 6}},
        {{"FloatStorage", 8, 3, {2, 2}, {2, 1}, 2, 2, v1}, floats, 0, 4, {3, 4, 5, 6}},
        {{"FloatStorage", 8, 0, {2, 3}, {1, 2}, 2, 2, NULL}, floats, 1, 6, {0, 2, 4, 1, 3, 5}},
        {{"FloatStorage", 8, 1, {3}, {2}, 1, 1, NULL}, floats, 1, 3, {1, 3, 5}},
        {{"FloatStorage", 8, 7, {3}, {0}, 1, 1, NULL}, floats, 1, 3, {7, 7, 7}},
        {{"FloatStorage", 8, 7, {1, 1}, {1 << 20, 0}, 2, 2, NULL}, floats, 0, 1, {7}},
        {{"FloatStorage", 8, 0, {2, 2, 2}, {1, 2, 4}, 3, 3, NULL},
         floats,
         1,
         8,
         {0, 4, 2, 6, 1, 5, 3, 7}},
        {{"FloatStorage", 8, 5, {0}, {0}, 0, 0, NULL}, floats, 0, 1, {5}},
        {{"FloatStorage", 8, 0, {0, 3}, {3, 1}, 2, 2, NULL}, floats, 0, 0, {0}},
        {{"FloatStorage", 8, 1 << 20, {0}, {1}, 1, 1, NULL}, floats, 0, 0, {0}},
        {{"HalfStorage", 8, 2, {3}, {1}, 1, 1, NULL}, halves, 0, 3, {2, 3, 4}},
        {{"HalfStorage", 8, 2, {2, 2}, {1, 2}, 2, 2, NULL}, halves, 1, 4, {2, 4, 3, 5}},
        {{"BFloat16Storage", 8, 2, {3}, {1}, 1, 1, NULL}, brains, 0, 3, {2, 3, 4}},
        {{"BFloat16Storage", 8, 0, {2}, {7}, 1, 1, NULL}, brains, 1, 2, {0, 7}},
        {{"DoubleStorage", 8, 1, {3}, {1}, 1, 1, NULL}, doubles, 1, 3, {1, 2, 3}},
        {{"DoubleStorage", 8, 1, {2, 2}, {1, 3}, 2, 2, NULL}, doubles, 1, 4, {1, 4, 2, 5}},
        {{"storage\nUntypedStorage", 16, 2, {3}, {1}, 1, 1, v3}, brains, 0, 3, {2, 3, 4}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct spec spec = cases[i].spec;
        const bool untyped = strncmp(spec.type, "storage", 7) == 0;
        struct torch_bytes pickle = {.n = 0};
        if (untyped) spec.type = "UntypedStorage";
        torch_put_text(&pickle, "}");
        pickle_put_text(&pickle, "w");
        put_tensor(&pickle, &spec, "0");
        torch_put_text(&pickle, "s.");
        if (untyped) {  // it is in torch.storage, not in torch
            static const char from[] = "ctorch\nUntyped", to[] = "ctorch.storage\nUntyped";
            char *at = memchr(pickle.bytes, 'Q', pickle.n);
            for (at = pickle.bytes; memcmp(at, from, sizeof from - 1) != 0;) at++;
            const size_t more = sizeof to - sizeof from;
            memmove(at + more, at, pickle.n - (size_t)(at - pickle.bytes));
            memcpy(at, to, sizeof to - 1);
            pickle.n += more;
        }
        const size_t sizes[] = {sizeof floats, sizeof doubles, sizeof halves};
        const size_t which = cases[i].storage == doubles ? 1 : cases[i].storage == floats ? 0 : 2;
        CHECK_INT(open_pickle(&opened, &pickle, cases[i].storage, sizes[which]), STATUS_OK);
        CHECK_STR(opened.error.text, "");
        const struct named_tensor *tensor = tensor_table_find(&opened.table, span_text("w"));
        CHECK(tensor != NULL && tensor->usable);
        if (tensor != NULL && tensor->usable) {
            float got[8] = {0};
            CHECK_INT(tensor->tensor.n_elements, cases[i].n);
            tensor_read(tensor->tensor, 0, cases[i].n, got);
            CHECK(memcmp(got, cases[i].want, sizeof got) == 0);
            CHECK_INT(opened.files.n_rooms, cases[i].copied);
        }
        close_pickle(&opened);
    }
}

static void bad_tensors(void) {
    static const int64_t big = INT64_MAX;
    const struct {
        struct spec spec;
        const char *message;
    } cases[] = {
        {{"FloatStorage", 8, 0, {9}, {1}, 1, 1, NULL}, "tensor \"w\": it has elements outside"},
        {{"FloatStorage", 8, 1, {8}, {1}, 1, 1, NULL}, "elements outside its storage"},
        {{"FloatStorage", 8, 8, {0}, {1}, 0, 0, NULL}, "elements outside its storage"},
        {{"FloatStorage", 8, 0, {3, 3}, {3, 1}, 2, 2, NULL}, "elements outside its storage"},
        {{"FloatStorage", 8, 0, {2, 2}, {7, 1}, 2, 2, NULL}, "elements outside its storage"},
        {{"FloatStorage", 8, big, {1}, {1}, 1, 1, NULL}, "elements outside its storage"},
        {{"FloatStorage", 8, big, {3}, {big}, 1, 1, NULL}, "its strides overflow"},
        {{"FloatStorage", 8, 0, {4}, {big}, 1, 1, NULL}, "its strides overflow"},
        {{"FloatStorage", 8, 0, {big, big}, {0, 0}, 2, 2, NULL}, "its shape overflows"},
        {{"FloatStorage", 8, 0, {big}, {0}, 1, 1, NULL}, "its shape overflows"},
        {{"FloatStorage", 8, 0, {big / 2}, {0}, 1, 1, NULL}, "repeat elements so often"},
        {{"FloatStorage", 8, 0, {1 << 30}, {0}, 1, 1, NULL}, "repeat elements so often"},
        {{"FloatStorage", 8, 0, {big / 4}, {0}, 1, 1, NULL}, "repeat elements so often"},
        {{"FloatStorage", 8, 0, {8}, {0}, 1, 1, NULL}, "its strides repeat elements"},
        {{"FloatStorage", 8, 0, {2, 2}, {0, 1}, 2, 2, NULL}, "its strides repeat elements"},
        {{"FloatStorage", 8, 0, {2, 4}, {3, 1}, 2, 2, NULL}, "its strides repeat elements"},
        {{"FloatStorage", 8, 0, {4, 2}, {1, 2}, 2, 2, NULL}, "its strides repeat elements"},
        {{"FloatStorage", 8, 0, {2, 2, 2}, {2, 2, 1}, 3, 3, NULL}, "its strides repeat elements"},
        {{"FloatStorage", 8, -1, {1}, {1}, 1, 1, NULL}, "its offset is no size"},
        {{"FloatStorage", 8, 7, {-1}, {1}, 1, 1, NULL}, "its shape is none"},
        {{"FloatStorage", 8, 7, {2}, {-1}, 1, 1, NULL}, "its strides are no sizes"},
        {{"FloatStorage", 8, 0, {2, 2}, {1}, 2, 1, NULL}, "not as many as its dimensions"},
        {{"FloatStorage", 9, 0, {2}, {1}, 1, 1, NULL}, "has 32 bytes, but its tensors say 36"},
        {{"HalfStorage", 8, 0, {2}, {1}, 1, 1, NULL}, "has 32 bytes, but its tensors say 16"},
        {{"FloatStorage", -1, 0, {2}, {1}, 1, 1, NULL}, "the number of elements in a storage's id"},
        {{"FloatStorage", big, 0, {2}, {1}, 1, 1, NULL}, "the number of elements in a storage's"},
        {{"FloatStorage", big / 2, 0, {2}, {1}, 1, 1, NULL}, "has 32 bytes, but its tensors say"},
        {{"float32", 8, 0, {2}, {1}, 1, 1, NULL}, "the type in a storage's id"},
        {{"QInt8Storage", 32, 0, {2}, {1}, 1, 1, NULL}, "\"torch.QInt8Storage\""},
        {{"FloatStorage", 8, 0, {2}, {1}, 1, 1, "torch._utils\n_rebuild_sparse_tensor"},
         "\"torch._utils._rebuild_sparse_tensor\""},
        {{"FloatStorage", 8, 0, {2}, {1}, 1, 1, "torch._utils\n_rebuild_parameter"},
         "its parameter has no tensor"},
    };
    static const char storage[32];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_INT(open_tensor(&opened, &cases[i].spec, storage, sizeof storage), STATUS_MODEL);
        CHECK_CONTAINS(opened.error.text, "x.bin: ");
        CHECK_CONTAINS(opened.error.text, cases[i].message);
        CHECK(opened.table.tensors == NULL && opened.files.n_rooms == 0);
        close_pickle(&opened);
    }
}

// Integers are in the table, and cannot be used.
static void unusable(void) {
    static const struct spec spec = {"LongStorage", 4, 0, {1, 2}, {0, 2}, 2, 2, NULL};
    static const char storage[32];
    CHECK_INT(open_tensor(&opened, &spec, storage, sizeof storage), STATUS_OK);
    const struct named_tensor *tensor = tensor_table_find(&opened.table, span_text("w"));
    CHECK(tensor != NULL && !tensor->usable && span_equal(tensor->dtype_name, "LongStorage"));
    CHECK(tensor != NULL && tensor->n_dims == 2 && tensor->dims[1] == 2);
    close_pickle(&opened);
}

// Archives that are more, or other, than a state dict.
static void kinds(void) {
    static const struct {
        const char *name, *content, *message;
    } cases[] = {
        {"a/byteorder", "big", "its byte order is \"big\""},
        {"a/constants.pkl", "N.", "TorchScript"},
        {"a/data/1", "", "entry \"data/0\", which its tensors need, is not in the"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        static const struct spec spec = {"FloatStorage", 1, 0, {1}, {1}, 1, 1, NULL};
        struct torch_bytes pickle = {.n = 0};
        torch_put_text(&pickle, "}");
        pickle_put_text(&pickle, "w");
        put_tensor(&pickle, &spec, "0");
        torch_put_text(&pickle, "s.");
        memset(&opened, 0, sizeof opened);
        torch_zip_put(&opened.zip, "a/data.pkl", pickle.bytes, pickle.n);
        if (i < 2) torch_zip_put(&opened.zip, "a/data/0", "\0\0\0\0", 4);
        torch_zip_put(&opened.zip, cases[i].name, cases[i].content, strlen(cases[i].content));
        torch_zip_put_end(&opened.zip, TORCH_ZIP_PLAIN);
        const struct span file = {opened.zip.file.bytes, opened.zip.file.n};
        CHECK_INT(torch_parse(file, "x.bin", &opened.files, &opened.table, &opened.error),
                  STATUS_MODEL);
        CHECK_CONTAINS(opened.error.text, cases[i].message);
    }
}

// A pickle in which $ stands for a tensor and " for the beginning and end of a string.
static struct torch_bytes pickle_of(const char *text) {
    static const struct spec spec = {"FloatStorage", 8, 0, {8}, {1}, 1, 1, NULL};
    struct torch_bytes out = {.n = 0};
    for (const char *at = text; *at != '\0'; at++) {
        char string[64] = "";
        if (*at == '$') {
            put_tensor(&out, &spec, "0");
        } else if (*at == '"') {
            const char *end = strchr(at + 1, '"');
            memcpy(string, at + 1, (size_t)(end - at) - 1);
            pickle_put_text(&out, string);
            at = end;
        } else {
            torch_put(&out, at, 1);
        }
    }
    return out;
}

static void states(void) {
    static const struct {
        const char *text;
        const char *name, *message;  // of a tensor that is found; or of a refusal
    } cases[] = {
        {"}(\"a\"$\"b\"$u.", "a", NULL},
        {"}(\"a\"$\"epoch\"K1\"x\"}u.", "a", NULL},
        {"}\"state_dict\"}\"a\"$ss.", "a", NULL},
        {"}\"model_state_dict\"}\"a\"$ss.", "a", NULL},
        {"}(\"epoch\"K1\"state_dict\"}\"a\"$s\"optimizer\"}\"state\"}K0}\"m\"$ssSu.", NULL,
         "STRING"},
        {"}(\"epoch\"K1\"state_dict\"}\"a\"$s\"optimizer\"}\"state\"}K0}\"m\"$sssu.", "a", NULL},
        {"}(\"state_dict\"}\"a\"$s\"ema\"}\"a\"$su.", NULL, "of which several hold tensors"},
        {"}(\"state_dict\"}\"a\"$s\"model_state_dict\"}\"a\"$su.", NULL,
         "a dict with \"state_dict\", \"model_state_dict\", of"},
        {"}(\"epoch\"K1\"model\"}\"a\"$su.", NULL,
         "with \"epoch\", \"model\", of which none is state_dict"},
        {"}.", NULL, "a dict with no members"},
        {"}\"state_dict\"}s.", NULL, "of which none holds tensors"},
        {"}\"a\"K1s.", NULL, "of which none holds tensors"},
        {"$.", NULL, "no dict"},
        {"].", NULL, "no dict"},
        {"N.", NULL, "no dict"},
        {"}(\"a\"$\"a\"$u.", NULL, "two tensors are named \"a\""},
        {"}(K1$\"a\"$u.", NULL, "a tensor's key is no string"},
        {"ccollections\nOrderedDict\n)R(\"a\"$u}\"_metadata\"}sb.", "a", NULL},
        {"ctorch.nn.modules.linear\nLinear\n)\x81}\"a\"$sb.", NULL,
         "\"torch.nn.modules.linear.Linear\""},
        {"}\"a\"ctorch._utils\n_rebuild_parameter\n($\x88NtRs.", "a", NULL},
        {"}\"a\"ctorch._utils\n_rebuild_parameter_with_state\n($\x88NNtRs.", "a", NULL},
        {"}\"a\"ctorch._utils\n_rebuild_parameter\n(ctorch._utils\n_rebuild_parameter\n"
         "($tRtRs.",
         NULL, "its parameter has no tensor"},
        {"}\"a\"ctorch._utils\n_rebuild_parameter\n)Rs.", NULL, "its parameter has no tensor"},
        {"}\"a\"ctorch._utils\n_rebuild_tensor_v2\n)Rs.", NULL, "not the parts of a tensor"},
        {"}\"a\"ctorch._utils\n_rebuild_tensor_v2\n(NNNNNNtRs.", NULL, "it has no storage"},
        {"}\"a\"ctorch._utils\n_rebuild_tensor_v2\n(NNNNNNNNNtRs.", NULL, "not the parts"},
        {"}\"a\"NQs.", NULL, "a persistent id that is no storage's"},
        {"}\"a\"(\"module\"NNNNtQs.", NULL, "a persistent id that is no storage's"},
        {"}\"a\"(\"storage\"NNNNtQs.", NULL, "the type in a storage's id"},
        {"}\"a\"(\"storage\"ctorch\nFloatStorage\nK1NNtQs.", NULL, "the key in a storage's id"},
    };
    static const char storage[32];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct torch_bytes pickle = pickle_of(cases[i].text);
        enum status status = open_pickle(&opened, &pickle, storage, sizeof storage);
        if (cases[i].message != NULL) {
            CHECK_INT(status, STATUS_MODEL);
            CHECK_CONTAINS(opened.error.text, cases[i].message);
        } else {
            CHECK_STR(opened.error.text, "");
            CHECK(tensor_table_find(&opened.table, span_text(cases[i].name)) != NULL);
        }
        close_pickle(&opened);
    }
}

int main(void) {
    good();
    bad_tensors();
    unusable();
    kinds();
    states();
    return check_result();
}
