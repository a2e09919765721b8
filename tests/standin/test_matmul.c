// SPDX-License-Identifier: Apache-2.0
//
// Products by cuda/matmul.h on the stand-in for cublasLt: beside a float64 reference, and the same
// bits whatever the number of rows, a row's place and the device: test_matmul [SEED].
#include <pthread.h>
#include <time.h>

#include "tests/standin/matmul_rig.h"
#include "tests/support/must.h"
#include "weights/dtype.h"

enum { INTERNAL_ERROR = 14 };

// ---- values

static void values(void) {
    struct matmul_rig rig;
    rig_open_all(&rig);
    for (int i = 0; i < RIG_KINDS * 4; i++) {
        const struct matmul_shape *shape = &rig_kinds[i % RIG_KINDS];
        const int32_t n_rows = 1 + (int32_t)check_below(&rig_random, 70);
        struct operands operands = rig_operands(shape, n_rows);
        void *y = rig_run(&rig, shape, &operands);
        rig_compare(shape, &operands, y);
        free(y);
        rig_free(&operands);
    }
    rig_close_all(&rig);
}

// Sums of two that are exact in fp32, of any size that the format has.
static void rounding(void) {
    enum { ROWS = 4096 };
    static const struct matmul_shape shapes[] = {
        {8, 8, DTYPE_F16, DTYPE_F16, MATMUL_PLAIN},
        {8, 8, DTYPE_BF16, DTYPE_BF16, MATMUL_PLAIN},
    };
    struct matmul_rig rig;
    rig_open_all(&rig);
    for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
        const struct matmul_shape *shape = &shapes[s];
        struct operands operands = rig_operands(shape, ROWS);
        for (size_t i = 0; i < 64; i++) operands.weight[i] = i % 8 < 2 ? 1 : 0;
        for (size_t i = 0; i < ROWS * 8; i++) {
            operands.x[i] = i % 8 < 2 ? ldexpf((float)(int)check_below(&rig_random, 4096) - 2048,
                                               (int)check_below(&rig_random, 14) - 24)
                                      : 0;
            if (i % 64 == 0) operands.x[i] = operands.x[i] * 0x1p17f;
        }
        rig_round(operands.x, ROWS * 8, shape->dtype);
        uint16_t *y = rig_run(&rig, shape, &operands);
        for (size_t i = 0; i < ROWS * 8; i++) {
            const float sum = operands.x[i / 8 * 8] + operands.x[i / 8 * 8 + 1];
            uint16_t want;
            if (shape->dtype == DTYPE_F16) float_to_f16(&sum, 1, &want);
            if (shape->dtype == DTYPE_BF16) float_to_bf16(&sum, 1, &want);
            if (sum != 0) CHECK_INT(y[i], want);
        }
        free(y);
        rig_free(&operands);
    }
    rig_close_all(&rig);
}

// Random rows of another product, in a random number and order, are the same bits.
static void same_bits(void) {
    enum { ROWS = 40 };
    struct matmul_rig rig;
    rig_open_all(&rig);
    for (int i = 0; i < RIG_KINDS * 3; i++) {
        const struct matmul_shape *shape = &rig_kinds[i % RIG_KINDS];
        const size_t nbytes = (size_t)shape->n_out * dtype_size(shape->out_dtype);
        struct operands all = rig_operands(shape, ROWS);
        char *want = rig_run(&rig, shape, &all);
        int32_t from[200];
        const int32_t n = 1 + (int32_t)check_below(&rig_random, 200);
        struct operands some = rig_pick_rows(shape, &all, n, from);
        char *got = rig_run(&rig, shape, &some);
        for (int32_t r = 0; r < n; r++) {
            CHECK(memcmp(got + (size_t)r * nbytes, want + (size_t)from[r] * nbytes, nbytes) == 0);
        }
        free(got);
        free(want);
        rig_free(&some);
        rig_free(&all);
    }
    rig_close_all(&rig);
}

