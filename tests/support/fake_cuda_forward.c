// SPDX-License-Identifier: Apache-2.0
//
// cuda/matmul.h and cuda/forward.h on fake devices: products that compute nothing, and a pass whose
// logits are those of fake_encoder_logits.
#include <stdlib.h>
#include <string.h>

#include "tests/support/fake_cuda_world.h"
#include "tests/support/fake_encoder.h"

struct matmul_choices {
    int64_t n_contexts;  // under the mutex
};

struct matmul_context {
    struct fake_device *device;
    struct matmul_choices *choices;
    char *workspace;
    int64_t n_products;
};

struct matmul {
    struct matmul_context *context;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int64_t n_choices;  // under the mutex

int64_t fake_choices_alive(void) {
    pthread_mutex_lock(&mutex);
    const int64_t n = n_choices;
    pthread_mutex_unlock(&mutex);
    return n;
}

// ---- choices and contexts

enum status matmul_choices_open(const struct cuda_device *device, struct matmul_choices **out,
                                struct error *error) {
    (void)device;
    *out = NULL;
    if (fake_spec.no_library) return error_set(error, STATUS_MODEL, "there is no fake library");
    *out = fake_zeroed(sizeof **out);
    pthread_mutex_lock(&mutex);
    n_choices++;
    pthread_mutex_unlock(&mutex);
    return STATUS_OK;
}

void matmul_choices_keep(struct matmul_choices *choices) {
    pthread_mutex_lock(&mutex);
    if (choices->n_contexts == 0) fake_broken("choices kept that nobody made");
    pthread_mutex_unlock(&mutex);
}

void matmul_choices_close(struct matmul_choices *choices) {
    if (choices == NULL) return;
    pthread_mutex_lock(&mutex);
    if (choices->n_contexts != 0) fake_broken("choices closed with a context open");
    n_choices--;
    pthread_mutex_unlock(&mutex);
    free(choices);
}

static void count_context(struct matmul_choices *choices, int64_t n) {
    pthread_mutex_lock(&mutex);
    choices->n_contexts += n;
    pthread_mutex_unlock(&mutex);
}

static enum status refuse(int result, int *code, struct error *error) {
    *code = result == FAKE_CODE_NO_SERVICE ? 0 : result;
    if (*code == 0) return error_set(error, STATUS_MODEL, "the fake library cannot serve");
    char name[128];
    return error_set(error, STATUS_MODEL, "the fake library failed: %s",
                     gpu_code_name(*code, name));
}

enum status matmul_open(const struct cuda_device *device, struct matmul_choices *choices,
                        struct matmul_context **out, int *code, struct error *error) {
    struct fake_device *used = fake_use(device->index);
    const int result = fake_enter(used, FAKE_LIBRARY);
    *out = NULL;
    *code = 0;
    if (result == 0) {
        *out = fake_zeroed(sizeof **out);
        **out = (struct matmul_context){.device = used, .choices = choices};
        count_context(choices, 1);
        used->n_alive[ALIVE_LIBRARY]++;
    }
    fake_leave(used);
    return result == 0 ? STATUS_OK : refuse(result, code, error);
}

void matmul_close(struct matmul_context *context) {
    if (context == NULL) return;
    struct fake_device *device = context->device;
    (void)fake_enter(device, FAKE_LIBRARY_CLOSE);
    if (context->n_products != 0) fake_broken("a library closed with products alive");
    count_context(context->choices, -1);
    device->n_alive[ALIVE_LIBRARY]--;
    free(context);
    fake_leave(device);
}

void matmul_set_workspace(struct matmul_context *context, void *workspace) {
    context->workspace = workspace;
}

// ---- products

enum status matmul_create(struct matmul_context *context, const struct matmul_shape *shape,
                          int32_t n_rows, struct matmul **out, int *code, struct error *error) {
    const int result = fake_enter(context->device, FAKE_PLAN);
    if (shape->n_in % 8 != 0 || shape->n_out % 8 != 0 || n_rows < 1) {
        fake_broken("a product of a shape that is none");
    }
    *out = NULL;
    *code = 0;
    if (result == 0) {
        *out = fake_zeroed(sizeof **out);
        (*out)->context = context;
        context->n_products++;
        context->device->n_alive[ALIVE_PLAN]++;
    }
    fake_leave(context->device);
    return result == 0 ? STATUS_OK : refuse(result, code, error);
}

void matmul_destroy(struct matmul *matmul) {
    if (matmul == NULL) return;
    struct fake_device *device = matmul->context->device;
    (void)fake_enter(device, FAKE_PLAN_DESTROY);
    matmul->context->n_products--;
    device->n_alive[ALIVE_PLAN]--;
    free(matmul);
    fake_leave(device);
}

int matmul_run(struct matmul *matmul, const void *x, const void *weight, const void *bias, void *y,
               struct CUstream_st *stream) {
    struct matmul_context *context = matmul->context;
    const struct fake_operation operation = {
        .kind = OP_PRODUCT, .to = context->workspace, .nbytes = MATMUL_WORKSPACE_NBYTES};
    const void *const operands[] = {x, weight, bias, y};
    const int code = fake_enter(context->device, FAKE_PRODUCT);
    fake_require(context->device, context->workspace, MATMUL_WORKSPACE_NBYTES, false);
    for (size_t i = 0; i < ARRAY_LEN(operands); i++) {
        if (operands[i] != NULL) fake_require(context->device, operands[i], 1, false);
    }
    if (code == 0) fake_enqueue(stream, &operation);
    fake_leave(context->device);
    return code;
}

// ---- the pass

// A product of each number of rows.
enum status forward_create(struct forward *forward, struct matmul_context *context, int *code,
                           struct error *error) {
    const int32_t h = forward->config->hidden_size;
    const struct matmul_shape shape = {h, h, forward->dtype, forward->dtype, MATMUL_PLAIN};
    enum status status = matmul_create(context, &shape, forward->n_rows,
                                       &forward->matmuls.attention_output, code, error);
    if (status != STATUS_OK) return status;
    return matmul_create(context, &shape, forward->n_titles, &forward->matmuls.cls_attention_output,
                         code, error);
}

void forward_destroy(struct forward *forward) {
    matmul_destroy(forward->matmuls.attention_output);
    matmul_destroy(forward->matmuls.cls_attention_output);
    forward->matmuls = (struct forward_matmuls){0};
}

static int32_t *ints(char *slot, size_t at) {
    return (int32_t *)(void *)(slot + at);
}

// Where the last item would lie, at the end of the inputs.
static int32_t *sum_place(const struct slot_places *places, char *slot) {
    return ints(slot, places->inputs_nbytes - sizeof(int32_t));
}

static int32_t sum(const int32_t *values, int32_t n) {
    uint32_t hash = (uint32_t)n;
    for (int32_t i = 0; i < n; i++) hash = (hash ^ (uint32_t)values[i]) * 16777619U;
    return (int32_t)(hash & INT32_MAX);
}

// Dummies, and at the end of the inputs what tells the pass that all of them arrived.
void forward_prepare(const struct forward *forward, int32_t n_titles, void *pinned) {
    const struct slot_places *places = &forward->plan.slot;
    int32_t *token_ids = ints(pinned, places->token_ids);
    int32_t *cu_seqlens = ints(pinned, places->cu_seqlens);
    const int32_t n_tokens = cu_seqlens[n_titles];
    for (int32_t i = n_tokens; i < forward->n_rows; i++) token_ids[i] = 0;
    for (int32_t i = n_titles + 1; i <= forward->n_titles; i++) cu_seqlens[i] = n_tokens;
    *sum_place(places, pinned) = sum(token_ids, n_tokens);
}

int forward_enqueue(const struct forward *forward, int32_t slot, struct CUstream_st *stream) {
    const struct memory_plan *plan = &forward->plan;
    char *block = forward->block;
    int code = matmul_run(forward->matmuls.attention_output, block + plan->hidden,
                          block + plan->layers.begin, NULL, block + plan->narrow, stream);
    if (code != 0) return code;
    const struct fake_operation pass = {.kind = OP_PASS,
                                        .to = block,
                                        .nbytes = plan->nbytes,
                                        .plan = *plan,
                                        .slot = slot,
                                        .n_rows = forward->n_rows,
                                        .n_titles = forward->n_titles};
    struct fake_device *device = fake_current();
    code = fake_enter(device, FAKE_KERNEL);
    fake_require(device, block, plan->nbytes, false);
    if (code == 0) fake_enqueue(stream, &pass);
    fake_leave(device);
    return code;
}

int32_t fake_run_pass(const struct fake_operation *operation) {
    static const unsigned char poison[4] = {0xA5, 0xA5, 0xA5, 0xA5};
    const struct memory_plan *plan = &operation->plan;
    char *slot = operation->to + plan->slots + (size_t)operation->slot * plan->slot.nbytes;
    const int32_t *token_ids = ints(slot, plan->slot.token_ids);
    const int32_t *cu_seqlens = ints(slot, plan->slot.cu_seqlens);
    float *logits = (float *)(void *)(slot + plan->slot.logits);
    const int32_t n_tokens = cu_seqlens[operation->n_titles];
    if (memcmp(operation->to + plan->classifier_bias, poison, sizeof poison) == 0) {
        fake_broken("a pass before its weights were there");
    }
    if (n_tokens < 0 || n_tokens > operation->n_rows ||
        *sum_place(&plan->slot, slot) != sum(token_ids, n_tokens)) {
        fake_broken("a pass on inputs that are not one batch's");
        return 0;
    }
    const size_t n_labels = plan->slot.logits_nbytes / sizeof(float) / (size_t)operation->n_titles;
    if (n_labels < FAKE_LABELS) fake_broken("a model of fewer labels");
    for (int32_t i = 0; i < operation->n_titles && n_labels >= FAKE_LABELS; i++) {
        float *to = logits + (size_t)i * n_labels;
        memset(to, 0, n_labels * sizeof *to);
        fake_encoder_logits(token_ids + cu_seqlens[i], cu_seqlens[i + 1] - cu_seqlens[i], -1, to);
    }
    return n_tokens;
}
