// SPDX-License-Identifier: Apache-2.0
//
// The encoder's forward pass as cuda/forward.c enqueues it, with the weights as
// cuda/device_weights.c puts them on a device, in the memory of cuda/memory_plan.c, on small random
// models: logits are held to the float64 reference, and are the same bits in batches of other
// sizes, beside other titles, in another slot, and behind other batches.
#include "cuda/device_weights.h"
#include "cuda/forward.h"
#include "tests/check.h"
#include "tests/reference/bert_ref.h"
#include "tests/simt/device.h"
#include "tests/simt/rig.h"
#include "tests/simt/runtime_sync.h"
#include "tests/support/must.h"
#include "tests/support/tiny_model.h"

// Of the logits' scale. The worst of 120 models a format were 9e-7, 3e-3 and 2.5e-2, and of 14 in
// e4m3 9.4e-2: what 2 to 5 layers of rounded weights and activations leave.
static const double tolerance[] = {
    [DTYPE_F32] = 5e-6, [DTYPE_F16] = 1e-2, [DTYPE_BF16] = 8e-2, [DTYPE_E4M3] = 0.3};

enum { N_TITLES = 7, N_SLOTS = 2 };

static const struct poll patient;
static struct matmul_context *products;  // of the pass that is open

struct titles {
    int32_t lengths[N_TITLES];
    int32_t *ids[N_TITLES];
};

// A pass of its own memory, ready for batches.
static struct forward open_pass(const struct model *model, enum dtype dtype, int32_t n_rows,
                                int32_t n_titles) {
    struct forward forward = {.config = &model->config,
                              .dtype = dtype,
                              .n_rows = n_rows,
                              .n_titles = n_titles,
                              .n_multiprocessors = 1 + rig_below(3)};
    const struct memory_request request = {&model->config, dtype, n_rows, n_titles, N_SLOTS, 0};
    struct error error;
    CHECK(memory_plan_make(&request, &forward.plan));
    forward.block = device_alloc(forward.plan.nbytes);
    void *zeros = must_zeroed(forward.plan.nbytes, 1);
    device_write(forward.block, zeros, forward.plan.nbytes);
    free(zeros);
    int code;
    must(device_weights_upload(model, &forward.plan, dtype, forward.block, NULL, &patient, &code,
                               &error),
         &error);
    products = runtime_sync_open();
    must(forward_create(&forward, products, &code, &error), &error);
    return forward;
}

static void close_pass(struct forward *forward) {
    forward_destroy(forward);
    runtime_sync_close(products);
    device_free(forward->block);
}

// Logits [n, K] of titles[order[0]], ..., titles[order[n - 1]]; free() them. NULL: it failed.
static float *run(const struct forward *forward, const struct titles *titles, const int32_t *order,
                  int32_t n, int32_t slot) {
    const struct memory_plan *plan = &forward->plan;
    char *pinned = must_zeroed(plan->slot.nbytes, 1);
    memset(pinned, 0x5a, plan->slot.nbytes);  // what another batch left
    int32_t *ids = (int32_t *)(void *)(pinned + plan->slot.token_ids);
    int32_t *cu_seqlens = (int32_t *)(void *)(pinned + plan->slot.cu_seqlens);
    cu_seqlens[0] = 0;
    for (int32_t i = 0; i < n; i++) {
        const int32_t length = titles->lengths[order[i]];
        memcpy(ids + cu_seqlens[i], titles->ids[order[i]], (size_t)length * sizeof *ids);
        cu_seqlens[i + 1] = cu_seqlens[i] + length;
    }
    CHECK(cu_seqlens[n] <= forward->n_rows && n <= forward->n_titles);
    const int32_t n_tokens = cu_seqlens[n];
    forward_prepare(forward, n, pinned);
    for (int32_t i = n; i <= forward->n_titles; i++) CHECK_INT(cu_seqlens[i], n_tokens);
    char *device = forward->block + plan->slots + (size_t)slot * plan->slot.nbytes;
    device_write(device, pinned, plan->slot.inputs_nbytes);
    const int code = forward_enqueue(forward, slot, NULL);
    float *logits = code == 0 ? must_zeroed(plan->slot.logits_nbytes, 1) : NULL;
    if (code == 0) device_read(logits, device + plan->slot.logits, plan->slot.logits_nbytes);
    if (code == 0)
        rig_digest(logits, (size_t)n * (size_t)forward->config->n_labels * sizeof *logits);
    if (code != 0) CHECK_INT(code, RUNTIME_SYNC_FAILURE);
    free(pinned);
    return logits;
}

static void compare(const struct model *model, const struct titles *titles, const float *logits,
                    enum dtype dtype) {
    const size_t k = (size_t)model->config.n_labels;
    double *want = must_zeroed(k, sizeof *want), apart = 0, scale = 0;
    struct bert_ref *ref;
    struct error error;
    must(bert_ref_open(model, &ref, &error), &error);
    for (size_t i = 0; i < N_TITLES; i++) {
        must(bert_ref_logits(ref, titles->ids[i], titles->lengths[i], want, &error), &error);
        for (size_t c = 0; c < k; c++) {
            const double difference = fabs((double)logits[i * k + c] - want[c]);
            apart = isnan(difference) ? INFINITY : fmax(apart, difference);
            scale = fmax(scale, fabs(want[c]));
        }
    }
    printf("H %d, %d heads, %d layers, GELU %d, head %d, format %d: %.2g of the logits' scale\n",
           model->config.hidden_size, model->config.n_heads, model->config.n_layers,
           (int)model->config.gelu, (int)model->config.head_activation, (int)dtype, apart / scale);
    CHECK(apart <= (tolerance[dtype] + runtime_sync_tolerance()) * scale);
    bert_ref_close(ref);
    free(want);
}

