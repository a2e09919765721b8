// SPDX-License-Identifier: Apache-2.0
//
// Slots and threads around the CPU encoder. Each worker takes the next submitted slot and runs its
// whole batch alone: the threads share nothing but the immutable weights and this queue, so their
// number cannot change a result.
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/machine.h"
#include "host/encoder/cpu_model.h"
#include "host/encoder/encoder.h"

enum slot_state { SLOT_FREE, SLOT_SUBMITTED, SLOT_DONE };

struct cpu_slot {
    struct encoder_slot batch;
    enum slot_state state;
    enum status status;
    struct error error;
};

struct cpu_encoder {
    struct encoder base;  // first: a pointer to it is a pointer to this
    struct cpu_model *model;
    struct cpu_slot *slots;        // [n_slots]
    struct cpu_forward *profiler;  // for cpu_profile, once somebody asked
    pthread_t *threads;            // [n_threads]
    int32_t n_threads;

    pthread_mutex_t mutex;  // guards everything below, and the slots' states
    pthread_cond_t submitted, done, started;
    int32_t *queue;  // [n_slots], a ring of submitted slots
    int32_t queue_first, queue_len;
    int32_t n_started;
    bool stopping;
    enum status start_status;  // the first failure of a worker to come up
    struct error start_error;
};

// The next submitted slot, or -1 when the encoder is going away. Called with the mutex held.
static int32_t take_submitted(struct cpu_encoder *cpu) {
    while (cpu->queue_len == 0 && !cpu->stopping) pthread_cond_wait(&cpu->submitted, &cpu->mutex);
    if (cpu->queue_len == 0) return -1;
    int32_t i = cpu->queue[cpu->queue_first];
    cpu->queue_first = (cpu->queue_first + 1) % cpu->base.n_slots;
    cpu->queue_len--;
    return i;
}

static void *worker(void *argument) {
    struct cpu_encoder *cpu = argument;
    struct cpu_forward *forward = NULL;
    struct error error;
    enum status status = cpu_forward_create(cpu->model, cpu->base.batch_tokens, &forward, &error);

    pthread_mutex_lock(&cpu->mutex);
    if (status != STATUS_OK && cpu->start_status == STATUS_OK) {
        cpu->start_status = status;
        cpu->start_error = error;
    }
    cpu->n_started++;
    pthread_cond_signal(&cpu->started);
    while (status == STATUS_OK) {
        int32_t i = take_submitted(cpu);
        if (i < 0) break;
        struct cpu_slot *slot = &cpu->slots[i];
        pthread_mutex_unlock(&cpu->mutex);
        const double begin = now_seconds();
        slot->status = cpu_forward_run(forward, &slot->batch, &slot->error);
        slot->batch.seconds = now_seconds() - begin;
        pthread_mutex_lock(&cpu->mutex);
        slot->state = SLOT_DONE;
        pthread_cond_broadcast(&cpu->done);
    }
    pthread_mutex_unlock(&cpu->mutex);
    cpu_forward_destroy(forward);
    return NULL;
}

static struct encoder_slot *cpu_slot(struct encoder *encoder, int32_t i) {
    return &((struct cpu_encoder *)encoder)->slots[i].batch;
}

static void cpu_submit(struct encoder *encoder, int32_t i) {
    struct cpu_encoder *cpu = (struct cpu_encoder *)encoder;
    pthread_mutex_lock(&cpu->mutex);
    assert(cpu->slots[i].state != SLOT_SUBMITTED);
    cpu->slots[i].state = SLOT_SUBMITTED;
    cpu->queue[(cpu->queue_first + cpu->queue_len) % cpu->base.n_slots] = i;
    cpu->queue_len++;
    pthread_cond_signal(&cpu->submitted);
    pthread_mutex_unlock(&cpu->mutex);
}

