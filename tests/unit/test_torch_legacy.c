// SPDX-License-Identifier: Apache-2.0
//
// The format of torch before 1.6, put together by hand: what a good file gives, storages of which
// only a part is meant, and files whose parts do not fit together.
#include "tests/check.h"
#include "tests/support/torch_bytes.h"
#include "weights/torch_file.h"

// One tensor [2] of floats at element 1 of the storage "k" of 4 floats, as the pickles have it
// where nothing else is said.
struct spec {
    const char *magic;  // a whole pickle
    int64_t version;
    const char *machine;  // a whole pickle
    const char *other;    // opcodes that give one more value of the state dict
    const char *keys;     // opcodes that give the list of keys
    int64_t part[2];      // of the storage, where the second is not 0
    bool short_part;      // the part has two items only
    int64_t n_stored;     // elements said before the data
    int n_bytes;          // of data
    const char *message;  // NULL: it is read
    float want;           // the first element
};

static const char magic[] = "\x80\2\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19.";
static const char machine[] =
    "\x80\2}(X\x10\0\0\0protocol_versionM\xe9\3X\r\0\0\0little_endian\x88u.";

static void put_storage(struct torch_bytes *out, const struct spec *spec) {
    torch_put_text(out, "(");
    pickle_put_text(out, "storage");
    pickle_put_global(out, "torch\nFloatStorage");
    pickle_put_text(out, "k");
    pickle_put_text(out, "cpu");
    torch_put_text(out, "K\4");
    if (spec->part[1] != 0) {
        torch_put_text(out, "(");
        pickle_put_text(out, "part");
        pickle_put_int(out, spec->part[0]);
        if (!spec->short_part) pickle_put_int(out, spec->part[1]);
        torch_put_text(out, "t");
    } else {
        torch_put_text(out, "N");
    }
    torch_put_text(out, "tQ");
}

static struct torch_bytes file_of(const struct spec *spec) {
    static const float data[4] = {10, 11, 12, 13};
    struct torch_bytes out = {.n = 0};
    const char *head = spec->magic;
    torch_put(&out, head != NULL ? head : magic, head != NULL ? strlen(head) : sizeof magic - 1);
    pickle_put_int(&out, spec->version);
    torch_put_text(&out, ".");
    head = spec->machine;
    torch_put(&out, head != NULL ? head : machine,
              head != NULL ? strlen(head) : sizeof machine - 1);
    torch_put_text(&out, "}(");
    pickle_put_text(&out, "w");
    pickle_put_global(&out, "torch._utils\n_rebuild_tensor_v2");
    torch_put_text(&out, "(");
    put_storage(&out, spec);
    torch_put_text(&out, "K\1K\2\x85K\1\x85\x89NtR");
    if (spec->other != NULL) {
        pickle_put_text(&out, "other");
        torch_put_text(&out, spec->other);
    }
    torch_put_text(&out, "u.");
    torch_put_text(&out, spec->keys != NULL ? spec->keys : "]U\1ka");
    torch_put_text(&out, ".");
    torch_put_number(&out, (uint64_t)spec->n_stored, 8);
    torch_put(&out, data, (size_t)spec->n_bytes);
    return out;
}

#define OTHER_STORAGE(type, key, n) "(U\7storagectorch\n" type "\nU\1" key "U\3cpuK" n "NtQ"

