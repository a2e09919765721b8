// SPDX-License-Identifier: Apache-2.0
//
// The codes of the CUDA runtime in words, and the runtime on a host that has no driver or no
// device: every call says so, and leaves nothing behind.
#include "cuda/device.h"
#include "cuda/matmul.h"
#include "cuda/runtime.h"
#include "tests/check.h"

// Values of the toolkit's cudaError_t and cublasStatus_t, which are part of its binary interface.
enum {
    CUDA_INVALID_VALUE = 1,
    CUDA_MEMORY_ALLOCATION = 2,
    CUDA_INITIALIZATION = 3,
    CUDA_ILLEGAL_ADDRESS = 700,
    CUBLAS_ALLOC_FAILED = 3,
    CUBLAS_EXECUTION_FAILED = 13,
};

static void check_name(int code, const char *want) {
    char text[128 + 1];
    memset(text, '#', sizeof text);
    CHECK(gpu_code_name(code, text) == text);
    CHECK_STR(text, want);
    CHECK_INT(text[128], '#');
}

static void test_names(void) {
    check_name(0, "cudaSuccess: no error");
    check_name(CUDA_INVALID_VALUE, "cudaErrorInvalidValue: invalid argument");
    check_name(CUDA_MEMORY_ALLOCATION, "cudaErrorMemoryAllocation: out of memory");
    check_name(CUDA_ILLEGAL_ADDRESS,
               "cudaErrorIllegalAddress: an illegal memory access was encountered");
    check_name(MATMUL_CODE + CUBLAS_ALLOC_FAILED, "CUBLAS_STATUS_ALLOC_FAILED");
    check_name(MATMUL_CODE + CUBLAS_EXECUTION_FAILED, "CUBLAS_STATUS_EXECUTION_FAILED");
    check_name(MATMUL_CODE + 4242, "cublasStatus_t 4242");
    // Of a newer driver, or of nobody.
    check_name(998, "cudaError_t 998");
    check_name(54321, "cudaError_t 54321");
    check_name(-1, "cudaError_t -1");
}

// Every code fits, ends and says something.
static void test_all_codes(void) {
    char text[128];
    for (int code = -2; code < 1200; code++) {
        memset(text, '#', sizeof text);
        gpu_code_name(code, text);
        const char *end = memchr(text, '\0', sizeof text);
        if (end == NULL || end - text < 8) CHECK_FAIL("the name of code %d", code);
    }
    for (int status = 0; status < 100; status++) {
        memset(text, '#', sizeof text);
        gpu_code_name(MATMUL_CODE + status, text);
        const char *end = memchr(text, '\0', sizeof text);
        if (end == NULL || end - text < 8) CHECK_FAIL("the name of cublasStatus_t %d", status);
    }
}

static void test_memory_codes(void) {
    CHECK(gpu_code_is_memory(CUDA_MEMORY_ALLOCATION));
    CHECK(gpu_code_is_memory(MATMUL_CODE + CUBLAS_ALLOC_FAILED));
    CHECK(!gpu_code_is_memory(0));
    CHECK(!gpu_code_is_memory(CUDA_INITIALIZATION));
    CHECK(!gpu_code_is_memory(CUDA_ILLEGAL_ADDRESS));
    CHECK(!gpu_code_is_memory(MATMUL_CODE));
    CHECK(!gpu_code_is_memory(MATMUL_CODE + CUDA_MEMORY_ALLOCATION));
    CHECK(!gpu_code_is_memory(MATMUL_CODE + CUBLAS_EXECUTION_FAILED));
}

// ---- without a device

static void test_find_none(const struct cuda_devices *devices) {
    CHECK_INT(devices->n_devices, 0);
    CHECK(memchr(devices->what, '\0', sizeof devices->what) != NULL);
    if (devices->driver_version == 0) {
        CHECK_STR(devices->what, "no NVIDIA driver on this host");
    } else {
        CHECK(devices->driver_version > 0);
        CHECK_CONTAINS(devices->what, "no CUDA device: ");
    }
}

// That a failed `call`, which names `out`, leaves NULL in a pointer that was not.
#define CHECK_REFUSED(type, call) \
    do {                          \
        static char rubbish;      \
        type *out;                \
        void *before = &rubbish;  \
        out = before;             \
        CHECK((call) != 0);       \
        CHECK(out == NULL);       \
    } while (0)

static void test_nothing_is_made(void) {
    CHECK(gpu_use(0) != 0);
    size_t free_nbytes = 7, total_nbytes = 7;
    CHECK(gpu_memory(&free_nbytes, &total_nbytes) != 0);
    CHECK_INT(free_nbytes, 0);
    CHECK_INT(total_nbytes, 0);
    CHECK_REFUSED(void, gpu_alloc(4096, &out));
    CHECK_REFUSED(void, gpu_alloc_pinned(4096, &out));
    CHECK_REFUSED(struct CUstream_st, gpu_stream_create(&out));
    CHECK_REFUSED(struct CUevent_st, gpu_event_create(&out));
    CHECK_REFUSED(struct CUgraphExec_st, gpu_capture_end(NULL, &out));
    CHECK(gpu_capture_end(NULL, NULL) != 0);
}

static void test_nothing_runs(void) {
    char bytes[16] = {0};
    CHECK(gpu_zero(bytes, sizeof bytes, NULL) != 0);
    CHECK(gpu_copy_in(bytes, bytes, sizeof bytes, NULL) != 0);
    CHECK(gpu_copy_out(bytes, bytes, sizeof bytes, NULL) != 0);
    CHECK(gpu_event_record(NULL, NULL) != 0);
    CHECK(gpu_stream_wait(NULL, NULL) != 0);
    CHECK(gpu_graph_launch(NULL, NULL) != 0);
    CHECK(gpu_capture_begin(NULL) != 0);
    bool done = true;
    CHECK(gpu_event_is_done(NULL, &done) != 0);
    CHECK(!done);
    double seconds = 7;
    CHECK(gpu_event_seconds(NULL, NULL, &seconds) != 0);
    CHECK(seconds == 0);
}

// A caller that got nothing may free all of it.
static void test_free_nothing(void) {
    CHECK_INT(gpu_free(NULL), 0);
    CHECK_INT(gpu_free_pinned(NULL), 0);
    CHECK_INT(gpu_stream_destroy(NULL), 0);
    CHECK_INT(gpu_event_destroy(NULL), 0);
    CHECK_INT(gpu_graph_destroy(NULL), 0);
}

int main(void) {
    test_names();
    test_all_codes();
    test_memory_codes();
    test_free_nothing();
    static struct cuda_devices devices;
    memset(&devices, '#', sizeof devices);
    cuda_devices_find(&devices);
    if (devices.n_devices > 0) {
        return check_failures > 0 ? check_result() : check_skip("this host has a CUDA device");
    }
    test_find_none(&devices);
    test_nothing_is_made();
    test_nothing_runs();
    return check_result();
}