// ---- several devices

enum { DEVICES = 4 };
static struct matmul_choices *shared;
static pthread_barrier_t together;
static struct operands shared_operands[RIG_KINDS];

static void *run_device(void *argument) {
    void **out = argument;  // [RIG_KINDS + 1], the last is the device's number
    struct matmul_rig rig;
    struct error error;
    int code;
    must(rig_open(&rig, shared, (int32_t)(intptr_t)out[RIG_KINDS], &code, &error), &error);
    for (int k = 0; k < RIG_KINDS; k++) {
        pthread_barrier_wait(&together);
        out[k] = rig_run(&rig, &rig_kinds[k], &shared_operands[k]);
    }
    rig_close(&rig);
    return NULL;
}

// The library takes its time and offers something else at each call here, so that all of them are
// choosing before one has chosen, and only one choice for all gives these bits.
static void several_devices(void) {
    void *outs[DEVICES][RIG_KINDS + 1];
    pthread_t threads[DEVICES];
    shared = rig_choices();
    pthread_barrier_init(&together, NULL, DEVICES);
    for (int k = 0; k < RIG_KINDS; k++) shared_operands[k] = rig_operands(&rig_kinds[k], 33);
    for (int d = 0; d < DEVICES; d++) {
        outs[d][RIG_KINDS] = (void *)(intptr_t)d;
        if (pthread_create(&threads[d], NULL, run_device, outs[d]) != 0) exit(1);
    }
    for (int d = 0; d < DEVICES; d++) pthread_join(threads[d], NULL);
    for (int k = 0; k < RIG_KINDS; k++) {
        const size_t nbytes = 33 * (size_t)rig_kinds[k].n_out * dtype_size(rig_kinds[k].out_dtype);
        for (int d = 1; d < DEVICES; d++) CHECK(memcmp(outs[d][k], outs[0][k], nbytes) == 0);
        for (int d = 0; d < DEVICES; d++) free(outs[d][k]);
        rig_free(&shared_operands[k]);
    }
    matmul_choices_close(shared);
}

// ---- failures

static void failing_product(void) {
    struct matmul_rig rig;
    struct matmul *matmul;
    struct error error;
    int code;
    rig_open_all(&rig);
    must(matmul_create(rig.context, &rig_kinds[0], 8, &matmul, &code, &error), &error);
    void *x, *weight, *y;
    CHECK_INT(gpu_alloc(8 * 40 * 4, &x) + gpu_alloc(24 * 40 * 4, &weight), 0);
    CHECK_INT(gpu_alloc(8 * 24 * 4, &y), 0);
    CHECK_INT(matmul_run(matmul, x, weight, NULL, y, rig.stream), MATMUL_CODE + INTERNAL_ERROR);
    CHECK_INT(gpu_free(x) + gpu_free(weight) + gpu_free(y), 0);
    matmul_destroy(matmul);
    rig_close_all(&rig);
}

int main(int argc, char **argv) {
    rig_random.state = argc > 1 ? strtoull(argv[1], NULL, 0) : (unsigned long long)time(NULL);
    printf("seed %llu\n", rig_random.state);
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    RIG_PART(values, "");
    RIG_PART(rounding, "");
    RIG_PART(same_bits, "");
    for (int i = 0; i < 4; i++) {
        RIG_PART(values, "STANDIN_LT_OFFER=shuffled");
        RIG_PART(same_bits, "STANDIN_LT_OFFER=shuffled");
        RIG_PART(several_devices, "STANDIN_DEVICES=4 STANDIN_LT_OFFER=shuffled");
    }
    RIG_PART(values, "STANDIN_LT_OFFER=workspace");
    RIG_PART(same_bits, "STANDIN_LT_OFFER=workspace");
    RIG_PART(failing_product, "STANDIN_FAIL=product:1:14");
    return check_result();
}