static enum status cpu_wait(struct encoder *encoder, int32_t i, struct error *error) {
    struct cpu_encoder *cpu = (struct cpu_encoder *)encoder;
    struct cpu_slot *slot = &cpu->slots[i];
    pthread_mutex_lock(&cpu->mutex);
    while (slot->state == SLOT_SUBMITTED) pthread_cond_wait(&cpu->done, &cpu->mutex);
    slot->state = SLOT_FREE;
    enum status status = slot->status;
    if (status != STATUS_OK && error != NULL) *error = slot->error;
    pthread_mutex_unlock(&cpu->mutex);
    return status;
}

// On the calling thread, with working memory of its own.
static enum status cpu_profile(struct encoder *encoder, int32_t i, struct encoder_profile *profile,
                               struct error *error) {
    struct cpu_encoder *cpu = (struct cpu_encoder *)encoder;
    if (cpu->profiler == NULL) {
        enum status status =
            cpu_forward_create(cpu->model, cpu->base.batch_tokens, &cpu->profiler, error);
        if (status != STATUS_OK) return status;
    }
    return cpu_forward_profile(cpu->profiler, &cpu->slots[i].batch, profile, error);
}

static void cpu_destroy(struct encoder *encoder) {
    struct cpu_encoder *cpu = (struct cpu_encoder *)encoder;
    pthread_mutex_lock(&cpu->mutex);
    cpu->stopping = true;
    pthread_cond_broadcast(&cpu->submitted);
    pthread_mutex_unlock(&cpu->mutex);
    for (int32_t t = 0; t < cpu->n_threads; t++) pthread_join(cpu->threads[t], NULL);
    for (int32_t i = 0; cpu->slots != NULL && i < cpu->base.n_slots; i++) {
        free(cpu->slots[i].batch.token_ids);
        free(cpu->slots[i].batch.cu_seqlens);
        free(cpu->slots[i].batch.logits);
    }
    free(cpu->slots);
    free(cpu->queue);
    free(cpu->threads);
    cpu_forward_destroy(cpu->profiler);
    cpu_model_destroy(cpu->model);
    pthread_cond_destroy(&cpu->started);
    pthread_cond_destroy(&cpu->done);
    pthread_cond_destroy(&cpu->submitted);
    pthread_mutex_destroy(&cpu->mutex);
    free(cpu);
}

static const struct encoder_ops cpu_ops = {.slot = cpu_slot,
                                           .submit = cpu_submit,
                                           .wait = cpu_wait,
                                           .destroy = cpu_destroy,
                                           .profile = cpu_profile};

static enum status make_slots(struct cpu_encoder *cpu, struct error *error) {
    const size_t n_slots = (size_t)cpu->base.n_slots, titles = (size_t)cpu->base.titles_cap;
    const size_t tokens = (size_t)cpu->base.batch_tokens, k = (size_t)cpu->base.n_labels;
    void *memory;
    enum status status = alloc_zeroed(&memory, n_slots, sizeof *cpu->slots, "batch slots", error);
    if (status != STATUS_OK) return status;
    cpu->slots = memory;
    status = alloc_zeroed(&memory, n_slots, sizeof *cpu->queue, "batch slots", error);
    if (status != STATUS_OK) return status;
    cpu->queue = memory;
    for (size_t i = 0; i < n_slots; i++) {
        struct encoder_slot *batch = &cpu->slots[i].batch;
        status = alloc_zeroed(&memory, tokens, sizeof(int32_t), "token ids", error);
        if (status != STATUS_OK) return status;
        batch->token_ids = memory;
        status = alloc_zeroed(&memory, titles + 1, sizeof(int32_t), "title offsets", error);
        if (status != STATUS_OK) return status;
        batch->cu_seqlens = memory;
        status = alloc_zeroed(&memory, titles * k, sizeof(float), "logits", error);
        if (status != STATUS_OK) return status;
        batch->logits = memory;
    }
    return STATUS_OK;
}

