// SPDX-License-Identifier: Apache-2.0
#include "tests/standin/matmul_rig.h"

#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/must.h"
#include "weights/dtype.h"

const struct matmul_shape rig_kinds[RIG_KINDS] = {
    {24, 40, DTYPE_F32, DTYPE_F32, MATMUL_PLAIN},
    {16, 104, DTYPE_F32, DTYPE_F32, MATMUL_BIAS},
    {64, 64, DTYPE_F32, DTYPE_F32, MATMUL_BIAS_GELU},
    {8, 200, DTYPE_F16, DTYPE_F16, MATMUL_PLAIN},
    {40, 128, DTYPE_F16, DTYPE_F16, MATMUL_BIAS},
    {48, 96, DTYPE_F16, DTYPE_F32, MATMUL_PLAIN},
    {72, 256, DTYPE_BF16, DTYPE_BF16, MATMUL_PLAIN},
    {24, 136, DTYPE_BF16, DTYPE_BF16, MATMUL_BIAS},
    {32, 88, DTYPE_BF16, DTYPE_BF16, MATMUL_BIAS_GELU},
    {16, 160, DTYPE_BF16, DTYPE_F32, MATMUL_PLAIN},
    {48, 144, DTYPE_E4M3, DTYPE_BF16, MATMUL_PLAIN},
};

struct check_random rig_random;

// The checks of this file count as well.
int rig_part_of(void (*part)(void), const char *environment, const int *n_failures,
                const long *n_checks) {
    const int n_failures_before = *n_failures + check_failures;
    const long n_checks_before = *n_checks + check_count;
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        char text[256];
        snprintf(text, sizeof text, "%s", environment);
        for (char *at = strtok(text, " "); at != NULL; at = strtok(NULL, " ")) {
            char *value = strchr(at, '=');
            *value = 0;
            setenv(at, value + 1, 1);
        }
        part();
        exit(*n_failures + check_failures != n_failures_before ||
             *n_checks + check_count == n_checks_before);
    }
    int status = -1;
    if (child < 0 || waitpid(child, &status, 0) != child) exit(1);
    (void)check_next(&rig_random);  // other inputs for the next
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// A step that is not what is tested. Threads take these, so they count as no checks.
static void step(int code) {
    char name[128];
    if (code == 0) return;
    fprintf(stderr, "%s\n", gpu_code_name(code, name));
    exit(1);
}

struct cuda_device rig_device(int32_t index) {
    struct cuda_device device = {
        .index = index, .name = "A stand-in", .major = 9, .n_multiprocessors = 3};
    return device;
}

struct matmul_choices *rig_choices(void) {
    const struct cuda_device device = rig_device(0);
    struct matmul_choices *choices;
    struct error error;
    must(matmul_choices_open(&device, &choices, &error), &error);
    return choices;
}

enum status rig_open(struct matmul_rig *rig, struct matmul_choices *choices, int32_t index,
                     int *code, struct error *error) {
    rig->device = rig_device(index);
    rig->choices = choices;
    const enum status status = matmul_open(&rig->device, choices, &rig->context, code, error);
    if (status != STATUS_OK) return status;
    step(gpu_stream_create(&rig->stream));
    step(gpu_alloc(MATMUL_WORKSPACE_NBYTES, &rig->workspace));
    matmul_set_workspace(rig->context, rig->workspace);
    return STATUS_OK;
}

void rig_close(struct matmul_rig *rig) {
    matmul_close(rig->context);
    step(gpu_free(rig->workspace));
    step(gpu_stream_destroy(rig->stream));
}

void rig_open_all(struct matmul_rig *rig) {
    struct error error;
    int code;
    must(rig_open(rig, rig_choices(), 0, &code, &error), &error);
}

void rig_close_all(struct matmul_rig *rig) {
    rig_close(rig);
    matmul_choices_close(rig->choices);
}

// ---- operands

void rig_round(float *values, size_t n, enum dtype dtype) {
    if (dtype == DTYPE_F32) return;
    uint16_t *bits = must_zeroed(n, sizeof *bits);
    if (dtype == DTYPE_F16) float_to_f16(values, n, bits);
    if (dtype == DTYPE_F16) f16_to_float(bits, n, values);
    if (dtype == DTYPE_BF16) float_to_bf16(values, n, bits);
    if (dtype == DTYPE_BF16) bf16_to_float(bits, n, values);
    if (dtype == DTYPE_E4M3) float_to_e4m3(values, n, (uint8_t *)bits);
    if (dtype == DTYPE_E4M3) e4m3_to_float(bits, n, values);
    free(bits);
}

static float *random_values(size_t n, enum dtype dtype) {
    float *values = must_zeroed(n, sizeof *values);
    for (size_t i = 0; i < n; i++) {
        values[i] = (float)check_below(&rig_random, 1 << 20) / (1 << 19) - 1;
    }
    rig_round(values, n, dtype);
    return values;
}

struct operands rig_operands(const struct matmul_shape *shape, int32_t n_rows) {
    const size_t n_in = (size_t)shape->n_in, n_out = (size_t)shape->n_out;
    struct operands operands = {n_rows, random_values((size_t)n_rows * n_in, shape->dtype),
                                random_values(n_out * n_in, shape->dtype),
                                random_values(n_out, shape->out_dtype)};
    return operands;
}

