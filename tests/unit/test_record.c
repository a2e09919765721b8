// SPDX-License-Identifier: Apache-2.0
//
// From a line to an id and a title, in each kind of input, and what becomes of lines that have
// none.
#include "host/stream/record.h"

#include "host/base/buffer.h"
#include "tests/check.h"

static char scratch[RECORD_NBYTES_MAX];

static const struct record_format text_format = {.kind = RECORD_TEXT};
static const struct record_format tsv_format = {
    .kind = RECORD_TSV, .id = {"1", 1}, .title = {"2", 2}};
static const struct record_format jsonl_format = {
    .kind = RECORD_JSONL, .id = {"id", 0}, .title = {"title", 0}};

static bool is_text(struct span span, const char *want) {
    return want == NULL ? span.ptr == NULL : span.ptr != NULL && span_equal(span, want);
}

// That `line` gives this status and, where they are not NULL, this id and this title.
static void check_line(const struct record_format *format, struct span line,
                       enum record_status status, const char *id, const char *title) {
    struct record record = {.line = line};
    struct span got;
    record_parse(format, &record, scratch, &got);
    CHECK_STR(record_status_name(record.status), record_status_name(status));
    if (!is_text(record.id, id)) {
        CHECK_FAIL("the id of %.*s is %.*s", (int)line.len, line.ptr, (int)record.id.len,
                   record.id.ptr);
    }
    if (status == RECORD_OK && !is_text(got, title)) {
        CHECK_FAIL("the title of %.*s is %.*s", (int)line.len, line.ptr, (int)got.len, got.ptr);
    }
    if (record_is_bad(status)) CHECK(!record.ill_formed_utf8);
    CHECK((record.fault != NULL) == (status == RECORD_BAD_JSON || status == RECORD_BLANK) ||
          format->kind != RECORD_JSONL);
}

static void check_text(const struct record_format *format, const char *line,
                       enum record_status status, const char *id, const char *title) {
    check_line(format, span_text(line), status, id, title);
}

static void text(void) {
    check_text(&text_format, "a title", RECORD_OK, NULL, "a title");
    check_text(&text_format, "", RECORD_OK, NULL, "");
    check_text(&text_format, " \t ", RECORD_OK, NULL, " \t ");
    check_text(&text_format, "{\"title\":1}", RECORD_OK, NULL, "{\"title\":1}");
}

static void tsv(void) {
    const struct record_format swapped = {.kind = RECORD_TSV, .id = {"3", 3}, .title = {"1", 1}};
    check_text(&tsv_format, "a\tb", RECORD_OK, "a", "b");
    check_text(&tsv_format, "a\tb\tc", RECORD_OK, "a", "b");
    check_text(&tsv_format, "a\t", RECORD_OK, "a", "");
    check_text(&tsv_format, "\tb", RECORD_OK, "", "b");
    check_text(&tsv_format, "\t", RECORD_OK, "", "");
    check_text(&tsv_format, "\t\t", RECORD_OK, "", "");
    check_text(&tsv_format, "a", RECORD_NO_TITLE, "a", NULL);
    check_text(&tsv_format, " ", RECORD_NO_TITLE, " ", NULL);
    check_text(&tsv_format, "", RECORD_BLANK, NULL, NULL);
    check_text(&tsv_format, "a\t\"quoted\\t\"", RECORD_OK, "a", "\"quoted\\t\"");
    check_text(&swapped, "t\tx\ti", RECORD_OK, "i", "t");
    check_text(&swapped, "t\tx\t", RECORD_OK, "", "t");
    check_text(&swapped, "t\tx", RECORD_NO_ID, NULL, NULL);

    struct record record = {.line = {"a\0\tb\0c", 6}};
    struct span title;
    record_parse(&tsv_format, &record, scratch, &title);
    CHECK(record.id.len == 2 && title.len == 3 && memcmp(title.ptr, "b\0c", 3) == 0);
}

