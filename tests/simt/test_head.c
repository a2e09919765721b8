// SPDX-License-Identifier: Apache-2.0
//
// kernel_head: both activations, every hidden size, any number of labels; probabilities against the
// softmax of the very logits that came with them.
#include "tests/check.h"
#include "tests/simt/device.h"
#include "tests/simt/kernel_ref.h"
#include "tests/simt/rig.h"

enum { HIDDEN_MIN = 64, HIDDEN_MAX = 1024, HIDDEN_STEP = 32 };

enum head_kind {
    HEAD_USUAL,
    HEAD_SATURATED,  // tanh is +-1 in most places, relu is large
    HEAD_SMALL,      // tanh(x) is x
    HEAD_LARGE,      // logits of some 1e4: one label takes all
    HEAD_ONE_HOT,    // a label reads one column
    HEAD_EQUAL,      // all labels alike
    HEAD_SUBNORMAL,
    HEAD_KINDS
};

struct head_case {
    struct kernel_head args;
    struct rig_array x, x_bias, weight, bias, logits, probabilities;
    struct rig_expected logits_expected, probabilities_expected;
};

static void fill_case(struct head_case *item, enum head_kind kind) {
    const size_t width = (size_t)item->args.hidden_size, n_labels = (size_t)item->args.n_labels;
    const double size = kind == HEAD_SATURATED   ? 50
                        : kind == HEAD_SMALL     ? 1e-4
                        : kind == HEAD_SUBNORMAL ? 0x1p-127
                                                 : 2;
    const double weight = kind == HEAD_LARGE ? 1e4 : 0.5;
    rig_fill(item->x.values, item->x.n, -size, size);
    rig_fill(item->x_bias.values, width, -size / 2, size / 2);
    rig_fill(item->weight.values, item->weight.n, -weight, weight);
    rig_fill(item->bias.values, n_labels, -2, 2);
    for (size_t k = 0; k < n_labels; k++) {
        float *row = item->weight.values + k * width;
        if (kind == HEAD_ONE_HOT) memset(row, 0, width * sizeof *row);
        if (kind == HEAD_ONE_HOT) row[rig_below(item->args.hidden_size)] = 3;
        if (kind == HEAD_EQUAL) memcpy(row, item->weight.values, width * sizeof *row);
        if (kind == HEAD_EQUAL) item->bias.values[k] = item->bias.values[0];
    }
}

static struct head_case head_create(int32_t n_titles, int32_t hidden_size, int32_t n_labels,
                                    enum head_kind kind) {
    const size_t width = (size_t)hidden_size, n = (size_t)n_titles, k = (size_t)n_labels;
    struct head_case item = {.x = rig_input(DTYPE_F32, n * width),
                             .x_bias = rig_input(DTYPE_F32, width),
                             .weight = rig_input(DTYPE_F32, k * width),
                             .bias = rig_input(DTYPE_F32, k),
                             .logits = rig_output(DTYPE_F32, n * k),
                             .probabilities = rig_output(DTYPE_F32, n * k),
                             .logits_expected = rig_expected(n * k),
                             .probabilities_expected = rig_expected(n * k)};
    item.args = (struct kernel_head){.activation = rig_below(2) == 0 ? HEAD_TANH : HEAD_RELU,
                                     .n_titles = n_titles,
                                     .hidden_size = hidden_size,
                                     .n_labels = n_labels,
                                     .x = item.x.device,
                                     .x_bias = item.x_bias.device,
                                     .weight = item.weight.device,
                                     .bias = item.bias.device,
                                     .logits = item.logits.device,
                                     .probabilities = item.probabilities.device};
    fill_case(&item, kind);
    rig_send(&item.x);
    rig_send(&item.x_bias);
    rig_send(&item.weight);
    rig_send(&item.bias);
    return item;
}

static void head_free(struct head_case *item) {
    rig_expected_free(&item->probabilities_expected);
    rig_expected_free(&item->logits_expected);
    rig_free(&item->probabilities);
    rig_free(&item->logits);
    rig_free(&item->bias);
    rig_free(&item->weight);
    rig_free(&item->x_bias);
    rig_free(&item->x);
}

static void run_case(struct head_case *item) {
    CHECK_INT(kernel_head(&item->args, NULL), CUDA_SUCCESS);
    CHECK(rig_fetch(&item->logits));
    CHECK(rig_fetch(&item->probabilities));
}