struct operands rig_pick_rows(const struct matmul_shape *shape, const struct operands *all,
                              int32_t n, int32_t *from) {
    const size_t n_in = (size_t)shape->n_in, n_out = (size_t)shape->n_out;
    struct operands some = rig_operands(shape, n);
    memcpy(some.weight, all->weight, n_out * n_in * sizeof(float));
    memcpy(some.bias, all->bias, n_out * sizeof(float));
    for (int32_t i = 0; i < n; i++) {
        from[i] = (int32_t)check_below(&rig_random, (unsigned)all->n_rows);
        memcpy(some.x + (size_t)i * n_in, all->x + (size_t)from[i] * n_in, n_in * sizeof(float));
    }
    return some;
}

void rig_free(struct operands *operands) {
    free(operands->x);
    free(operands->weight);
    free(operands->bias);
}

// ---- products

static void wait_for(struct CUstream_st *stream) {
    bool done = false;
    while (!done) step(gpu_stream_is_done(stream, &done));
}

static void *upload(const float *values, size_t n, enum dtype dtype, struct CUstream_st *stream) {
    const size_t nbytes = n * dtype_size(dtype);
    void *pinned, *device;
    step(gpu_alloc_pinned(nbytes, &pinned));
    step(gpu_alloc(nbytes, &device));
    if (dtype == DTYPE_F32) memcpy(pinned, values, nbytes);
    if (dtype == DTYPE_F16) float_to_f16(values, n, pinned);
    if (dtype == DTYPE_BF16) float_to_bf16(values, n, pinned);
    if (dtype == DTYPE_E4M3) float_to_e4m3(values, n, pinned);
    step(gpu_copy_in(device, pinned, nbytes, stream));
    wait_for(stream);
    step(gpu_free_pinned(pinned));
    return device;
}

void *rig_run(const struct matmul_rig *rig, const struct matmul_shape *shape,
              const struct operands *operands) {
    const size_t n_rows = (size_t)operands->n_rows, n_in = (size_t)shape->n_in;
    const size_t n_out = (size_t)shape->n_out;
    const size_t nbytes = n_rows * n_out * dtype_size(shape->out_dtype);
    struct matmul *matmul;
    struct error error;
    int code;
    must(matmul_create(rig->context, shape, operands->n_rows, &matmul, &code, &error), &error);
    void *x = upload(operands->x, n_rows * n_in, shape->dtype, rig->stream), *y, *pinned;
    void *weight = upload(operands->weight, n_out * n_in, shape->dtype, rig->stream);
    void *bias = upload(operands->bias, n_out, shape->out_dtype, rig->stream);
    step(gpu_alloc(nbytes, &y));
    step(gpu_alloc_pinned(nbytes, &pinned));
    step(matmul_run(matmul, x, weight, shape->epilogue == MATMUL_PLAIN ? NULL : bias, y,
                    rig->stream));
    step(gpu_copy_out(pinned, y, nbytes, rig->stream));
    wait_for(rig->stream);
    void *bits = must_zeroed(nbytes, 1);
    memcpy(bits, pinned, nbytes);
    step(gpu_free_pinned(pinned));
    void *const memory[] = {x, weight, bias, y};
    for (size_t i = 0; i < ARRAY_LEN(memory); i++) step(gpu_free(memory[i]));
    matmul_destroy(matmul);
    return bits;
}

// ---- the reference

static double gelu_tanh(double x) {
    return x / 2 * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
}

// Each of n products and sums of fp32 is off by at most 2^-24 of what the sum of magnitudes can be;
// GELU makes no difference more than 1.13 times as large, and adds some roundings of its own; then
// the result is rounded once.
static double tolerance(const struct matmul_shape *shape, double sum, double magnitudes) {
    static const double half_ulp[] = {
        [DTYPE_F32] = 0x1p-24, [DTYPE_F16] = 0x1p-11, [DTYPE_BF16] = 0x1p-8};
    const double summed = 1.13 * (double)(shape->n_in + 2) * 0x1p-24 * magnitudes;
    const double epilogue = shape->epilogue == MATMUL_BIAS_GELU ? 8 * 0x1p-24 * fabs(sum) : 0;
    const double rounded = half_ulp[shape->out_dtype] * (fabs(sum) + summed + epilogue);
    return summed + epilogue + rounded + 0x1p-25;
}

static void compare_row(const struct matmul_shape *shape, const float *x,
                        const struct operands *operands, const float *got) {
    const size_t n_in = (size_t)shape->n_in;
    for (size_t o = 0; o < (size_t)shape->n_out; o++) {
        const double bias = shape->epilogue == MATMUL_PLAIN ? 0 : (double)operands->bias[o];
        double sum = bias, magnitudes = fabs(bias);
        for (size_t i = 0; i < n_in; i++) {
            const double term = (double)x[i] * (double)operands->weight[o * n_in + i];
            sum += term;
            magnitudes += fabs(term);
        }
        const double want = shape->epilogue == MATMUL_BIAS_GELU ? gelu_tanh(sum) : sum;
        CHECK_NEAR((double)got[o], want, tolerance(shape, sum, magnitudes));
    }
}

void rig_compare(const struct matmul_shape *shape, const struct operands *operands, const void *y) {
    const size_t n_out = (size_t)shape->n_out, n = (size_t)operands->n_rows * n_out;
    float *got = must_zeroed(n, sizeof *got);
    tensor_read((struct tensor){y, n, shape->out_dtype}, 0, n, got);
    for (int32_t r = 0; r < operands->n_rows; r++) {
        compare_row(shape, operands->x + (size_t)r * (size_t)shape->n_in, operands,
                    got + (size_t)r * n_out);
    }
    free(got);
}
