// SPDX-License-Identifier: Apache-2.0
#include "cuda/cublaslt.cuh"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#define TEXT_OF(x)    #x
#define VALUE_TEXT(x) TEXT_OF(x)
#define MAJOR_TEXT    VALUE_TEXT(CUBLAS_VER_MAJOR)
#define LIBRARY       "libcublasLt.so." MAJOR_TEXT
#define WHERE_FROM                                 \
    "it comes with CUDA toolkit " MAJOR_TEXT       \
    " and with the Python package nvidia-cublas; " \
    "if it lies in a place of its own, put that directory in LD_LIBRARY_PATH"

// NODELETE: the library registers code and exit handlers that must not vanish under the driver.
static void *open_at(const char *path) {
    return dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
}

static void *open_under(const char *root) {
    char path[PATH_NBYTES_MAX];
    if (root == NULL || root[0] == 0) return NULL;
    const int len = snprintf(path, sizeof path, "%s/lib64/" LIBRARY, root);
    return len > 0 && (size_t)len < sizeof path ? open_at(path) : NULL;
}

static enum status open_library(void **out, struct error *error) {
    *out = open_at(LIBRARY);
    if (*out != NULL) return STATUS_OK;
    char reason[400];
    const char *text = dlerror();
    snprintf(reason, sizeof reason, "%s", text != NULL ? text : "no reason is known");
    const char *const roots[] = {getenv("CUDA_HOME"), getenv("CUDA_PATH"), "/usr/local/cuda"};
    for (const char *root : roots) {
        *out = open_under(root);
        if (*out != NULL) return STATUS_OK;
    }
    return error_set(error, STATUS_MODEL, "%s cannot be loaded (%s): %s", LIBRARY, reason,
                     WHERE_FROM);
}

// The address of function `name`; the first one missing is remembered in `missing`.
template <typename Function>
static void find(void *library, const char *name, Function *out, const char **missing) {
    static_assert(sizeof(Function) == sizeof(void *), "POSIX: dlsym gives functions too");
    void *address = dlsym(library, name);
    if (address == NULL && *missing == NULL) *missing = name;
    memcpy(out, &address, sizeof address);
}

static enum status find_functions(struct cublaslt *lt, struct error *error) {
    const char *missing = NULL;
    void *library = lt->library;
    find(library, "cublasLtGetVersion", &lt->get_version, &missing);
    find(library, "cublasLtCreate", &lt->create, &missing);
    find(library, "cublasLtDestroy", &lt->destroy, &missing);
    find(library, "cublasLtMatmul", &lt->matmul, &missing);
    find(library, "cublasLtMatmulDescCreate", &lt->desc_create, &missing);
    find(library, "cublasLtMatmulDescDestroy", &lt->desc_destroy, &missing);
    find(library, "cublasLtMatmulDescSetAttribute", &lt->desc_set, &missing);
    find(library, "cublasLtMatrixLayoutCreate", &lt->layout_create, &missing);
    find(library, "cublasLtMatrixLayoutDestroy", &lt->layout_destroy, &missing);
    find(library, "cublasLtMatmulPreferenceCreate", &lt->preference_create, &missing);
    find(library, "cublasLtMatmulPreferenceDestroy", &lt->preference_destroy, &missing);
    find(library, "cublasLtMatmulPreferenceSetAttribute", &lt->preference_set, &missing);
    find(library, "cublasLtMatmulAlgoGetHeuristic", &lt->get_heuristic, &missing);
    find(library, "cublasLtMatmulAlgoCheck", &lt->algo_check, &missing);
    find(library, "cublasLtMatmulAlgoConfigGetAttribute", &lt->algo_get, &missing);
    if (missing == NULL) return STATUS_OK;
    return error_set(error, STATUS_MODEL, "%s lacks the function %s: %s", LIBRARY, missing,
                     WHERE_FROM);
}

enum status cublaslt_open(struct cublaslt *out, struct error *error) {
    memset(out, 0, sizeof *out);
    enum status status = open_library(&out->library, error);
    if (status == STATUS_OK) status = find_functions(out, error);
    if (status == STATUS_OK) {
        out->version = out->get_version();
        if (out->version / 10000 != CUBLAS_VER_MAJOR) {
            status = error_set(error, STATUS_MODEL,
                               "%s is of version %zu, not of %d as its name says: %s", LIBRARY,
                               out->version, CUBLAS_VER_MAJOR, WHERE_FROM);
        }
    }
    if (status != STATUS_OK) cublaslt_close(out);
    return status;
}

void cublaslt_close(struct cublaslt *lt) {
    if (lt->library != NULL) dlclose(lt->library);
    memset(lt, 0, sizeof *lt);
}