static const struct spec specs[] = {
    {.version = 1001, .n_stored = 4, .n_bytes = 16, .want = 11},
    {.version = 1001, .part = {0, 4}, .n_stored = 4, .n_bytes = 16, .want = 11},
    {.version = 1001, .part = {1, 3}, .n_stored = 4, .n_bytes = 16, .want = 12},
    {.magic = "L119547037146038801333356L\n.",
     .version = 1001,
     .n_stored = 4,
     .n_bytes = 16,
     .want = 11},
    {.version = 1001,
     .other = OTHER_STORAGE("FloatStorage", "k", "\4"),
     .n_stored = 4,
     .n_bytes = 16,
     .want = 11},
    {.magic = "K\1.", .version = 1001, .n_stored = 4, .n_bytes = 16, .message = "begin with \"K"},
    {.magic = "\x80\2K\1.",
     .version = 1001,
     .n_stored = 4,
     .n_bytes = 16,
     .message = "magic number"},
    {.magic = "L119547037146038801333357L\n.",
     .version = 1001,
     .n_stored = 4,
     .n_bytes = 16,
     .message = "magic number"},
    {.version = 1000, .n_stored = 4, .n_bytes = 16, .message = "version other than 1001"},
    {.version = 1001, .machine = "}.", .n_stored = 4, .n_bytes = 16, .message = "little-endian"},
    {.version = 1001,
     .machine = "}U\rlittle_endian\x89s.",
     .n_stored = 4,
     .n_bytes = 16,
     .message = "little-endian"},
    {.version = 1001,
     .machine = "]U\rlittle_endiana.",
     .n_stored = 4,
     .n_bytes = 16,
     .message = "little-endian"},
    {.version = 1001,
     .other = OTHER_STORAGE("FloatStorage", "k", "\5"),
     .n_stored = 4,
     .n_bytes = 16,
     .message = "storage \"k\" is said to have"},
    {.version = 1001,
     .other = OTHER_STORAGE("HalfStorage", "k", "\4"),
     .n_stored = 4,
     .n_bytes = 16,
     .message = "storage \"k\" is said to have"},
    {.version = 1001,
     .other = OTHER_STORAGE("FloatStorage", "l", "\4"),
     .n_stored = 4,
     .n_bytes = 16,
     .message = "list of storages is not that of its tensors"},
    {.version = 1001,
     .keys = "N",
     .n_stored = 4,
     .n_bytes = 16,
     .message = "its list of storages is none"},
    {.version = 1001,
     .keys = "]",
     .n_stored = 4,
     .n_bytes = 16,
     .message = "list of storages is not that of its tensors"},
    {.version = 1001,
     .keys = "]U\1la",
     .n_stored = 4,
     .n_bytes = 16,
     .message = "list of storages is not that of its tensors"},
    {.version = 1001,
     .keys = "]K\1a",
     .n_stored = 4,
     .n_bytes = 16,
     .message = "list of storages is not that of its tensors"},
    {.version = 1001,
     .keys = "](U\1kU\1ke",
     .n_stored = 4,
     .n_bytes = 16,
     .message = "list of storages is not that of its tensors"},
    {.version = 1001, .n_stored = 5, .n_bytes = 16, .message = "has 5 elements, but"},
    {.version = 1001,
     .n_stored = -1,
     .n_bytes = 16,
     .message = "has 18446744073709551615 elements, but"},
    {.version = 1001, .n_stored = 4, .n_bytes = 15, .message = "23 bytes are left"},
    {.version = 1001, .n_stored = 4, .n_bytes = 0, .message = "8 bytes are left"},
    {.version = 1001,
     .part = {3, 2},
     .n_stored = 4,
     .n_bytes = 16,
     .message = "the bounds of the view"},
    {.version = 1001,
     .part = {5, 1},
     .n_stored = 4,
     .n_bytes = 16,
     .message = "the bounds of the view"},
    {.version = 1001,
     .part = {-1, 1},
     .n_stored = 4,
     .n_bytes = 16,
     .message = "the bounds of the view"},
    {.version = 1001,
     .part = {1, INT64_MAX},
     .n_stored = 4,
     .n_bytes = 16,
     .message = "the bounds of the view"},
    {.version = 1001,
     .part = {2, 2},
     .n_stored = 4,
     .n_bytes = 16,
     .message = "tensor \"w\": it has elements outside its storage"},
    {.version = 1001,
     .part = {2, 2},
     .short_part = true,
     .n_stored = 4,
     .n_bytes = 16,
     .message = "the view in a storage's id"},
};

static void variants(void) {
    for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
        static struct torch_bytes file;
        struct model_files files = {0};
        struct tensor_table table;
        struct error error = {""};
        file = file_of(&specs[i]);
        enum status status =
            torch_parse((struct span){file.bytes, file.n}, "x.bin", &files, &table, &error);
        if (specs[i].message != NULL) {
            CHECK_INT(status, STATUS_MODEL);
            CHECK_CONTAINS(error.text, "x.bin: ");
            CHECK_CONTAINS(error.text, specs[i].message);
            continue;
        }
        CHECK_STR(error.text, "");
        const struct named_tensor *tensor = tensor_table_find(&table, span_text("w"));
        float value = 0;
        CHECK(tensor != NULL && tensor->usable && tensor->tensor.n_elements == 2);
        if (tensor != NULL && tensor->usable) tensor_read(tensor->tensor, 0, 1, &value);
        CHECK_NEAR(value, specs[i].want, 0);
        tensor_table_free(&table);
    }
}

int main(void) {
    variants();
    return check_result();
}
