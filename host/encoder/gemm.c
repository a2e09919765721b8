// SPDX-License-Identifier: Apache-2.0
#include <assert.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/encoder/gemm_dnnl.h"

struct gemm_engine {
    dnnl_engine_t handle;
};

struct gemm_stream {
    dnnl_stream_t handle;
};

enum status gemm_failed(struct error *error, const char *call, dnnl_status_t result) {
    if (result == dnnl_out_of_memory) {
        return error_set(error, STATUS_IO, "out of memory in oneDNN (%s)", call);
    }
    const dnnl_version_t *version = dnnl_version();
    return error_set(error, STATUS_MODEL, "oneDNN %d.%d.%d cannot run this model: %s gave %d",
                     version->major, version->minor, version->patch, call, (int)result);
}

struct gemm_formats gemm_formats_of(enum gemm_type type) {
    if (type == GEMM_BF16) return (struct gemm_formats){dnnl_bf16, dnnl_bf16, dnnl_f32};
    if (type == GEMM_INT8) return (struct gemm_formats){dnnl_u8, dnnl_s8, dnnl_s32};
    return (struct gemm_formats){dnnl_f32, dnnl_f32, dnnl_f32};
}

// Whether the instruction sets that the library takes (the processor's, within what the library's
// own environment variables leave it) include all of `wanted`: they are sets of bits.
#if defined(__x86_64__)
static bool library_has(dnnl_cpu_isa_t wanted) {
    return ((unsigned)dnnl_get_effective_cpu_isa() & (unsigned)wanted) == (unsigned)wanted;
}
#endif

enum status gemm_type_check(enum gemm_type type, struct error *error) {
    if (type == GEMM_FP32) return STATUS_OK;
#if defined(__x86_64__)
    if (type == GEMM_BF16 && library_has(dnnl_cpu_isa_avx512_core_bf16)) return STATUS_OK;
    if (type == GEMM_INT8 &&
        (library_has(dnnl_cpu_isa_avx512_core_vnni) || library_has(dnnl_cpu_isa_avx2_vnni))) {
        return STATUS_OK;
    }
#endif
    return error_set(
        error, STATUS_MODEL, "%s",
        type == GEMM_BF16
            ? "oneDNN finds no bf16 products on this processor (AVX-512 BF16 or AMX)"
            : "oneDNN finds no exact int8 products on this processor (AVX-512 VNNI, AVX-VNNI or "
              "AMX)");
}

// Our threads are the parallelism: a product must stay inside the thread that runs it. OpenMP's
// setting is the calling thread's own; it is asked of whichever OpenMP runtime oneDNN brought, so
// that no second one gets linked. A oneDNN without OpenMP has none, and needs none.
static void stay_in_this_thread(void) {
    void *program = dlopen(NULL, RTLD_LAZY);
    if (program == NULL) return;
    void *symbol = dlsym(program, "omp_set_num_threads");
    if (symbol != NULL) {
        void (*set_num_threads)(int);
        memcpy(&set_num_threads, &symbol, sizeof symbol);
        set_num_threads(1);
    }
    dlclose(program);
}

enum status gemm_engine_create(struct gemm_engine **out, struct error *error) {
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "the GEMM engine", error);
    if (status != STATUS_OK) return status;
    struct gemm_engine *engine = memory;
    // Whatever the environment asks of the library for debugging: its lines go to stdout, which
    // holds our rows, and its dumps into the working directory.
    dnnl_set_verbose(0);
    dnnl_set_jit_dump(0);
    dnnl_status_t result = dnnl_engine_create(&engine->handle, dnnl_cpu, 0);
    if (result != dnnl_success) {
        free(engine);
        return gemm_failed(error, "dnnl_engine_create", result);
    }
    *out = engine;
    return STATUS_OK;
}

void gemm_engine_destroy(struct gemm_engine *engine) {
    if (engine == NULL) return;
    dnnl_engine_destroy(engine->handle);
    free(engine);
}