// Random subsets in random order give the bits that all titles together gave.
static void check_same_bits(const struct forward *forward, const struct titles *titles,
                            const float *all) {
    const size_t k = (size_t)forward->config->n_labels;
    for (int round = 0; round < 2; round++) {
        int32_t order[N_TITLES], n = 0, n_tokens = 0;
        for (int32_t i = 0; i < N_TITLES; i++) order[i] = i;
        rig_shuffle(order, N_TITLES);
        while (n < N_TITLES && n < forward->n_titles &&
               n_tokens + titles->lengths[order[n]] <= forward->n_rows) {
            n_tokens += titles->lengths[order[n++]];
        }
        float *logits = run(forward, titles, order, n, rig_below(N_SLOTS));
        CHECK(logits != NULL);
        for (int32_t i = 0; i < n; i++) {
            CHECK(memcmp(logits + (size_t)i * k, all + (size_t)order[i] * k, k * sizeof *all) == 0);
        }
        free(logits);
    }
}

// Half of the models compute as DistilBERT does; half of each have the other GELU.
static struct model *open_model(const struct tiny_model_spec *spec) {
    struct model *model = tiny_model_open(spec);
    if (rig_below(2) == 1) {
        model->config.head_activation = HEAD_RELU;
        model->config.type_vocab_size = 0;
        model->weights.token_type_embeddings = (struct tensor){0};
    }
    model->config.gelu = rig_below(2) == 0 ? GELU_ERF : GELU_TANH;
    return model;
}

static void test_model(enum dtype dtype, int32_t head_size) {
    struct tiny_model_spec spec = tiny_model_default();
    spec.config.n_heads = 64 / head_size * (1 + rig_below(2));
    spec.config.hidden_size = spec.config.n_heads * head_size;
    spec.config.intermediate_size = 16 * (3 + rig_below(28));
    spec.config.n_layers = 1 + rig_below(3);
    if (dtype == DTYPE_E4M3) spec.config.n_layers = 3 + rig_below(3);
    if (dtype != DTYPE_E4M3 && rig_one_in(2)) spec.config.intermediate_size += 8;
    spec.config.n_labels = 2 + rig_below(9);
    spec.config.max_positions = 160;
    spec.seed = rig_bits();
    struct model *model = open_model(&spec);
    struct titles titles = {{1 + rig_below(16), 17 + rig_below(16), 33 + rig_below(16), 2,
                             49 + rig_below(16), 65 + rig_below(20), 3 + rig_below(9)},
                            {NULL}};
    int32_t n_tokens = 0, order[N_TITLES];
    for (int32_t i = 0; i < N_TITLES; i++) {
        order[i] = i;
        n_tokens += titles.lengths[i];
        titles.ids[i] = must_zeroed((size_t)titles.lengths[i], sizeof(int32_t));
        for (int32_t t = 0; t < titles.lengths[i]; t++) {
            titles.ids[i][t] = rig_below(spec.config.vocab_size);
        }
    }
    struct forward forward = open_pass(model, dtype, n_tokens + rig_below(40), N_TITLES);
    float *all = run(&forward, &titles, order, N_TITLES, 0);
    CHECK(all != NULL);
    compare(model, &titles, all, dtype);
    check_same_bits(&forward, &titles, all);
    // A product that fails ends the pass, whichever it is, and the next one is right again.
    if (runtime_sync_fail_product(rig_below(6 + 4 * (spec.config.n_layers - 1)))) {
        CHECK(run(&forward, &titles, order, N_TITLES, 0) == NULL);
    }
    runtime_sync_fail_product(-1);
    check_same_bits(&forward, &titles, all);
    close_pass(&forward);
    struct forward other = open_pass(model, dtype, 85 + rig_below(80), 1 + rig_below(9));
    check_same_bits(&other, &titles, all);
    close_pass(&other);
    for (int32_t i = 0; i < N_TITLES; i++) free(titles.ids[i]);
    free(all);
    model_close(model);
}

int main(int argc, char **argv) {
    const int code = rig_open(argc, argv);
    if (code != RIG_GO) return code;
    for (int c = 0; c < rig_n_cases(); c++) {
        for (int dtype = DTYPE_F32; dtype < rig_n_dtypes(); dtype++) {
            test_model((enum dtype)dtype, 32);
            test_model((enum dtype)dtype, 64);
        }
        if (rig_has_e4m3()) {
            test_model(DTYPE_E4M3, 32);
            test_model(DTYPE_E4M3, 64);
        }
    }
    rig_report();
    CHECK_INT(device_faults(), 0);
    return check_result();
}
