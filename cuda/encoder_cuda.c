// SPDX-License-Identifier: Apache-2.0
#include "cuda/encoder_cuda.h"

#include <stdlib.h>
#include <string.h>

#include "cuda/device_worker.h"

// Rows come in whole waves of 128 x 256 tiles of a product with 768 columns, on every third of the
// multiprocessors one row of tiles. Eight of them keep launches far apart without asking for much
// memory; four batches: one runs, one waits on the device, one is filled, one is read.
enum { TILE_ROWS = 128, TILE_COLUMNS = 3, N_QUANTA = 8, ROWS_MAX = 1 << 20, N_BATCHES = 4 };

// Of the memory that is free: what a chosen batch may take, for the library and the driver will
// want some, and what one that was asked for may.
enum { PERCENT_CHOSEN = 85, PERCENT_ASKED = 95 };

struct cuda_encoder {
    struct encoder base;            // first: a pointer to it is a pointer to this
    struct device_worker *workers;  // [n_workers], those whose threads run
    int32_t n_workers;
    struct matmul_choices *choices;
};

// ---- slots

static struct device_worker *worker_of(struct cuda_encoder *cuda, int32_t slot) {
    return &cuda->workers[slot % cuda->n_workers];
}

static struct encoder_slot *cuda_slot(struct encoder *encoder, int32_t i) {
    struct cuda_encoder *cuda = (struct cuda_encoder *)encoder;
    return &worker_of(cuda, i)->batches[i / cuda->n_workers].slot;
}

static void cuda_submit(struct encoder *encoder, int32_t i) {
    struct cuda_encoder *cuda = (struct cuda_encoder *)encoder;
    worker_submit(worker_of(cuda, i), i / cuda->n_workers);
}

static enum status cuda_wait(struct encoder *encoder, int32_t i, struct error *error) {
    struct cuda_encoder *cuda = (struct cuda_encoder *)encoder;
    return worker_await_batch(worker_of(cuda, i), i / cuda->n_workers, error);
}

// ---- all devices at once

// The first failure counts, one for lack of memory only where there is no other. `*out_of_memory`:
// all were of that kind.
static enum status ask_all(struct cuda_encoder *cuda, enum worker_step step, bool *out_of_memory,
                           struct error *error) {
    enum status first = STATUS_OK;
    *out_of_memory = true;
    for (int32_t w = 0; w < cuda->n_workers; w++) worker_ask(&cuda->workers[w], step);
    for (int32_t w = 0; w < cuda->n_workers; w++) {
        struct error reason;
        bool is_memory;
        const enum status status = worker_await(&cuda->workers[w], &is_memory, &reason);
        if (status == STATUS_OK) continue;
        const bool counts = first == STATUS_OK || (*out_of_memory && !is_memory);
        *out_of_memory = *out_of_memory && is_memory;
        if (counts && error != NULL) *error = reason;
        if (counts) first = status;
    }
    return first;
}

// A stuck thread may wake up at any time: it keeps what it uses.
static void cuda_destroy(struct encoder *encoder) {
    struct cuda_encoder *cuda = (struct cuda_encoder *)encoder;
    bool out_of_memory;
    (void)ask_all(cuda, WORKER_CLOSE, &out_of_memory, NULL);
    bool all_ended = true;
    for (int32_t w = 0; w < cuda->n_workers; w++) {
        all_ended = worker_join(&cuda->workers[w]) && all_ended;
    }
    if (!all_ended) {
        worker_mark_stuck();
        return;
    }
    matmul_choices_close(cuda->choices);
    free(cuda->workers);
    free(cuda);
}

static enum status cuda_profile(struct encoder *encoder, int32_t i, struct encoder_profile *profile,
                                struct error *error) {
    struct cuda_encoder *cuda = (struct cuda_encoder *)encoder;
    return worker_profile(worker_of(cuda, i), i / cuda->n_workers, profile, error);
}

