// SPDX-License-Identifier: Apache-2.0
#include "host/cli/label_audit.h"

#include <string.h>

#include "host/cli/stop.h"

enum { ROWS_MAX = 1000000 };

// Of the logits' scale. fp32: two encoders, each within 1e-4 of the exact logits. The others: about
// twice the worst seen of a model of 12 layers with random weights, whose errors are ten to forty
// times those of a trained one (tests/results/2026-11-25-epyc-encoders-quick.txt); fp16 and fp8
// have 3 bits more and 4 bits less than bf16.
static double tolerance_of(const char *precision) {
    static const struct {
        const char *precision;
        double tolerance;
    } tiers[] = {{"fp32", 2e-4}, {"fp16", 0.01}, {"bf16", 0.08}, {"int8", 0.35}, {"fp8", 0.5}};
    for (size_t i = 0; i < ARRAY_LEN(tiers); i++) {
        if (strcmp(precision, tiers[i].precision) == 0) return tiers[i].tolerance;
    }
    return tiers[0].tolerance;
}

enum status open_reference(const struct options *options, struct engine *engine,
                           struct error *error) {
    if (options->audit == 0) return STATUS_OK;
    if (options->audit > ROWS_MAX) {
        return error_set(error, STATUS_USAGE, "--audit %d: at most %d rows of an output",
                         options->audit, (int)ROWS_MAX);
    }
    // Small batches: between them a signal is heard.
    const struct encoder_limits limits = {
        .batch_tokens = engine->max_length > 384 ? engine->max_length : 384,
        .n_threads = engine->n_threads,
        .n_slots = engine->n_threads,
        .precision = CPU_FP32,
        .plain = true,
    };
    return encoder_create_cpu(engine->model, &limits, &engine->reference, error);
}

enum status open_audit(const struct options *options, const struct engine *engine,
                       const struct item_formats *formats, const char *input, struct audit **out,
                       struct error *error) {
    *out = NULL;
    if (options->audit == 0) return STATUS_OK;
    const struct audit_setup setup = {
        .n_rows = options->audit,
        .tokenizer = engine->tokenizer,
        .max_length = engine->max_length,
        .reference = engine->reference,
        .format = &formats->record,
        .labels = engine->model->labels,
        .input = input,
        .tolerance = tolerance_of(engine->precision),
    };
    return audit_create(&setup, out, error);
}

enum status check_audit(struct audit *audit, struct totals *totals, struct error *error) {
    return audit != NULL ? audit_finish(audit, stop_asked, &totals->audit, error) : STATUS_OK;
}
