// SPDX-License-Identifier: Apache-2.0
#include "host/cli/label_setup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/machine.h"
#include "host/cli/commands.h"
#include "host/cli/device.h"
#include "host/cli/report.h"

enum { MAX_LENGTH_DEFAULT = 512, TSV_COLUMN_MAX = 100000 };

// The words of an option and the stream's own values are in one order: a cast takes one to the
// other.
_Static_assert(INPUT_TSV - INPUT_TEXT == (int)RECORD_TSV - (int)RECORD_TEXT &&
                   INPUT_JSONL - INPUT_TEXT == (int)RECORD_JSONL - (int)RECORD_TEXT,
               "--input-format and enum record_kind");

enum status bad_limit_parse(const char *text, struct bad_limit *limit, struct error *error) {
    char *end;
    *limit = (struct bad_limit){0};
    errno = 0;
    double value = strtod(text, &end);
    const bool is_number = *text >= '0' && *text <= '9' && errno == 0;
    if (is_number && strcmp(end, "%") == 0 && value <= 100.0) {
        limit->is_share = true;
        limit->share = value / 100.0;
        return STATUS_OK;
    }
    limit->number = strtoull(text, &end, 10);
    if (is_number && *end == '\0' && errno == 0) return STATUS_OK;
    return error_set(error, STATUS_USAGE, "--max-bad %s: give a number, or a share such as 0.5%%",
                     text);
}

bool bad_limit_exceeded(const struct bad_limit *limit, uint64_t bad, uint64_t records) {
    return limit->is_share ? (double)bad > limit->share * (double)records : bad > limit->number;
}

enum status check_record_bytes(const struct options *options, struct error *error) {
    if (options->max_record_bytes <= RECORD_NBYTES_MAX_MOST) return STATUS_OK;
    return error_set(error, STATUS_USAGE, "--max-record-bytes %d: give %d at most",
                     options->max_record_bytes, (int)RECORD_NBYTES_MAX_MOST);
}

bool output_is_tsv(const struct options *options) {
    if (options->output_format != OUTPUT_BY_NAME) return options->output_format == OUTPUT_TSV;
    if (options->output == NULL) return false;
    const struct span name = span_text(options->output);
    return span_ends_in(name, ".tsv") || span_ends_in(name, ".tsv.gz");
}

enum status choose_max_length(const struct options *options, const struct bert_config *config,
                              int32_t *max_length, struct error *error) {
    const int32_t most = config->max_positions;
    const bool is_label = options->command != COMMAND_TOKENIZE;
    *max_length = options->max_length;
    if (options->max_length < 0) {
        *max_length = most < MAX_LENGTH_DEFAULT ? most : MAX_LENGTH_DEFAULT;
    } else if (options->max_length == 1 || (is_label && options->max_length == 0)) {
        return error_set(error, STATUS_USAGE,
                         "--max-length %d leaves no room for [CLS] and [SEP]; give at least 2",
                         options->max_length);
    } else if (is_label && options->max_length > most) {
        return error_set(error, STATUS_USAGE,
                         "--max-length %d: this model has positions for %d tokens",
                         options->max_length, (int)most);
    }
    return STATUS_OK;
}

// Each tokenizer has a title and the words of it; kept scores are sorted a run at a time
// (score_log.h); two outputs, the journal and where it is to begin, the input, the vocabulary and
// the libraries' own were found to fit in the last.
size_t rest_nbytes_most(const struct options *options, const struct model *model) {
    const size_t of_a_tokenizer = 4 << 20, of_kept_scores = 36 << 20, of_the_rest = 32 << 20;
    const int n_threads = options->threads > 0 ? options->threads : processors_available();
    const int32_t n = n_tokenizers(n_threads);
    size_t copied = 0;
    for (size_t i = 0; model != NULL && i < model->n_rooms; i++) copied += model->rooms[i].nbytes;
    return copied + (size_t)pipeline_n_chunks(n) * chunk_nbytes_most(RECORD_NBYTES_MAX) +
           (size_t)n * of_a_tokenizer + SHARED_TITLES_NBYTES + of_kept_scores + of_the_rest;
}

