// SPDX-License-Identifier: Apache-2.0
#include "host/cli/catalog.h"

#include <stdlib.h>
#include <string.h>

#include "host/base/utf8.h"
#include "host/cli/label_setup.h"
#include "host/job/commit_record.h"
#include "host/job/inputs.h"
#include "host/job/survey.h"

static const char *from_environment(const char *name) {
    return getenv(name);
}

enum status catalog_shard(const struct options *options, struct shard *shard, struct error *error) {
    *shard = (struct shard){0, 1};
    if (options->shard == NULL) return STATUS_OK;
    if (strcmp(options->shard, "auto") != 0) return shard_parse(options->shard, shard, error);
    return shard_from_environment(from_environment, shard, error);
}

enum status catalog_words(const struct options *options, struct catalog_words *words,
                          struct error *error) {
    const bool first = options->output == NULL;
    if (first && options->n_inputs == 0) {
        return error_set(error, STATUS_USAGE, "give the output: -o OUT, or as the first word");
    }
    *words = (struct catalog_words){first ? options->inputs[0] : options->output,
                                    options->inputs + (first ? 1 : 0),
                                    options->n_inputs - (first ? 1 : 0)};
    if (strcmp(words->output, "-") != 0) return STATUS_OK;
    return error_set(error, STATUS_USAGE, "stdout (-) keeps no outputs to look at: give -o OUT");
}

// ---- outputs without inputs

static enum status add_item(struct plan *plan, char *output, struct error *error) {
    char *input = strdup("");
    struct plan_item *items = realloc(plan->items, (plan->n_items + 1) * sizeof *items);
    if (items != NULL) plan->items = items;
    if (items == NULL || input == NULL || output == NULL) {
        free(input);
        free(output);
        return error_set(error, STATUS_IO, "out of memory for the list of outputs");
    }
    plan->items[plan->n_items++] = (struct plan_item){input, output};
    plan->n_all = plan->n_items;
    return STATUS_OK;
}

enum status catalog_add_outputs(const char *path, struct plan *plan, struct error *error) {
    if (!is_directory(path)) {
        struct span name = span_text(path);
        if (span_ends_in(name, COMMIT_RECORD_SUFFIX)) name.len -= strlen(COMMIT_RECORD_SUFFIX);
        return add_item(plan, strndup(name.ptr, name.len), error);
    }
    char **paths;
    size_t n;
    enum status status = survey_directory(path, &paths, &n, error);
    for (size_t i = 0; i < n && status == STATUS_OK; i++) {
        status = add_item(plan, paths[i], error);
        paths[i] = NULL;
    }
    survey_paths_free(paths, n);
    return status;
}

enum status catalog_plan(const struct options *options, const struct catalog_words *words,
                         struct plan *plan, struct error *error) {
    *plan = (struct plan){0};
    enum status status = STATUS_OK;
    if (words->n_inputs == 0) {
        status = catalog_add_outputs(words->output, plan, error);
        if (status != STATUS_OK) plan_free(plan);
        return status;
    }
    struct options named = *options;  // the format of rows goes by -o's name
    named.output = words->output;
    struct plan_request request = {.inputs = words->inputs,
                                   .n_inputs = words->n_inputs,
                                   .output = words->output,
                                   .tsv = output_is_tsv(&named),
                                   .look_only = true};
    if (options->command != COMMAND_MERGE) status = catalog_shard(options, &request.shard, error);
    return status == STATUS_OK ? plan_create(&request, plan, error) : status;
}

// ---- printing

void catalog_add_name(struct buffer *out, const char *name) {
    const struct span text = span_text(name);
    size_t len;
    for (size_t i = 0; i < text.len; i += len) {
        const char *at = text.ptr + i;
        const bool good = utf8_sequence(at, text.len - i, &len);
        const bool control =
            (unsigned char)*at < 0x20 || *at == 0x7F ||
            (good && len == 2 && (unsigned char)*at == 0xC2 && (unsigned char)at[1] < 0xA0);
        if (!good) len = 1;
        buffer_add(out, good && !control ? at : "?", good && !control ? len : 1);
    }
}

enum status catalog_print(const struct buffer *text, struct error *error) {
    struct output *output = NULL;
    enum status status = buffer_check(text, error);
    if (status == STATUS_OK) status = output_open("-", &output, error);
    if (status == STATUS_OK) status = output_write(output, text->bytes, text->len, error);
    if (status == STATUS_OK) status = output_commit(output, error);
    output_close(output);
    return status;
}
