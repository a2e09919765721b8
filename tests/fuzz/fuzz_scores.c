// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as kept scores, as they are and with the right CRC behind them: refused with a reason,
// or looked into without a step outside the file; of what is found key and CRC are right.
#define _GNU_SOURCE  // memfd_create
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "host/stream/score_set.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char output_sha256[SHA256_HEX_LEN + 1];

static void look_up(struct score_set *set, const struct score_key *key) {
    size_t hint = 0, id_hint = 0;
    bool same_id;
    const float *logits = score_set_find(set, key, key->words[1], &hint, &same_id);
    (void)score_set_has_id(set, key->words[1], &id_hint);
    if (logits == NULL) return;
    // The row around them, for a model of 2 labels.
    const char *row = (const char *)logits - sizeof *key - sizeof(uint64_t);
    uint32_t crc;
    memcpy(&crc, row + score_crc_at(2), sizeof crc);
    assert(memcmp(row, key, sizeof *key) == 0);
    assert((uint32_t)crc32_z(0, (const Bytef *)row, score_crc_at(2)) == crc);
}

static void try_file(const uint8_t *data, size_t size) {
    struct score_identity wanted = {.precision = "fp32", .device = "cpu", .n_labels = 2};
    struct score_set *set;
    struct error error = {""};
    char path[64];
    const int fd = memfd_create("scores", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (size >= sizeof(struct score_footer)) {
        struct score_footer footer;
        memcpy(&footer, data + size - sizeof footer, sizeof footer);
        memcpy(wanted.model, footer.made_by.model, sizeof wanted.model);
        memcpy(wanted.tokenizer, footer.made_by.tokenizer, sizeof wanted.tokenizer);
        memcpy(wanted.program, footer.made_by.program, sizeof wanted.program);
        wanted.max_length = footer.made_by.max_length;
        memcpy(output_sha256, footer.output_sha256, SHA256_HEX_LEN);
    }
    if (score_set_create(&wanted, &set, NULL) != STATUS_OK) abort();
    enum status status = score_set_add(set, path, output_sha256, &error);
    assert(status == STATUS_OK || (status == STATUS_ROWS && error.text[0] != '\0'));
    // Every 16 bytes at an even place may be a key.
    for (size_t at = 0; at + sizeof(struct score_key) <= size && status == STATUS_OK; at += 8) {
        struct score_key key;
        memcpy(&key, data + at, sizeof key);
        look_up(set, &key);
    }
    score_set_destroy(set);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t copy[1 << 16];
    if (size > sizeof copy) return 0;
    try_file(data, size);
    if (size < SCORE_HEADER_NBYTES + sizeof(struct score_footer)) return 0;
    // With what a damage would hardly leave right: magics, CRCs of the rows of one run, CRC.
    struct score_footer footer;
    memcpy(copy, data, size);
    memcpy(copy, SCORE_HEADER_MAGIC, sizeof SCORE_HEADER_MAGIC);
    memcpy(&footer, data + size - sizeof footer, sizeof footer);
    memcpy(footer.magic, SCORE_FOOTER_MAGIC, sizeof footer.magic);
    memcpy(footer.made_by.precision, "fp32", sizeof "fp32");
    memcpy(footer.made_by.device, "cpu", sizeof "cpu");
    footer.made_by.n_labels = 2;
    footer.crc = score_footer_crc(&footer);
    memcpy(copy + size - sizeof footer, &footer, sizeof footer);
    const size_t row_nbytes = score_row_nbytes(2), crc_at = score_crc_at(2);
    for (size_t at = SCORE_HEADER_NBYTES; at + row_nbytes <= size - sizeof footer &&
                                          (at - SCORE_HEADER_NBYTES) / row_nbytes < footer.n_rows;
         at += row_nbytes) {
        const uint32_t crc = (uint32_t)crc32_z(0, copy + at, crc_at);
        memcpy(copy + at + crc_at, &crc, sizeof crc);
    }
    try_file(copy, size);
    return 0;
}
