// SPDX-License-Identifier: Apache-2.0
#include "host/stream/score_file.h"

#include <string.h>
#include <zlib.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are written as they lie");
_Static_assert(sizeof(struct score_footer) == 336 && sizeof SCORE_HEADER_MAGIC == 16 &&
                   sizeof SCORE_FOOTER_MAGIC == 16 && SCORE_RUN_ROWS_MAX < 1 << SCORE_ROW_BITS,
               "the format");

bool score_key_of(const int32_t *token_ids, int32_t n, struct score_key *key) {
    unsigned char digest[SHA256_NBYTES];
    if (!sha256_bytes(token_ids, (size_t)n * sizeof *token_ids, digest)) return false;
    memcpy(key, digest, sizeof *key);
    return true;
}

bool score_id_of(struct span id, uint64_t *number) {
    unsigned char digest[SHA256_NBYTES];
    if (!sha256_bytes(id.ptr, id.len, digest)) return false;
    memcpy(number, digest, sizeof *number);
    if (*number == 0) *number = 1;  // a free slot is 0
    return true;
}

size_t score_crc_at(int32_t n_labels) {
    return sizeof(struct score_key) + sizeof(uint64_t) + (size_t)n_labels * sizeof(float);
}

size_t score_row_nbytes(int32_t n_labels) {
    return (score_crc_at(n_labels) + sizeof(uint32_t) + 7) / 8 * 8;
}

size_t score_slots(uint64_t n_rows) {
    return (size_t)(n_rows + n_rows / 3 + 1);
}

uint64_t score_run_nbytes(int32_t n_labels, uint64_t n_rows) {
    return n_rows * score_row_nbytes(n_labels) + 2 * sizeof(uint64_t) * score_slots(n_rows);
}

uint64_t score_nbytes(int32_t n_labels, uint64_t n_rows, uint64_t run_rows) {
    const uint64_t rest = n_rows % run_rows;
    return SCORE_HEADER_NBYTES + n_rows / run_rows * score_run_nbytes(n_labels, run_rows) +
           (rest > 0 ? score_run_nbytes(n_labels, rest) : 0) + sizeof(struct score_footer);
}

uint32_t score_footer_crc(const struct score_footer *footer) {
    return (uint32_t)crc32_z(0, (const Bytef *)footer, offsetof(struct score_footer, crc));
}