static void jsonl(void) {
    static const struct {
        const char *line;
        enum record_status status;
        const char *id, *title;
    } cases[] = {
        {"{\"id\":\"a\",\"title\":\"b\"}", RECORD_OK, "\"a\"", "b"},
        {" { \"title\" : \"b\" , \"id\" : 7 } \r", RECORD_OK, "7", "b"},
        {"{\"id\":7.50e1,\"title\":\"\"}", RECORD_OK, "7.50e1", ""},
        {"{\"id\":null,\"title\":\"b\"}", RECORD_OK, "null", "b"},
        {"{\"id\":true,\"title\":\"b\"}", RECORD_OK, "true", "b"},
        {"{\"id\":[1, 2],\"title\":\"b\"}", RECORD_OK, "[1, 2]", "b"},
        {"{\"id\":{\"a\":1},\"title\":\"b\"}", RECORD_OK, "{\"a\":1}", "b"},
        {"{\"id\":123456789012345678901234567890,\"title\":\"b\"}", RECORD_OK,
         "123456789012345678901234567890", "b"},
        {"{\"id\":1,\"title\":\"q \\\" s \\\\ t \\t u \\u00e9\\ud83d\\ude00\"}", RECORD_OK, "1",
         "q \" s \\ t \t u \xc3\xa9\xf0\x9f\x98\x80"},
        {"{\"id\":1,\"title\":\"\\ud800\"}", RECORD_OK, "1", "\xef\xbf\xbd"},
        {"{\"id\":1,\"title\":\"a\",\"title\":\"b\",\"id\":2}", RECORD_OK, "2", "b"},
        {"{\"\\u0069d\":1,\"title\":\"b\"}", RECORD_OK, "1", "b"},
        {"{\"title\":\"b\"}", RECORD_NO_ID, NULL, NULL},
        {"{\"ID\":1,\"title\":\"b\"}", RECORD_NO_ID, NULL, NULL},
        {"{\"id\":1}", RECORD_NO_TITLE, "1", NULL},
        {"{\"id\":1,\"Title\":\"b\"}", RECORD_NO_TITLE, "1", NULL},
        {"{}", RECORD_NO_TITLE, NULL, NULL},
        {"{\"id\":1,\"title\":null}", RECORD_TITLE_TYPE, "1", NULL},
        {"{\"id\":1,\"title\":5}", RECORD_TITLE_TYPE, "1", NULL},
        {"{\"id\":1,\"title\":[\"b\"]}", RECORD_TITLE_TYPE, "1", NULL},
        {"{\"id\":1,\"title\":{}}", RECORD_TITLE_TYPE, "1", NULL},
        {"", RECORD_BLANK, NULL, NULL},
        {" \t\r ", RECORD_BLANK, NULL, NULL},
        {"[]", RECORD_BAD_JSON, NULL, NULL},
        {"\"id\"", RECORD_BAD_JSON, NULL, NULL},
        {"null", RECORD_BAD_JSON, NULL, NULL},
        {"{\"id\":1,\"title\":\"b\"", RECORD_BAD_JSON, NULL, NULL},
        {"{\"id\":1,\"title\":\"b\"}}", RECORD_BAD_JSON, NULL, NULL},
        {"{\"id\":1,\"title\":\"b\"} {}", RECORD_BAD_JSON, NULL, NULL},
        {"{'id':1,'title':'b'}", RECORD_BAD_JSON, NULL, NULL},
        {"{\"id\":01,\"title\":\"b\"}", RECORD_BAD_JSON, NULL, NULL},
        {"{\"id\":NaN,\"title\":\"b\"}", RECORD_BAD_JSON, NULL, NULL},
        {"{\"id\":1,\"title\":\"a\tb\"}", RECORD_BAD_JSON, NULL, NULL},
        {"{\"id\":1,\"title\":\"\\x\"}", RECORD_BAD_JSON, NULL, NULL},
        {"\xef\xbb\xbf{\"id\":1,\"title\":\"b\"}", RECORD_BAD_JSON, NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        check_text(&jsonl_format, cases[i].line, cases[i].status, cases[i].id, cases[i].title);
    }
    static const char nul[] = "{\"id\":1,\"title\":\"a\0b\"}";
    check_line(&jsonl_format, (struct span){nul, sizeof nul - 1}, RECORD_BAD_JSON, NULL, NULL);

    struct record record = {.line = {"{\"id\":1,}", 9}};
    struct span title;
    record_parse(&jsonl_format, &record, scratch, &title);
    CHECK_INT(record.fault_offset, 8);
    CHECK(strlen(record.fault) > 0);
}

static void pointers(void) {
    static const struct record_format format = {
        .kind = RECORD_JSONL, .id = {"/meta/id", 0}, .title = {"/names/0/a~1b", 0}};
    check_text(&format, "{\"meta\":{\"id\":[3]},\"names\":[{\"a/b\":\"t\"}]}", RECORD_OK, "[3]",
               "t");
    check_text(&format, "{\"meta\":{\"id\":1},\"names\":[]}", RECORD_NO_TITLE, "1", NULL);
    check_text(&format, "{\"meta\":[],\"names\":[{\"a/b\":\"t\"}]}", RECORD_NO_ID, NULL, NULL);
    check_text(&format, "{\"/meta/id\":1,\"names\":[{\"a/b\":\"t\"}]}", RECORD_NO_ID, NULL, NULL);
}

static bool is_ill_formed(const struct record_format *format, const char *line) {
    struct record record = {.line = {line, strlen(line)}};
    struct span title;
    record_parse(format, &record, scratch, &title);
    return record.ill_formed_utf8;
}

static void ill_formed(void) {
    CHECK(is_ill_formed(&text_format, "a\xff"));
    CHECK(!is_ill_formed(&text_format, "a\xc3\xa9"));
    CHECK(is_ill_formed(&tsv_format, "a\tb\xc3"));
    CHECK(!is_ill_formed(&tsv_format, "a\xff\tb"));  // only the title counts
    CHECK(is_ill_formed(&jsonl_format, "{\"id\":1,\"title\":\"\xed\xa0\x80\"}"));
    CHECK(is_ill_formed(&jsonl_format, "{\"id\":1,\"title\":\"\\n\xed\xa0\x80\"}"));
    CHECK(!is_ill_formed(&jsonl_format, "{\"id\":\"\xff\",\"title\":\"\\n\"}"));
    // Half a surrogate pair, escaped; what is no half of one.
    CHECK(is_ill_formed(&jsonl_format, "{\"id\":1,\"title\":\"\\ud800\"}"));
    CHECK(is_ill_formed(&jsonl_format, "{\"id\":1,\"title\":\"a\\udfff\\u0041\"}"));
    CHECK(is_ill_formed(&jsonl_format, "{\"id\":1,\"title\":\"\\ud83d\\ude00\\ud83d\"}"));
    CHECK(!is_ill_formed(&jsonl_format, "{\"id\":1,\"title\":\"\\ud83d\\ude00\\ufffd\"}"));
    CHECK(!is_ill_formed(&jsonl_format, "{\"id\":\"\\ud800\",\"title\":\"x\"}"));
    CHECK(!is_ill_formed(&jsonl_format, "{\"id\":1,\"title\":[\"\\ud800\"]}"));
}

// The longest line, all escapes, fits the scratch; a line that was too long stays bad.
static void longest(void) {
    struct buffer line = {0};
    buffer_add_text(&line, "{\"id\":1,\"title\":\"\\n");
    while (line.len < RECORD_NBYTES_MAX - 2) buffer_add_text(&line, "x");
    buffer_add_text(&line, "\"}");
    struct record record = {.line = {line.bytes, line.len}};
    struct span title;
    record_parse(&jsonl_format, &record, scratch, &title);
    CHECK_INT(record.status, RECORD_OK);
    CHECK_INT(title.len, RECORD_NBYTES_MAX - 2 - 17 - 1);
    buffer_free(&line);

    const struct record_format *const formats[] = {&text_format, &tsv_format, &jsonl_format};
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        // The beginning of a line is no line, however much it looks like one.
        static const char *const beginnings[] = {"a title", "a\tb\tc",
                                                 "{\"id\":1,\"title\":\"t\"}"};
        struct span value;
        record = (struct record){.line = span_text(beginnings[i]), .status = RECORD_TOO_LONG};
        record_parse(formats[i], &record, scratch, &title);
        CHECK_INT(record.status, RECORD_TOO_LONG);
        CHECK_INT(title.len, 0);
        CHECK(record.id.ptr == NULL);
        CHECK(!record_field(formats[i], &record, (struct field){"id", 1}, &value));
    }
}

