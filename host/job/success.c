// SPDX-License-Identifier: Apache-2.0
#include "host/job/success.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/stream/output.h"

// What success_write begins with, and nobody else does.
static const char opening[] = "{\n  \"schema\": 1,\n  \"wader\": ";

enum found { NONE, OURS, FOREIGN };

static enum status look(const char *path, enum found *found, struct error *error) {
    char text[sizeof opening] = "";
    struct stat info;
    *found = NONE;
    if (lstat(path, &info) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) return STATUS_OK;
        return error_set(error, STATUS_IO, "%s: %s", path, strerror(errno));
    }
    *found = FOREIGN;
    if (!S_ISREG(info.st_mode)) return STATUS_OK;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    const int reason = errno;
    if (fd >= 0) close(fd);
    if (n < 0) return error_set(error, STATUS_IO, "%s: %s", path, strerror(reason));
    if (strcmp(text, opening) == 0) *found = OURS;
    return STATUS_OK;
}

enum status success_withdraw(const char *output, bool *removed, struct error *error) {
    char path[PATH_NBYTES_MAX + sizeof SUCCESS_NAME];
    enum found found;
    if (removed != NULL) *removed = false;
    const int len = (int)(path_base(output) - output);
    if (len > PATH_NBYTES_MAX) return error_set(error, STATUS_IO, "%s: too long a path", output);
    snprintf(path, sizeof path, "%.*s" SUCCESS_NAME, len, output);
    enum status status = look(path, &found, error);
    if (status != STATUS_OK || found != OURS) return status;
    if (unlink(path) != 0 && errno != ENOENT) {
        return error_set(error, STATUS_IO, "%s: it cannot be removed: %s", path, strerror(errno));
    }
    if (removed != NULL) *removed = true;
    return STATUS_OK;
}

enum status success_check(const char *directory, struct error *error) {
    char path[PATH_NBYTES_MAX];
    enum found found;
    enum status status = path_join(path, sizeof path, directory, SUCCESS_NAME, error);
    if (status == STATUS_OK) status = look(path, &found, error);
    if (status != STATUS_OK || found != FOREIGN) return status;
    return error_set(error, STATUS_USAGE, "%s: it is there already, and not wader's; move it away",
                     path);
}

// ---- writing it

static int by_name(const void *a, const void *b) {
    const struct verify_item *x = *(struct verify_item *const *)a,
                             *y = *(struct verify_item *const *)b;
    return strcmp(path_base(x->output), path_base(y->output));
}

static void add_sums(const struct verify_set *set, struct buffer *out) {
    uint64_t rows = 0, labelled = 0, truncated = 0, abstained = 0, bad = 0, tokens = 0, nbytes = 0,
             file_nbytes = 0;
    for (size_t i = 0; i < set->n; i++) {
        const struct commit_record *record = &set->items[i].record;
        rows += record->rows_out;
        labelled += record->labelled;
        truncated += record->truncated;
        abstained += record->abstained;
        bad += record->bad;
        tokens += record->tokens;
        nbytes += record->nbytes;
        file_nbytes += record->file_nbytes;
    }
    buffer_add_format(
        out,
        "  \"files\": %zu,\n  \"rows\": {\"in\": %llu, \"out\": %llu, \"labelled\": "
        "%llu, \"truncated\": %llu, \"abstained\": %llu, \"bad\": %llu},\n"
        "  \"tokens\": %llu,\n  \"nbytes\": %llu,\n  \"file_nbytes\": %llu,\n",
        set->n, (unsigned long long)rows, (unsigned long long)rows, (unsigned long long)labelled,
        (unsigned long long)truncated, (unsigned long long)abstained, (unsigned long long)bad,
        (unsigned long long)tokens, (unsigned long long)nbytes, (unsigned long long)file_nbytes);
}

// One line each, "<sha256>  <name>", as sha256sum prints them of the inflated rows: the hash of
// these lines stands for all of them.
static enum status add_outputs(struct verify_item *const *sorted, size_t n, struct buffer *out,
                               struct error *error) {
    struct buffer lines = {0};
    char hex[SHA256_HEX_LEN + 1];
    for (size_t i = 0; i < n; i++) {
        buffer_add_format(&lines, "%s  %s\n", sorted[i]->record.sha256,
                          path_base(sorted[i]->output));
    }
    enum status status = buffer_check(&lines, error);
    if (status == STATUS_OK) status = sha256_of(lines.bytes, lines.len, hex, error);
    buffer_free(&lines);
    if (status != STATUS_OK) return status;
    buffer_add_format(out, "  \"sha256\": \"%s\",\n  \"outputs\": [\n", hex);
    for (size_t i = 0; i < n; i++) {
        const struct commit_record *record = &sorted[i]->record;
        buffer_add_text(out, "    {\"name\": ");
        buffer_add_json_string(out, span_text(path_base(sorted[i]->output)));
        buffer_add_format(out, ", \"rows\": %llu, \"bad\": %llu, \"sha256\": \"%s\"}%s\n",
                          (unsigned long long)record->rows_out, (unsigned long long)record->bad,
                          record->sha256, i + 1 < n ? "," : "");
    }
    buffer_add_text(out, "  ]\n}\n");
    return STATUS_OK;
}

static enum status describe(struct verify_set *set, struct buffer *out, struct error *error) {
    void *memory;
    enum status status = alloc_array(&memory, set->n, sizeof(struct verify_item *), "names", error);
    if (status != STATUS_OK) return status;
    struct verify_item **sorted = memory;
    for (size_t i = 0; i < set->n; i++) sorted[i] = &set->items[i];
    qsort(sorted, set->n, sizeof(struct verify_item *), by_name);
    const struct commit_record *first = &sorted[0]->record;
    buffer_add_text(out, opening);
    buffer_add_format(out, "\"%s\",\n  \"verified\": \"%s\",\n", WADER_VERSION,
                      set->request.quick ? "quick" : "full");
    buffer_add_format(out,
                      "  \"model\": {\"sha256\": \"%s\", \"tokenizer_sha256\": \"%s\"},\n"
                      "  \"settings\": ",
                      first->model_sha256, first->tokenizer_sha256);
    buffer_add(out, first->settings.raw.ptr, first->settings.raw.len);
    buffer_add_text(out, ",\n");
    add_sums(set, out);
    if (set->with_tally && !set->request.quick && !set->tally.is_full) {
        buffer_add_text(out, "  \"labels\": ");
        label_tally_print(&set->tally, out);
        buffer_add_text(out, ",\n");
    }
    status = add_outputs(sorted, set->n, out, error);
    free(sorted);
    return status == STATUS_OK ? buffer_check(out, error) : status;
}

enum status success_write(const char *directory, struct verify_set *set, struct error *error) {
    char path[PATH_NBYTES_MAX];
    struct buffer text = {0};
    struct output *output = NULL;
    enum status status = path_join(path, sizeof path, directory, SUCCESS_NAME, error);
    if (status == STATUS_OK) status = describe(set, &text, error);
    if (status == STATUS_OK) status = output_open(path, &output, error);
    if (status == STATUS_OK) status = output_write(output, text.bytes, text.len, error);
    if (status == STATUS_OK) status = output_commit(output, error);
    output_close(output);
    buffer_free(&text);
    return status;
}