// All devices at the same time, as in a run: they may share what cools and feeds them.
static enum status cuda_products(struct encoder *encoder, double seconds,
                                 struct encoder_products *products, struct error *error) {
    struct cuda_encoder *cuda = (struct cuda_encoder *)encoder;
    bool out_of_memory;
    for (int32_t w = 0; w < cuda->n_workers; w++) cuda->workers[w].products.seconds = seconds;
    const enum status status = ask_all(cuda, WORKER_PRODUCTS, &out_of_memory, error);
    // Whatever became of the others: a device that is lost leaves at once.
    (void)ask_all(cuda, WORKER_SERVE, &out_of_memory, NULL);
    if (status != STATUS_OK) return status;
    *products = cuda->workers[0].products.best;
    for (int32_t w = 1; w < cuda->n_workers; w++) {
        products->flops_per_s += cuda->workers[w].products.best.flops_per_s;
    }
    return STATUS_OK;
}

static const struct encoder_ops cuda_ops = {.slot = cuda_slot,
                                            .submit = cuda_submit,
                                            .wait = cuda_wait,
                                            .destroy = cuda_destroy,
                                            .profile = cuda_profile,
                                            .products = cuda_products};

// ---- how many rows

static int32_t round_up(int32_t n, int32_t unit) {
    return (n + unit - 1) / unit * unit;
}

static const struct device_worker *least_free(const struct cuda_encoder *cuda) {
    const struct device_worker *least = &cuda->workers[0];
    for (int32_t w = 1; w < cuda->n_workers; w++) {
        if (cuda->workers[w].free_nbytes < least->free_nbytes) least = &cuda->workers[w];
    }
    return least;
}

// The same for all devices: a batch goes to any. `*n_rows` is a multiple of TILE_ROWS.
static enum status choose_rows(const struct cuda_encoder *cuda, const struct model *model,
                               const struct encoder_cuda_settings *settings, int32_t *n_rows,
                               struct error *error) {
    const struct memory_request request = {.config = &model->config,
                                           .dtype = settings->dtype,
                                           .n_slots = cuda->workers[0].n_batches,
                                           .scratch_nbytes = MATMUL_WORKSPACE_NBYTES};
    const struct device_worker *least = least_free(cuda);
    const size_t free_mib = least->free_nbytes >> 20, hundredth = least->free_nbytes / 100;
    const int32_t floor = round_up(settings->max_length, TILE_ROWS);
    const int32_t safe =
        memory_plan_rows(&request, hundredth * PERCENT_CHOSEN, TILE_ROWS, ROWS_MAX);
    if (safe < floor) {
        return error_set(error, STATUS_MODEL,
                         "CUDA device %d (%s) has %zu MiB free, too little for this model%s",
                         (int)least->device.index, least->device.name, free_mib,
                         settings->max_length > TILE_ROWS ? "; a lower --max-length may do" : "");
    }
    if (settings->batch_tokens > 0) {
        const int32_t most =
            memory_plan_rows(&request, hundredth * PERCENT_ASKED, TILE_ROWS, ROWS_MAX);
        *n_rows = settings->batch_tokens < ROWS_MAX ? round_up(settings->batch_tokens, TILE_ROWS)
                                                    : ROWS_MAX;
        if (*n_rows <= most) return STATUS_OK;
        return error_set(error, STATUS_USAGE,
                         "--batch-tokens %d needs more memory than CUDA device %d (%s) has free "
                         "(%zu MiB); the most that fits is %d",
                         (int)settings->batch_tokens, (int)least->device.index, least->device.name,
                         free_mib, (int)safe);
    }
    const int32_t n_thirds = settings->devices[0].n_multiprocessors / TILE_COLUMNS;
    const int32_t quantum = TILE_ROWS * (n_thirds > 0 ? n_thirds : 1);
    const int32_t wanted = N_QUANTA * quantum > floor ? N_QUANTA * quantum : floor;
    *n_rows = safe < wanted ? safe : wanted;
    if (*n_rows > quantum && *n_rows - *n_rows % quantum >= floor) *n_rows -= *n_rows % quantum;
    return STATUS_OK;
}

// What cudaMemGetInfo said may have changed since, and says nothing of how it is cut up.
static enum status open_rows(struct cuda_encoder *cuda, int32_t floor, int32_t *n_rows,
                             struct error *error) {
    for (;;) {
        bool out_of_memory;
        for (int32_t w = 0; w < cuda->n_workers; w++) cuda->workers[w].n_rows = *n_rows;
        const enum status status = ask_all(cuda, WORKER_OPEN, &out_of_memory, error);
        if (status == STATUS_OK || !out_of_memory) return status;
        if (*n_rows <= floor) {
            struct error reason = *error;
            return error_set(error, STATUS_MODEL, "even the smallest batch is too large: %s",
                             reason.text);
        }
        *n_rows = round_up(*n_rows / 2, TILE_ROWS);
        if (*n_rows < floor) *n_rows = floor;
    }
}

