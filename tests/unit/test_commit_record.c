// SPDX-License-Identifier: Apache-2.0
//
// Commit records: a good one is read, and whatever is not one is refused with what is wrong.
#include "host/job/commit_record.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/check.h"
#include "tests/support/temp_dir.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"
static const char good[] =
    "{\n  \"schema\": 1,\n  \"wader\": \"0.1.0\",\n"
    "  \"input\": {\"name\": \"a.jsonl\", \"nbytes\": 11, \"mtime_ns\": 5, \"sha256\": \"" HEX
    "1\"},\n"
    "  \"output\": {\"name\": \"o.gz\", \"file_nbytes\": 21, \"nbytes\": 31, \"sha256\": \"" HEX
    "2\"},\n"
    "  \"model\": {\"weights\": \"w\", \"sha256\": \"" HEX "3\", \"tokenizer_sha256\": \"" HEX
    "4\"},\n"
    "  \"settings\": {\"scores\": \"top\", \"max_length\": 128},\n"
    "  \"rows\": {\"in\": 9, \"out\": 9, \"labelled\": 5, \"truncated\": 1, \"abstained\": 3, "
    "\"ill_formed_utf8\": 0, \"bad\": 1},\n"
    "  \"tokens\": 77,\n  \"news\": [1]\n}\n";

static char dir[TEMP_PATH_MAX];

static enum status parse(const char *text, struct commit_record *record, struct error *error) {
    *record = (struct commit_record){0};
    buffer_add_text(&record->text, text);
    return commit_record_parse(record, error);
}

static void whole(void) {
    struct commit_record record;
    struct error error = {""};
    CHECK_INT(parse(good, &record, &error), STATUS_OK);
    CHECK_STR(error.text, "");
    CHECK(record.input_nbytes == 11 && record.file_nbytes == 21 && record.nbytes == 31);
    CHECK(record.rows_in == 9 && record.rows_out == 9 && record.labelled == 5);
    CHECK(record.truncated == 1 && record.abstained == 3 && record.bad == 1);
    CHECK_INT(record.tokens, 77);
    CHECK_STR(record.input_sha256, HEX "1");
    CHECK_STR(record.sha256, HEX "2");
    CHECK_STR(record.model_sha256, HEX "3");
    CHECK_STR(record.tokenizer_sha256, HEX "4");
    CHECK(!record.has_rejects && !record.salvaged && !record.trailing);
    CHECK(commit_record_setting_is(&record, "scores", "top"));
    CHECK(!commit_record_setting_is(&record, "scores", "all"));
    CHECK(!commit_record_setting_is(&record, "max_length", "128"));
    commit_record_free(&record);
}

// The good record with `from` replaced by `to`, once.
static void check_damaged(const char *from, const char *to, const char *part) {
    char text[2000];
    const char *at = strstr(good, from);
    struct commit_record record;
    struct error error = {""};
    CHECK(at != NULL);
    if (at == NULL) return;
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
    CHECK_INT(parse(text, &record, &error), STATUS_ROWS);
    if (strstr(error.text, part) == NULL) CHECK_FAIL("%s -> %s: %s", from, to, error.text);
    commit_record_free(&record);
}

static void damaged(void) {
    static const char *const keys[] = {
        "\"schema\"",    "\"wader\"",     "\"input\"",       "\"name\"",   "\"nbytes\"",
        "\"output\"",    "\"sha256\"",    "\"model\"",       "\"rows\"",   "\"tokenizer_sha256\"",
        "\"settings\"",  "\"in\"",        "\"out\"",         "\"bad\"",    "\"labelled\"",
        "\"truncated\"", "\"abstained\"", "\"file_nbytes\"", "\"tokens\"",
    };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) check_damaged(keys[i], "\"other\"", "is missing");
    check_damaged("\"schema\": 1", "\"schema\": 2", "a schema");
    check_damaged("\"schema\": 1", "\"schema\": \"1\"", "another type");
    check_damaged(": 21", ": -21", "output.file_nbytes is no count");
    check_damaged(": 21", ": 2.5", "output.file_nbytes is no count");
    check_damaged(": 21", ": 1e400", "output.file_nbytes is no count");
    check_damaged(": 21", ": 99999999999999999999", "output.file_nbytes is no count");
    check_damaged(HEX "2", "", "output.sha256 is no SHA-256");
    check_damaged(HEX "2", HEX "G", "output.sha256 is no SHA-256");
    check_damaged(HEX "2", HEX "2a", "output.sha256 is no SHA-256");
    check_damaged("{\"scores\"", "[{\"scores\"", "damaged: byte");
    check_damaged("\"in\": 9", "\"in\": 8", "rows.in");
    check_damaged("\"labelled\": 5", "\"labelled\": 6", "add up");
    check_damaged("\"labelled\": 5", "\"labelled\": 9223372036854775807", "add up");
    for (size_t len = 0; len + 2 < sizeof good; len++) {  // the last byte is a newline
        struct commit_record record = {0};
        buffer_add(&record.text, good, len);
        CHECK_INT(commit_record_parse(&record, NULL), STATUS_ROWS);
        commit_record_free(&record);
    }
}

