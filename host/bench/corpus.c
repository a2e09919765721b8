// SPDX-License-Identifier: Apache-2.0
#include "host/bench/corpus.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/bench/words.h"
#include "host/stream/input.h"

// ---- token ids of what is in plain_file

struct growing {
    size_t titles_cap, ids_cap;
};

static enum status grow(void **array, size_t *cap, size_t wanted, size_t size,
                        struct error *error) {
    size_t more = *cap > 0 ? *cap : 4096;
    while (more < wanted) more *= 2;
    if (more == *cap) return STATUS_OK;
    void *memory = realloc(*array, more * size);
    if (memory == NULL) return error_set(error, STATUS_IO, "out of memory for the titles");
    *array = memory;
    *cap = more;
    return STATUS_OK;
}

// Room for one more chunk's titles and ids.
static enum status make_room(struct corpus *corpus, struct growing *room, size_t n_titles,
                             size_t n_ids, struct error *error) {
    const size_t titles = corpus->n_titles + n_titles + 1;
    size_t cap = room->titles_cap;
    void *array = corpus->cu_seqlens;
    enum status status = grow(&array, &cap, titles, sizeof *corpus->cu_seqlens, error);
    corpus->cu_seqlens = array;
    if (status != STATUS_OK) return status;
    cap = room->titles_cap;
    array = corpus->title_end;
    status = grow(&array, &cap, titles, sizeof *corpus->title_end, error);
    corpus->title_end = array;
    if (status != STATUS_OK) return status;
    array = corpus->record_end;
    status = grow(&array, &room->titles_cap, titles, sizeof *corpus->record_end, error);
    corpus->record_end = array;
    if (status != STATUS_OK) return status;
    array = corpus->token_ids;
    status = grow(&array, &room->ids_cap, corpus->n_tokens + n_ids, sizeof(int32_t), error);
    corpus->token_ids = array;
    return status;
}

struct reader {
    struct input *input;
    struct line_reader *lines;
    struct chunk *chunk;
    struct tokenizer_batch *batch;
    struct encoding *encodings;  // [CHUNK_RECORDS]
    char *scratch;               // [RECORD_NBYTES_MAX]
};

static enum status reader_open(struct reader *reader, const struct corpus *corpus,
                               const struct tokenizer *tokenizer, int32_t max_length,
                               struct error *error) {
    void *memory;
    enum status status = input_open(corpus->plain_file.path, &reader->input, error);
    if (status == STATUS_OK) status = line_reader_create(reader->input, &reader->lines, error);
    if (status == STATUS_OK) status = chunk_create(RECORD_NBYTES_MAX, &reader->chunk, error);
    if (status == STATUS_OK) {
        status =
            tokenizer_batch_create(tokenizer, max_length, RECORD_NBYTES_MAX, &reader->batch, error);
    }
    if (status != STATUS_OK) return status;
    status = alloc_array(&memory, CHUNK_RECORDS, sizeof *reader->encodings, "encodings", error);
    if (status != STATUS_OK) return status;
    reader->encodings = memory;
    status = alloc_array(&memory, RECORD_NBYTES_MAX, 1, "a title", error);
    reader->scratch = memory;
    return status;
}

static void reader_close(struct reader *reader) {
    free(reader->scratch);
    free(reader->encodings);
    tokenizer_batch_destroy(reader->batch);
    chunk_destroy(reader->chunk);
    line_reader_destroy(reader->lines);
    input_close(reader->input);
}

static enum status take_chunk(struct corpus *corpus, struct growing *room, struct reader *reader,
                              struct error *error) {
    struct chunk *chunk = reader->chunk;
    enum status status = make_room(corpus, room, chunk->n_records, 0, error);
    if (status != STATUS_OK) return status;
    size_t *ends = corpus->title_end + corpus->n_titles, n_titles = 0;
    tokenizer_batch_start(reader->batch, chunk->token_ids, reader->encodings);
    for (size_t i = 0; i < chunk->n_records; i++) {
        struct span title;
        record_parse(&corpus->format, &chunk->records[i], reader->scratch, &title);
        if (record_is_bad(chunk->records[i].status)) continue;
        tokenizer_batch_add(reader->batch, title);
        buffer_add(&corpus->titles, title.ptr, title.len);
        ends[n_titles++] = corpus->titles.len;
    }
    const size_t n_ids = tokenizer_batch_finish(reader->batch);
    status = buffer_check(&corpus->titles, error);
    if (status == STATUS_OK) status = make_room(corpus, room, chunk->n_records, n_ids, error);
    if (status != STATUS_OK) return status;
    memcpy(corpus->token_ids + corpus->n_tokens, chunk->token_ids, n_ids * sizeof(int32_t));
    corpus->cu_seqlens[0] = 0;
    const struct encoding *encoding = reader->encodings;
    for (size_t i = 0; i < chunk->n_records; i++) {
        const struct record *record = &chunk->records[i];
        if (record_is_bad(record->status)) continue;
        const uint64_t next = i + 1 < chunk->n_records ? record[1].offset : corpus->plain.len;
        corpus->record_end[corpus->n_titles++] = next;
        corpus->n_tokens += (size_t)encoding++->n_ids;
        corpus->cu_seqlens[corpus->n_titles] = corpus->n_tokens;
    }
    corpus->n_records += chunk->n_records;
    return STATUS_OK;
}

// A chunk's last record ends where the next chunk begins.
static void set_last_end(struct corpus *corpus, const struct chunk *chunk, size_t n_titles) {
    if (n_titles > 0 && chunk->n_records > 0 &&
        corpus->record_end[n_titles - 1] == corpus->plain.len) {
        corpus->record_end[n_titles - 1] = chunk->records[0].offset;
    }
}

