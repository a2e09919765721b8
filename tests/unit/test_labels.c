// SPDX-License-Identifier: Apache-2.0
//
// Names of labels: id2label of config.json, lines of a file, numbers.
#include "weights/labels.h"

#include "tests/check.h"

static enum status from_config(const char *text, struct labels *labels, struct error *error) {
    struct json_value object;
    struct json_fault fault;
    CHECK(json_parse(span_text(text), &object, &fault));
    return labels_from_config(object, "dir/config.json", labels, error);
}

static enum status from_lines(const char *text, size_t len, struct labels *labels,
                              struct error *error) {
    // Exactly as long as it is, for a sanitizer to watch.
    char *copy = malloc(len > 0 ? len : 1);
    if (len > 0) memcpy(copy, text, len);
    enum status status =
        labels_from_lines((struct span){copy, len}, "dir/labels.txt", labels, error);
    free(copy);
    return status;
}

static void check_names(const struct labels *labels, const char *const *want, size_t n) {
    CHECK_INT(labels->n, n);
    for (size_t i = 0; i < n && i < labels->n; i++) CHECK_STR(labels->names[i], want[i]);
}

static void good_maps(void) {
    struct labels labels;
    struct error error = {""};
    CHECK_INT(from_config("{\"id2label\":{\"2\":\"c\",\"0\":\"a b\",\"1\":\"\\u00e9\\n\\\"\"}}",
                          &labels, &error),
              STATUS_OK);
    check_names(&labels, (const char *const[]){"a b", "\xc3\xa9\n\"", "c"}, 3);
    CHECK(!labels_say_nothing(&labels));
    free(labels.names);

    CHECK_INT(from_config("{\"id2label\":{\"0\":\"LABEL_0\",\"1\":\"LABEL_1\"}}", &labels, &error),
              STATUS_OK);
    CHECK(labels_say_nothing(&labels));
    free(labels.names);

    // The wrong numbers, or one real name, and the names do say something.
    CHECK_INT(from_config("{\"id2label\":{\"0\":\"LABEL_1\",\"1\":\"LABEL_0\"}}", &labels, &error),
              STATUS_OK);
    CHECK(!labels_say_nothing(&labels));
    free(labels.names);
    CHECK_INT(from_config("{\"id2label\":{\"0\":\"LABEL_0\",\"1\":\"x\"}}", &labels, &error),
              STATUS_OK);
    CHECK(!labels_say_nothing(&labels));
    free(labels.names);

    static const char *const none[] = {"{}", "{\"id2label\":null}"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        CHECK_INT(from_config(none[i], &labels, &error), STATUS_OK);
        CHECK(labels.n == 0 && labels.names == NULL && labels_say_nothing(&labels));
    }
    CHECK_STR(error.text, "");
}

static void bad_maps(void) {
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"id2label\":[\"a\"]}", "id2label is an array"},
        {"{\"id2label\":{}}", "id2label is empty"},
        {"{\"id2label\":{\"0\":\"a\",\"2\":\"b\"}}", "key \"2\"; with 2 labels"},
        {"{\"id2label\":{\"1\":\"a\",\"2\":\"b\"}}", "key \"2\"; with 2 labels"},
        {"{\"id2label\":{\"zero\":\"a\"}}", "key \"zero\""},
        {"{\"id2label\":{\"\":\"a\"}}", "key \"\""},
        {"{\"id2label\":{\"00\":\"a\"}}", "key \"00\""},
        {"{\"id2label\":{\"-0\":\"a\"}}", "key \"-0\""},
        {"{\"id2label\":{\"18446744073709551616\":\"a\"}}", "key \"18446744073709551616\""},
        {"{\"id2label\":{\"0\":\"a\",\"0\":\"b\"}}", "\"0\" twice"},
        {"{\"id2label\":{\"0\":\"\"}}", "names class 0 \"\""},
        {"{\"id2label\":{\"0\":7}}", "names class 0 7"},
        {"{\"id2label\":{\"0\":null}}", "names class 0 null"},
        {"{\"id2label\":{\"0\":\"a\\u0000b\"}}", "without \\u0000"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct labels labels;
        struct error error = {""};
        CHECK_INT(from_config(cases[i].text, &labels, &error), STATUS_MODEL);
        CHECK_CONTAINS(error.text, cases[i].message);
        CHECK_CONTAINS(error.text, "dir/config.json: ");
        CHECK(labels.names == NULL && labels.n == 0);
    }
}