static void check_field(const struct record_format *format, const char *line, struct field field,
                        const char *want) {
    const struct record record = {.line = {line, strlen(line)}};
    struct span value = {0};
    CHECK_INT(record_field(format, &record, field, &value), want != NULL);
    if (want != NULL && !is_text(value, want)) CHECK_FAIL("%s lacks %s", line, want);
}

static void fields(void) {
    static const char json[] = "{\"id\":1,\"a\":{\"b\":[null, \"x\\n\"]},\"c\":\" \"}";
    check_field(&jsonl_format, json, (struct field){.name = "a"}, "{\"b\":[null, \"x\\n\"]}");
    check_field(&jsonl_format, json, (struct field){.name = "/a/b/1"}, "\"x\\n\"");
    check_field(&jsonl_format, json, (struct field){.name = "/a/b/2"}, NULL);
    check_field(&jsonl_format, json, (struct field){.name = "c"}, "\" \"");
    check_field(&jsonl_format, json, (struct field){.name = "d"}, NULL);
    check_field(&jsonl_format, "{\"c\":1", (struct field){.name = "c"}, NULL);
    check_field(&tsv_format, "a\tb\t\tc", (struct field){.column = 1}, "a");
    check_field(&tsv_format, "a\tb\t\tc", (struct field){.column = 3}, "");
    check_field(&tsv_format, "a\tb\t\tc", (struct field){.column = 4}, "c");
    check_field(&tsv_format, "a\tb\t\tc", (struct field){.column = 5}, NULL);
    check_field(&text_format, "a\tb", (struct field){.name = "1", .column = 1}, NULL);
}

static void kinds(void) {
    CHECK_INT(record_kind_of_name("a.jsonl"), RECORD_JSONL);
    CHECK_INT(record_kind_of_name("dir/a.jsonl.gz"), RECORD_JSONL);
    CHECK_INT(record_kind_of_name("a.tsv"), RECORD_TSV);
    CHECK_INT(record_kind_of_name("a.tsv.gz"), RECORD_TSV);
    CHECK_INT(record_kind_of_name("a.txt.gz"), RECORD_TEXT);
    CHECK_INT(record_kind_of_name("a.jsonl.gz.gz"), RECORD_TEXT);
    CHECK_INT(record_kind_of_name("jsonl"), RECORD_TEXT);
    CHECK_INT(record_kind_of_name(".gz"), RECORD_TEXT);
    CHECK_INT(record_kind_of_name("-"), RECORD_TEXT);
}

int main(void) {
    text();
    tsv();
    jsonl();
    pointers();
    ill_formed();
    longest();
    fields();
    kinds();
    return check_result();
}