enum status check_vocabulary(const struct options *options, const struct bert_config *config,
                             const struct tokenizer *tokenizer, struct error *error) {
    const int32_t ids = tokenizer_vocab_size(tokenizer), rows = config->vocab_size;
    if (ids == rows) return STATUS_OK;
    char padded[120] = "";  // or a vocabulary that was cut short: only they can know
    if (ids < rows) {
        snprintf(padded, sizeof padded,
                 "; if the last rows are padding, add %d unused entries to the vocabulary",
                 (int)(rows - ids));
    }
    return error_set(error, STATUS_MODEL,
                     "%s: the vocabulary has %d entries, the model's word embeddings %d rows: they "
                     "do not belong together; take all files from one checkpoint%s",
                     options->model, (int)ids, (int)rows, padded);
}

void tell_labels(const struct options *options, const struct model *model) {
    if (model->label_source == LABELS_NUMBERED) {
        report_warning(
            "%s names no labels: they are called LABEL_0 to LABEL_%d; --labels FILE "
            "names them",
            options->model, (int)model->config.n_labels - 1);
    } else if (options->labels != NULL && model->label_source != LABELS_FROM_FILE) {
        report_note("--labels %s is not used: %s names its labels itself", options->labels,
                    options->model);
    }
}

enum status engine_open_model(const struct options *options, struct engine *engine,
                              struct error *error) {
    *engine = (struct engine){0};
    enum status status = check_device(options, error);
    if (status == STATUS_OK) {
        status = model_open(options->model, options->labels, &engine->model, error);
    }
    if (status == STATUS_OK) {
        status = choose_max_length(options, &engine->model->config, &engine->max_length, error);
    }
    if (status == STATUS_OK) status = tokenizer_open(options->model, &engine->tokenizer, error);
    if (status == STATUS_OK) {
        status = check_vocabulary(options, &engine->model->config, engine->tokenizer, error);
    }
    if (status != STATUS_OK) engine_close(engine);
    return status;
}

enum status engine_open(const struct options *options, struct engine *engine, struct error *error) {
    enum status status = engine_open_model(options, engine, error);
    if (status == STATUS_OK) status = open_encoder(options, engine, error);
    if (status != STATUS_OK) {
        engine_close(engine);
    } else if (!options->quiet) {
        tell_labels(options, engine->model);
    }
    return status;
}

void engine_close(struct engine *engine) {
    encoder_destroy(engine->encoder);
    encoder_destroy(engine->reference);
    tokenizer_close(engine->tokenizer);
    model_close(engine->model);
    *engine = (struct engine){0};
}

enum status make_field(const char *flag, const char *text, enum record_kind kind,
                       struct field *field, struct error *error) {
    *field = (struct field){.name = text};
    if (kind != RECORD_TSV) return STATUS_OK;
    char *end;
    const long column = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || column < 1 || column > TSV_COLUMN_MAX) {
        return error_set(error, STATUS_USAGE,
                         "%s %s: fields of TSV input are column numbers, from 1 to %d", flag, text,
                         (int)TSV_COLUMN_MAX);
    }
    field->column = (int)column;
    return STATUS_OK;
}

static enum status check_passthrough(const char *name, enum record_kind kind, struct error *error) {
    static const char *const taken[] = {"", "id", "label", "score", "scores", "logits", "status"};
    if (kind == RECORD_TEXT) {
        return error_set(error, STATUS_USAGE,
                         "--passthrough: text input has no fields; see --input-format");
    }
    for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
        if (strcmp(name, taken[i]) == 0) {
            return error_set(error, STATUS_USAGE,
                             "--passthrough \"%s\": the name is taken by a column of the output",
                             name);
        }
    }
    return STATUS_OK;
}

static enum status split_passthrough(const char *list, struct item_formats *formats,
                                     struct error *error) {
    formats->names = strdup(list);
    if (formats->names == NULL) return error_set(error, STATUS_IO, "out of memory");
    for (char *name = formats->names; name != NULL;) {
        char *comma = strchr(name, ',');
        if (comma != NULL) *comma = '\0';
        struct record_format *record = &formats->record;
        if (record->n_passthrough == PASSTHROUGH_MAX) {
            return error_set(error, STATUS_USAGE, "--passthrough takes %d fields at most",
                             (int)PASSTHROUGH_MAX);
        }
        for (int i = 0; i < record->n_passthrough; i++) {
            if (strcmp(name, record->passthrough[i].name) == 0) {
                return error_set(error, STATUS_USAGE, "--passthrough names \"%s\" twice", name);
            }
        }
        enum status status = check_passthrough(name, record->kind, error);
        if (status == STATUS_OK) {
            status = make_field("--passthrough", name, record->kind,
                                &formats->passthrough[record->n_passthrough++], error);
        }
        if (status != STATUS_OK) return status;
        name = comma != NULL ? comma + 1 : NULL;
    }
    return STATUS_OK;
}

