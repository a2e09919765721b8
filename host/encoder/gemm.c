// SPDX-License-Identifier: Apache-2.0
#include "host/encoder/gemm.h"

#include <dlfcn.h>
#include <dnnl.h>
#include <stdlib.h>
#include <string.h>

struct gemm_engine {
    dnnl_engine_t handle;
};

struct gemm_stream {
    dnnl_stream_t handle;
};

struct gemm {
    dnnl_engine_t engine;
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    int32_t n_rows, n_in, n_out;
};

struct gemm_weights {
    dnnl_memory_t weight;
    dnnl_memory_t bias;
};

// The C API of oneDNN 3 hides memory descriptors behind handles and describes a primitive in one
// call; 2.x has them as structs and an operation descriptor in between. Here `memory_desc` is what
// this file creates, and `memory_desc_ref`, from REF, what the library's calls take.
#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t memory_desc;
typedef const_dnnl_memory_desc_t memory_desc_ref;
#define REF(desc)                      (desc)
#define DESC_DESTROY(desc)             dnnl_memory_desc_destroy(desc)
#define DESC_CREATE(out, n, dims, tag) dnnl_memory_desc_create_with_tag(out, n, dims, dnnl_f32, tag)
#else
typedef dnnl_memory_desc_t memory_desc;
typedef const dnnl_memory_desc_t *memory_desc_ref;
#define REF(desc)                      (&(desc))
#define DESC_DESTROY(desc)             ((void)(desc))
#define DESC_CREATE(out, n, dims, tag) dnnl_memory_desc_init_by_tag(out, n, dims, dnnl_f32, tag)
#endif

// Every message says which call of the library failed, and with what.
static enum status failed(struct error *error, const char *call, dnnl_status_t result) {
    if (result == dnnl_out_of_memory) {
        return error_set(error, STATUS_IO, "out of memory in oneDNN (%s)", call);
    }
    const dnnl_version_t *version = dnnl_version();
    return error_set(error, STATUS_MODEL, "oneDNN %d.%d.%d cannot run this model: %s gave %d",
                     version->major, version->minor, version->patch, call, (int)result);
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
        return failed(error, "dnnl_engine_create", result);
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
        return failed(error, "dnnl_stream_create", result);
    }
    *out = stream;
    return STATUS_OK;
}

void gemm_stream_destroy(struct gemm_stream *stream) {
    if (stream == NULL) return;
    dnnl_stream_destroy(stream->handle);
    free(stream);
}

static dnnl_alg_kind_t function_of(enum gemm_epilogue epilogue) {
    if (epilogue == GEMM_BIAS_GELU) return dnnl_eltwise_gelu_erf;
    return epilogue == GEMM_BIAS_GELU_TANH ? dnnl_eltwise_gelu_tanh : dnnl_eltwise_tanh;
}

