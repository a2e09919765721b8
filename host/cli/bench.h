// SPDX-License-Identifier: Apache-2.0
//
// What `wader bench` found, for the three ways in which it is told. Private to bench*.c.
#ifndef WADER_HOST_CLI_BENCH_H
#define WADER_HOST_CLI_BENCH_H

#include "host/base/buffer.h"
#include "host/bench/bench.h"
#include "host/bench/host_facts.h"
#include "host/bench/verdict.h"
#include "host/cli/label_setup.h"

enum { STARTUPS = 3 };

struct bench_report {
    const struct options *options;
    struct host_facts host;
    struct engine engine;
    struct item_formats formats;
    struct corpus corpus;
    const char *input;  // NULL: made-up titles
    struct bench_settings settings;
    struct bench_result result;
    struct verdict verdict;
    struct buffer command;   // the command line, as a shell takes it
    struct samples startup;  // seconds from a command's start to its first label
};

// Of the titles: tokens of one, bytes of one.
struct bench_lengths {
    double mean, nbytes;
    int32_t median, p95, max;
};
enum status bench_lengths_of(const struct corpus *corpus, struct bench_lengths *lengths,
                             struct error *error);

void bench_print_text(const struct bench_report *report, const struct bench_lengths *lengths,
                      struct buffer *out);
void bench_print_json(const struct bench_report *report, const struct bench_lengths *lengths,
                      struct buffer *out);
void bench_print_svg(const struct bench_report *report, struct buffer *out);

// Bytes that a work of the profiled batch moves at least.
double bench_work_nbytes(const struct bench_report *report, enum encoder_work work);

// A stage's name for people: "end to end".
void bench_stage_title(const struct bench_stage *stage, char *text, size_t cap);

// "1,234,567" or "39.4", "0.0123" into `text`; returns `text`.
enum { FIGURE_NBYTES = 40 };
const char *bench_figure(double value, char text[FIGURE_NBYTES]);

#endif
