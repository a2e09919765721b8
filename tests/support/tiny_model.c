// SPDX-License-Identifier: Apache-2.0
#include "tests/support/tiny_model.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/must.h"
#include "tests/support/temp_dir.h"

enum { NAME_BYTES = 128 };

static void stop(const char *what) {
    perror(what);
    exit(1);
}

// ---- text that grows

struct text {
    char *bytes;
    size_t len, cap;
};

static char *text_room(struct text *text, size_t n) {
    if (text->cap - text->len < n) {
        text->cap = 2 * text->cap + n;
        text->bytes = realloc(text->bytes, text->cap);
        if (text->bytes == NULL) stop("tiny_model: memory");
    }
    text->len += n;
    return text->bytes + text->len - n;
}

__attribute__((format(printf, 2, 3))) static void text_add(struct text *text, const char *format,
                                                           ...) {
    char piece[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(piece, sizeof piece, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof piece) stop("tiny_model: a text too long");
    memcpy(text_room(text, (size_t)n), piece, (size_t)n);
}

static void text_write(struct text *text, const char *dir, const char *name) {
    temp_dir_write(dir, name, text->bytes, text->len);
    free(text->bytes);
    *text = (struct text){0};
}

// ---- what a spec means

struct tiny_model_spec tiny_model_default(void) {
    return (struct tiny_model_spec){
        .config = {.vocab_size = 200,
                   .max_positions = 48,
                   .type_vocab_size = 2,
                   .hidden_size = 32,
                   .intermediate_size = 64,
                   .n_layers = 2,
                   .n_heads = 4,
                   .n_labels = 3,
                   .layer_norm_eps = 1e-12F},
        .dtype = DTYPE_F32,
        .seed = 1,
    };
}

void tiny_model_write_config(const char *dir, const struct tiny_model_spec *spec) {
    const struct bert_config *config = &spec->config;
    struct text text = {0};
    text_add(&text,
             "{\n  \"architectures\": [\"BertForSequenceClassification\"],\n"
             "  \"model_type\": \"bert\",\n  \"hidden_act\": \"gelu\",\n"
             "  \"vocab_size\": %d,\n  \"hidden_size\": %d,\n  \"num_hidden_layers\": %d,\n"
             "  \"num_attention_heads\": %d,\n  \"intermediate_size\": %d,\n"
             "  \"max_position_embeddings\": %d,\n  \"type_vocab_size\": %d,\n"
             "  \"layer_norm_eps\": %.9g,\n  \"id2label\": {",
             config->vocab_size, config->hidden_size, config->n_layers, config->n_heads,
             config->intermediate_size, config->max_positions, config->type_vocab_size,
             (double)config->layer_norm_eps);
    for (int i = 0; i < config->n_labels; i++) {
        text_add(&text, "%s\n    \"%d\": ", i > 0 ? "," : "", i);
        if (spec->labels != NULL) {
            text_add(&text, "\"%s\"", spec->labels[i]);
        } else {
            text_add(&text, "\"LABEL_%d\"", i);
        }
    }
    text_add(&text, "\n  }");
    if (spec->config_extra != NULL) text_add(&text, ",\n  %s", spec->config_extra);
    text_add(&text, "\n}\n");
    text_write(&text, dir, "config.json");
}

// The special tokens, printable ASCII, ##letters and ##digits, then made-up words.
void tiny_model_write_vocab(const char *dir, const struct tiny_model_spec *spec) {
    static const char *const special[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    static const char inside[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    const int n_special = (int)ARRAY_LEN(special), n_ascii = '~' - '!' + 1;
    const int n_inside = (int)sizeof inside - 1;
    struct text text = {0};
    for (int i = 0; i < spec->config.vocab_size; i++) {
        int ascii = i - n_special, letter = ascii - n_ascii, word = letter - n_inside;
        if (ascii < 0) {
            text_add(&text, "%s\n", special[i]);
        } else if (letter < 0) {
            text_add(&text, "%c\n", '!' + ascii);
        } else if (word < 0) {
            text_add(&text, "##%c\n", inside[letter]);
        } else {
            text_add(&text, "word%d\n", word);
        }
    }
    text_write(&text, dir, "vocab.txt");
    temp_dir_write_text(dir, "tokenizer_config.json",
                        "{\"do_lower_case\": false, \"tokenizer_class\": \"BertTokenizer\"}\n");
}

// ---- weights

// Uniform in [-1, 1): splitmix64's mix of seed, name and index.
static double uniform(unsigned long long seed, const char *name, size_t index) {
    unsigned long long z = seed;
    for (const char *c = name; *c != '\0'; c++) z = (z ^ (unsigned char)*c) * 0x100000001b3ULL;
    z += (index + 1) * 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-52 - 1.0;
}

// Cuts the bits that the format lacks; what F16 has only as a subnormal becomes 0.
static float cut_to(enum dtype dtype, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (dtype == DTYPE_BF16) bits &= 0xFFFF0000U;
    if (dtype == DTYPE_F16) bits = fabsf(value) < 0x1p-14F ? 0 : bits & 0xFFFFE000U;
    memcpy(&value, &bits, sizeof value);
    return value;
}

// Scales that keep activations near 1 from layer to layer and spread the logits.
float tiny_model_value(const struct tiny_model_spec *spec, const char *name, size_t index) {
    double random = uniform(spec->seed, name, index), value = 0.1 * random;
    int32_t n_in = strstr(name, "intermediate.") == NULL && strstr(name, "attention.") == NULL &&
                           strstr(name, ".output.dense.") != NULL
                       ? spec->config.intermediate_size
                       : spec->config.hidden_size;
    if (strstr(name, "LayerNorm.weight") != NULL) {
        value = 1.0 + 0.25 * random;
    } else if (strstr(name, "_embeddings.") != NULL) {
        value = random;
    } else if (strstr(name, ".weight") != NULL) {
        value = 2.5 / sqrt((double)n_in) * random;
    }
    return cut_to(spec->dtype, (float)value);
}

static void put_value(enum dtype dtype, float value, char *out) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t half = (uint16_t)(bits >> 16);
    if (dtype == DTYPE_F16) {
        uint32_t magnitude = bits & 0x7FFFFFFF;
        half = (uint16_t)(half & 0x8000);
        if (magnitude != 0) half = (uint16_t)(half | ((magnitude >> 13) - (112U << 10)));
    }
    if (dtype == DTYPE_F32) {
        memcpy(out, &bits, sizeof bits);
    } else {
        memcpy(out, &half, sizeof half);
    }
}

// The files being written.
struct writer {
    const struct tiny_model_spec *spec;
    const char *dir;
    int n_tensors, n_tensors_done, shard;
    struct text header, data, index;
};

static bool ends_with(const char *name, const char *end) {
    return end != NULL && span_ends_in(span_text(name), end);
}

static void shard_name(const struct writer *writer, int shard, char name[NAME_BYTES]) {
    snprintf(name, NAME_BYTES, "model-%05d-of-%05d.safetensors", shard + 1, writer->spec->n_shards);
}

static void finish_file(struct writer *writer, const char *name) {
    text_add(&writer->header, "}");
    while (writer->header.len % 8 != (writer->spec->misaligned ? 1 : 0)) {
        text_add(&writer->header, " ");
    }
    uint64_t len = writer->header.len;
    struct text file = {0};
    memcpy(text_room(&file, sizeof len), &len, sizeof len);
    memcpy(text_room(&file, writer->header.len), writer->header.bytes, writer->header.len);
    if (writer->data.len > 0) {
        memcpy(text_room(&file, writer->data.len), writer->data.bytes, writer->data.len);
    }
    text_write(&file, writer->dir, name);
    free(writer->header.bytes);
    free(writer->data.bytes);
    writer->header = writer->data = (struct text){0};
}

static void start_file(struct writer *writer) {
    text_add(&writer->header, "{\"__metadata__\":{\"format\":\"pt\"}");
}

// The name as this checkpoint has it.
static void stored_name(const struct tiny_model_spec *spec, const char *name,
                        char out[NAME_BYTES]) {
    const char *base = spec->no_prefix && strncmp(name, "bert.", 5) == 0 ? name + 5 : name;
    const char *norm = strstr(base, "LayerNorm.");
    if (spec->old_norm_names && norm != NULL) {
        int stem = (int)(norm + strlen("LayerNorm.") - base);
        snprintf(out, NAME_BYTES, "%.*s%s", stem, base,
                 strcmp(base + stem, "bias") == 0 ? "beta" : "gamma");
    } else {
        snprintf(out, NAME_BYTES, "%s", base);
    }
}

// A tensor of [rows, columns], or [rows] where columns is 0.
static void add_tensor(struct writer *writer, const char *name, int32_t rows, int32_t columns) {
    const struct tiny_model_spec *spec = writer->spec;
    static const char *const dtypes[] = {"F32", "F16", "BF16"};
    char stored[NAME_BYTES], file[NAME_BYTES];
    int due = spec->n_shards > 0 ? writer->n_tensors_done * spec->n_shards / writer->n_tensors : 0;
    writer->n_tensors_done++;
    if (due > writer->shard) {
        shard_name(writer, writer->shard++, file);
        finish_file(writer, file);
        start_file(writer);
    }
    if (ends_with(name, spec->omit)) return;
    if (ends_with(name, spec->shrink)) rows--;
    stored_name(spec, name, stored);
    size_t n = (size_t)rows * (size_t)(columns > 0 ? columns : 1);
    size_t width = spec->dtype == DTYPE_F32 ? 4 : 2, begin = writer->data.len;
    char *out = text_room(&writer->data, n * width);
    for (size_t i = 0; i < n; i++) {
        put_value(spec->dtype, tiny_model_value(spec, name, i), out + i * width);
    }
    text_add(&writer->header, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%d", stored,
             ends_with(name, spec->as_i32) ? "I32" : dtypes[spec->dtype], rows);
    if (columns > 0) text_add(&writer->header, ",%d", columns);
    text_add(&writer->header, "],\"data_offsets\":[%zu,%zu]}", begin, writer->data.len);
    shard_name(writer, writer->shard, file);
    text_add(&writer->index, "%s\n    \"%s\": \"%s\"", writer->index.len > 0 ? "," : "", stored,
             file);
}

// A buffer of integers such as old checkpoints carry: nobody needs it.
static void add_position_ids(struct writer *writer) {
    size_t begin = writer->data.len;
    for (int64_t i = 0; i < writer->spec->config.max_positions; i++) {
        memcpy(text_room(&writer->data, sizeof i), &i, sizeof i);
    }
    text_add(&writer->header,
             ",\"%sembeddings.position_ids\":{\"dtype\":\"I64\",\"shape\":[1,%d],"
             "\"data_offsets\":[%zu,%zu]}",
             writer->spec->no_prefix ? "" : "bert.", writer->spec->config.max_positions, begin,
             writer->data.len);
}

static void add_dense(struct writer *writer, const char *name, int32_t rows, int32_t columns) {
    char full[NAME_BYTES + 16];
    snprintf(full, sizeof full, "%s.weight", name);
    add_tensor(writer, full, rows, columns);
    snprintf(full, sizeof full, "%s.bias", name);
    add_tensor(writer, full, rows, 0);
}

static void add_layer(struct writer *writer, int layer) {
    const int32_t hidden = writer->spec->config.hidden_size;
    const int32_t inner = writer->spec->config.intermediate_size;
    const struct {
        const char *name;
        int32_t rows, columns;
    } parts[] = {
        {"attention.self.query", hidden, hidden},  {"attention.self.key", hidden, hidden},
        {"attention.self.value", hidden, hidden},  {"attention.output.dense", hidden, hidden},
        {"attention.output.LayerNorm", hidden, 0}, {"intermediate.dense", inner, hidden},
        {"output.dense", hidden, inner},           {"output.LayerNorm", hidden, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        char name[NAME_BYTES];
        snprintf(name, sizeof name, "bert.encoder.layer.%d.%s", layer, parts[i].name);
        add_dense(writer, name, parts[i].rows, parts[i].columns);
    }
}

void tiny_model_write_weights(const char *dir, const struct tiny_model_spec *spec) {
    const struct bert_config *config = &spec->config;
    struct writer writer = {.spec = spec, .dir = dir, .n_tensors = 9 + 16 * config->n_layers};
    const int32_t hidden = config->hidden_size;
    start_file(&writer);
    add_position_ids(&writer);
    add_tensor(&writer, "bert.embeddings.word_embeddings.weight", config->vocab_size, hidden);
    add_tensor(&writer, "bert.embeddings.position_embeddings.weight", config->max_positions,
               hidden);
    add_tensor(&writer, "bert.embeddings.token_type_embeddings.weight", config->type_vocab_size,
               hidden);
    add_dense(&writer, "bert.embeddings.LayerNorm", hidden, 0);
    for (int i = 0; i < config->n_layers; i++) add_layer(&writer, i);
    add_dense(&writer, "bert.pooler.dense", hidden, hidden);
    add_dense(&writer, "classifier", config->n_labels, hidden);
    char name[NAME_BYTES] = "model.safetensors";
    if (spec->n_shards > 0) {
        shard_name(&writer, writer.shard, name);
        struct text index = {0};
        text_add(&index, "{\n  \"metadata\": {},\n  \"weight_map\": {");
        memcpy(text_room(&index, writer.index.len), writer.index.bytes, writer.index.len);
        text_add(&index, "\n  }\n}\n");
        text_write(&index, dir, "model.safetensors.index.json");
    }
    finish_file(&writer, name);
    free(writer.index.bytes);
}

void tiny_model_write(const char *dir, const struct tiny_model_spec *spec) {
    tiny_model_write_config(dir, spec);
    tiny_model_write_vocab(dir, spec);
    tiny_model_write_weights(dir, spec);
}

struct model *tiny_model_open(const struct tiny_model_spec *spec) {
    char dir[TEMP_PATH_MAX];
    struct model *model;
    struct error error;
    temp_dir_make(dir);
    tiny_model_write(dir, spec);
    must(model_open(dir, NULL, &model, &error), &error);
    temp_dir_remove(dir);
    return model;
}
