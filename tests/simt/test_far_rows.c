// SPDX-License-Identifier: Apache-2.0
//
// Rows beyond 2^32 elements give the bits that they give as the first ones. Of each matrix only
// those rows exist, and only the blocks that have them run.
#include "cuda/kernels.h"
#include "tests/check.h"
#include "tests/simt/device.h"
#include "tests/simt/rig.h"

enum { ROWS = 5, WIDTH = 64, LABELS = 16, FAR_ROWS = 1 << 28 };
enum { FAR_GELU = 1 << 27 };  // twice as many, of 64 columns each, would be too many

static struct rig_array random_array(enum dtype dtype, size_t n) {
    struct rig_array array = rig_input(dtype, n);
    rig_fill(array.values, n, -2, 2);
    rig_send(&array);
    return array;
}

// Runs the call with `row` 0 and `row` far up, each with an output of its own, and compares them.
// The pointers in `call` are those of the first row that exists, moved back by `row` rows.
#define CHECK_FAR(dtype, n_out, far, n_blocks, kernel, ...)        \
    do {                                                           \
        struct rig_array outs[2];                                  \
        for (int i = 0; i < 2; i++) {                              \
            const size_t row = i == 0 ? 0 : (size_t)(far);         \
            struct rig_array *out = &outs[i];                      \
            *out = rig_output(dtype, (size_t)ROWS * (n_out));      \
            rig_mark(out);                                         \
            CHECK(device_last_blocks(i == 0 ? 0 : (n_blocks)));    \
            const struct kernel args = {__VA_ARGS__};              \
            CHECK_INT(kernel(&args, NULL), CUDA_SUCCESS);          \
            CHECK(rig_fetch(out));                                 \
        }                                                          \
        device_last_blocks(0);                                     \
        CHECK(!rig_is_marked(&outs[0], 0, outs[0].n));             \
        CHECK(rig_same_bits(&outs[0], 0, &outs[1], 0, outs[0].n)); \
        rig_free(&outs[0]);                                        \
        rig_free(&outs[1]);                                        \
    } while (0)
#define AT(array, n_columns) rig_before((array).device, (array).dtype, row *(n_columns))

static const int32_t ids[ROWS] = {3, 1, 4, 1, 5}, places[ROWS] = {0, 1, -1, 3, 2};
static const int32_t starts[ROWS + 1] = {0, 2, 2, 3, 6, 7};  // of titles in 7 rows

static void test_rows(enum dtype dtype) {
    struct rig_array x = random_array(dtype, ROWS * WIDTH);
    struct rig_array residual = random_array(dtype, ROWS * WIDTH);
    struct rig_array word = random_array(dtype, 6 * WIDTH);
    struct rig_array position = random_array(DTYPE_F32, 4 * WIDTH);
    struct rig_array vector = random_array(DTYPE_F32, WIDTH);
    int32_t *token_ids = rig_int32(ids, ROWS), *position_ids = rig_int32(places, ROWS);
    CHECK_FAR(dtype, WIDTH, FAR_ROWS, 2, kernel_embed, dtype, (int32_t)row + ROWS, WIDTH, 1e-5F,
              rig_before(token_ids, DTYPE_F32, row), rig_before(position_ids, DTYPE_F32, row),
              word.device, position.device, vector.device, vector.device, AT(*out, WIDTH));
    CHECK_FAR(dtype, WIDTH, FAR_ROWS, 2, kernel_layer_norm, dtype, (int32_t)row + ROWS, WIDTH,
              1e-5F, AT(x, WIDTH), vector.device, AT(residual, WIDTH), vector.device, vector.device,
              AT(*out, WIDTH));
    device_free(token_ids);
    device_free(position_ids);
    rig_free(&x);
    rig_free(&residual);
    rig_free(&word);
    rig_free(&position);
    rig_free(&vector);
}

