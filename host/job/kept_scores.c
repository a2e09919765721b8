// SPDX-License-Identifier: Apache-2.0
#include "host/job/kept_scores.h"

#include <stdlib.h>
#include <string.h>

char *scores_path(const char *output) {
    return path_beside(output, ".", SCORES_SUFFIX);
}

enum status kept_scores_complete(struct score_log *log, const struct score_identity *made_by,
                                 const char *output_sha256, struct error *error) {
    enum status status = score_log_finish(log, made_by, output_sha256, error);
    return status == STATUS_OK ? output_complete(score_log_output(log), error) : status;
}

enum status kept_scores_place(const char *output, struct score_log *log, struct error *error) {
    if (log != NULL) return output_commit(score_log_output(log), error);
    char *path = scores_path(output);
    enum status status = output_remove(path, error);
    free(path);
    return status;
}

static void add_file(struct buffer *buffer, const char *output, const struct score_log *log) {
    const struct output *file = score_log_output(log);
    char *path = scores_path(output);
    if (path == NULL) buffer->failed = true;
    buffer_add_text(buffer, "  \"kept_scores\": {\"name\": ");
    buffer_add_json_string(buffer, span_text(path != NULL ? path_base(path) : ""));
    buffer_add_format(buffer, ", \"rows\": %llu, \"file_nbytes\": %llu, \"sha256\": \"%s\"},\n",
                      (unsigned long long)score_log_rows(log),
                      (unsigned long long)output_file_nbytes(file), output_sha256(file));
    free(path);
}

void kept_scores_tell(struct buffer *buffer, const char *output, const struct totals *totals,
                      bool has_previous, const struct score_log *log) {
    const struct reuse *reuse = &totals->reuse;
    if (has_previous) {
        const uint64_t other = totals_encoded(totals) + reuse->shared;
        buffer_add_format(buffer,
                          "  \"previous\": {\"reused\": %llu, \"changed\": %llu, \"new\": %llu},\n",
                          (unsigned long long)reuse->reused, (unsigned long long)reuse->changed,
                          (unsigned long long)(other - reuse->changed));
    }
    if (log != NULL) add_file(buffer, output, log);
}