// What only some records have.
static void marks(void) {
    static const struct {
        const char *member, *fault;
    } cases[] = {
        {"\"rejects\": {\"rows\": 1, \"file_nbytes\": 2, \"nbytes\": 3, \"sha256\": \"" HEX "5\"}",
         NULL},
        {"\"rejects\": {\"rows\": 2, \"file_nbytes\": 2, \"nbytes\": 3, \"sha256\": \"" HEX "5\"}",
         "rejects.rows is not rows.bad"},
        {"\"rejects\": {\"rows\": 1, \"nbytes\": 3, \"sha256\": \"" HEX "5\"}",
         "rejects.file_nbytes is missing"},
        {"\"rejects\": {\"rows\": 1, \"file_nbytes\": 2, \"nbytes\": 3, \"sha256\": \"5\"}",
         "rejects.sha256 is no SHA-256"},
        {"\"rejects\": 1", "rejects is of another type"},
        {"\"salvaged\": {}, \"trailing\": {}", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[2000];
        const char *at = strstr(good, "\"news\"");
        struct commit_record record;
        struct error error = {""};
        snprintf(text, sizeof text, "%.*s%s, %s", (int)(at - good), good, cases[i].member, at);
        const bool is_good = cases[i].fault == NULL;
        CHECK_INT(parse(text, &record, &error), is_good ? STATUS_OK : STATUS_ROWS);
        if (!is_good) CHECK_CONTAINS(error.text, cases[i].fault);
        CHECK(record.has_rejects == (i < 5));
        CHECK(record.salvaged == (i == 5) && record.trailing == (i == 5));
        if (i == 0) CHECK(record.rejects_rows == 1 && record.rejects_nbytes == 3);
        if (i == 0) CHECK(record.rejects_file_nbytes == 2);
        if (i == 0) CHECK_STR(record.rejects_sha256, HEX "5");
        commit_record_free(&record);
    }
}

static void files(void) {
    struct commit_record record;
    struct error error = {""};
    bool is_there = true;
    char output[TEMP_PATH_MAX], path[TEMP_PATH_MAX];
    path_join(output, sizeof output, dir, "o.gz", NULL);
    path_join(path, sizeof path, dir, "o.gz.meta.json", NULL);
    CHECK_INT(commit_record_read(output, &record, &is_there, &error), STATUS_OK);
    CHECK(!is_there);
    commit_record_free(&record);

    temp_dir_write_text(dir, "o.gz.meta.json", good);
    CHECK_INT(commit_record_read(output, &record, &is_there, &error), STATUS_OK);
    CHECK(is_there && record.rows_out == 9);
    commit_record_free(&record);

    FILE *file = fopen(path, "w");  // white space alone makes no record of it
    for (int i = 0; file != NULL && i < COMMIT_RECORD_NBYTES_MAX + 1; i++) fputc(' ', file);
    CHECK(file != NULL && fclose(file) == 0);
    CHECK_INT(commit_record_read(output, &record, &is_there, &error), STATUS_ROWS);
    CHECK_CONTAINS(error.text, "larger than");
    commit_record_free(&record);

    unlink(path);
    CHECK_INT(mkfifo(path, 0600), 0);  // nobody writes: reading it would never end
    CHECK_INT(commit_record_read(output, &record, &is_there, &error), STATUS_ROWS);
    CHECK_CONTAINS(error.text, "no regular file");
    commit_record_free(&record);
    unlink(path);
}

int main(void) {
    temp_dir_make(dir);
    whole();
    damaged();
    marks();
    files();
    temp_dir_remove(dir);
    return check_result();
}
