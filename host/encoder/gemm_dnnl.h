// SPDX-License-Identifier: Apache-2.0
//
// What gemm.c and gemm_weights.c share, and how oneDNN 2 and 3 differ.
#ifndef WADER_HOST_ENCODER_GEMM_DNNL_H
#define WADER_HOST_ENCODER_GEMM_DNNL_H

#include <dnnl.h>

#include "host/encoder/gemm.h"

struct gemm {
    dnnl_engine_t engine;
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    struct gemm_shape shape;
};

struct gemm_weights {
    dnnl_memory_t weight;
    dnnl_memory_t bias;  // NULL for GEMM_INT8
};

// The C API of oneDNN 3 hides memory descriptors behind handles and describes a primitive in one
// call; 2.x has them as structs and an operation descriptor in between. Here `memory_desc` is what
// these files create, and `memory_desc_ref`, from REF, what the library's calls take.
#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t memory_desc;
typedef const_dnnl_memory_desc_t memory_desc_ref;
#define REF(desc)                         (desc)
#define DESC_DESTROY(desc)                dnnl_memory_desc_destroy(desc)
#define DESC_CREATE(out, dims, type, tag) dnnl_memory_desc_create_with_tag(out, 2, dims, type, tag)
#else
typedef dnnl_memory_desc_t memory_desc;
typedef const dnnl_memory_desc_t *memory_desc_ref;
#define REF(desc)                         (&(desc))
#define DESC_DESTROY(desc)                ((void)(desc))
#define DESC_CREATE(out, dims, type, tag) dnnl_memory_desc_init_by_tag(out, 2, dims, type, tag)
#endif

// Every message says which call of the library failed, and with what.
enum status gemm_failed(struct error *error, const char *call, dnnl_status_t result);

// The formats of X, W and Y.
struct gemm_formats {
    dnnl_data_type_t x, w, y;
};
struct gemm_formats gemm_formats_of(enum gemm_type type);

// Runs a primitive and waits for it.
dnnl_status_t gemm_execute(dnnl_primitive_t primitive, dnnl_stream_t stream, int n_args,
                           const dnnl_exec_arg_t *args);

#endif