// Threads come up one by one; the encoder is ready when each has its memory.
static enum status start_workers(struct cpu_encoder *cpu, int32_t n_threads, struct error *error) {
    void *memory;
    enum status status =
        alloc_zeroed(&memory, (size_t)n_threads, sizeof *cpu->threads, "threads", error);
    if (status != STATUS_OK) return status;
    cpu->threads = memory;
    for (; cpu->n_threads < n_threads; cpu->n_threads++) {
        int reason = pthread_create(&cpu->threads[cpu->n_threads], NULL, worker, cpu);
        if (reason != 0) {
            return error_set(error, STATUS_IO, "cannot start encoder thread %d of %d: %s",
                             (int)cpu->n_threads + 1, (int)n_threads, strerror(reason));
        }
    }
    pthread_mutex_lock(&cpu->mutex);
    while (cpu->n_started < n_threads) pthread_cond_wait(&cpu->started, &cpu->mutex);
    status = cpu->start_status;
    if (status != STATUS_OK && error != NULL) *error = cpu->start_error;
    pthread_mutex_unlock(&cpu->mutex);
    return status;
}

// Working memory of the whole encoder, without the weights; SIZE_MAX where that is not enough to
// count it, as with a thread for every int32_t.
static size_t working_nbytes(const struct bert_config *config, const struct encoder_limits *limits,
                             int32_t batch_tokens, int32_t n_slots) {
    const size_t titles = (size_t)titles_cap_of(batch_tokens);
    const size_t slot = ((size_t)batch_tokens + titles + 1) * sizeof(int32_t) +
                        titles * (size_t)config->n_labels * sizeof(float);
    const size_t thread = cpu_memory_lay_out(config, limits->precision, batch_tokens, 0, NULL);
    size_t threads, slots, all;
    const bool fits = size_mul((size_t)limits->n_threads, thread, &threads) &&
                      size_mul((size_t)n_slots, slot, &slots) && size_add(threads, slots, &all);
    return fits ? all : SIZE_MAX;
}

// The same, or what packing the weights takes before that, whichever is more.
static size_t peak_nbytes(const struct bert_config *config, const struct encoder_limits *limits,
                          int32_t batch_tokens, int32_t n_slots) {
    const size_t working = working_nbytes(config, limits, batch_tokens, n_slots);
    const size_t packing = cpu_model_packing_nbytes(config, limits->precision);
    return working > packing ? working : packing;
}

// A batch in each thread, and two on their way.
static int32_t slots_of(int32_t n_threads) {
    return n_threads < INT32_MAX - 2 ? n_threads + 2 : INT32_MAX;
}

// The largest batch whose working memory is at most `room`, below the one that was asked for; 0
// where none is.
static int32_t largest_batch(const struct bert_config *config, size_t room,
                             const struct encoder_limits *limits, int32_t n_slots) {
    int32_t fits = 0, too_many = limits->batch_tokens;
    while (too_many - fits > 1) {
        int32_t middle = fits + (too_many - fits) / 2;
        bool enough = peak_nbytes(config, limits, middle, n_slots) <= room;
        *(enough ? &fits : &too_many) = middle;
    }
    return fits;
}

// What is available changes from one second to the next. So what is refused exceeds 95 % of it, and
// what is named as fitting takes 80 %: whoever asks for that next gets it.
static enum status check_memory(const struct bert_config *config,
                                const struct encoder_limits *limits, int32_t n_slots,
                                struct error *error) {
    const size_t available = memory_available();
    const size_t packed = cpu_model_nbytes(config, limits->precision);
    const size_t most = available / 20 * 19, safe = available / 5 * 4;
    if (packed < most &&
        peak_nbytes(config, limits, limits->batch_tokens, n_slots) <= most - packed) {
        return STATUS_OK;
    }
    const int32_t fits = largest_batch(config, packed < safe ? safe - packed : 0, limits, n_slots);
    if (fits == 0) {
        return error_set(error, STATUS_USAGE,
                         "%d threads need more memory than there is (%zu MiB), even with the "
                         "smallest batches; give fewer with --threads",
                         (int)limits->n_threads, available >> 20);
    }
    return error_set(error, STATUS_USAGE,
                     "--batch-tokens %d needs more memory than there is (%zu MiB); the most that "
                     "fits with %d threads is %d",
                     (int)limits->batch_tokens, available >> 20, (int)limits->n_threads, (int)fits);
}