// Scratch comes from the caller, so that threads can share a plan; GELU and tanh run in the
// product's epilogue.
static dnnl_status_t make_attributes(enum gemm_epilogue epilogue, dnnl_primitive_attr_t *out) {
    dnnl_primitive_attr_t attr;
    dnnl_status_t result = dnnl_primitive_attr_create(&attr);
    if (result != dnnl_success) return result;
    result = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (result == dnnl_success && epilogue != GEMM_BIAS) {
        const dnnl_alg_kind_t function = function_of(epilogue);
        dnnl_post_ops_t ops;
        result = dnnl_post_ops_create(&ops);
        if (result == dnnl_success) {
#if DNNL_VERSION_MAJOR >= 3
            result = dnnl_post_ops_append_eltwise(ops, function, 0.0f, 0.0f);
#else
            result = dnnl_post_ops_append_eltwise(ops, 1.0f, function, 0.0f, 0.0f);
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
    const dnnl_dims_t x_dims = {gemm->n_rows, gemm->n_in}, w_dims = {gemm->n_in, gemm->n_out};
    const dnnl_dims_t b_dims = {1, gemm->n_out}, y_dims = {gemm->n_rows, gemm->n_out};
    memory_desc x, w, b, y;
    dnnl_status_t result = DESC_CREATE(&x, 2, x_dims, dnnl_ab);
    if (result != dnnl_success) return result;
    result = DESC_CREATE(&w, 2, w_dims, dnnl_format_tag_any);
    if (result != dnnl_success) goto out_x;
    result = DESC_CREATE(&b, 2, b_dims, dnnl_ab);
    if (result != dnnl_success) goto out_w;
    result = DESC_CREATE(&y, 2, y_dims, dnnl_ab);
    if (result != dnnl_success) goto out_b;
#if DNNL_VERSION_MAJOR >= 3
    result = dnnl_matmul_primitive_desc_create(&gemm->desc, gemm->engine, x, w, b, y, attr);
#else
    dnnl_matmul_desc_t op;
    result = dnnl_matmul_desc_init(&op, &x, &w, &b, &y);
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

enum status gemm_create(struct gemm_engine *engine, int32_t n_rows, int32_t n_in, int32_t n_out,
                        enum gemm_epilogue epilogue, struct gemm **out, struct error *error) {
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "a GEMM plan", error);
    if (status != STATUS_OK) return status;
    struct gemm *gemm = memory;
    *gemm = (struct gemm){.engine = engine->handle, .n_rows = n_rows, .n_in = n_in, .n_out = n_out};
    stay_in_this_thread();  // plans are made for as many threads as will run them

    dnnl_primitive_attr_t attr = NULL;
    dnnl_status_t result = make_attributes(epilogue, &attr);
    if (result == dnnl_success) result = describe(gemm, attr);
    if (result == dnnl_success) result = dnnl_primitive_create(&gemm->primitive, gemm->desc);
    if (attr != NULL) dnnl_primitive_attr_destroy(attr);
    if (result != dnnl_success) {
        gemm_destroy(gemm);
        return failed(error, "matmul", result);
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

static dnnl_status_t execute(dnnl_primitive_t primitive, dnnl_stream_t stream, int n_args,
                             const dnnl_exec_arg_t *args) {
    dnnl_status_t result = dnnl_primitive_execute(primitive, stream, n_args, args);
    return result == dnnl_success ? dnnl_stream_wait(stream) : result;
}

// Copies `from` (its own layout) into `to` (another).
static dnnl_status_t reorder(dnnl_engine_t engine, memory_desc_ref from_desc, dnnl_memory_t from,
                             memory_desc_ref to_desc, dnnl_memory_t to) {
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    dnnl_stream_t stream;
    dnnl_status_t result =
        dnnl_reorder_primitive_desc_create(&desc, from_desc, engine, to_desc, engine, NULL);
    if (result != dnnl_success) return result;
    result = dnnl_primitive_create(&primitive, desc);
    if (result != dnnl_success) goto out_desc;
    result = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
    if (result != dnnl_success) goto out_primitive;
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    result = execute(primitive, stream, 2, args);
    dnnl_stream_destroy(stream);
out_primitive:
    dnnl_primitive_destroy(primitive);
out_desc:
    dnnl_primitive_desc_destroy(desc);
    return result;
}

// A library-owned copy of `source` ([dims], layout `tag`) in the layout `wanted`.
static dnnl_status_t pack(dnnl_engine_t engine, const dnnl_dims_t dims, dnnl_format_tag_t tag,
                          const float *source, memory_desc_ref wanted, dnnl_memory_t *out) {
    memory_desc plain;
    dnnl_memory_t from, to;
    dnnl_status_t result = DESC_CREATE(&plain, 2, dims, tag);
    if (result != dnnl_success) return result;
    result = dnnl_memory_create(&from, REF(plain), engine, (void *)(uintptr_t)source);
    if (result != dnnl_success) goto out_plain;
    result = dnnl_memory_create(&to, wanted, engine, DNNL_MEMORY_ALLOCATE);
    if (result != dnnl_success) goto out_from;
    result = reorder(engine, REF(plain), from, wanted, to);
    if (result == dnnl_success) {
        *out = to;
    } else {
        dnnl_memory_destroy(to);
    }
out_from:
    dnnl_memory_destroy(from);
out_plain:
    DESC_DESTROY(plain);
    return result;
}

enum status gemm_pack(const struct gemm *gemm, const float *weight, const float *bias,
                      struct gemm_weights **out, struct error *error) {
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "packed weights", error);
    if (status != STATUS_OK) return status;
    struct gemm_weights *weights = memory;
    // [n_out, n_in] by rows is [n_in, n_out] by columns: the transposed tag, no transposition.
    const dnnl_dims_t w_dims = {gemm->n_in, gemm->n_out}, b_dims = {1, gemm->n_out};
    dnnl_status_t result = pack(gemm->engine, w_dims, dnnl_ba, weight,
                                desc_of(gemm, dnnl_query_weights_md), &weights->weight);
    if (result == dnnl_success) {
        result = pack(gemm->engine, b_dims, dnnl_ab, bias,
                      dnnl_primitive_desc_query_md(gemm->desc, dnnl_query_weights_md, 1),
                      &weights->bias);
    }
    if (result != dnnl_success) {
        gemm_weights_destroy(weights);
        return failed(error, "packing weights", result);
    }
    *out = weights;
    return STATUS_OK;
}

void gemm_weights_destroy(struct gemm_weights *weights) {
    if (weights == NULL) return;
    if (weights->weight != NULL) dnnl_memory_destroy(weights->weight);
    if (weights->bias != NULL) dnnl_memory_destroy(weights->bias);
    free(weights);
}

enum status gemm_run(const struct gemm *gemm, const struct gemm_weights *weights,
                     struct gemm_stream *stream, const float *x, float *y, void *scratch,
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
        {DNNL_ARG_SRC, x_memory},        {DNNL_ARG_WEIGHTS, weights->weight},
        {DNNL_ARG_BIAS, weights->bias},  {DNNL_ARG_DST, y_memory},
        {DNNL_ARG_SCRATCHPAD, s_memory},
    };
    result = execute(gemm->primitive, stream->handle, (int)ARRAY_LEN(args), args);
out:
    if (s_memory != NULL) dnnl_memory_destroy(s_memory);
    if (y_memory != NULL) dnnl_memory_destroy(y_memory);
    if (x_memory != NULL) dnnl_memory_destroy(x_memory);
    return result == dnnl_success ? STATUS_OK : failed(error, "a matrix product", result);
}
