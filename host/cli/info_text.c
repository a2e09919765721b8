// SPDX-License-Identifier: Apache-2.0
//
// `wader info` for people: a screen of short lines, what it is about on the left.
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host/base/utf8.h"
#include "host/cli/info.h"
#include "host/cli/report.h"
#include "weights/dtype.h"

enum { COLUMNS = 100, INDENT = 14, LABELS_SHOWN = 40, WEIGHTS_SHOWN = 4 };

// A paragraph beside its title, broken between items.
struct paragraph {
    struct buffer *out;
    size_t column;
    bool is_begun;  // an item stands in the line
};

static struct paragraph begin(struct buffer *out, const char *title) {
    buffer_add_format(out, "%-*s", (int)INDENT, title);
    return (struct paragraph){.out = out, .column = INDENT};
}

static void end(struct paragraph *paragraph) {
    buffer_add_text(paragraph->out, "\n");
}

// Columns that a well-formed character takes, roughly: East Asian ones, from U+1100 on, take two.
static size_t columns_of(const char *c) {
    return (unsigned char)*c >= 0xE1 ? 2 : 1;
}

static size_t width(struct span text) {
    size_t columns = 0, len;
    for (size_t i = 0; i < text.len; i += len) {
        (void)utf8_sequence(text.ptr + i, text.len - i, &len);
        columns += columns_of(text.ptr + i);
    }
    return columns;
}

static void new_line(struct paragraph *paragraph) {
    buffer_add_format(paragraph->out, "\n%*s", (int)INDENT, "");
    paragraph->column = INDENT;
    paragraph->is_begun = false;
}

// An item stays in one line if a line can hold it. Names come out of files: what a terminal would
// act on, C1 controls too, becomes '?'.
static void add_item(struct paragraph *paragraph, struct span text) {
    const size_t columns = width(text);
    if (paragraph->is_begun && paragraph->column + 1 + columns > COLUMNS) {
        new_line(paragraph);
    } else if (paragraph->is_begun) {
        buffer_add_text(paragraph->out, " ");
        paragraph->column++;
    }
    paragraph->is_begun = true;
    size_t len;
    for (size_t i = 0; i < text.len; i += len) {
        const char *at = text.ptr + i;
        const bool good = utf8_sequence(at, text.len - i, &len);
        const bool control =
            (unsigned char)*at < 0x20 || *at == 0x7F ||
            (good && len == 2 && (unsigned char)*at == 0xC2 && (unsigned char)at[1] < 0xA0);
        if (paragraph->column + columns_of(at) > COLUMNS) new_line(paragraph);
        buffer_add(paragraph->out, good && !control ? at : "?", good && !control ? len : 1);
        paragraph->column += columns_of(at);
    }
}

// Words, each an item.
static void add_words(struct paragraph *paragraph, const char *text) {
    for (const char *at = text; *at != '\0';) {
        const size_t len = strcspn(at, " ");
        if (len > 0) add_item(paragraph, (struct span){at, len});
        at += len + (at[len] == ' ' ? 1 : 0);
    }
}

