// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a commit record: either it is refused with a reason, or it is one whose digests and
// counts hold together.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "host/job/commit_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct commit_record record = {0};
    struct error error = {.text = ""};
    // Exactly as large as the bytes, so that a sanitizer sees a step beyond them.
    record.text.bytes = malloc(size > 0 ? size : 1);
    if (record.text.bytes == NULL) abort();
    if (size > 0) memcpy(record.text.bytes, data, size);
    record.text.len = record.text.cap = size;
    const enum status status = commit_record_parse(&record, &error);
    if (status != STATUS_OK) {
        assert(status == STATUS_ROWS && error.text[0] != '\0');
    } else {
        assert(strlen(record.sha256) == SHA256_HEX_LEN);
        assert(strlen(record.input_sha256) == SHA256_HEX_LEN);
        assert(strlen(record.model_sha256) == SHA256_HEX_LEN);
        assert(strlen(record.tokenizer_sha256) == SHA256_HEX_LEN);
        assert(record.rows_in == record.rows_out);
        assert(record.labelled + record.abstained + record.bad == record.rows_out);
        assert(record.settings.type == JSON_OBJECT && record.output_name.type == JSON_STRING);
        (void)commit_record_setting_is(&record, "header", "yes");
    }
    commit_record_free(&record);
    return 0;
}