// In place, so by hand: `x` is the output, too.
static void test_gelu(enum dtype dtype) {
    struct rig_array first = random_array(dtype, ROWS * WIDTH);
    struct rig_array again = rig_input(dtype, ROWS * WIDTH);
    memcpy(again.values, first.values, again.n * sizeof(float));
    rig_send(&again);
    struct kernel_gelu args = {dtype, GELU_ERF, ROWS, WIDTH, NULL, first.device};
    CHECK_INT(kernel_gelu(&args, NULL), CUDA_SUCCESS);
    args.n_rows = FAR_GELU + ROWS;
    args.x = rig_before(again.device, dtype, (size_t)FAR_GELU * WIDTH);
    CHECK(device_last_blocks(1));
    CHECK_INT(kernel_gelu(&args, NULL), CUDA_SUCCESS);
    device_last_blocks(0);
    CHECK(!rig_is_unchanged(&again));
    CHECK(rig_fetch(&first) && rig_fetch(&again));
    CHECK(rig_same_bits(&first, 0, &again, 0, first.n));
    rig_free(&first);
    rig_free(&again);
}

static void test_titles(enum dtype dtype) {
    struct rig_array hidden = random_array(dtype, 7 * WIDTH);
    struct rig_array key_value = random_array(dtype, 7 * 2 * WIDTH);
    struct rig_array query = random_array(dtype, ROWS * WIDTH);
    int32_t *cu_seqlens = rig_int32(starts, ROWS + 1);
    CHECK_FAR(dtype, WIDTH, FAR_ROWS, 2, kernel_gather_cls, dtype, (int32_t)row + ROWS, WIDTH,
              rig_before(cu_seqlens, DTYPE_F32, row), hidden.device, AT(*out, WIDTH));
    CHECK_FAR(dtype, WIDTH, FAR_ROWS, 2, kernel_attention_cls, dtype, (int32_t)row + ROWS, 1, 64,
              0.125F, rig_before(cu_seqlens, DTYPE_F32, row), AT(query, WIDTH), key_value.device,
              AT(*out, WIDTH));
    device_free(cu_seqlens);
    rig_free(&hidden);
    rig_free(&key_value);
    rig_free(&query);
}

static void test_head(void) {
    struct rig_array x = random_array(DTYPE_F32, ROWS * WIDTH);
    struct rig_array x_bias = random_array(DTYPE_F32, WIDTH);
    struct rig_array weight = random_array(DTYPE_F32, LABELS * WIDTH);
    struct rig_array bias = random_array(DTYPE_F32, LABELS);
    struct rig_array other = rig_output(DTYPE_F32, ROWS * LABELS);
    CHECK_FAR(DTYPE_F32, LABELS, FAR_ROWS, 2, kernel_head, HEAD_TANH, (int32_t)row + ROWS, WIDTH,
              LABELS, AT(x, WIDTH), x_bias.device, weight.device, bias.device, AT(*out, LABELS),
              NULL);
    CHECK_FAR(DTYPE_F32, LABELS, FAR_ROWS, 2, kernel_head, HEAD_TANH, (int32_t)row + ROWS, WIDTH,
              LABELS, AT(x, WIDTH), x_bias.device, weight.device, bias.device, AT(other, LABELS),
              AT(*out, LABELS));
    rig_free(&x);
    rig_free(&x_bias);
    rig_free(&weight);
    rig_free(&bias);
    rig_free(&other);
}

int main(int argc, char **argv) {
    const int code = rig_open(argc, argv);
    if (code != RIG_GO) return code;
    if (!device_last_blocks(0)) return check_skip("a device runs all blocks of a grid");
    for (int c = 0; c < rig_n_cases(); c++) {
        for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++) {
            test_rows((enum dtype)dtype);
            test_gelu((enum dtype)dtype);
            test_titles((enum dtype)dtype);
        }
        test_head();
    }
    rig_report();
    CHECK_INT(device_faults(), 0);
    return check_result();
}