static void add(struct paragraph *paragraph, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// One item, cut where it is longer than a screen.
static void add(struct paragraph *paragraph, const char *format, ...) {
    char text[PATH_NBYTES_MAX];
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0) return;
    const size_t len = (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    add_item(paragraph, (struct span){text, len});
}

struct number {
    char text[32];
};

static struct number commas_of(size_t n) {
    struct number number;
    with_commas(n, number.text);
    return number;
}

static struct number commas(int32_t n) {
    return commas_of((size_t)n);
}

static struct number mib(size_t nbytes) {
    struct number number;
    const uint64_t tenths = (uint64_t)((double)nbytes / (1 << 20) * 10.0 + 0.5);
    char whole[32];
    if (tenths >= 1000) {
        snprintf(number.text, sizeof number.text, "%.20s MiB",
                 with_commas((tenths + 5) / 10, whole));
    } else {
        snprintf(number.text, sizeof number.text, "%d.%d MiB", (int)(tenths / 10),
                 (int)(tenths % 10));
    }
    return number;
}

// ---- the model

static void print_config(const struct info *info, struct buffer *out) {
    const struct bert_config *config = &info->config;
    struct paragraph paragraph = begin(out, "architecture");
    add(&paragraph, "%s:", info_class(info));
    add(&paragraph, "%d layers,", config->n_layers);
    add(&paragraph, "%s wide,", commas(config->hidden_size).text);
    add(&paragraph, "%d heads of %d,", config->n_heads, config->hidden_size / config->n_heads);
    add(&paragraph, "%s feed-forward,", commas(config->intermediate_size).text);
    add(&paragraph, "%s word pieces,", commas(config->vocab_size).text);
    add(&paragraph, "%s positions,", commas(config->max_positions).text);
    if (config->type_vocab_size > 0) add(&paragraph, "%d token types,", config->type_vocab_size);
    add(&paragraph, "GELU by %s", config->gelu == GELU_TANH ? "tanh" : "erf");
    end(&paragraph);
    paragraph = begin(out, "head");
    if (config->n_labels > 0) add(&paragraph, "%s labels,", commas(config->n_labels).text);
    add(&paragraph, config->problem == PROBLEM_MULTI_LABEL
                        ? "each for itself (multi-label, sigmoid);"
                        : "one of them a title (softmax);");
    add(&paragraph, "%s before the classifier",
        config->head_activation == HEAD_RELU ? "ReLU" : "tanh");
    end(&paragraph);
}

static void print_parameters(const struct info *info, struct buffer *out) {
    struct paragraph paragraph = begin(out, "parameters");
    add(&paragraph, "%s in %s tensors", commas_of(info->n_parameters).text,
        commas_of(info->n_tensors).text);
    for (int d = 0; d < DTYPES; d++) {
        const size_t n = info->n_by_dtype[d];
        if (n == info->n_parameters) {
            add(&paragraph, "of %s", dtype_name((enum dtype)d));
        } else if (n > 0) {
            add(&paragraph, "(%s of %s)", commas_of(n).text, dtype_name((enum dtype)d));
        }
    }
    end(&paragraph);
}

static void print_weights(const struct info *info, struct buffer *out) {
    size_t nbytes = 0, n_files = 0;
    struct paragraph paragraph = begin(out, "weights");
    for (size_t i = 0; i < info->n_files; i++) {
        if (!info->files[i].is_weights) continue;
        nbytes += info->files[i].nbytes;
        if (n_files++ < WEIGHTS_SHOWN) add(&paragraph, "%s,", info->files[i].name);
    }
    if (n_files > WEIGHTS_SHOWN) {
        add(&paragraph, "and %s more files,", commas_of(n_files - WEIGHTS_SHOWN).text);
    }
    add(&paragraph, "%s,", info_format(info));
    add(&paragraph, "%s bytes", commas_of(nbytes).text);
    end(&paragraph);
}

// ---- tokenizer and labels

static void print_tokenizer(const struct info *info, struct buffer *out) {
    const struct tokenizer *tokenizer = info->tokenizer;
    const struct normalizer *normalizer = &tokenizer->normalizer;
    struct paragraph paragraph = begin(out, "tokenizer");
    add(&paragraph, "WordPiece,");
    add(&paragraph, "%s tokens;", commas(tokenizer->vocab_size).text);
    add(&paragraph, "%s,", normalizer->lowercase ? "uncased" : "cased");
    add(&paragraph, "accents %s,", normalizer->strip_accents ? "stripped" : "kept");
    add(&paragraph, "Chinese characters %s,",
        normalizer->handle_chinese_chars ? "set apart" : "not set apart");
    add(&paragraph, "control characters %s;", normalizer->clean_text ? "removed" : "kept");
    add(&paragraph, "unknown %d,", tokenizer->unk_id);
    add(&paragraph, "[CLS] %d,", tokenizer->cls_id);
    add(&paragraph, "[SEP] %d;", tokenizer->sep_id);
    add(&paragraph, "from");
    bool is_last = false;
    for (size_t i = 0; i < info->n_files; i++) {
        if (!info->files[i].is_tokenizer) continue;
        is_last = i + 1 == info->n_files;
        add(&paragraph, "%s%s", info->files[i].name, is_last ? "" : ",");
    }
    end(&paragraph);
}

static void print_labels(const struct info *info, struct buffer *out) {
    static const char *const sources[] = {
        [LABELS_FROM_CONFIG] = "from id2label in config.json",
        [LABELS_FROM_DIR] = "from labels.txt",
        [LABELS_FROM_FILE] = "from the file given with --labels",
        [LABELS_NUMBERED] = "which no file names (--labels FILE does)"};
    char *const *labels = info_labels(info);
    if (labels == NULL) return;
    const int32_t n = info->config.n_labels;
    struct paragraph paragraph = begin(out, "labels");
    add(&paragraph, "%s,", commas(n).text);
    add_words(&paragraph,
              sources[info->model != NULL ? info->model->label_source : LABELS_FROM_CONFIG]);
    new_line(&paragraph);
    for (int32_t k = 0; k < n && k < LABELS_SHOWN; k++) {
        add(&paragraph, "%d %s%s", k, labels[k], k + 1 < n ? "," : "");
    }
    if (n > LABELS_SHOWN) {
        add(&paragraph, "and %s more (--json lists all)", commas(n - LABELS_SHOWN).text);
    }
    end(&paragraph);
}

static int32_t count_thresholds(const struct model *model) {
    int32_t n = 0;
    const float *thresholds = model->calibration.thresholds;
    for (int32_t k = 0; thresholds != NULL && k < model->config.n_labels; k++) {
        n += thresholds[k] > 0;
    }
    return n;
}

// Labels with a threshold of 0 are left out: nothing is below it.
static void print_calibration(const struct info *info, struct buffer *out) {
    const struct model *model = info->model;
    const int32_t n = count_thresholds(model);
    struct paragraph paragraph = begin(out, "calibration");
    add(&paragraph, "temperature %s,", info_number(model->calibration.temperature).text);
    add_words(&paragraph, n > 0 ? "thresholds" : "no thresholds");
    if (n > 0) new_line(&paragraph);
    int32_t shown = 0;
    for (int32_t k = 0; shown < n && shown < LABELS_SHOWN; k++) {
        const float threshold = model->calibration.thresholds[k];
        if (!(threshold > 0)) continue;
        shown++;
        add(&paragraph, "%s %s%s", model->labels[k], info_number(threshold).text,
            shown < n ? "," : "");
    }
    if (n > shown) add(&paragraph, "and %s more (--json lists all)", commas(n - shown).text);
    end(&paragraph);
}

// ---- the host

static void print_gpu_memory(const struct info *info, struct buffer *out) {
    const struct encoder_cuda_memory *cuda = &info->cuda;
    struct paragraph paragraph = begin(out, "memory");
    add(&paragraph, "%s on each GPU,", mib(cuda->device_nbytes).text);
    add(&paragraph, "where %s are free:", mib(cuda->free_nbytes).text);
    add(&paragraph, "%s of weights,", mib(cuda->weights_nbytes).text);
    add(&paragraph, "the rest for batches of %s tokens,", commas(cuda->batch_tokens).text);
    add(&paragraph, "%d in flight;", (int)cuda->n_slots);
    add(&paragraph, "%s of pinned host memory,", mib(cuda->pinned_nbytes).text);
    add_words(&paragraph, "and for all else on the host");
    add(&paragraph, "%s at most", mib(info->rest_nbytes).text);
    end(&paragraph);
}

static void print_cpu_memory(const struct info *info, struct buffer *out) {
    const struct encoder_cpu_memory *cpu = &info->cpu;
    struct paragraph paragraph = begin(out, "memory");
    add(&paragraph, "%s:", mib(cpu->weights_nbytes + cpu->working_nbytes).text);
    add(&paragraph, "%s of packed weights,", mib(cpu->weights_nbytes).text);
    add(&paragraph, "%s for batches", mib(cpu->working_nbytes).text);
    const bool is_mapped = info->embeddings_nbytes > 0;
    add(&paragraph, "of %s tokens; besides,", commas(info->device.cpu.batch_tokens).text);
    if (is_mapped) {
        add_words(&paragraph, "as much of the word embeddings");
        add(&paragraph, "(%s)", mib(info->embeddings_nbytes).text);
        add_words(&paragraph, "as titles need, and");
    }
    add(&paragraph, "%s at most", mib(info->rest_nbytes).text);
    add_words(&paragraph, "for all else");
    end(&paragraph);
}

static void print_host(const struct info *info, struct buffer *out) {
    char what[64];
    const char *why;
    describe_device(&info->device, what, sizeof what, &why);
    struct paragraph paragraph = begin(out, "device");
    add(&paragraph, "%s;", what);
    add(&paragraph, "titles of at most %s tokens", commas(info->max_length).text);
    end(&paragraph);
    paragraph = begin(out, "why");
    if (!info->device.is_auto) add(&paragraph, "--device %s", info->options->device);
    add_words(&paragraph, why);
    end(&paragraph);
    if (info->device.is_cuda) {
        print_gpu_memory(info, out);
    } else {
        print_cpu_memory(info, out);
    }
}

// As sha256sum prints them. A long name gets a line of its own.
static void print_hashes(const struct info *info, struct buffer *out) {
    enum { NAME_COLUMN = 2 + SHA256_HEX_LEN + 2 };
    buffer_add_text(out, "SHA-256\n");
    for (size_t i = 0; i < info->n_files; i++) {
        const struct span name = span_text(info->files[i].name);
        struct paragraph paragraph = {.out = out, .column = NAME_COLUMN};
        const bool fits = NAME_COLUMN + width(name) <= COLUMNS;
        buffer_add_format(out, "  %s%s", info->files[i].sha256, fits ? "  " : "");
        if (!fits) new_line(&paragraph);
        add_item(&paragraph, name);
        end(&paragraph);
    }
}

void info_print_text(const struct info *info, struct buffer *out) {
    struct paragraph paragraph = begin(out, "model");
    add_item(&paragraph, span_text(info->options->model));
    end(&paragraph);
    if (info->has_config) print_config(info, out);
    if (info->model != NULL) {
        print_parameters(info, out);
        print_weights(info, out);
    }
    if (info->tokenizer != NULL) print_tokenizer(info, out);
    print_labels(info, out);
    if (info_is_calibrated(info)) print_calibration(info, out);
    if (info->has_device) print_host(info, out);
    if (info->n_files > 0) print_hashes(info, out);
}
