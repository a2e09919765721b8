// SPDX-License-Identifier: Apache-2.0
//
// `wader convert`: any checkpoint that model_open reads, to a directory that transformers loads. It
// holds
//   model.safetensors   every weight under the name it has in transformers' state dict.
//                       __metadata__: format "pt"; wader, the version; source_sha256, of the files
//                       that the model was read from, as sha256sum prints them
//   config.json         host/job/convert_config.h tells what changes
//   vocab.txt and the other files that are copied as they are
// Nothing in it depends on anything but the source and the options.
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/buffer.h"
#include "host/base/sha256.h"
#include "host/cli/commands.h"
#include "host/cli/label_setup.h"
#include "host/cli/report.h"
#include "host/cli/stop.h"
#include "host/job/convert_directory.h"
#include "host/job/convert_files.h"
#include "weights/dtype.h"
#include "weights/safetensors_write.h"

enum { HASH_NBYTES = 1 << 20 };

struct job {
    const struct options *options;
    struct model *model;
    struct named_weight *weights;  // [n_weights]
    enum dtype *dtypes;            // [n_weights] what each is written as
    size_t n_weights;
    struct buffer sources;  // a line with a hash for each file, and a NUL
    struct convert_directory *directory;
    struct progress progress;
    uint64_t done_nbytes, total_nbytes;  // hashed and written
};

// Between two pieces of work.
static enum status go_on(struct job *job, size_t nbytes, struct error *error) {
    job->done_nbytes += nbytes;
    if (stop_asked()) {
        return error_set(error, STATUS_AGAIN,
                         "stopped by a signal; nothing was left behind: run the same command "
                         "again");
    }
    if (!job->options->quiet) {
        progress_show_bytes(&job->progress, job->options->output, job->done_nbytes,
                            job->total_nbytes);
    }
    return STATUS_OK;
}

// ---- what is asked for

// Whether `inner` is `outer` or lies in it; both as realpath gives them.
static bool is_within(const char *inner, const char *outer) {
    const size_t n = strlen(outer);
    if (strcmp(outer, "/") == 0) return true;
    return strncmp(inner, outer, n) == 0 && (inner[n] == '\0' || inner[n] == '/');
}

// What does not exist yet is within whatever its parent is within.
static enum status check_apart(const struct options *options, struct error *error) {
    char model[PATH_MAX], output[PATH_MAX], parent[PATH_NBYTES_MAX];
    if (realpath(options->model, model) == NULL) return STATUS_OK;  // model_open will say it
    bool is_there = realpath(options->output, output) != NULL;
    if (is_there && is_within(model, output)) {
        return error_set(error, STATUS_USAGE, "-o %s: the model itself is there", options->output);
    }
    size_t len = strlen(options->output);
    while (len > 1 && options->output[len - 1] == '/') len--;
    while (len > 0 && options->output[len - 1] != '/') len--;
    if (!is_there && len < sizeof parent) {
        snprintf(parent, sizeof parent, "%.*s", len > 0 ? (int)len : 1,
                 len > 0 ? options->output : ".");
        is_there = realpath(parent, output) != NULL;
    }
    if (!is_there || !is_within(output, model)) return STATUS_OK;
    return error_set(error, STATUS_USAGE, "-o %s: that is inside the model's own directory, %s",
                     options->output, options->model);
}

static enum status check_options(const struct options *options, struct error *error) {
    if (options->n_inputs > 0) {
        return error_set(error, STATUS_USAGE,
                         "%s: convert takes no INPUT; --model tells what, -o where",
                         options->inputs[0]);
    }
    if (options->output == NULL || options->output[0] == '\0') {
        return error_set(error, STATUS_USAGE, "-o NEWDIR is required, the directory to make");
    }
    if (strcmp(options->output, "-") == 0) {
        return error_set(error, STATUS_USAGE, "-o -: a directory cannot go to stdout");
    }
    return check_apart(options, error);
}

// ---- the weights

static enum dtype dtype_of(const struct options *options, enum dtype own) {
    switch (options->dtype) {
        case OUTPUT_FP32:
            return DTYPE_F32;
        case OUTPUT_BF16:
            return DTYPE_BF16;
        case OUTPUT_FP16:
            return DTYPE_F16;
        default:
            return own;
    }
}

static enum status list_weights(struct job *job, struct error *error) {
    const struct bert_config *config = &job->model->config;
    const size_t n = bert_weights_count(config);
    void *weights = NULL, *dtypes = NULL;
    enum status status = alloc_array(&weights, n, sizeof *job->weights, "the tensors", error);
    if (status == STATUS_OK) {
        status = alloc_array(&dtypes, n, sizeof *job->dtypes, "the tensors", error);
    }
    job->weights = weights;
    job->dtypes = dtypes;
    if (status != STATUS_OK) return status;
    for (size_t i = 0; i < n; i++) {
        job->weights[i] = bert_weights_get(config, &job->model->weights, i);
        job->dtypes[i] = dtype_of(job->options, job->weights[i].tensor.dtype);
    }
    job->n_weights = n;
    return STATUS_OK;
}

static enum status hash_file(struct job *job, const struct model_file *file, struct error *error) {
    struct sha256 *hash;
    char hex[SHA256_HEX_LEN + 1];
    enum status status = sha256_create(&hash, error);
    if (status != STATUS_OK) return status;
    for (size_t at = 0; status == STATUS_OK && at < file->map.nbytes; at += HASH_NBYTES) {
        const size_t rest = file->map.nbytes - at;
        const size_t n = rest < HASH_NBYTES ? rest : HASH_NBYTES;
        sha256_update(hash, file->map.bytes + at, n);
        status = go_on(job, n, error);
    }
    if (status == STATUS_OK) status = sha256_finish(hash, hex, error);
    sha256_destroy(hash);
    if (status != STATUS_OK) return status;
    // Of a file given with --labels, where it lies is nobody's business.
    buffer_add_format(&job->sources, "%s  ", hex);
    buffer_add_utf8(&job->sources, span_text(path_base(file->name)));
    buffer_add_text(&job->sources, "\n");
    return STATUS_OK;
}