enum status gemm_stream_create(struct gemm_engine *engine, struct gemm_stream **out,
                               struct error *error) {
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "a GEMM stream", error);
    if (status != STATUS_OK) return status;
    struct gemm_stream *stream = memory;
    stay_in_this_thread();
    dnnl_status_t result =
        dnnl_stream_create(&stream->handle, engine->handle, dnnl_stream_default_flags);
    if (result != dnnl_success) {
        free(stream);
        return gemm_failed(error, "dnnl_stream_create", result);
    }
    *out = stream;
    return STATUS_OK;
}

void gemm_stream_destroy(struct gemm_stream *stream) {
    if (stream == NULL) return;
    dnnl_stream_destroy(stream->handle);
    free(stream);
}

// Scratch comes from the caller, so that threads can share a plan; tanh runs in the product's
// epilogue.
static dnnl_status_t make_attributes(bool with_tanh, dnnl_primitive_attr_t *out) {
    dnnl_primitive_attr_t attr;
    dnnl_status_t result = dnnl_primitive_attr_create(&attr);
    if (result != dnnl_success) return result;
    result = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (result == dnnl_success && with_tanh) {
        dnnl_post_ops_t ops;
        result = dnnl_post_ops_create(&ops);
        if (result == dnnl_success) {
#if DNNL_VERSION_MAJOR >= 3
            result = dnnl_post_ops_append_eltwise(ops, dnnl_eltwise_tanh, 0.0f, 0.0f);
#else
            result = dnnl_post_ops_append_eltwise(ops, 1.0f, dnnl_eltwise_tanh, 0.0f, 0.0f);
#endif
            if (result == dnnl_success) result = dnnl_primitive_attr_set_post_ops(attr, ops);
            dnnl_post_ops_destroy(ops);
        }
    }
    if (result == dnnl_success) {
        *out = attr;
    } else {
        dnnl_primitive_attr_destroy(attr);
    }
    return result;
}

static dnnl_status_t describe(struct gemm *gemm, dnnl_primitive_attr_t attr) {
    const struct gemm_shape *shape = &gemm->shape;
    const struct gemm_formats formats = gemm_formats_of(shape->type);
    const bool with_bias = shape->type != GEMM_INT8;
    const dnnl_dims_t x_dims = {shape->n_rows, shape->n_in}, w_dims = {shape->n_in, shape->n_out};
    const dnnl_dims_t b_dims = {1, shape->n_out}, y_dims = {shape->n_rows, shape->n_out};
    memory_desc x, w, b, y;
    dnnl_status_t result = DESC_CREATE(&x, x_dims, formats.x, dnnl_ab);
    if (result != dnnl_success) return result;
    result = DESC_CREATE(&w, w_dims, formats.w, dnnl_format_tag_any);
    if (result != dnnl_success) goto out_x;
    result = DESC_CREATE(&b, b_dims, dnnl_f32, dnnl_ab);
    if (result != dnnl_success) goto out_w;
    result = DESC_CREATE(&y, y_dims, formats.y, dnnl_ab);
    if (result != dnnl_success) goto out_b;
#if DNNL_VERSION_MAJOR >= 3
    result = dnnl_matmul_primitive_desc_create(&gemm->desc, gemm->engine, x, w,
                                               with_bias ? b : NULL, y, attr);
#else
    dnnl_matmul_desc_t op;
    result = dnnl_matmul_desc_init(&op, &x, &w, with_bias ? &b : NULL, &y);
    if (result == dnnl_success) {
        result = dnnl_primitive_desc_create(&gemm->desc, &op, attr, gemm->engine, NULL);
    }
#endif
    DESC_DESTROY(y);
out_b:
    DESC_DESTROY(b);
out_w:
    DESC_DESTROY(w);
out_x:
    DESC_DESTROY(x);
    return result;
}