// Whole tiles of every tier, so that none has rows left over.
int32_t encoder_cpu_batch_tokens(const struct bert_config *config, int32_t n_threads,
                                 int32_t max_length) {
    const struct encoder_limits limits = {.n_threads = n_threads, .precision = CPU_FP32};
    const size_t budget = (size_t)96 << 20;
    int32_t tiles = 10;
    while (tiles > 1 &&
           working_nbytes(config, &limits, tiles * TILE_ROWS_ALL, slots_of(n_threads)) > budget) {
        tiles--;
    }
    return tiles * TILE_ROWS_ALL > max_length ? tiles * TILE_ROWS_ALL : max_length;
}

enum status encoder_cpu_check(enum cpu_precision precision, struct error *error) {
    static const enum gemm_type types[] = {
        [CPU_FP32] = GEMM_FP32, [CPU_BF16] = GEMM_BF16, [CPU_INT8] = GEMM_INT8};
    return gemm_type_check(types[precision], error);
}

enum status encoder_cpu_measure(const struct bert_config *config,
                                const struct encoder_limits *limits,
                                struct encoder_cpu_memory *memory, struct error *error) {
    assert(limits->n_threads >= 1 && limits->batch_tokens >= 1);
    const int32_t n_slots = limits->n_slots > 0 ? limits->n_slots : slots_of(limits->n_threads);
    enum status status = encoder_cpu_check(limits->precision, error);
    if (status != STATUS_OK) return status;
    memory->weights_nbytes = cpu_model_nbytes(config, limits->precision);
    memory->working_nbytes = peak_nbytes(config, limits, limits->batch_tokens, n_slots);
    return check_memory(config, limits, n_slots, error);
}

enum status encoder_create_cpu(const struct model *model, const struct encoder_limits *limits,
                               struct encoder **out, struct error *error) {
    const struct bert_config *config = &model->config;
    *out = NULL;
    assert(limits->n_threads >= 1 && limits->batch_tokens >= 1);
    const int32_t n_slots = limits->n_slots > 0 ? limits->n_slots : slots_of(limits->n_threads);
    enum status status = encoder_cpu_check(limits->precision, error);
    if (status == STATUS_OK) status = check_memory(config, limits, n_slots, error);
    if (status != STATUS_OK) return status;
    void *memory;
    status = alloc_zeroed(&memory, 1, sizeof(struct cpu_encoder), "the encoder", error);
    if (status != STATUS_OK) return status;
    struct cpu_encoder *cpu = memory;
    const int32_t batch_tokens = limits->batch_tokens;
    cpu->base = (struct encoder){
        .ops = &cpu_ops,
        .n_slots = n_slots,
        .batch_tokens = batch_tokens,
        .titles_cap = titles_cap_of(batch_tokens),
        .n_labels = config->n_labels,
        .max_length = config->max_positions < batch_tokens ? config->max_positions : batch_tokens,
        .token_tile = tile_rows_of(limits->precision),
        .title_tile = tile_rows_of(limits->precision),
    };
    pthread_mutex_init(&cpu->mutex, NULL);
    pthread_cond_init(&cpu->submitted, NULL);
    pthread_cond_init(&cpu->done, NULL);
    pthread_cond_init(&cpu->started, NULL);
    status = make_slots(cpu, error);
    if (status == STATUS_OK)
        status = cpu_model_create(model, limits->precision, limits->plain, &cpu->model, error);
    if (status == STATUS_OK) status = start_workers(cpu, limits->n_threads, error);
    if (status != STATUS_OK) {
        encoder_destroy(&cpu->base);
        return status;
    }
    *out = &cpu->base;
    return STATUS_OK;
}
