// SPDX-License-Identifier: Apache-2.0
//
// kernel_gather_cls: the first rows of titles, bit by bit, whatever they hold; zeros for titles of
// no tokens, even where their place is beyond the last row.
#include "cuda/kernels.h"
#include "tests/check.h"
#include "tests/simt/device.h"
#include "tests/simt/rig.h"
#include "tests/simt/titles.h"

enum { HIDDEN_MIN = 64, HIDDEN_MAX = 1024, HIDDEN_STEP = 32, TITLES_MAX = 40 };

static struct title_batch random_batch(int32_t n_titles) {
    int32_t lengths[TITLES_MAX];
    for (int32_t i = 0; i < n_titles; i++) lengths[i] = rig_one_in(3) ? 0 : 1 + rig_below(4);
    // Without dummy rows an empty title at the end begins where the matrix has ended.
    struct title_batch batch = title_batch(lengths, n_titles, rig_below(3));
    if (batch.n_rows == 0) batch.n_rows = 1;
    return batch;
}

static bool is_zero(const unsigned char *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != 0) return false;
    }
    return true;
}

static void check_titles(const struct title_batch *batch, const struct rig_array *hidden,
                         const struct rig_array *cls, size_t width) {
    const size_t nbytes = width * (hidden->dtype == DTYPE_F32 ? 4 : 2);
    for (int32_t i = 0; i < batch->n_titles; i++) {
        const unsigned char *got = (const unsigned char *)cls->bits + (size_t)i * nbytes;
        const int32_t first = batch->cu_seqlens[i];
        if (first == batch->cu_seqlens[i + 1]) {
            CHECK(is_zero(got, nbytes));
        } else {
            CHECK(rig_same_bits(hidden, (size_t)first * width, cls, (size_t)i * width, width));
        }
    }
}

static void test_size(enum dtype dtype, int32_t n_titles, int32_t hidden_size) {
    const size_t width = (size_t)hidden_size;
    struct title_batch batch = random_batch(n_titles);
    struct rig_array hidden = rig_input(dtype, (size_t)batch.n_rows * width);
    struct rig_array cls = rig_output(dtype, (size_t)n_titles * width);
    unsigned char *bytes = hidden.bits;
    for (size_t i = 0; i < hidden.n * (dtype == DTYPE_F32 ? 4 : 2); i++) {
        bytes[i] = (unsigned char)rig_bits();
    }
    rig_send_bits(&hidden);
    const int32_t first_row = rig_one_in(4) ? RIG_FAR : 0;
    int32_t *cu_seqlens = title_batch_send(&batch, first_row);
    const struct kernel_gather_cls args = {
        .dtype = dtype,
        .n_titles = n_titles,
        .hidden_size = hidden_size,
        .cu_seqlens = cu_seqlens,
        .hidden = rig_before(hidden.device, dtype, (size_t)first_row * width),
        .cls = cls.device};
    CHECK_INT(kernel_gather_cls(&args, NULL), CUDA_SUCCESS);
    CHECK(rig_fetch(&cls));
    check_titles(&batch, &hidden, &cls, width);
    CHECK(rig_is_unchanged(&hidden));
    device_free(cu_seqlens);
    rig_free(&cls);
    rig_free(&hidden);
    title_batch_free(&batch);
}

// More blocks than a grid's second dimension takes: all titles but the last two are empty.
static void test_many(void) {
    enum { MANY = 65536 * 4 + 1, WIDTH = 64 };
    int32_t *starts = rig_alloc(MANY + 1, sizeof *starts);
    starts[MANY - 1] = 1;
    starts[MANY] = 2;
    struct rig_array hidden = rig_input(DTYPE_F16, 2 * WIDTH);
    struct rig_array cls = rig_output(DTYPE_F16, (size_t)MANY * WIDTH);
    rig_fill(hidden.values, hidden.n, -1, 1);
    rig_send(&hidden);
    const struct title_batch batch = {MANY, 2, starts};
    int32_t *cu_seqlens = title_batch_send(&batch, 0);
    const struct kernel_gather_cls args = {DTYPE_F16,  MANY,          WIDTH,
                                           cu_seqlens, hidden.device, cls.device};
    CHECK_INT(kernel_gather_cls(&args, NULL), CUDA_SUCCESS);
    CHECK(rig_fetch(&cls));
    check_titles(&batch, &hidden, &cls, WIDTH);
    device_free(cu_seqlens);
    rig_free(&cls);
    rig_free(&hidden);
    free(starts);
}

#define REFUSES(field, value)  RIG_REFUSES(kernel_gather_cls, good, field, value)
#define REFUSES_POINTER(field) RIG_REFUSES_POINTER(kernel_gather_cls, good, field)

static void test_refusals(void) {
    struct rig_array hidden = rig_input(DTYPE_F32, 3 * 96);
    struct rig_array cls = rig_output(DTYPE_F32, 3 * 96);
    static const int32_t starts[] = {0, 1, 2, 3},
                         sizes[] = {-64, 0, 32, 63, 65, 72, 80, 1056, 2048};
    rig_send(&hidden);
    rig_mark(&cls);
    int32_t *cu_seqlens = rig_int32(starts, 4);
    struct kernel_gather_cls good = {.dtype = DTYPE_F32,
                                     .n_titles = 3,
                                     .hidden_size = 96,
                                     .cu_seqlens = cu_seqlens,
                                     .hidden = hidden.device,
                                     .cls = cls.device};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) REFUSES(hidden_size, sizes[i]);
    REFUSES(dtype, (enum dtype)3);
    REFUSES(n_titles, -1);
    REFUSES(n_titles, INT32_MIN);
    REFUSES_POINTER(cu_seqlens);
    REFUSES_POINTER(hidden);
    REFUSES_POINTER(cls);
    good.n_titles = 0;
    CHECK_INT(kernel_gather_cls(&good, NULL), CUDA_SUCCESS);
    CHECK(rig_is_unchanged(&cls));
    device_free(cu_seqlens);
    rig_free(&cls);
    rig_free(&hidden);
}

// By hand: with F16, 10 titles of 64: 1280 bytes in and out, eleven numbers of 4 bytes. It counts
// nothing.
static void test_cost(void) {
    struct kernel_gather_cls args = {.dtype = DTYPE_F16, .n_titles = 10, .hidden_size = 64};
    CHECK_NEAR(kernel_gather_cls_cost(&args).bytes, 2 * 1280 + 44, 0);
    CHECK_NEAR(kernel_gather_cls_cost(&args).operations, 0, 0);
    args.dtype = DTYPE_F32;
    CHECK_NEAR(kernel_gather_cls_cost(&args).bytes, 2 * 2560 + 44, 0);
    args.n_titles = 3000000;
    args.hidden_size = 1024;  // beyond 32 bits
    CHECK_NEAR(kernel_gather_cls_cost(&args).bytes, 2 * 3e6 * 4096 + 12e6 + 4, 0);
}

int main(int argc, char **argv) {
    const int code = rig_open(argc, argv);
    if (code != RIG_GO) return code;
    static const int32_t titles[] = {1, 2, 3, 4, 5, 7, 8, 9, TITLES_MAX};
    for (int i = 0; i < rig_n_cases(); i++) {
        for (int d = 0; d < 3; d++) {
            for (int32_t h = HIDDEN_MIN; h <= HIDDEN_MAX; h += HIDDEN_STEP) {
                test_size((enum dtype)d, titles[rig_below(9)], h);
            }
        }
    }
    test_many();
    test_refusals();
    test_cost();
    CHECK_INT(device_faults(), 0);
    rig_report();
    return check_result();
}