enum status gemm_create(struct gemm_engine *engine, const struct gemm_shape *shape,
                        struct gemm **out, struct error *error) {
    void *memory;
    *out = NULL;
    assert(!shape->tanh || shape->type == GEMM_FP32);
    enum status status = gemm_type_check(shape->type, error);
    if (status != STATUS_OK) return status;
    status = alloc_zeroed(&memory, 1, sizeof **out, "a GEMM plan", error);
    if (status != STATUS_OK) return status;
    struct gemm *gemm = memory;
    *gemm = (struct gemm){.engine = engine->handle, .shape = *shape};
    stay_in_this_thread();  // plans are made for as many threads as will run them

    dnnl_primitive_attr_t attr = NULL;
    dnnl_status_t result = make_attributes(shape->tanh, &attr);
    if (result == dnnl_success) result = describe(gemm, attr);
    if (result == dnnl_success) result = dnnl_primitive_create(&gemm->primitive, gemm->desc);
    if (attr != NULL) dnnl_primitive_attr_destroy(attr);
    if (result != dnnl_success) {
        gemm_destroy(gemm);
        return gemm_failed(error, "matmul", result);
    }
    *out = gemm;
    return STATUS_OK;
}

void gemm_destroy(struct gemm *gemm) {
    if (gemm == NULL) return;
    if (gemm->primitive != NULL) dnnl_primitive_destroy(gemm->primitive);
    if (gemm->desc != NULL) dnnl_primitive_desc_destroy(gemm->desc);
    free(gemm);
}

static memory_desc_ref desc_of(const struct gemm *gemm, dnnl_query_t what) {
    return dnnl_primitive_desc_query_md(gemm->desc, what, 0);
}

size_t gemm_scratch_nbytes(const struct gemm *gemm) {
    return dnnl_memory_desc_get_size(desc_of(gemm, dnnl_query_scratchpad_md));
}

dnnl_status_t gemm_execute(dnnl_primitive_t primitive, dnnl_stream_t stream, int n_args,
                           const dnnl_exec_arg_t *args) {
    dnnl_status_t result = dnnl_primitive_execute(primitive, stream, n_args, args);
    return result == dnnl_success ? dnnl_stream_wait(stream) : result;
}

enum status gemm_run(const struct gemm *gemm, const struct gemm_weights *weights,
                     struct gemm_stream *stream, const void *x, void *y, void *scratch,
                     struct error *error) {
    dnnl_memory_t x_memory = NULL, y_memory = NULL, s_memory = NULL;
    dnnl_engine_t engine = gemm->engine;
    dnnl_status_t result = dnnl_memory_create(&x_memory, desc_of(gemm, dnnl_query_src_md), engine,
                                              (void *)(uintptr_t)x);
    if (result != dnnl_success) goto out;
    result = dnnl_memory_create(&y_memory, desc_of(gemm, dnnl_query_dst_md), engine, y);
    if (result != dnnl_success) goto out;
    result =
        dnnl_memory_create(&s_memory, desc_of(gemm, dnnl_query_scratchpad_md), engine, scratch);
    if (result != dnnl_success) goto out;
    const dnnl_exec_arg_t args[] = {
        {DNNL_ARG_SRC, x_memory},       {DNNL_ARG_WEIGHTS, weights->weight},
        {DNNL_ARG_DST, y_memory},       {DNNL_ARG_SCRATCHPAD, s_memory},
        {DNNL_ARG_BIAS, weights->bias},  // last: left out where there is none
    };
    const int n_args = (int)ARRAY_LEN(args) - (weights->bias == NULL);
    result = gemm_execute(gemm->primitive, stream->handle, n_args, args);
out:
    if (s_memory != NULL) dnnl_memory_destroy(s_memory);
    if (y_memory != NULL) dnnl_memory_destroy(y_memory);
    if (x_memory != NULL) dnnl_memory_destroy(x_memory);
    return result == dnnl_success ? STATUS_OK : gemm_failed(error, "a matrix product", result);
}

const char *gemm_library(char text[GEMM_LIBRARY_NBYTES]) {
    const dnnl_version_t *version = dnnl_version();
    snprintf(text, GEMM_LIBRARY_NBYTES, "oneDNN %d.%d.%d", version->major, version->minor,
             version->patch);
    return text;
}
