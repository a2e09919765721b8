// SPDX-License-Identifier: Apache-2.0
//
// What `wader label` makes ready before the first title: options turned into the stream's terms,
// model, tokenizer and encoder that fit together. `wader eval` and `wader info` use parts of it.
#ifndef WADER_HOST_CLI_LABEL_SETUP_H
#define WADER_HOST_CLI_LABEL_SETUP_H

#include "host/base/buffer.h"
#include "host/cli/options.h"
#include "host/encoder/encoder.h"
#include "host/stream/pipeline.h"
#include "tokenizer/tokenizer.h"
#include "weights/model.h"

enum { PASSTHROUGH_MAX = 64 };

// Threads of a run that tokenize. Each has chunks around it, and a few tokenize millions of titles
// a second: far more than a CPU encodes.
enum { TOKENIZERS_MAX = 8 };
static inline int32_t n_tokenizers(int n_threads) {
    return n_threads < TOKENIZERS_MAX ? n_threads : TOKENIZERS_MAX;
}

enum { SHARED_TITLES_NBYTES = 64 << 20 };  // that titles of the run are remembered in

// What `label` takes at most of the host's memory besides the encoder and the word embeddings,
// with the defaults of options other than --threads: weights that could not stay where they lie in
// their file (of `model`, or NULL), what goes round in the stream, what remembers and keeps scores,
// the program's own. Few runs touch all of it.
size_t rest_nbytes_most(const struct options *options, const struct model *model);

// How many bad records are too many: a share of all, or a number.
struct bad_limit {
    bool is_share;
    double share;
    uint64_t number;
};

struct engine {
    struct model *model;
    struct tokenizer *tokenizer;
    struct encoder *encoder;
    struct encoder *reference;       // for --audit, else NULL
    const char *device, *precision;  // what was chosen: "cpu", "fp32"
    char hardware[300];              // "2 x NVIDIA H200"; empty on the CPU
    char workers[24];                // what encodes, for the summary: "8 threads", "2 GPUs"
    int n_threads;
    bool is_cuda;
    int32_t n_workers;  // threads or devices that encode
    int32_t max_length;
};

// How one input is to be read and its rows written. It points into itself, so it stays where it was
// made, and into options and engine, which outlive it.
struct item_formats {
    struct record_format record;
    struct row_format row;
    struct field passthrough[PASSTHROUGH_MAX];
    char *names;             // the passed-through names, cut apart
    struct buffer settings;  // all that changes rows, as a JSON object with a NUL behind it
};

// "N" or "P%", as --max-bad has it; STATUS_USAGE for anything else.
enum status bad_limit_parse(const char *text, struct bad_limit *limit, struct error *error);
bool bad_limit_exceeded(const struct bad_limit *limit, uint64_t bad, uint64_t records);

// STATUS_USAGE where --max-record-bytes asks for more than chunks may be made for.
enum status check_record_bytes(const struct options *options, struct error *error);

// Whether rows are TSV: by --output-format, else by the name of -o.
bool output_is_tsv(const struct options *options);

// Whether vocabulary and word embeddings belong together; STATUS_MODEL where not.
enum status check_vocabulary(const struct options *options, const struct bert_config *config,
                             const struct tokenizer *tokenizer, struct error *error);

// Says on stderr where names of labels are lacking, or --labels was not needed.
void tell_labels(const struct options *options, const struct model *model);

// Everything is loaded and checked against everything else; STATUS_MODEL names what does not fit,
// STATUS_USAGE the option that asks for too much. engine_close releases it; a zeroed one is fine.
enum status engine_open(const struct options *options, struct engine *engine, struct error *error);
// The same but for the encoder.
enum status engine_open_model(const struct options *options, struct engine *engine,
                              struct error *error);
void engine_close(struct engine *engine);

// The part of engine_open that is about hardware (label_device.c): the encoder, once model and
// max_length are there.
enum status open_encoder(const struct options *options, struct engine *engine, struct error *error);

// What an input's records are, by --input-format, else by its name.
enum record_kind kind_of_input(const struct options *options, const char *input);

// A field as `flag` names it, for this kind of input; STATUS_USAGE where it cannot be one.
enum status make_field(const char *flag, const char *text, enum record_kind kind,
                       struct field *field, struct error *error);

// STATUS_USAGE, naming the option, where a field cannot be one of this kind of input.
enum status item_formats_make(const struct options *options, const struct engine *engine,
                              const char *input, struct item_formats *formats, struct error *error);
void item_formats_free(struct item_formats *formats);

#endif
