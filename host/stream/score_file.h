// SPDX-License-Identifier: Apache-2.0
//
// Kept scores: a file beside an output (.OUT.scores) with the logits of each of its titles, which
// the next run looks up (score_set.h) instead of computing them again. This is its format;
// score_log.h writes it while the rows are written.
//
// What a title is called. Logits are a function of token ids, model, precision and the program that
// computes: nothing else goes into the encoder. So the key is the SHA-256 of the token ids, cut to
// 128 bits: titles of the same bytes have it in common, so do titles that differ only in what the
// tokenizer drops, and two others would have it once in 2^64 tries of somebody who wants that.
//
// Why a flat file, and no key-value library. It is written in the order of the rows and never
// changed: it goes on after a stop, and appears in one rename, as rows do; two attempts at one
// shard write the same bytes; it works on network file systems, where locks and shared maps do not;
// and whoever reads maps it, so that memory does not grow with the catalog.
//
//   header    64 bytes: magic
//   runs      of run_rows rows each, the last one may be shorter:
//     rows    in the order of the output: key (16 bytes), id (8), logits (4 each), CRC-32 of these,
//             zeros to a multiple of 8
//     titles  slots of 8 bytes, a hash table with open addressing: 0 is free, else the row in the
//             run plus 1 in the low bits, the key's own in the others. Of rows with one key the
//             first is in it
//     ids     slots of 8 bytes, likewise: 0 is free, else the id
//   footer    what is there and what made it, with a CRC-32
//
// Numbers are little-endian. The size follows from the counts, so that one that fits leads nowhere
// else. Of a damaged row the CRC tells; a damaged slot leads to a row of another key, or to none.
// A slot farther than SCORE_PROBES from its home is not used: that bounds what titles that were
// made for it can cost.
#ifndef WADER_HOST_STREAM_SCORE_FILE_H
#define WADER_HOST_STREAM_SCORE_FILE_H

#include "host/base/base.h"
#include "host/base/sha256.h"

struct score_key {
    uint64_t words[2];
};

// What decides the logits of given token ids. A key may be looked up only where all of it is equal.
struct score_identity {
    char model[SHA256_HEX_LEN], tokenizer[SHA256_HEX_LEN];
    char program[SHA256_HEX_LEN];  // version, libraries and processor or device
    char precision[16], device[16];
    int32_t max_length;
    int32_t n_labels;
};

enum {
    SCORE_HEADER_NBYTES = 64,
    SCORE_RUN_ROWS = 1 << 20,      // what wader writes
    SCORE_RUN_ROWS_MAX = 1 << 22,  // what a slot has bits for
    SCORE_ROW_BITS = 23,
    SCORE_LABELS_MAX = 1 << 20,
    SCORE_PROBES = 1024,
};

#define SCORE_HEADER_MAGIC "wader scores 1\n"
#define SCORE_FOOTER_MAGIC "scores end here"

struct score_footer {
    char magic[16];
    uint64_t n_rows, run_rows;
    struct score_identity made_by;
    char output_sha256[SHA256_HEX_LEN];  // of the rows that the scores stand beside
    char zeros[4];
    uint32_t crc;  // of all above
};

// The key of a title's token ids, and the number that stands for an id. False where libcrypto
// failed. Of an id only counts depend.
bool score_key_of(const int32_t *token_ids, int32_t n, struct score_key *key);
bool score_id_of(struct span id, uint64_t *number);

size_t score_row_nbytes(int32_t n_labels);
size_t score_crc_at(int32_t n_labels);  // in a row
size_t score_slots(uint64_t n_rows);    // of either table of a run
uint64_t score_run_nbytes(int32_t n_labels, uint64_t n_rows);
uint64_t score_nbytes(int32_t n_labels, uint64_t n_rows, uint64_t run_rows);

// Where a search begins among `n` slots.
static inline size_t score_home(uint64_t word, size_t n) {
    __extension__ typedef unsigned __int128 wide;
    return (size_t)((wide)word * n >> 64);
}

// How many of `n` slots a search looks at.
static inline size_t score_probes(size_t n) {
    return n < SCORE_PROBES ? n : SCORE_PROBES;
}

// A row's slot: of a key, without the row.
static inline uint64_t score_tag(const struct score_key *key) {
    return key->words[1] >> SCORE_ROW_BITS << SCORE_ROW_BITS;
}

uint32_t score_footer_crc(const struct score_footer *footer);

#endif
