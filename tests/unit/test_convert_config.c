// SPDX-License-Identifier: Apache-2.0
//
// config.json of a converted checkpoint: what changes, and that nothing else does.
#include "host/job/convert_config.h"

#include "tests/check.h"

static char *const names[] = {"plain", "a \"b\"\\c", "caf\xC3\xA9"};

static void check(const char *text, const struct config_changes *changes, const char *want) {
    struct buffer out = {0};
    CHECK_INT(convert_config(span_text(text), changes, &out, NULL), STATUS_OK);
    buffer_add(&out, "", 1);
    CHECK_STR(out.bytes, want);
    buffer_free(&out);
}

static void nothing_to_do(void) {
    static const char *const texts[] = {
        "{\"a\":1}",
        "  {\n  \"architectures\": [\"X\", \"Y\"],\n  \"torch_dtype\": \"float32\"\n}\n\n",
    };
    const struct config_changes none = {.architecture = NULL};
    const struct config_changes all = {.architecture = "Bert", .dtype = "float32"};
    check(texts[0], &none, texts[0]);
    check(texts[1], &none, texts[1]);
    check(texts[1], &all, texts[1]);
    // Both names of the dtype, written with an escape, and an empty line at the end.
    static const char both[] =
        "{\"dtype\":\"float\\u00332\",\"torch_dtype\":\"float32\",\"architectures\":[]}\r\n";
    check(both, &all, both);
}

static void dtypes(void) {
    const struct config_changes half = {.dtype = "float16"};
    check("{\"a\": 1}", &half, "{\"a\": 1, \"torch_dtype\": \"float16\"}");
    check("{\"torch_dtype\": \"float32\", \"b\": 2}", &half,
          "{\"torch_dtype\": \"float16\", \"b\": 2}");
    check("{\"dtype\": \"float32\", \"b\": 2}", &half, "{\"dtype\": \"float16\", \"b\": 2}");
    check("{\"dtype\": null, \"torch_dtype\": \"auto\"}", &half,
          "{\"dtype\": \"float16\", \"torch_dtype\": \"float16\"}");
    check("{\"torch_dtype\": [1, {\"dtype\": 2}], \"b\": 2}", &half,
          "{\"torch_dtype\": \"float16\", \"b\": 2}");
    // Of two members with one name the last one counts, as in Python.
    check("{\"dtype\": \"float16\", \"dtype\": \"float32\"}", &half,
          "{\"dtype\": \"float16\", \"dtype\": \"float16\"}");
    check("{\"inner\": {\"dtype\": \"x\"}}", &half,
          "{\"inner\": {\"dtype\": \"x\"}, \"torch_dtype\": \"float16\"}");
}

static void styles(void) {
    const struct config_changes all = {
        .architecture = "Bert", .dtype = "bfloat16", .labels = names, .n_labels = 3};
    check("{\"a\": 1}", &all,
          "{\"a\": 1, \"architectures\": [\"Bert\"], \"torch_dtype\": \"bfloat16\", "
          "\"id2label\": {\"0\": \"plain\", \"1\": \"a \\\"b\\\"\\\\c\", \"2\": \"caf\xC3\xA9\"}, "
          "\"label2id\": {\"plain\": 0, \"a \\\"b\\\"\\\\c\": 1, \"caf\xC3\xA9\": 2}}");
    const struct config_changes two = {.architecture = "Bert", .labels = names, .n_labels = 2};
    check(
        "{\n\t\"architectures\": null,\n\t\"id2label\": {\n\t\t\"0\": \"LABEL_0\"},\n\t\"z\": "
        "[]\n}\n",
        &two,
        "{\n\t\"architectures\": [\n\t\t\"Bert\"\n\t],\n\t\"id2label\": {\n\t\t\"0\": \"plain\",\n"
        "\t\t\"1\": \"a \\\"b\\\"\\\\c\"\n\t},\n\t\"z\": [],\n\t\"label2id\": {\n"
        "\t\t\"plain\": 0,\n\t\t\"a \\\"b\\\"\\\\c\": 1\n\t}\n}\n");
    const struct config_changes dtype = {.dtype = "float32"};
    check("\n{ \r\n\r\n   \"a\": {}\r\n}", &dtype,
          "\n{ \r\n\r\n   \"a\": {},\n   \"torch_dtype\": \"float32\"\r\n}");
}

int main(void) {
    nothing_to_do();
    dtypes();
    styles();
    return check_result();
}
