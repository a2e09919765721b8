// SPDX-License-Identifier: Apache-2.0
//
// Records out of a rejects file: they come in chunks as those of their input did, with its numbers,
// places and bytes; a line that is none ends it, by name.
#include "host/stream/replay.h"

#include "host/stream/rejects.h"
#include "tests/check.h"
#include "tests/support/gzip_bytes.h"
#include "tests/support/temp_dir.h"

static char dir[TEMP_PATH_MAX], path[TEMP_PATH_MAX];

// What comes out: the n-th record, as it was rejected.
struct want {
    struct buffer bytes;
    struct record record;
    const char *file;
};

static struct replay *open_replay(struct span bytes, size_t nbytes_max,
                                  const enum record_kind *kind, struct input **input) {
    struct replay *replay;
    struct buffer raw = {0};
    gzip_add(&raw, bytes.ptr, bytes.len);
    temp_dir_write(dir, "r.rejects.jsonl.gz", raw.bytes, raw.len);
    buffer_free(&raw);
    CHECK_INT(input_open(path, input, NULL), STATUS_OK);
    CHECK_INT(replay_create(*input, nbytes_max, kind, &replay, NULL), STATUS_OK);
    return replay;
}

static void check_record(const struct record *got, const struct want *want, size_t nbytes_max) {
    const size_t kept = want->record.line.len < nbytes_max ? want->record.line.len : nbytes_max;
    const bool too_long = kept < want->record.line_nbytes;
    CHECK_INT(got->status, too_long ? RECORD_TOO_LONG : RECORD_OK);
    CHECK_INT(got->number, want->record.number);
    CHECK_INT(got->offset, want->record.offset);
    CHECK_INT(got->line_nbytes, want->record.line_nbytes);
    CHECK(got->line.len == kept && memcmp(got->line.ptr, want->record.line.ptr, kept) == 0);
    CHECK(span_equal(got->file, want->file));
    CHECK(got->id.ptr == NULL && got->n_tokens == 0);
}

// Many records, some as long as they may be and some longer, of two inputs.
static void many(size_t nbytes_max) {
    enum { N = 9000 };
    static struct want wants[N];
    struct check_random random = {nbytes_max};
    struct buffer lines = {0};
    const enum record_kind kind = RECORD_TSV;
    for (int i = 0; i < N; i++) {
        struct want *want = &wants[i];
        *want = (struct want){.file = i / 50 % 2 == 0 ? "a.tsv" : "other.tsv"};
        size_t len = check_below(&random, 40);
        if (i % 1000 == 7) len = nbytes_max - check_below(&random, 2);
        if (i % 2000 == 9 && nbytes_max > 100) len = nbytes_max + 1;
        char *at = buffer_reserve(&want->bytes, len + 1);
        memset(at, 'a' + i % 26, len);
        for (size_t k = 0; k < len && k < 40; k++) at[k] = (char)('a' + check_below(&random, 20));
        want->record = (struct record){.line = {at, len},
                                       .number = 3 * (uint64_t)i + 1,
                                       .offset = 100 * (uint64_t)i,
                                       .line_nbytes = len + (i % 500 == 499),
                                       .status = RECORD_NO_TITLE};
        reject_add(&lines, &want->record, kind, want->file, "r");
    }
    struct input *input;
    struct replay *replay =
        open_replay((struct span){lines.bytes, lines.len}, nbytes_max, &kind, &input);
    struct chunk *chunk;
    struct error error = {""};
    CHECK_INT(chunk_create(nbytes_max, &chunk, &error), STATUS_OK);
    size_t n = 0;
    for (bool last = false; !last && n <= N;) {
        CHECK_INT(replay_fill(replay, chunk, &error), STATUS_OK);
        CHECK_STR(error.text, "");
        CHECK_INT(chunk->first_record, n + 1);
        CHECK(chunk->n_records > 0 || chunk->last);
        CHECK(chunk->nbytes < CHUNK_NBYTES + nbytes_max + REJECT_FILE_NBYTES_MAX);
        for (size_t i = 0; i < chunk->n_records && n < N; i++, n++) {
            check_record(&chunk->records[i], &wants[n], nbytes_max);
        }
        last = chunk->last;
    }
    CHECK_INT(n, N);
    replay_destroy(replay);
    chunk_destroy(chunk);
    input_close(input);
    buffer_free(&lines);
    for (int i = 0; i < N; i++) buffer_free(&wants[i].bytes);
}

static const char good_line[] =
    "{\"file\":\"a\",\"format\":\"tsv\",\"record\":1,\"byte\":0,\"nbytes\":1,\"raw\":\"eA==\"}\n";

