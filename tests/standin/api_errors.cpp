// SPDX-License-Identifier: Apache-2.0
//
// Codes: their names, and the last one of each thread.
#include "tests/standin/api.h"

namespace standin {

static_assert((int)OUT_OF_MEMORY == cudaErrorMemoryAllocation && (int)OK == cudaSuccess &&
                  (int)INVALID_VALUE == cudaErrorInvalidValue &&
                  (int)NO_DRIVER == cudaErrorInsufficientDriver &&
                  (int)INVALID_DEVICE == cudaErrorInvalidDevice &&
                  (int)INVALID_HANDLE == cudaErrorInvalidResourceHandle &&
                  (int)ILLEGAL_STATE == cudaErrorIllegalState &&
                  (int)NOT_READY == cudaErrorNotReady &&
                  (int)LAUNCH_FAILURE == cudaErrorLaunchFailure &&
                  (int)CAPTURE_UNSUPPORTED == cudaErrorStreamCaptureUnsupported &&
                  (int)CAPTURE_INVALIDATED == cudaErrorStreamCaptureInvalidated &&
                  (int)CAPTURE_ISOLATION == cudaErrorStreamCaptureIsolation &&
                  (int)CAPTURE_WRONG_THREAD == cudaErrorStreamCaptureWrongThread,
              "the toolkit's values");

static thread_local int last_error;

int note_error(int code) {
    if (code != OK) last_error = code;
    return code;
}

#define EACH_CODE(X)                                                                               \
    X(cudaSuccess, "no error")                                                                     \
    X(cudaErrorInvalidValue, "invalid argument")                                                   \
    X(cudaErrorMemoryAllocation, "out of memory")                                                  \
    X(cudaErrorInitializationError, "initialization error")                                        \
    X(cudaErrorInvalidConfiguration, "invalid configuration argument")                             \
    X(cudaErrorInsufficientDriver, "CUDA driver version is insufficient for CUDA runtime version") \
    X(cudaErrorDevicesUnavailable, "CUDA-capable device(s) is/are busy or unavailable")            \
    X(cudaErrorNoDevice, "no CUDA-capable device is detected")                                     \
    X(cudaErrorInvalidDevice, "invalid device ordinal")                                            \
    X(cudaErrorNoKernelImageForDevice, "no kernel image is available for execution on the device") \
    X(cudaErrorECCUncorrectable, "uncorrectable ECC error encountered")                            \
    X(cudaErrorInvalidResourceHandle, "invalid resource handle")                                   \
    X(cudaErrorIllegalState, "the operation cannot be performed in the present state")             \
    X(cudaErrorNotReady, "device not ready")                                                       \
    X(cudaErrorIllegalAddress, "an illegal memory access was encountered")                         \
    X(cudaErrorLaunchTimeout, "the launch timed out and was terminated")                           \
    X(cudaErrorMisalignedAddress, "misaligned address")                                            \
    X(cudaErrorLaunchFailure, "unspecified launch failure")                                        \
    X(cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing")       \
    X(cudaErrorStreamCaptureInvalidated,                                                           \
      "operation failed due to a previous error during capture")                                   \
    X(cudaErrorStreamCaptureIsolation, "dependency created on uncaptured work in another stream")  \
    X(cudaErrorStreamCaptureWrongThread,                                                           \
      "attempt to terminate a thread-local capture sequence from another thread")                  \
    X(cudaErrorUnknown, "unknown error")

}  // namespace standin

using namespace standin;

// Forgets it, but for a failure that the device does not get over.
extern "C" cudaError_t cudaGetLastError(void) {
    const int code = lost_code(current_device());
    const int last = last_error;
    last_error = OK;
    return static_cast<cudaError_t>(code != OK && code != NO_DRIVER ? code : last);
}

extern "C" const char *cudaGetErrorName(cudaError_t error) {
    switch ((int)error) {
#define NAME(name, text) \
    case name:           \
        return #name;
        EACH_CODE(NAME)
#undef NAME
    }
    return "unrecognized error code";
}

extern "C" const char *cudaGetErrorString(cudaError_t error) {
    switch ((int)error) {
#define TEXT(name, text) \
    case name:           \
        return text;
        EACH_CODE(TEXT)
#undef TEXT
    }
    return "unrecognized error code";
}