static void check_reference(struct head_case *item) {
    const int32_t n_labels = item->args.n_labels;
    run_case(item);
    for (size_t i = 0; i < (size_t)item->args.n_titles; i++) {
        const size_t at = i * (size_t)n_labels;
        const struct ref_head head = {.activation = item->args.activation,
                                      .n_hidden = item->args.hidden_size,
                                      .n_labels = n_labels,
                                      .x = item->x.values + i * (size_t)item->args.hidden_size,
                                      .x_bias = item->x_bias.values,
                                      .weight = item->weight.values,
                                      .bias = item->bias.values};
        ref_logits(&head, item->logits_expected.want + at, item->logits_expected.allowed + at);
        ref_softmax(item->logits.values + at, n_labels, item->probabilities_expected.want + at,
                    item->probabilities_expected.allowed + at);
    }
    CHECK(rig_compare("logits", &item->logits, 0, item->logits.n, &item->logits_expected));
    CHECK(rig_compare("probabilities", &item->probabilities, 0, item->probabilities.n,
                      &item->probabilities_expected));
    CHECK(rig_is_unchanged(&item->x) && rig_is_unchanged(&item->x_bias));
    CHECK(rig_is_unchanged(&item->weight) && rig_is_unchanged(&item->bias));
}

// Without probabilities the logits are the same, and the array is left alone.
static void check_logits_only(const struct head_case *item) {
    struct kernel_head args = item->args;
    struct rig_array logits = rig_output(DTYPE_F32, item->logits.n);
    args.logits = logits.device;
    args.probabilities = NULL;
    CHECK_INT(kernel_head(&args, NULL), CUDA_SUCCESS);
    CHECK(rig_fetch(&logits));
    CHECK(rig_same_bits(&item->logits, 0, &logits, 0, logits.n));
    CHECK(rig_is_unchanged(&item->probabilities));
    rig_free(&logits);
}

// One title as the second of three, between NaN: the same bits.
static void check_elsewhere(const struct head_case *item) {
    const size_t width = (size_t)item->args.hidden_size, k = (size_t)item->args.n_labels;
    const size_t title = (size_t)rig_below(item->args.n_titles);
    struct head_case other = *item;
    other.x = rig_input(DTYPE_F32, 3 * width);
    other.logits = rig_output(DTYPE_F32, 3 * k);
    other.probabilities = rig_output(DTYPE_F32, 3 * k);
    rig_fill(other.x.values, other.x.n, NAN, NAN);
    memcpy(other.x.values + width, item->x.values + title * width, width * sizeof(float));
    rig_send(&other.x);
    other.args.n_titles = 3;
    other.args.x = other.x.device;
    other.args.logits = other.logits.device;
    other.args.probabilities = other.probabilities.device;
    run_case(&other);
    CHECK(rig_same_bits(&item->logits, title * k, &other.logits, k, k));
    CHECK(rig_same_bits(&item->probabilities, title * k, &other.probabilities, k, k));
    CHECK(rig_is_nan(&other.logits, 0, k) && rig_is_nan(&other.logits, 2 * k, k));
    CHECK(rig_is_nan(&other.probabilities, 0, k) && rig_is_nan(&other.probabilities, 2 * k, k));
    rig_free(&other.probabilities);
    rig_free(&other.logits);
    rig_free(&other.x);
}

static void test_size(int32_t n_titles, int32_t hidden_size, int32_t n_labels,
                      enum head_kind kind) {
    struct head_case item = head_create(n_titles, hidden_size, n_labels, kind);
    check_reference(&item);
    check_logits_only(&item);
    check_elsewhere(&item);
    head_free(&item);
}

#define REFUSES(field, value)  RIG_REFUSES(kernel_head, good, field, value)
#define REFUSES_POINTER(field) RIG_REFUSES_POINTER(kernel_head, good, field)

static void test_refusals(void) {
    struct head_case item = head_create(2, 96, 8, HEAD_USUAL);
    rig_mark(&item.logits);
    rig_mark(&item.probabilities);
    struct kernel_head good = item.args;
#if !defined(__SANITIZE_ADDRESS__)  // with it goes UBSan, which reports such a value
    REFUSES(activation, (enum head_activation)2);
#endif
    for (size_t i = 0; i < ARRAY_LEN(rig_no_hidden_sizes); i++)
        REFUSES(hidden_size, rig_no_hidden_sizes[i]);
    REFUSES(n_titles, -1);
    REFUSES(n_titles, INT32_MIN);
    REFUSES(n_labels, -1);
    REFUSES(n_labels, 0);
    REFUSES(n_labels, INT32_MIN);
    REFUSES_POINTER(x);
    REFUSES_POINTER(x_bias);
    REFUSES_POINTER(weight);
    REFUSES_POINTER(bias);
    REFUSES_POINTER(logits);
    REFUSES(probabilities, good.probabilities + 1);
    good.n_titles = 0;
    CHECK_INT(kernel_head(&good, NULL), CUDA_SUCCESS);
    CHECK(rig_is_unchanged(&item.logits) && rig_is_unchanged(&item.probabilities));
    head_free(&item);
}