// ---- making one

bool encoder_cuda_same_kind(const struct cuda_device *a, const struct cuda_device *b) {
    return strcmp(a->name, b->name) == 0 && a->major == b->major && a->minor == b->minor &&
           a->n_multiprocessors == b->n_multiprocessors;
}

enum dtype encoder_cuda_dtype(const struct cuda_device *device) {
    return device->major >= 8 ? DTYPE_BF16 : DTYPE_F16;
}

static enum status check_device(const struct cuda_device *device, enum dtype dtype,
                                struct error *error) {
    static const struct {
        enum dtype dtype;  // or DTYPE_F32: whatever it is
        int32_t least;     // compute capability, times 10
        const char *lacks;
    } needs[] = {
        {DTYPE_F32, 75, ", the kernels take 7.5 and up"},
        {DTYPE_BF16, 80, " and no bf16, which comes with 8.0; give --precision fp16"},
        {DTYPE_E4M3, 89, " and no fp8, which comes with 8.9; give --precision bf16 or fp16"}};
    for (size_t i = 0; i < ARRAY_LEN(needs); i++) {
        if (needs[i].dtype != DTYPE_F32 && needs[i].dtype != dtype) continue;
        if (10 * device->major + device->minor >= needs[i].least) continue;
        return error_set(error, STATUS_MODEL, "CUDA device %d (%s) has compute capability %d.%d%s",
                         (int)device->index, device->name, (int)device->major, (int)device->minor,
                         needs[i].lacks);
    }
    return STATUS_OK;
}

static enum status start_workers(struct cuda_encoder *cuda, const struct model *model,
                                 const struct encoder_cuda_settings *settings,
                                 struct error *error) {
    void *memory;
    enum status status = alloc_zeroed(&memory, (size_t)settings->n_devices, sizeof *cuda->workers,
                                      "the devices", error);
    if (status != STATUS_OK) return status;
    cuda->workers = memory;
    while (status == STATUS_OK && cuda->n_workers < settings->n_devices) {
        struct device_worker *worker = &cuda->workers[cuda->n_workers];
        worker->device = settings->devices[cuda->n_workers];
        worker->config = model->config;
        worker->model = model;
        worker->choices = cuda->choices;
        worker->dtype = settings->dtype;
        worker->n_batches =
            settings->n_slots_per_device > 0 ? settings->n_slots_per_device : N_BATCHES;
        worker->timeout_seconds = settings->timeout_seconds;
        status = worker_start(worker, error);
        if (status == STATUS_OK) cuda->n_workers++;
    }
    return status;
}

static bool has_graphs(const struct cuda_encoder *cuda) {
    for (int32_t w = 0; w < cuda->n_workers; w++) {
        const struct device_worker *worker = &cuda->workers[w];
        for (int32_t i = 0; i < worker->n_batches; i++) {
            if (worker->batches[i].graph == NULL) return false;
        }
    }
    return true;
}

// All that comes before memory is taken on the devices.
static enum status prepare(struct cuda_encoder *cuda, const struct model *model,
                           const struct encoder_cuda_settings *settings, int32_t *n_rows,
                           struct error *error) {
    bool out_of_memory;
    enum status status = matmul_choices_open(&settings->devices[0], &cuda->choices, error);
    if (status == STATUS_OK) status = start_workers(cuda, model, settings, error);
    if (status == STATUS_OK) {
        status = ask_all(cuda, WORKER_PROBE, &out_of_memory, error);
        if (status != STATUS_OK && out_of_memory) status = STATUS_MODEL;  // others have it all
    }
    return status == STATUS_OK ? choose_rows(cuda, model, settings, n_rows, error) : status;
}

// Rows are there by the tile, tokens are what was asked for.
static int32_t batch_tokens_of(const struct encoder_cuda_settings *settings, int32_t n_rows) {
    const int32_t asked = settings->batch_tokens;
    return asked > 0 && asked < n_rows ? asked : n_rows;
}