static void add_setting(struct buffer *buffer, const char *key, const char *value) {
    buffer_add_format(buffer, "%s\"%s\": ", buffer->len > 1 ? ", " : "", key);
    buffer_add_json_string(buffer, span_text(value));
}

// Two runs with equal settings, model and input give equal bytes.
static enum status describe(const struct options *options, const struct engine *engine,
                            struct item_formats *formats, struct error *error) {
    char word[OPTIONS_WORD_NBYTES];
    struct buffer *out = &formats->settings;
    const struct record_format *record = &formats->record;
    buffer_add_text(out, "{");
    add_setting(out, "device", engine->device);
    add_setting(out, "precision", engine->precision);
    add_setting(out, "input_format",
                options_word("input-format", INPUT_TEXT + (int)record->kind, word));
    add_setting(out, "id_field", record->id.name);
    add_setting(out, "title_field", record->title.name);
    add_setting(out, "output_format", formats->row.kind == ROW_TSV ? "tsv" : "jsonl");
    add_setting(out, "header", options->header ? "yes" : "no");
    add_setting(out, "scores", options_word("scores", options->scores, word));
    add_setting(out, "passthrough", options->passthrough != NULL ? options->passthrough : "");
    buffer_add_format(out, ", \"max_length\": %d", (int)engine->max_length);
    // Told where they are not what they were before there was a choice: old records stay the same.
    if (options->max_record_bytes != RECORD_NBYTES_MAX) {
        buffer_add_format(out, ", \"max_record_bytes\": %d", options->max_record_bytes);
    }
    if (options->command == COMMAND_RETRY) add_setting(out, "records", "replayed");
    buffer_add_text(out, "}");
    buffer_add(out, "", 1);
    return buffer_check(out, error);
}

enum record_kind kind_of_input(const struct options *options, const char *input) {
    return options->input_format == INPUT_AUTO
               ? record_kind_of_name(input)
               : (enum record_kind)(options->input_format - INPUT_TEXT);
}

enum status item_formats_make(const struct options *options, const struct engine *engine,
                              const char *input, struct item_formats *formats,
                              struct error *error) {
    *formats = (struct item_formats){0};
    struct record_format *record = &formats->record;
    record->kind = kind_of_input(options, input);
    record->passthrough = formats->passthrough;
    const bool tsv = record->kind == RECORD_TSV;
    const char *id = options->id_field != NULL ? options->id_field : tsv ? "1" : "id";
    const char *title = options->title_field != NULL ? options->title_field : tsv ? "2" : "title";
    enum status status = make_field("--id-field", id, record->kind, &record->id, error);
    if (status == STATUS_OK) {
        status = make_field("--title-field", title, record->kind, &record->title, error);
    }
    if (status == STATUS_OK && options->passthrough != NULL) {
        status = split_passthrough(options->passthrough, formats, error);
    }
    formats->row = (struct row_format){
        .kind = output_is_tsv(options) ? ROW_TSV : ROW_JSONL,
        .scores = (enum row_scores)options->scores,
        .input = record,
        .labels = engine->model->labels,
        .n_labels = engine->model->config.n_labels,
        .probability =
            engine->model->config.problem == PROBLEM_MULTI_LABEL ? ROW_SIGMOID : ROW_SOFTMAX,
        .temperature = engine->model->calibration.temperature,
        .thresholds = engine->model->calibration.thresholds,
    };
    if (status == STATUS_OK) status = describe(options, engine, formats, error);
    if (status != STATUS_OK) item_formats_free(formats);
    return status;
}

void item_formats_free(struct item_formats *formats) {
    buffer_free(&formats->settings);
    free(formats->names);
    *formats = (struct item_formats){0};
}
