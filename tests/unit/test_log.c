// SPDX-License-Identifier: Apache-2.0
//
// Lines on stderr: as text, and as JSON objects that a JSON reader takes whatever is in them.
#include "host/cli/log.h"

#include <limits.h>
#include <unistd.h>

#include "host/base/json.h"
#include "tests/check.h"

static char got[1 << 16];
static int saved;
static FILE *taken;

// What is written to stderr between these two is in `got`.
static void take_begin(void) {
    taken = tmpfile();
    if (taken == NULL) exit(1);
    saved = dup(STDERR_FILENO);
    dup2(fileno(taken), STDERR_FILENO);
}

static void take_end(void) {
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(taken);
    const size_t n = fread(got, 1, sizeof got - 1, taken);
    got[n] = '\0';
    fclose(taken);
}

// The one object that `got` is.
static struct json_value object(void) {
    struct json_value value = {.type = JSON_NULL};
    struct json_fault fault;
    const size_t len = strlen(got);
    CHECK(len > 0 && got[len - 1] == '\n' && strchr(got, '\n') == got + len - 1);
    CHECK(json_parse((struct span){got, len}, &value, &fault) && value.type == JSON_OBJECT);
    return value;
}

static void expect_text(const char *key, const char *want) {
    struct json_value value;
    char text[8192];
    if (!json_member(object(), key, &value) || value.type != JSON_STRING) {
        CHECK_FAIL("no text %s in %s", key, got);
        return;
    }
    text[json_string(value, text)] = '\0';
    CHECK_STR(text, want);
}

static void expect_count(const char *key, int64_t want) {
    struct json_value value;
    int64_t number = -1;
    CHECK(json_member(object(), key, &value) && json_int64(value, &number));
    CHECK_INT(number, want);
}

static bool has(const char *key) {
    struct json_value value;
    return json_member(object(), key, &value);
}

static void text(void) {
    take_begin();
    report_note("%d files", 3);
    report_warning("too %s", "warm");
    report_error(&(struct error){.text = "x: gone"}, STATUS_IO);
    log_from_handler(LOG_ERROR, "error", "gone", 6);
    log_line_json(LOG_INFO, "progress", NULL, "half");
    take_end();
    char *json = strstr(got, "{");
    CHECK(json != NULL);
    if (json == NULL) return;
    CHECK_CONTAINS(json, "\"event\":\"progress\",\"message\":\"half\"}\n");
    *json = '\0';
    CHECK_STR(got,
              "wader: 3 files\nwader: warning: too warm\nwader: error: x: gone\n"
              "wader: error: gone\n");
}

static void hostile(void) {
    char long_text[4000];
    memset(long_text, 'a', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    take_begin();
    report_note("quote \" backslash \\ line\nend \x01 \xff half");
    take_end();
    expect_text("message", "quote \" backslash \\ line\nend \x01 \xEF\xBF\xBD half");
    expect_text("level", "info");
    expect_text("event", "note");
    take_begin();
    report_note("%s", long_text);
    take_end();
    CHECK(strlen(got) > 2000);
    object();
}

static void errors(void) {
    struct error error;
    (void)error_set(&error, STATUS_INPUT, "a\"b.gz: record %d at byte %d: bad", 3, 77);
    take_begin();
    report_error(&error, STATUS_INPUT);
    take_end();
    CHECK(!has("file") && !has("record") && !has("byte") && !has("compressed_byte"));
    expect_count("exit_code", 3);
    expect_text("level", "error");
    (void)error_at(
        &error, STATUS_INPUT,
        (struct error_place){.file_nbytes = 6, .has_record = true, .record = 3, .byte = 77});
    take_begin();
    report_error(&error, STATUS_INPUT);
    take_end();
    expect_text("file", "a\"b.gz");
    expect_text("message", error.text);
    expect_count("record", 3);
    expect_count("byte", 77);
    CHECK(!has("compressed_byte"));
    error.place =
        (struct error_place){.file_nbytes = 5000, .has_compressed = true, .compressed_byte = 9};
    take_begin();
    report_error(&error, STATUS_INPUT);
    take_end();
    expect_text("file", error.text);  // of a name that was cut, what there is
    expect_count("compressed_byte", 9);
    CHECK(!has("record"));
    CHECK_INT(error_at(NULL, STATUS_IO, error.place), STATUS_IO);
    (void)error_set(&error, STATUS_IO, "another");
    CHECK(error.place.file_nbytes == 0 && !error.place.has_compressed);
}

static void members(void) {
    struct buffer more = {0};
    log_add_text(&more, "name", span_text("x\ty"));
    log_add_count(&more, "many", INT64_MAX);
    log_add_number(&more, "seconds", 1.0 / 3);
    log_add_number(&more, "rate", INFINITY);
    take_begin();
    log_line(LOG_WARNING, "summary", &more, "done");
    take_end();
    expect_text("name", "x\ty");
    expect_count("many", INT64_MAX);
    CHECK_CONTAINS(got, ",\"seconds\":0.333,\"rate\":null}");
    more.failed = true;
    take_begin();
    log_line(LOG_WARNING, "summary", &more, "done");
    take_end();
    CHECK(!has("name"));
    expect_text("message", "done");
    buffer_free(&more);
}

static void handler(void) {
    static const int codes[] = {6, 75, 141};
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        take_begin();
        log_from_handler(LOG_WARNING, "stopped", "stopped by a signal", codes[i]);
        take_end();
        expect_count("exit_code", codes[i]);
        expect_text("message", "stopped by a signal");
        expect_text("level", "warning");
        CHECK(has("time"));
    }
    take_begin();
    log_from_handler(LOG_INFO, "stopped", "so", 0);
    take_end();
    CHECK(!has("exit_code"));
}

int main(void) {
    text();
    log_begin(LOG_JSON);
    hostile();
    errors();
    members();
    handler();
    return check_result();
}
