// SPDX-License-Identifier: Apache-2.0
//
// What can be kept of a damaged file: whole records before the damage, never one behind it. A file
// of three members, whose records span them, is cut at every byte and has every bit flipped.
#include "host/stream/salvage.h"

#include <sys/stat.h>

#include "tests/check.h"
#include "tests/support/gzip_bytes.h"
#include "tests/support/temp_dir.h"

enum { MEMBERS = 3 };

static char dir[TEMP_PATH_MAX], path[TEMP_PATH_MAX];
static struct buffer raw, plain;
static size_t raw_ends[MEMBERS], plain_ends[MEMBERS];

static void make_file(void) {
    static const char *const parts[MEMBERS] = {
        "gold and oil\nmarkets\n\nthe records of th", "is one span two members\r\nworld",
        " news\nmusic music music music music\nno end of line"};
    for (int i = 0; i < MEMBERS; i++) {
        gzip_add(&raw, parts[i], strlen(parts[i]));
        buffer_add_text(&plain, parts[i]);
        raw_ends[i] = raw.len;
        plain_ends[i] = plain.len;
    }
}

static uint64_t lines_before(size_t n, uint64_t *end) {
    uint64_t lines = 0;
    *end = 0;
    for (size_t i = 0; i < n; i++) {
        if (plain.bytes[i] != '\n') continue;
        lines++;
        *end = i + 1;
    }
    return lines;
}

static enum status survey(const char *bytes, size_t n, enum trailing trailing,
                          struct salvage *salvage, struct error *error) {
    temp_dir_write(dir, "file.gz", bytes, n);
    error->text[0] = '\0';
    return salvage_survey(path, trailing, NULL, salvage, error);
}

// What is kept is known to be the beginning of what was packed.
static void check_kept(const struct salvage *salvage, size_t checked, size_t known) {
    uint64_t checked_end, known_end;
    const uint64_t n_checked = lines_before(checked, &checked_end);
    const uint64_t n_known = lines_before(known, &known_end);
    CHECK_INT(salvage->records, n_known);
    CHECK_INT(salvage->plain_nbytes, known_end);
    CHECK_INT(salvage->unchecked, n_known - n_checked);
}

// A cut file keeps what zlib finds in it, and what no CRC vouches for is counted apart.
static void cut(void) {
    struct salvage salvage;
    struct error error;
    int n_kept = 0;
    for (size_t n = 1; n <= raw.len; n++) {
        struct buffer known = {0};
        const enum status status = survey(raw.bytes, n, TRAILING_ERROR, &salvage, &error);
        const bool whole = n == raw_ends[0] || n == raw_ends[1] || n == raw_ends[2];
        CHECK_INT(salvage.damaged, !whole);
        size_t checked = 0;
        for (int i = 0; i < MEMBERS && raw_ends[i] <= n; i++) checked = plain_ends[i];
        gzip_read((struct span){raw.bytes, n}, &known);
        CHECK(known.len <= plain.len && memcmp(known.bytes, plain.bytes, known.len) == 0);
        if (whole) {
            CHECK_INT(status, STATUS_OK);
            CHECK(salvage.plain_nbytes == 0 && salvage.records == 0);
        } else {
            check_kept(&salvage, checked, known.len);
            CHECK_INT(status, salvage.records > 0 ? STATUS_OK : STATUS_INPUT);
            CHECK_INT(salvage.compressed_at, n);
            CHECK_CONTAINS(salvage.reason, "truncated at compressed byte");
            CHECK(strstr(salvage.reason, dir) == NULL);
            if (status == STATUS_INPUT) CHECK_CONTAINS(error.text, "no record to salvage");
            if (status == STATUS_INPUT) CHECK_CONTAINS(error.text, path);
            n_kept += status == STATUS_OK;
        }
        buffer_free(&known);
    }
    CHECK(n_kept > 100);
}

// Where a bit is wrong, only what stands in members before it is kept; or nothing is wrong.
static void flipped(void) {
    struct salvage salvage;
    struct error error;
    int n_kept = 0;
    for (size_t bit = 0; bit < 8 * raw.len; bit++) {
        raw.bytes[bit / 8] = (char)(raw.bytes[bit / 8] ^ 1 << bit % 8);
        const enum status status = survey(raw.bytes, raw.len, TRAILING_ERROR, &salvage, &error);
        raw.bytes[bit / 8] = (char)(raw.bytes[bit / 8] ^ 1 << bit % 8);
        // Without the first two bytes it is no gzip, and there is nothing to salvage.
        const bool lost = bit < 16 || (salvage.damaged && salvage.records == 0);
        CHECK_INT(status, lost ? STATUS_INPUT : STATUS_OK);
        if (!salvage.damaged) continue;
        size_t checked = 0;
        for (int i = 0; i < MEMBERS && 8 * raw_ends[i] <= bit; i++) checked = plain_ends[i];
        // A flipped length of the header's extra field may swallow all that follows: that is a cut.
        if (salvage.unchecked == 0) {
            check_kept(&salvage, checked, checked);
        } else {
            CHECK_CONTAINS(salvage.reason, "truncated");
        }
        n_kept += status == STATUS_OK;
    }
    CHECK(n_kept > 200);
}