static void check_refused(const char *line, const char *part, const enum record_kind *kind) {
    struct buffer lines = {0};
    struct input *input;
    struct chunk *chunk;
    struct error error = {""};
    buffer_add_text(&lines, good_line);
    buffer_add_text(&lines, line);
    struct replay *replay = open_replay((struct span){lines.bytes, lines.len}, 1000, kind, &input);
    CHECK_INT(chunk_create(1000, &chunk, &error), STATUS_OK);
    CHECK_INT(replay_fill(replay, chunk, &error), part != NULL ? STATUS_INPUT : STATUS_OK);
    CHECK_CONTAINS(error.text, part != NULL ? part : "");
    char place[100];
    snprintf(place, sizeof place, "r.rejects.jsonl.gz: line 2 at byte %zu is", strlen(good_line));
    if (part != NULL) CHECK_CONTAINS(error.text, place);
    replay_destroy(replay);
    chunk_destroy(chunk);
    input_close(input);
    buffer_free(&lines);
}

#define LINE(format, nbytes, raw)                                                          \
    "{\"file\":\"a\",\"format\":\"" format "\",\"record\":1,\"byte\":0,\"nbytes\":" nbytes \
    ",\"raw\":\"" raw "\"}"

static void refused(void) {
    const enum record_kind kind = RECORD_TSV;
    check_refused(LINE("tsv", "3", "Zm9v"), NULL, &kind);
    check_refused(LINE("tsv", "3", "Zm9"), "not base64", &kind);
    check_refused(LINE("tsv", "3", "Zm9="), "not base64", &kind);
    check_refused(LINE("tsv", "3", "Zm\\/v"), "not base64", &kind);
    check_refused(LINE("tsv", "2", "Zm9v"), "holds more", &kind);
    check_refused(LINE("tsv", "1", "Cg=="), "end of line", &kind);
    check_refused(LINE("jsonl", "3", "Zm9v"), "another", &kind);
    check_refused(LINE("jsonl", "3", "Zm9v"), NULL, NULL);
    check_refused("\n", "no rejected record", &kind);
    check_refused("{}", "\"file\"", &kind);
    struct buffer line = {0};
    while (line.len < 1000 / 3 * 4 + REJECT_LINE_ROOM + 10) buffer_add_text(&line, "x");
    buffer_add_text(&line, "");
    buffer_add(&line, "", 1);
    check_refused(line.bytes, "--max-record-bytes", &kind);
    buffer_free(&line);
}

static void peek(void) {
    enum record_kind kind;
    struct input *input;
    struct error error = {""};
    replay_destroy(open_replay(span_text(good_line), 1000, NULL, &input));
    input_close(input);
    CHECK_INT(replay_peek(path, 1000, &kind, &error), STATUS_OK);
    CHECK_INT(kind, RECORD_TSV);
    replay_destroy(open_replay(span_text(""), 1000, NULL, &input));
    input_close(input);
    CHECK_INT(replay_peek(path, 1000, &kind, &error), STATUS_INPUT);
    CHECK_CONTAINS(error.text, "no rejected record in it");
    replay_destroy(open_replay(span_text("{\"id\":1,\"title\":\"x\"}\n"), 1000, NULL, &input));
    input_close(input);
    CHECK_INT(replay_peek(path, 1000, &kind, &error), STATUS_INPUT);
    CHECK_CONTAINS(error.text, "line 1 at byte 0");
    CHECK_INT(replay_peek("/nowhere", 1000, &kind, &error), STATUS_INPUT);
}

// A name is shown on terminals.
static void names(void) {
    struct input *input;
    struct chunk *chunk;
    struct replay *replay =
        open_replay(span_text("{\"file\":\"a\\u001b[2J\\n\\u007f\\u00e9\",\"format\":\"text\","
                              "\"record\":1,\"byte\":0,\"nbytes\":0,\"raw\":\"\"}\n"),
                    1000, NULL, &input);
    CHECK_INT(chunk_create(1000, &chunk, NULL), STATUS_OK);
    CHECK_INT(replay_fill(replay, chunk, NULL), STATUS_OK);
    CHECK(span_equal(chunk->records[0].file, "a?[2J??\xc3\xa9"));
    replay_destroy(replay);
    replay_destroy(NULL);
    chunk_destroy(chunk);
    input_close(input);
}

int main(void) {
    temp_dir_make(dir);
    path_join(path, sizeof path, dir, "r.rejects.jsonl.gz", NULL);
    many(64);
    many(5000);
    many(RECORD_NBYTES_MAX);
    refused();
    peek();
    names();
    temp_dir_remove(dir);
    return check_result();
}
