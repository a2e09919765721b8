// SPDX-License-Identifier: Apache-2.0
//
// The lines of a rejects file: what is written is read again as it was, and what was not written so
// is refused with the reason.
#include "host/stream/rejects.h"

#include "host/base/base64.h"
#include "tests/check.h"

static void check_written(const struct record *record, enum record_kind kind, const char *want) {
    struct buffer line = {0};
    reject_add(&line, record, kind, "a \"b\".jsonl.gz", "why \xff");
    CHECK(line.len == strlen(want) && memcmp(line.bytes, want, line.len) == 0);
    if (line.len != strlen(want)) fprintf(stderr, "%.*s", (int)line.len, line.bytes);
    buffer_free(&line);
}

static void written(void) {
    struct record record = {.line = {"x\xff\0y", 4},
                            .number = 201,
                            .offset = 8712,
                            .line_nbytes = 4,
                            .status = RECORD_BAD_JSON};
    check_written(
        &record, RECORD_JSONL,
        "{\"file\":\"a \\\"b\\\".jsonl.gz\",\"format\":\"jsonl\",\"record\":201,\"byte\":8712,"
        "\"status\":\"bad_json\",\"reason\":\"why \xef\xbf\xbd\",\"nbytes\":4,"
        "\"raw\":\"eP8AeQ==\"}\n");
    record.file = (struct span){"first.tsv", 9};
    record.status = RECORD_TOO_LONG;
    record.line_nbytes = UINT64_C(5000000000);
    check_written(&record, RECORD_TSV,
                  "{\"file\":\"first.tsv\",\"format\":\"tsv\",\"record\":201,\"byte\":8712,"
                  "\"status\":\"record_too_long\",\"reason\":\"why \xef\xbf\xbd\","
                  "\"nbytes\":5000000000,\"raw\":\"eP8AeQ==\"}\n");
}

static void there_and_back(void) {
    struct check_random random = {5};
    for (int round = 0; round < 500; round++) {
        char bytes[64], back[64];
        const size_t len = check_below(&random, sizeof bytes);
        for (size_t i = 0; i < len; i++) bytes[i] = (char)check_next(&random);
        const struct record record = {.line = {bytes, len},
                                      .number = 1 + check_next(&random) % 1000000000000,
                                      .offset = check_next(&random) % 1000000000000,
                                      .line_nbytes = len + check_below(&random, 3),
                                      .status = RECORD_NO_ID};
        const enum record_kind kind = (enum record_kind)(round % 3);
        struct buffer line = {0};
        struct reject reject;
        size_t n;
        reject_add(&line, &record, kind, "in", "");
        const char *fault = reject_parse((struct span){line.bytes, line.len - 1}, &reject);
        CHECK_STR(fault != NULL ? fault : "", "");
        CHECK(json_string_equal(reject.file, "in"));
        CHECK_INT(reject.format, kind);
        CHECK_STR(record_kind_name(reject.format), record_kind_name(kind));
        CHECK_INT(reject.number, record.number);
        CHECK_INT(reject.offset, record.offset);
        CHECK_INT(reject.nbytes, record.line_nbytes);
        CHECK(base64_decode(reject.raw, back, &n));
        CHECK(n == len && memcmp(back, bytes, n) == 0);
        buffer_free(&line);
    }
}

// A good line with one member changed to `text`, or taken out where that is NULL.
static const char *fault_with(const char *key, const char *text) {
    static const char *const members[][2] = {{"file", "\"a\""}, {"format", "\"text\""},
                                             {"record", "7"},   {"byte", "0"},
                                             {"nbytes", "1"},   {"raw", "\"eA==\""}};
    struct buffer line = {0};
    struct reject reject;
    buffer_add_text(&line, "{\"more\":[]");
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        const char *value = strcmp(members[i][0], key) == 0 ? text : members[i][1];
        if (value != NULL) buffer_add_format(&line, ",\"%s\":%s", members[i][0], value);
    }
    buffer_add_text(&line, "}");
    const char *fault = reject_parse((struct span){line.bytes, line.len}, &reject);
    buffer_free(&line);
    return fault != NULL ? fault : "";
}

static void refused(void) {
    static const struct {
        const char *key, *text, *part;
    } cases[] = {
        {"file", NULL, "\"file\""},
        {"file", "5", "\"file\""},
        {"format", NULL, "\"format\""},
        {"format", "\"csv\"", "\"format\""},
        {"format", "[]", "\"format\""},
        {"record", NULL, "\"record\""},
        {"record", "0", "\"record\""},
        {"record", "-1", "\"record\""},
        {"record", "1.5", "\"record\""},
        {"record", "\"1\"", "\"record\""},
        {"record", "9223372036854775808", "\"record\""},
        {"byte", "-1", "\"byte\""},
        {"byte", NULL, "\"byte\""},
        {"nbytes", "null", "\"nbytes\""},
        {"nbytes", NULL, "\"nbytes\""},
        {"raw", NULL, "\"raw\""},
        {"raw", "{}", "\"raw\""},
    };
    struct reject reject;
    CHECK_STR(fault_with("none", NULL), "");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_CONTAINS(fault_with(cases[i].key, cases[i].text), cases[i].part);
    }
    char name[REJECT_FILE_NBYTES_MAX + 10];
    memset(name, 'x', sizeof name);
    name[0] = '"';
    memcpy(name + REJECT_FILE_NBYTES_MAX - 1, "\"", 2);
    CHECK_STR(fault_with("file", name), "");
    memcpy(name + REJECT_FILE_NBYTES_MAX - 1, "x\"", 3);
    CHECK_CONTAINS(fault_with("file", name), "too long");
    CHECK(reject_parse(span_text(""), &reject) != NULL);
    CHECK(reject_parse(span_text("nonsense"), &reject) != NULL);
    CHECK_CONTAINS(reject_parse(span_text("[1]"), &reject), "no JSON object");
}

int main(void) {
    written();
    there_and_back();
    refused();
    return check_result();
}