// Everything is kept of a file that other bytes follow; with the lenient rules it is undamaged.
static void trailing(void) {
    struct salvage salvage;
    struct error error;
    struct buffer more = {0};
    buffer_add(&more, raw.bytes, raw.len);
    buffer_add_text(&more, "garbage");
    CHECK_INT(survey(more.bytes, more.len, TRAILING_ERROR, &salvage, &error), STATUS_OK);
    CHECK(salvage.damaged);
    check_kept(&salvage, plain.len, plain.len);
    CHECK_INT(salvage.compressed_at, raw.len);
    CHECK_INT(survey(more.bytes, more.len, TRAILING_WARN, &salvage, &error), STATUS_OK);
    CHECK(!salvage.damaged && salvage.records == 0);
    buffer_free(&more);
}

// Members that end just where a look at the input does, and empty ones.
static void borders(void) {
    enum { SURVEY_NBYTES = 64 * 1024 };
    struct buffer bytes = {0}, line = {0};
    struct salvage salvage;
    struct error error;
    while (line.len < SURVEY_NBYTES - 1) buffer_add_text(&line, "x");
    buffer_add_text(&line, "\n");
    gzip_add(&bytes, line.bytes, line.len);
    gzip_add(&bytes, "", 0);
    gzip_add(&bytes, line.bytes, line.len);
    const size_t second = bytes.len;
    gzip_add(&bytes, "last\n", 5);
    CHECK_INT(survey(bytes.bytes, bytes.len - 8, TRAILING_ERROR, &salvage, &error), STATUS_OK);
    CHECK_INT(salvage.records, 3);
    CHECK_INT(salvage.unchecked, 1);
    bytes.bytes[bytes.len - 8] ^= 1;  // the CRC of the last
    CHECK_INT(survey(bytes.bytes, bytes.len, TRAILING_ERROR, &salvage, &error), STATUS_OK);
    CHECK_INT(salvage.records, 2);
    CHECK_INT(salvage.unchecked, 0);
    CHECK_INT(salvage.plain_nbytes, 2 * line.len);
    bytes.bytes[second - 8] ^= 1;  // and that of the second
    CHECK_INT(survey(bytes.bytes, bytes.len, TRAILING_ERROR, &salvage, &error), STATUS_OK);
    CHECK_INT(salvage.records, 1);
    CHECK_INT(salvage.plain_nbytes, line.len);
    buffer_free(&bytes);
    buffer_free(&line);
}

static bool always(void) {
    return true;
}

static void none(void) {
    struct salvage salvage;
    struct error error;
    char fifo[TEMP_PATH_MAX];
    CHECK_INT(survey("plain\n", 6, TRAILING_ERROR, &salvage, &error), STATUS_INPUT);
    CHECK_CONTAINS(error.text, "not gzip's");
    CHECK_INT(survey("\x1f\x8b\x08", 3, TRAILING_ERROR, &salvage, &error), STATUS_INPUT);
    CHECK_CONTAINS(error.text, "no record to salvage");
    CHECK_INT(survey(raw.bytes, raw.len, TRAILING_ERROR, &salvage, &error), STATUS_OK);
    CHECK_INT(salvage_survey(path, TRAILING_ERROR, always, &salvage, &error), STATUS_AGAIN);
    temp_dir_write_text(dir, "plain.txt", "one\ntwo\n");
    path_join(fifo, sizeof fifo, dir, "plain.txt", NULL);
    CHECK_INT(salvage_survey(fifo, TRAILING_ERROR, NULL, &salvage, &error), STATUS_OK);
    CHECK(!salvage.damaged);
    CHECK_INT(salvage_survey("/dev/null", TRAILING_ERROR, NULL, &salvage, &error), STATUS_USAGE);
    CHECK_CONTAINS(error.text, "must be a regular file");
    CHECK_INT(salvage_survey("/nowhere/x.gz", TRAILING_ERROR, NULL, &salvage, &error),
              STATUS_INPUT);
}

int main(void) {
    temp_dir_make(dir);
    path_join(path, sizeof path, dir, "file.gz", NULL);
    make_file();
    cut();
    flipped();
    trailing();
    borders();
    none();
    buffer_free(&raw);
    buffer_free(&plain);
    temp_dir_remove(dir);
    return check_result();
}