// By hand: x + x_bias is 1 in one column, -1 in another and 0 elsewhere; the label's weights there
// are 2 and 4, its bias 8: relu gives 8 + 2, tanh 8 - 2 tanh(1).
static void test_by_hand(void) {
    struct head_case item = head_create(1, 64, 1, HEAD_USUAL);
    rig_fill(item.x.values, item.x.n, 0, 0);
    rig_fill(item.x_bias.values, item.x_bias.n, 0, 0);
    item.x.values[9] = 3;
    item.x_bias.values[9] = -2;
    item.x_bias.values[50] = -1;
    item.weight.values[9] = 2;
    item.weight.values[50] = 4;
    item.bias.values[0] = 8;
    rig_send(&item.x);
    rig_send(&item.x_bias);
    rig_send(&item.weight);
    rig_send(&item.bias);
    item.args.activation = HEAD_RELU;
    run_case(&item);
    CHECK_NEAR(item.logits.values[0], 10, 0);
    item.args.activation = HEAD_TANH;
    run_case(&item);
    CHECK_NEAR(item.logits.values[0], 8 - 2 * tanh(1), 1e-6);
    head_free(&item);
}

// By hand: 10 titles of 64, 8 labels: x of 2560 bytes, its bias of 256, weights of 2048, a bias of
// 32, two results of 320. A multiplication and an addition for each of 10 * 8 * 64 weights, bias
// and activation for each element of x, a bias for each logit, three operations for its
// probability.
static void test_cost(void) {
    float room[1];
    struct kernel_head args = {.n_titles = 10, .hidden_size = 64, .n_labels = 8};
    args.probabilities = room;
    const struct kernel_cost cost = kernel_head_cost(&args);
    CHECK_NEAR(cost.bytes, 2560 + 256 + 2048 + 32 + 2 * 320, 0);
    CHECK_NEAR(cost.operations, 2 * 5120 + 2 * 640 + 80 + 3 * 80, 0);
    args.probabilities = NULL;
    const struct kernel_cost less = kernel_head_cost(&args);
    CHECK_NEAR(less.bytes, 2560 + 256 + 2048 + 32 + 320, 0);
    CHECK_NEAR(less.operations, 2 * 5120 + 2 * 640 + 80, 0);
    args.n_titles = 3000000;
    args.hidden_size = 1024;  // beyond 32 bits
    CHECK_NEAR(kernel_head_cost(&args).bytes, 3e6 * 4096 + 4096 + 32768 + 32 + 3e6 * 32, 0);
}

int main(int argc, char **argv) {
    const int code = rig_open(argc, argv);
    if (code != RIG_GO) return code;
    static const int32_t titles[] = {1, 2, 3, 4, 5, 7, 8, 9, 17};
    static const int32_t labels[] = {1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 63, 64, 65, 100, 257};
    const int n_labels = (int)(sizeof labels / sizeof *labels);
    for (int i = 0; i < rig_n_cases(); i++) {
        for (int32_t h = HIDDEN_MIN; h <= HIDDEN_MAX; h += HIDDEN_STEP) {
            test_size(titles[rig_below(9)], h, labels[rig_below(9)],
                      (enum head_kind)rig_below(HEAD_KINDS));
        }
        for (int k = 0; k < n_labels; k++) {
            test_size(1 + rig_below(4), HIDDEN_MIN + HIDDEN_STEP * rig_below(5), labels[k],
                      (enum head_kind)rig_below(HEAD_KINDS));
        }
        for (int kind = 0; kind < HEAD_KINDS; kind++) {
            test_size(3, 128, 6, (enum head_kind)kind);
            test_size(2, 64, 100, (enum head_kind)kind);
        }
        test_size(2, 96, 1000, HEAD_USUAL);
    }
    test_by_hand();
    test_refusals();
    test_cost();
    CHECK_INT(device_faults(), 0);
    rig_report();
    return check_result();
}