static void good_lines(void) {
    static const char *const texts[] = {
        "news\nsport \n\xe4\xbd\xa0", "news\nsport \n\xe4\xbd\xa0\n",
        "news\r\nsport \r\n\xe4\xbd\xa0\r\n", "\xef\xbb\xbfnews\nsport \n\xe4\xbd\xa0\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct labels labels;
        struct error error = {""};
        CHECK_INT(from_lines(texts[i], strlen(texts[i]), &labels, &error), STATUS_OK);
        check_names(&labels, (const char *const[]){"news", "sport ", "\xe4\xbd\xa0"}, 3);
        free(labels.names);
    }
}

static void bad_lines(void) {
    static const struct {
        const char *text;
        size_t len;
        const char *message;
    } cases[] = {
        {"", 0, "no names"},
        {"\xef\xbb\xbf", 3, "no names"},
        {"\n", 1, "line 1 is empty"},
        {"a\n\nb\n", 5, "line 2 is empty"},
        {"a\r\n\r\n", 5, "line 2 is empty"},
        {"a\nb\n\n", 5, "line 3 is empty"},
        {"a\nb\0c\n", 6, "line 2 has a NUL"},
        {"a\nb\xff\n", 5, "line 2 is not well-formed UTF-8"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct labels labels;
        struct error error = {""};
        CHECK_INT(from_lines(cases[i].text, cases[i].len, &labels, &error), STATUS_MODEL);
        CHECK_CONTAINS(error.text, cases[i].message);
        CHECK(labels.names == NULL && labels.n == 0);
    }
    static char many[2 * 65537];
    for (size_t i = 0; i < sizeof many; i += 2) memcpy(many + i, "x\n", 2);
    struct labels labels;
    struct error error = {""};
    CHECK_INT(from_lines(many, sizeof many, &labels, &error), STATUS_MODEL);
    CHECK_CONTAINS(error.text, "65537 labels; at most 65536");
    CHECK_INT(from_lines(many, sizeof many - 2, &labels, &error), STATUS_OK);
    CHECK_INT(labels.n, 65536);
    free(labels.names);
}

static void numbered(void) {
    struct labels labels;
    struct error error = {""};
    CHECK_INT(labels_numbered(65536, &labels, &error), STATUS_OK);
    CHECK_STR(labels.names[0], "LABEL_0");
    CHECK_STR(labels.names[65535], "LABEL_65535");
    CHECK(labels_say_nothing(&labels));
    free(labels.names);
}

// Any two of a few names: equal ones are found wherever they stand.
static void distinct(void) {
    char *names[] = {"art", "world", "Art", "science", "art "};
    struct labels labels = {.names = names, .n = ARRAY_LEN(names)};
    struct error error;
    CHECK_INT(labels_check_distinct(&labels, "m", &error), STATUS_OK);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        for (size_t j = 0; j < ARRAY_LEN(names); j++) {
            if (i == j) continue;
            char *kept = names[j];
            names[j] = names[i];
            CHECK_INT(labels_check_distinct(&labels, "m", &error), STATUS_MODEL);
            CHECK_CONTAINS(error.text, names[i]);
            names[j] = kept;
        }
    }
}

int main(void) {
    distinct();
    good_maps();
    bad_maps();
    good_lines();
    bad_lines();
    numbered();
    return check_result();
}
