// SPDX-License-Identifier: Apache-2.0
//
// What `wader plan` found out, for the two ways in which it is printed. Private to plan*.c.
#ifndef WADER_HOST_CLI_PLAN_H
#define WADER_HOST_CLI_PLAN_H

#include "host/base/buffer.h"
#include "host/cli/device.h"
#include "host/cli/label_setup.h"
#include "host/job/estimate.h"
#include "host/job/plan.h"

// What a part of an input holds: one chunk of lines.
struct plan_unit {
    size_t file;
    bool is_warm;  // not the beginning of an input that goes on: that compresses less than its rest
    double nbytes;  // compressed
    double records, titles, tokens, truncated, bad, plain_nbytes, row_nbytes;
};

enum { PLAN_TITLES_NBYTES_MAX = 8 * 1024 * 1024, PLAN_LENGTHS = 12 };

struct plan_sample {
    struct plan_unit *units;  // [n_units]
    size_t n_units, cap;
    size_t n_files;   // looked into
    uint64_t nbytes;  // compressed, that were read
    bool is_whole;    // nothing was left out
    uint64_t by_status[RECORD_STATUS_COUNT];
    uint64_t lengths[PLAN_LENGTHS];  // titles of at most plan_length_end(i) tokens
    uint64_t packed_of, packed;      // bytes of rows that were compressed, and what came out
    struct buffer titles;            // as JSONL, for measuring
    size_t n_titles;                 // of these
};

// The longest title that plan_sample.lengths[i] counts: 4, 8, 16, ...
int32_t plan_length_end(int i);

struct plan_report {
    const struct options *options;
    struct plan plan;
    uint64_t *sizes;  // [plan.n_items], of the inputs
    uint64_t input_nbytes;
    struct engine engine;
    struct plan_sample sample;
    struct estimate records, titles, tokens, truncated, bad, plain_nbytes, row_nbytes, file_nbytes;
    struct estimate scores_nbytes;  // kept beside the outputs
    struct estimate rate, seconds;  // titles a second
    bool is_measured;               // the rate; else it was given
    double longest_share;           // of the bytes, among options->shards
    bool has_room;                  // free_nbytes is known
    uint64_t free_nbytes;
    const char *room_of;  // the directory it is of
    struct device_choice device;
    struct encoder_cpu_memory cpu;  // of the two, the device's
    struct encoder_cuda_memory cuda;
};

// Reads inputs: all of them, or parts spread over their bytes.
enum status plan_sample_read(struct plan_report *report, struct error *error);
void plan_sample_free(struct plan_sample *sample);

// What outputs and kept scores may take together, at most.
double plan_disk_nbytes(const struct plan_report *report);

// Titles a second that the encoder, which is open, does with the sample's titles.
enum status plan_measure_rate(struct plan_report *report, struct error *error);

void plan_add_text(const struct plan_report *report, struct buffer *out);
void plan_add_json(const struct plan_report *report, struct buffer *out);

#endif
