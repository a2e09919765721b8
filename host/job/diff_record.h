// SPDX-License-Identifier: Apache-2.0
//
// What the commit record beside an output, OUT.meta.json, says of it.
#ifndef WADER_HOST_JOB_DIFF_RECORD_H
#define WADER_HOST_JOB_DIFF_RECORD_H

#include "host/base/base.h"
#include "host/base/buffer.h"
#include "host/base/json.h"
#include "host/base/sha256.h"

struct diff_record {
    bool is_there;
    char output_sha256[SHA256_HEX_LEN + 1];  // of the uncompressed rows
    uint64_t output_nbytes, rows;
    char model_sha256[SHA256_HEX_LEN + 1], tokenizer_sha256[SHA256_HEX_LEN + 1];
    bool numbers_lines;          // the input was text: an id is the number of a line of one file
    struct json_value settings;  // an object, part of `text`
    struct buffer text;
};

// Reads the record of `output`; none is fine. STATUS_INPUT where it cannot be read or lacks what
// wader writes there, or where the output's size is not the one that it tells. diff_record_free
// releases it, after a failure too.
enum status diff_record_read(const char *output, struct diff_record *record, struct error *error);
void diff_record_free(struct diff_record *record);

#endif