static enum status tokenize(struct corpus *corpus, struct reader *reader, struct error *error) {
    struct growing room = {0};
    for (bool last = false; !last;) {
        const size_t before = corpus->n_titles;
        enum status status = line_reader_fill(reader->lines, -1, reader->chunk, error);
        if (status != STATUS_OK) return status;
        set_last_end(corpus, reader->chunk, before);
        status = take_chunk(corpus, &room, reader, error);
        if (status != STATUS_OK) return status;
        last = reader->chunk->last;
    }
    return STATUS_OK;
}

// Everything that follows from `plain`.
static enum status finish(struct corpus *corpus, const char *name,
                          const struct tokenizer *tokenizer, int32_t max_length,
                          struct error *error) {
    const struct span plain = {corpus->plain.bytes, corpus->plain.len};
    enum status status = buffer_check(&corpus->plain, error);
    if (status == STATUS_OK) status = memory_file_create(&corpus->plain_file, error);
    if (status == STATUS_OK) status = memory_file_create(&corpus->gzip_file, error);
    if (status == STATUS_OK) status = memory_file_write(&corpus->plain_file, plain, false, error);
    if (status == STATUS_OK) status = memory_file_write(&corpus->gzip_file, plain, true, error);
    if (status != STATUS_OK) return status;
    struct reader reader = {0};
    status = reader_open(&reader, corpus, tokenizer, max_length, error);
    if (status == STATUS_OK) status = tokenize(corpus, &reader, error);
    reader_close(&reader);
    if (status != STATUS_OK || corpus->n_titles > 0) return status;
    return error_set(error, STATUS_INPUT, "%s: none of %zu records has a title; see --title-field",
                     name, corpus->n_records);
}

void corpus_free(struct corpus *corpus) {
    buffer_free(&corpus->plain);
    memory_file_close(&corpus->plain_file);
    memory_file_close(&corpus->gzip_file);
    free(corpus->token_ids);
    free(corpus->cu_seqlens);
    free(corpus->record_end);
    free(corpus->title_end);
    buffer_free(&corpus->titles);
    *corpus = (struct corpus){0};
}

// ---- made up

// The k-th word is as likely as 1 / k, which is how words of a language come (Zipf 1935).
static const struct word *draw(const struct word *words, size_t n, struct bench_random *random) {
    const double rank = exp(bench_unit(random) * log((double)n + 1));
    const size_t i = (size_t)rank - 1;
    return &words[i < n ? i : n - 1];
}

static void add_title(struct buffer *title, const struct words *words, int32_t n_tokens,
                      struct bench_random *random) {
    const size_t n_compound = words->n_words - words->n_single;
    buffer_clear(title);
    for (int32_t n = 2; n < n_tokens;) {
        const bool cut = n_compound > 0 && bench_below(random, 5) == 0;
        const struct word *word = cut ? draw(words->all + words->n_single, n_compound, random)
                                      : draw(words->all, words->n_single, random);
        if (n + word->n_tokens > n_tokens) word = draw(words->all, words->n_single, random);
        if (title->len > 0) buffer_add_text(title, " ");
        buffer_add(title, word->text, (size_t)word->len);
        n += word->n_tokens;
    }
}

enum status corpus_make(const struct corpus_recipe *recipe, const struct tokenizer *tokenizer,
                        int32_t max_length, struct corpus *corpus, struct error *error) {
    *corpus = (struct corpus){0};
    corpus->format = (struct record_format){
        .kind = RECORD_JSONL, .id = {.name = "id"}, .title = {.name = "title"}};
    struct bench_random random = {recipe->seed};
    struct words words;
    struct buffer title = {0};
    enum status status = words_make(tokenizer, &random, &words, error);
    for (size_t i = 0; status == STATUS_OK && i < recipe->n_titles; i++) {
        const int32_t n_tokens = lengths_draw(&recipe->lengths, &random, max_length);
        add_title(&title, &words, n_tokens, &random);
        buffer_add_format(&corpus->plain, "{\"id\":%zu,\"title\":", i + 1);
        buffer_add_json_string(&corpus->plain, (struct span){title.bytes, title.len});
        buffer_add_text(&corpus->plain, "}\n");
        status = buffer_check(&title, error);
        if (corpus->plain.len >= CORPUS_NBYTES_MAX) break;
    }
    buffer_free(&title);
    words_free(&words);
    return status == STATUS_OK ? finish(corpus, "titles", tokenizer, max_length, error) : status;
}

// ---- read

static enum status read_plain(struct corpus *corpus, struct input *input, struct error *error) {
    struct buffer *plain = &corpus->plain;
    enum status status = STATUS_OK;
    size_t n = 1;
    while (status == STATUS_OK && n > 0 && plain->len < CORPUS_NBYTES_MAX) {
        enum { AT_ONCE = 256 * 1024 };
        char *to = buffer_reserve(plain, AT_ONCE);
        if (to == NULL) return buffer_check(plain, error);
        status = input_read(input, to, AT_ONCE, &n, error);
        if (status == STATUS_OK) plain->len += n;
    }
    corpus->is_cut = n > 0;
    while (corpus->is_cut && plain->len > 0 && plain->bytes[plain->len - 1] != '\n') plain->len--;
    return status;
}

enum status corpus_read(const char *path, const struct record_format *format,
                        const struct tokenizer *tokenizer, int32_t max_length,
                        struct corpus *corpus, struct error *error) {
    struct input *input;
    *corpus = (struct corpus){0};
    corpus->format = *format;
    enum status status = input_open(path, &input, error);
    if (status != STATUS_OK) return status;
    status = read_plain(corpus, input, error);
    if (status == STATUS_OK) {
        status = finish(corpus, input_name(input), tokenizer, max_length, error);
    }
    input_close(input);
    return status;
}
