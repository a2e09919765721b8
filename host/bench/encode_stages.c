// SPDX-License-Identifier: Apache-2.0
//
// The encoder alone, and the pipeline with and without it.
#include <time.h>
#include <unistd.h>

#include "host/bench/bench_state.h"

// Fills a slot with titles from `*next` on, going round, `limit` of them or `n_tokens` at most.
static void fill(const struct bench_state *state, struct encoder_slot *slot, size_t *next,
                 size_t limit, int32_t n_tokens) {
    const struct corpus *corpus = state->corpus;
    const struct encoder *encoder = state->settings->encoder;
    slot->n_titles = 0;
    slot->cu_seqlens[0] = 0;
    for (size_t n = 0; n < limit && slot->n_titles < encoder->titles_cap; n++) {
        const size_t i = *next % corpus->n_titles;
        const int32_t length = corpus_length(corpus, i);
        if (slot->cu_seqlens[slot->n_titles] + length > n_tokens) return;
        encoder_slot_add(slot, corpus->token_ids + corpus->cu_seqlens[i], length);
        ++*next;
    }
}

enum status bench_encode(struct bench_state *state, struct bench_work *work, struct flops *flops,
                         struct error *error) {
    struct encoder *encoder = state->settings->encoder;
    struct flops counted = {0};
    size_t next = 0;
    int32_t n_submitted = 0, n_done = 0;
    enum status status = STATUS_OK;
    const double begin = now_seconds();
    while (status == STATUS_OK && (next < state->n_encode_titles || n_done < n_submitted)) {
        if (next < state->n_encode_titles && n_submitted - n_done < encoder->n_slots) {
            const int32_t i = n_submitted++ % encoder->n_slots;
            struct encoder_slot *slot = encoder_slot(encoder, i);
            fill(state, slot, &next, state->n_encode_titles - next, encoder->batch_tokens);
            flops_add(&counted, &state->settings->model->config, encoder, slot->cu_seqlens,
                      slot->n_titles);
            encoder_submit(encoder, i);
        } else {
            status = encoder_wait(encoder, n_done++ % encoder->n_slots, error);
        }
    }
    const double seconds = now_seconds() - begin;
    while (n_done < n_submitted) (void)encoder_wait(encoder, n_done++ % encoder->n_slots, NULL);
    *work = (struct bench_work){.amount = counted.total,
                                .titles = (double)counted.titles,
                                .tokens = (double)counted.tokens,
                                .seconds = seconds};
    if (flops != NULL) *flops = counted;
    return status;
}

// Titles that fill `n` batches.
static size_t titles_of_batches(const struct bench_state *state, int32_t n) {
    const struct encoder *encoder = state->settings->encoder;
    size_t next = 0;
    for (int32_t b = 0; b < n; b++) {
        int32_t n_tokens = 0, n_titles = 0;
        for (; n_titles < encoder->titles_cap; n_titles++, next++) {
            const int32_t length = corpus_length(state->corpus, next % state->corpus->n_titles);
            if (n_tokens + length > encoder->batch_tokens) break;
            n_tokens += length;
        }
    }
    return next;
}

enum status bench_encode_fit(struct bench_state *state, struct error *error) {
    const int32_t n_workers = state->settings->n_workers;
    struct bench_work work;
    int32_t n = n_workers;
    for (;;) {
        state->n_encode_titles = titles_of_batches(state, n);
        enum status status = bench_encode(state, &work, NULL, error);
        if (status != STATUS_OK) return status;
        const double wanted = state->encode_slice / (work.seconds > 1e-6 ? work.seconds : 1e-6);
        if (wanted < 1.5 || n > n_workers * 1000) return STATUS_OK;
        const double most = wanted < 16 ? wanted : 16;  // the first batches may be slow ones
        n = (int32_t)(most * n / n_workers) * n_workers;
    }
}

enum status bench_profile(struct bench_state *state, struct encoder_profile *profile,
                          struct flops *flops, struct bench_work *work, struct error *error) {
    enum { ALONE_TOKENS = 1024 };  // enough to tell, where one thread has everything to do
    struct encoder *encoder = state->settings->encoder;
    const bool is_alone = !state->settings->is_cuda && state->settings->n_workers == 1;
    int32_t n_tokens = encoder->batch_tokens;
    if (is_alone && n_tokens > ALONE_TOKENS) n_tokens = ALONE_TOKENS;
    if (n_tokens < state->settings->max_length) n_tokens = state->settings->max_length;
    struct encoder_slot *slot = encoder_slot(encoder, 0);
    size_t next = 0;
    *profile = (struct encoder_profile){0};
    *flops = (struct flops){0};
    *work = (struct bench_work){0};
    // The first call finds how many batches take that long; the others are of as many.
    const int32_t n_batches = state->n_profile_batches;
    for (int32_t n = 0; n_batches > 0 ? n < n_batches : work->seconds < state->host_slice; n++) {
        struct encoder_profile batch;
        state->n_profile_batches = n + 1;
        fill(state, slot, &next, SIZE_MAX, n_tokens);
        flops_add(flops, &state->settings->model->config, encoder, slot->cu_seqlens,
                  slot->n_titles);
        const double begin = now_seconds();
        enum status status = encoder_profile_batch(encoder, 0, &batch, error);
        if (status != STATUS_OK) return status;
        work->seconds += now_seconds() - begin;
        for (int w = 0; w < ENCODER_WORKS; w++) profile->seconds[w] += batch.seconds[w];
    }
    work->amount = flops->total;
    work->titles = (double)flops->titles;
    work->tokens = (double)flops->tokens;
    return STATUS_OK;
}

// ---- the pipeline

static double core_seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static enum status run(struct bench_state *state, struct encoder *encoder, struct input *input,
                       struct output *output, struct totals *totals, struct error *error) {
    const struct bench_settings *settings = state->settings;
    const struct pipeline_config config = {
        .encoder = encoder,
        .tokenizer = settings->tokenizer,
        .record_format = state->corpus->format,
        .row_format = settings->row_format,
        .max_length = settings->max_length,
        .n_tokenizers = settings->n_tokenizers,
        .flush_ms = -1,
    };
    struct pipeline *pipeline;
    enum status status = pipeline_start(&config, input, output, &pipeline, error);
    if (status == STATUS_OK) status = pipeline_finish(pipeline, totals, error);
    return status == STATUS_OK ? output_complete(output, error) : status;
}

enum status bench_pipeline(struct bench_state *state, struct encoder *encoder,
                           const struct memory_file *file, struct totals *totals,
                           struct bench_work *work, double *core_seconds, struct error *error) {
    struct input *input = NULL;
    struct output *output = NULL;
    int fd;
    *totals = (struct totals){0};
    enum status status = memory_file_rewrite(&state->rows, &fd, error);
    if (status != STATUS_OK) return status;
    const double begin = now_seconds(), core_begin = core_seconds_now();
    status = output_open_fd(fd, true, &output, error);
    if (status != STATUS_OK) close(fd);
    if (status == STATUS_OK) status = input_open(file->path, &input, error);
    if (status == STATUS_OK) status = run(state, encoder, input, output, totals, error);
    const double seconds = now_seconds() - begin;
    *core_seconds = core_seconds_now() - core_begin;
    output_close(output);
    input_close(input);
    const double titles = (double)(totals->records - totals_bad(totals));
    *work = (struct bench_work){
        .amount = titles, .titles = titles, .tokens = (double)totals->tokens, .seconds = seconds};
    return status;
}
