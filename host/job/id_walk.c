// SPDX-License-Identifier: Apache-2.0
#include "host/job/id_walk.h"

#include <stdlib.h>
#include <string.h>

#include "host/stream/row.h"
#include "host/stream/salvage.h"

enum { NAME_NBYTES_MAX = 4096, COLUMN_MAX = 1000000 };

struct id_walk {
    struct input *input;
    struct line_reader *lines;
    struct chunk *chunk;
    size_t at;  // the next record of the chunk
    bool begun;
    struct record_format record;
    struct row_format row;
    struct buffer beginning;
    size_t line_nbytes_max;
    char *scratch;               // [line_nbytes_max]
    char name[NAME_NBYTES_MAX];  // of the id's field
};

static bool read_name(const struct commit_record *record, char name[NAME_NBYTES_MAX]) {
    struct json_value value;
    if (!json_member(record->settings, "id_field", &value) || value.type != JSON_STRING ||
        value.raw.len > NAME_NBYTES_MAX) {
        return false;
    }
    name[json_string(value, name)] = '\0';
    return true;
}

static bool read_line_limit(const struct commit_record *record, size_t *most) {
    struct json_value value;
    int64_t limit = RECORD_NBYTES_MAX;
    if (json_member(record->settings, "max_record_bytes", &value) &&
        (!json_int64(value, &limit) || limit < RECORD_NBYTES_MAX_LEAST ||
         limit > RECORD_NBYTES_MAX_MOST)) {
        return false;
    }
    *most = (size_t)limit;
    return true;
}

// Titles are nobody's business here: the id's field stands in for the title's.
static bool read_formats(const struct commit_record *record, struct id_walk *walk) {
    static const struct {
        const char *word;
        enum record_kind kind;
    } kinds[] = {{"text", RECORD_TEXT}, {"tsv", RECORD_TSV}, {"jsonl", RECORD_JSONL}};
    bool known = false;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!commit_record_setting_is(record, "input_format", kinds[i].word)) continue;
        walk->record.kind = kinds[i].kind;
        known = true;
    }
    if (!known || !read_name(record, walk->name)) return false;
    if (!read_line_limit(record, &walk->line_nbytes_max)) return false;
    if (commit_record_setting_is(record, "records", "replayed")) return false;
    const long column = strtol(walk->name, NULL, 10);
    walk->record.id =
        (struct field){walk->name, column > 0 && column <= COLUMN_MAX ? (int)column : 0};
    walk->record.title = walk->record.id;
    walk->row = (struct row_format){
        .kind = commit_record_setting_is(record, "output_format", "tsv") ? ROW_TSV : ROW_JSONL,
        .input = &walk->record};
    return walk->record.kind != RECORD_TSV || walk->record.id.column > 0;
}

// No stricter than the run that wrote the record: it had read as far.
static enum status set_rules(const char *path, const struct commit_record *record,
                             struct input *input, struct error *error) {
    struct salvage salvage = {0};
    enum status status = STATUS_OK;
    if (record->salvaged) {
        status = salvage_survey(path, TRAILING_IGNORE, NULL, &salvage, error);
    }
    input_set_rules(input, (struct input_rules){.trailing = record->trailing || record->salvaged
                                                                ? TRAILING_IGNORE
                                                                : TRAILING_ERROR,
                                                .plain_nbytes_max = salvage.plain_nbytes});
    return status;
}

enum status id_walk_open(const char *input, const struct commit_record *record,
                         struct id_walk **out, struct error *error) {
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "the ids", error);
    if (status != STATUS_OK) return status;
    struct id_walk *walk = memory;
    if (!read_formats(record, walk)) {
        status = error_set(error, STATUS_ROWS, "its record does not tell how ids were read");
    }
    if (status == STATUS_OK) status = input_open(input, &walk->input, error);
    if (status == STATUS_OK) status = set_rules(input, record, walk->input, error);
    if (status == STATUS_OK) status = line_reader_create(walk->input, &walk->lines, error);
    if (status == STATUS_OK) status = chunk_create(walk->line_nbytes_max, &walk->chunk, error);
    if (status == STATUS_OK) {
        status = alloc_array(&memory, walk->line_nbytes_max, 1, "a title", error);
    }
    if (status != STATUS_OK) {
        id_walk_close(walk);
        return status;
    }
    walk->scratch = memory;
    *out = walk;
    return STATUS_OK;
}

void id_walk_close(struct id_walk *walk) {
    if (walk == NULL) return;
    buffer_free(&walk->beginning);
    chunk_destroy(walk->chunk);
    line_reader_destroy(walk->lines);
    input_close(walk->input);
    free(walk->scratch);
    free(walk);
}

enum status id_walk_next(struct id_walk *walk, struct span *beginning, bool *more,
                         struct error *error) {
    const bool is_json = walk->row.kind == ROW_JSONL;
    struct chunk *chunk = walk->chunk;
    *more = false;
    while (!walk->begun || walk->at == chunk->n_records) {
        if (walk->begun && chunk->last) return STATUS_OK;
        enum status status = line_reader_fill(walk->lines, -1, chunk, error);
        if (status != STATUS_OK) return status;
        walk->begun = true;
        walk->at = 0;
    }
    struct record *record = &chunk->records[walk->at];
    struct span title;
    record_parse(&walk->record, record, walk->scratch, &title);
    buffer_clear(&walk->beginning);
    buffer_add_text(&walk->beginning, is_json ? "{\"id\":" : "");
    row_add_id(&walk->beginning, &walk->row, record, chunk->first_record + walk->at);
    buffer_add_text(&walk->beginning, is_json ? "," : "\t");
    walk->at++;
    *more = true;
    *beginning = (struct span){walk->beginning.bytes, walk->beginning.len};
    return buffer_check(&walk->beginning, error);
}
