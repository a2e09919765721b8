// SPDX-License-Identifier: Apache-2.0
//
// Reading a commit record, OUT.meta.json, which host/job/commit.h writes: what stands in it is
// checked member by member, since a damaged one must not pass for a good one. Members that are not
// known here are left alone.
#ifndef WADER_HOST_JOB_COMMIT_RECORD_H
#define WADER_HOST_JOB_COMMIT_RECORD_H

#include "host/base/base.h"
#include "host/base/buffer.h"
#include "host/base/json.h"
#include "host/base/sha256.h"

enum { COMMIT_RECORD_NBYTES_MAX = 1 << 20 };

#define COMMIT_RECORD_SUFFIX ".meta.json"

struct commit_record {
    struct buffer text;  // the values below are parts of it
    struct json_value version, input_name, output_name;
    struct json_value settings;                  // an object
    struct json_value hardware;                  // JSON_NULL where there was none to tell
    uint64_t input_nbytes, file_nbytes, nbytes;  // of the input; of the output, and inflated
    uint64_t rows_in, rows_out, labelled, truncated, abstained, bad, tokens;
    char input_sha256[SHA256_HEX_LEN + 1], sha256[SHA256_HEX_LEN + 1];
    bool has_rejects;  // a file of that many lines stands beside the output
    uint64_t rejects_rows, rejects_file_nbytes, rejects_nbytes;
    char rejects_sha256[SHA256_HEX_LEN + 1];
    bool salvaged, trailing;  // not all of the input was read: see marks.h
    char model_sha256[SHA256_HEX_LEN + 1], tokenizer_sha256[SHA256_HEX_LEN + 1];
};

// Reads `record->text`. STATUS_ROWS, saying what is wrong, where it is no record, or one whose
// counts contradict each other.
enum status commit_record_parse(struct commit_record *record, struct error *error);

// Reads the record beside `output`. *is_there tells whether there is one. STATUS_ROWS as above,
// STATUS_IO where it cannot be read. commit_record_free releases it, after a failure too.
enum status commit_record_read(const char *output, struct commit_record *record, bool *is_there,
                               struct error *error);
void commit_record_free(struct commit_record *record);

// Whether the setting `key` is `text`.
bool commit_record_setting_is(const struct commit_record *record, const char *key,
                              const char *text);

#endif
