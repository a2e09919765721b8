// SPDX-License-Identifier: Apache-2.0
//
// The titles that a bench works on, in memory: as records, plain and gzip, and as token ids.
#ifndef WADER_HOST_BENCH_CORPUS_H
#define WADER_HOST_BENCH_CORPUS_H

#include "host/base/buffer.h"
#include "host/bench/lengths.h"
#include "host/stream/record.h"
#include "tokenizer/tokenizer.h"

// Of an input no more is read, inflated.
enum { CORPUS_NBYTES_MAX = 32 * 1024 * 1024 };

// A file without a name, in memory. Whoever opens `path` reads it from the start.
struct memory_file {
    int fd;  // -1: none
    char path[32];
    uint64_t nbytes;
};

struct corpus {
    struct record_format format;  // how its records are to be read
    bool is_cut;                  // the input went on
    struct buffer plain;          // whole records
    struct memory_file plain_file, gzip_file;
    size_t n_records, n_titles;  // titles: of good records
    struct buffer titles;        // their bytes, one behind the other, JSON's escapes undone
    size_t *title_end;           // [n_titles], where in `titles` each ends
    int32_t *token_ids;    // [n_tokens], one title after the other, at most max_length of each
    size_t *cu_seqlens;    // [n_titles + 1], where in token_ids a title begins
    uint64_t *record_end;  // [n_titles], where in `plain` its record ends
    size_t n_tokens;
};

// Made-up titles, as JSONL records {"id":1,"title":"..."}. The same for the same vocabulary,
// lengths, seed, number and limit.
struct corpus_recipe {
    const char *lengths_name;
    struct lengths lengths;
    uint64_t seed;
    size_t n_titles;
};
enum status corpus_make(const struct corpus_recipe *recipe, const struct tokenizer *tokenizer,
                        int32_t max_length, struct corpus *corpus, struct error *error);

// The first CORPUS_NBYTES_MAX of an input, up to its last whole record in there. STATUS_INPUT where
// no record has a title, or as of input_open and input_read.
enum status corpus_read(const char *path, const struct record_format *format,
                        const struct tokenizer *tokenizer, int32_t max_length,
                        struct corpus *corpus, struct error *error);

// Takes a zeroed one too, and what a failed call left.
void corpus_free(struct corpus *corpus);

static inline struct span corpus_title(const struct corpus *corpus, size_t i) {
    const size_t begin = i > 0 ? corpus->title_end[i - 1] : 0;
    return (struct span){corpus->titles.bytes + begin, corpus->title_end[i] - begin};
}

// Tokens of title `i`.
static inline int32_t corpus_length(const struct corpus *corpus, size_t i) {
    return (int32_t)(corpus->cu_seqlens[i + 1] - corpus->cu_seqlens[i]);
}

// A new file in memory, empty. STATUS_IO where the system has none.
enum status memory_file_create(struct memory_file *file, struct error *error);
void memory_file_close(struct memory_file *file);
// Anew: `bytes`, as gzip where asked for.
enum status memory_file_write(struct memory_file *file, struct span bytes, bool compress,
                              struct error *error);
// For output_open_fd: a descriptor of the emptied file.
enum status memory_file_rewrite(struct memory_file *file, int *fd, struct error *error);

#endif