static enum status hash_sources(struct job *job, struct error *error) {
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < job->model->n_files; i++) {
        status = hash_file(job, &job->model->files[i], error);
    }
    buffer_add(&job->sources, "", 1);
    return status == STATUS_OK ? buffer_check(&job->sources, error) : status;
}

static enum status write_piece(void *context, const char *bytes, size_t nbytes,
                               struct error *error) {
    struct job *job = context;
    enum status status = convert_directory_write(job->directory, bytes, nbytes, error);
    return status == STATUS_OK ? go_on(job, nbytes, error) : status;
}

static enum status write_weights(struct job *job, const struct safetensors_file *file,
                                 struct error *error) {
    const struct byte_sink sink = {.write = write_piece, .context = job};
    enum status status = convert_directory_begin(job->directory, "model.safetensors", error);
    if (status == STATUS_OK) status = safetensors_write(file, &sink, error);
    if (status == STATUS_MODEL) {
        char word[OPTIONS_WORD_NBYTES];
        struct error reason = *error;
        return error_set(error, status, "--dtype %s: %s; --dtype fp32 takes every value",
                         options_word("dtype", job->options->dtype, word), reason.text);
    }
    return status == STATUS_OK ? convert_directory_end(job->directory, error) : status;
}

// ---- all of it

// Of all that is written; where formats are mixed, the one that holds them all.
static const char *dtype_word(const struct job *job) {
    static const char *const words[] = {
        [DTYPE_F32] = "float32", [DTYPE_F16] = "float16", [DTYPE_BF16] = "bfloat16"};
    for (size_t i = 1; i < job->n_weights; i++) {
        if (job->dtypes[i] != job->dtypes[0]) return words[DTYPE_F32];
    }
    return words[job->dtypes[0]];
}

// Weights can be converted without a tokenizer; labelling with them is another matter.
static void warn(const struct job *job) {
    const struct options *options = job->options;
    struct tokenizer *tokenizer;
    struct error why;
    enum status status = tokenizer_open(options->model, &tokenizer, &why);
    if (status == STATUS_OK) {
        status = check_vocabulary(options, &job->model->config, tokenizer, &why);
        tokenizer_close(tokenizer);
    }
    if (status != STATUS_OK) {
        report_warning("the weights are converted all the same, but not to label with: %s",
                       why.text);
    }
    tell_labels(options, job->model);
}

static enum status write_all(struct job *job, struct error *error) {
    const struct safetensors_note notes[] = {
        {"format", "pt"}, {"wader", WADER_VERSION}, {"source_sha256", job->sources.bytes}};
    const struct safetensors_file file = {.notes = notes,
                                          .n_notes = ARRAY_LEN(notes),
                                          .weights = job->weights,
                                          .dtypes = job->dtypes,
                                          .n_weights = job->n_weights};
    enum status status = write_weights(job, &file, error);
    if (status == STATUS_OK) {
        status = convert_files_config(job->model, dtype_word(job), job->directory, error);
    }
    if (status == STATUS_OK) {
        status = convert_files_copy(job->options->model, job->directory, error);
    }
    if (status == STATUS_OK) {
        status = model_check_unchanged(job->model, job->options->model, error);
    }
    if (status == STATUS_OK) status = go_on(job, 0, error);
    return status == STATUS_OK ? convert_directory_commit(job->directory, error) : status;
}

static void measure(struct job *job) {
    for (size_t i = 0; i < job->model->n_files; i++) {
        job->total_nbytes += job->model->files[i].map.nbytes;
    }
    for (size_t i = 0; i < job->n_weights; i++) {
        job->total_nbytes += job->weights[i].tensor.n_elements * dtype_size(job->dtypes[i]);
    }
}

static void summarize(const struct job *job, double seconds) {
    size_t n_parameters = 0;
    char count[32];
    for (size_t i = 0; i < job->n_weights; i++) n_parameters += job->weights[i].tensor.n_elements;
    report_note("%s: %s parameters in %s, from %s, in %.1f s", job->options->output,
                with_commas(n_parameters, count), dtype_word(job), job->model->weights_name,
                seconds);
}

static enum status run(struct job *job, struct error *error) {
    const struct options *options = job->options;
    const double begin = now_seconds();
    enum status status = check_options(options, error);
    if (status == STATUS_OK) {
        status = model_open(options->model, options->labels, &job->model, error);
    }
    if (status == STATUS_OK) status = list_weights(job, error);
    if (status != STATUS_OK) return status;
    if (!options->quiet) warn(job);
    measure(job);
    progress_start(&job->progress, (enum progress_mode)options->progress);
    // Whoever may not write there should not wait for the hashes to hear of it.
    status = convert_directory_open(options->output, options->force, &job->directory, error);
    if (status == STATUS_OK) status = hash_sources(job, error);
    if (status == STATUS_OK) status = write_all(job, error);
    if (status == STATUS_OK && !options->quiet) summarize(job, now_seconds() - begin);
    return status;
}

enum status command_convert(const struct options *options, struct error *error) {
    struct job job = {.options = options};
    stop_listen();
    enum status status = run(&job, error);
    convert_directory_close(job.directory);
    buffer_free(&job.sources);
    free(job.dtypes);
    free(job.weights);
    model_close(job.model);
    return status;
}