static enum status make(struct cuda_encoder *cuda, const struct model *model,
                        const struct encoder_cuda_settings *settings, struct error *error) {
    bool out_of_memory;
    int32_t n_rows = 0;
    enum status status = prepare(cuda, model, settings, &n_rows, error);
    if (status == STATUS_OK) {
        const int32_t floor = round_up(settings->max_length, TILE_ROWS);
        status = open_rows(cuda, floor, &n_rows, error);
    }
    if (status == STATUS_OK) status = ask_all(cuda, WORKER_SERVE, &out_of_memory, error);
    if (status != STATUS_OK) return status;
    matmul_choices_keep(cuda->choices);
    const int32_t batch_tokens = batch_tokens_of(settings, n_rows);
    const int32_t max_positions = model->config.max_positions;
    cuda->base.n_slots = cuda->n_workers * cuda->workers[0].n_batches;
    cuda->base.batch_tokens = batch_tokens;
    cuda->base.titles_cap = memory_plan_titles(n_rows);
    cuda->base.token_tile = n_rows;
    cuda->base.title_tile = cuda->base.titles_cap;
    cuda->base.n_labels = model->config.n_labels;
    if (!has_graphs(cuda)) cuda->base.remark = "without CUDA graphs";
    cuda->base.max_length = max_positions < batch_tokens ? max_positions : batch_tokens;
    return STATUS_OK;
}

// An encoder without devices, once the model and they are known to go together.
static enum status begin(const struct model *model, const struct encoder_cuda_settings *settings,
                         struct cuda_encoder **out, struct error *error) {
    *out = NULL;
    enum status status = memory_plan_check(&model->config, settings->dtype, error);
    for (int32_t d = 0; status == STATUS_OK && d < settings->n_devices; d++) {
        status = check_device(&settings->devices[d], settings->dtype, error);
    }
    void *memory;
    if (status == STATUS_OK) {
        status = alloc_zeroed(&memory, 1, sizeof(struct cuda_encoder), "the encoder", error);
    }
    if (status != STATUS_OK) return status;
    *out = memory;
    (*out)->base.ops = &cuda_ops;
    return STATUS_OK;
}

enum status encoder_cuda_measure(const struct model *model,
                                 const struct encoder_cuda_settings *settings,
                                 struct encoder_cuda_memory *memory, struct error *error) {
    struct cuda_encoder *cuda;
    *memory = (struct encoder_cuda_memory){0};
    enum status status = begin(model, settings, &cuda, error);
    if (status != STATUS_OK) return status;
    int32_t n_rows = 0;
    status = prepare(cuda, model, settings, &n_rows, error);
    if (status == STATUS_OK) {
        const int32_t n_batches = cuda->workers[0].n_batches;
        const struct memory_request request = {.config = &model->config,
                                               .dtype = settings->dtype,
                                               .n_rows = n_rows,
                                               .n_titles = memory_plan_titles(n_rows),
                                               .n_slots = n_batches,
                                               .scratch_nbytes = MATMUL_WORKSPACE_NBYTES};
        struct memory_plan plan;
        (void)memory_plan_make(&request, &plan);  // choose_rows found that it can be made
        memory->batch_tokens = batch_tokens_of(settings, n_rows);
        memory->n_slots = cuda->n_workers * n_batches;
        memory->free_nbytes = least_free(cuda)->free_nbytes;
        memory->device_nbytes = plan.nbytes;
        memory->weights_nbytes = plan.weights_nbytes;
        memory->pinned_nbytes = (size_t)memory->n_slots * plan.slot.nbytes;
    }
    encoder_destroy(&cuda->base);
    return status;
}

enum status encoder_create_cuda(const struct model *model,
                                const struct encoder_cuda_settings *settings, struct encoder **out,
                                struct error *error) {
    struct cuda_encoder *cuda;
    *out = NULL;
    enum status status = begin(model, settings, &cuda, error);
    if (status != STATUS_OK) return status;
    status = make(cuda, model, settings, error);
    if (status == STATUS_OK) {
        *out = &cuda->base;
    } else {
        encoder_destroy(&cuda->base);
    }
    return status;
}
