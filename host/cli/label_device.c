// SPDX-License-Identifier: Apache-2.0
//
// What a run computes on: --device, --precision and what this host has. Nothing that was asked for
// is replaced in silence; only `auto` chooses, and says what.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/machine.h"
#include "host/cli/device.h"
#include "host/cli/label_setup.h"
#include "host/cli/report.h"

#define WHAT_A_GPU_TAKES                                                     \
    "; it takes an NVIDIA GPU, a driver for CUDA 13 (release 580 or newer) " \
    "and cuBLAS 13 (libcublasLt.so.13)"

// What --device says, before anybody looks at the host.
struct device_request {
    bool cpu, cuda;                                // both: auto
    int32_t indices[CUDA_DEVICES_MAX], n_indices;  // of CUDA devices; none: all of a kind
};

// The list behind "cuda:".
static bool parse_indices(const char *text, struct device_request *request) {
    for (;;) {
        char *end = NULL;
        errno = 0;
        const long index = *text >= '0' && *text <= '9' ? strtol(text, &end, 10) : -1;
        if (index < 0 || index >= CUDA_DEVICES_MAX || errno != 0) return false;
        for (int32_t i = 0; i < request->n_indices; i++) {
            if (request->indices[i] == index) return false;
        }
        request->indices[request->n_indices++] = (int32_t)index;
        if (*end == '\0') return true;
        if (*end != ',') return false;
        text = end + 1;
    }
}

static enum status parse_device(const char *text, struct device_request *request,
                                struct error *error) {
    const bool is_auto = strcmp(text, "auto") == 0;
    *request = (struct device_request){.cpu = is_auto || strcmp(text, "cpu") == 0,
                                       .cuda = is_auto || strcmp(text, "cuda") == 0};
    if (strncmp(text, "cuda:", 5) == 0) request->cuda = parse_indices(text + 5, request);
    if (request->cpu || request->cuda) return STATUS_OK;
    return error_set(error, STATUS_USAGE,
                     "--device %s: give auto, cpu, cuda, or cuda:0,1 with each device once", text);
}

// ---- CUDA devices

// The devices to use, in `chosen`. STATUS_MODEL when the host has not what was asked for.
static enum status choose_cuda(const struct device_request *request,
                               const struct cuda_devices *found, struct cuda_devices *chosen,
                               struct error *error) {
    chosen->n_devices = 0;
    if (found->n_devices == 0) return error_set(error, STATUS_MODEL, "%s", found->what);
    const int32_t n = request->n_indices > 0 ? request->n_indices : found->n_devices;
    for (int32_t i = 0; i < n; i++) {
        const int32_t index = request->n_indices > 0 ? request->indices[i] : i;
        if (index >= found->n_devices) {
            return error_set(error, STATUS_MODEL,
                             "there is no CUDA device %d: this process sees %d, numbered from 0",
                             (int)index, (int)found->n_devices);
        }
        const struct cuda_device *device = &found->devices[index], *first = &chosen->devices[0];
        if (chosen->n_devices > 0 && !encoder_cuda_same_kind(first, device)) {
            if (request->n_indices == 0) continue;
            return error_set(error, STATUS_MODEL,
                             "CUDA devices %d (%s) and %d (%s) are of two kinds, which round "
                             "differently: one run takes one kind",
                             (int)first->index, first->name, (int)device->index, device->name);
        }
        chosen->devices[chosen->n_devices++] = *device;
    }
    return STATUS_OK;
}

static enum status choose_dtype(const struct options *options, const struct cuda_device *device,
                                enum dtype *dtype, struct error *error) {
    char word[OPTIONS_WORD_NBYTES];
    switch (options->precision) {
        case PRECISION_AUTO:
            *dtype = encoder_cuda_dtype(device);
            return STATUS_OK;
        case PRECISION_FP32:
            *dtype = DTYPE_F32;
            return STATUS_OK;
        case PRECISION_BF16:
            *dtype = DTYPE_BF16;
            return STATUS_OK;
        case PRECISION_FP16:
            *dtype = DTYPE_F16;
            return STATUS_OK;
        case PRECISION_FP8:
            *dtype = DTYPE_E4M3;
            return STATUS_OK;
        default:
            return error_set(error, STATUS_MODEL,
                             "--precision %s: on a GPU this version computes in fp32, bf16, "
                             "fp16 and fp8",
                             options_word("precision", options->precision, word));
    }
}

static void name_devices(struct device_choice *choice) {
    const int32_t n = choice->devices.n_devices;
    char times[16] = "";
    if (n > 1) snprintf(times, sizeof times, "%d x ", (int)n);
    snprintf(choice->hardware, sizeof choice->hardware, "%s%s", times,
             choice->devices.devices[0].name);
    snprintf(choice->workers, sizeof choice->workers, "%d GPU%s", (int)n, n > 1 ? "s" : "");
}

static enum status try_cuda(const struct options *options, const struct device_request *request,
                            int32_t max_length, const struct device_user *user,
                            struct device_choice *choice, struct cuda_devices *found,
                            struct error *error) {
    static const char *const names[] = {
        [DTYPE_F32] = "fp32", [DTYPE_F16] = "fp16", [DTYPE_BF16] = "bf16", [DTYPE_E4M3] = "fp8"};
    enum dtype dtype = DTYPE_F32;
    enum status status = encoder_cuda_find_devices(options->gpu_timeout, found, error);
    if (status == STATUS_OK) status = choose_cuda(request, found, &choice->devices, error);
    if (status == STATUS_OK) {
        status = choose_dtype(options, &choice->devices.devices[0], &dtype, error);
    }
    if (status != STATUS_OK) return status;
    choice->cuda = (struct encoder_cuda_settings){
        .devices = choice->devices.devices,
        .n_devices = choice->devices.n_devices,
        .dtype = dtype,
        .batch_tokens = options->batch_tokens,
        .max_length = max_length,
        .timeout_seconds = options->gpu_timeout,
    };
    choice->is_cuda = true;
    choice->device = "cuda";
    choice->precision = names[dtype];
    name_devices(choice);
    if (request->n_indices == 0) {
        choice->n_passed_over = found->n_devices - choice->devices.n_devices;
    }
    return user->take(user->context, choice, error);
}

// ---- the CPU

// The CPU's precision for --precision, `auto` being the exact one. STATUS_MODEL for what no CPU
// computes in here, and what this one cannot.
static enum status choose_cpu_precision(const struct options *options, const char *why_no_gpu,
                                        struct device_choice *choice, struct error *error) {
    struct error why;
    enum status status = STATUS_OK;
    switch (options->precision) {
        case PRECISION_AUTO:
        case PRECISION_FP32:
            choice->cpu.precision = CPU_FP32;
            choice->precision = "fp32";
            return STATUS_OK;
        case PRECISION_BF16:
            choice->cpu.precision = CPU_BF16;
            choice->precision = "bf16";
            status = encoder_cpu_check(CPU_BF16, &why);
            break;
        case PRECISION_INT8:
            choice->cpu.precision = CPU_INT8;
            choice->precision = "int8";
            status = encoder_cpu_check(CPU_INT8, &why);
            break;
        default:
            status = error_set(&why, STATUS_MODEL,
                               "on the CPU this version computes in fp32, bf16 and int8");
    }
    if (status == STATUS_OK) return STATUS_OK;
    char word[OPTIONS_WORD_NBYTES];
    return error_set(error, status, "--precision %s: %s%s%s; --precision fp32 does without",
                     options_word("precision", options->precision, word), why.text,
                     why_no_gpu[0] != '\0' ? "; on a GPU: " : "", why_no_gpu);
}

static enum status try_cpu(const struct options *options, const struct bert_config *config,
                           int32_t max_length, const struct device_user *user,
                           struct device_choice *choice, struct error *error) {
    const int n_threads = options->threads > 0 ? options->threads : processors_available();
    choice->cpu =
        (struct encoder_limits){.batch_tokens = options->batch_tokens, .n_threads = n_threads};
    if (choice->cpu.batch_tokens == 0) {
        choice->cpu.batch_tokens = encoder_cpu_batch_tokens(config, n_threads, max_length);
    }
    enum status status = choose_cpu_precision(options, choice->why_no_gpu.text, choice, error);
    if (status != STATUS_OK) return status;
    choice->is_cuda = false;
    choice->device = "cpu";
    choice->hardware[0] = '\0';
    choice->n_passed_over = 0;
    snprintf(choice->workers, sizeof choice->workers, "%d thread%s", n_threads,
             n_threads > 1 ? "s" : "");
    return user->take(user->context, choice, error);
}

// ---- either

void describe_device(const struct device_choice *choice, char *what, size_t what_cap,
                     const char **why) {
    snprintf(what, what_cap, "%s, %s, %s", choice->device, choice->precision, choice->workers);
    *why = choice->hardware[0] != '\0' ? choice->hardware : choice->why_no_gpu.text;
}

enum status check_device(const struct options *options, struct error *error) {
    struct device_request request;
    return parse_device(options->device, &request, error);
}

// `auto` falls back where a GPU cannot serve. One that fails is another matter: a night on the CPU
// in its place would be no favour.
enum status choose_device(const struct options *options, const struct bert_config *config,
                          int32_t max_length, const struct device_user *user,
                          struct device_choice *choice, struct error *error) {
    struct device_request request;
    *choice = (struct device_choice){0};
    enum status status = parse_device(options->device, &request, error);
    if (status != STATUS_OK) return status;
    choice->is_auto = request.cpu && request.cuda;
    if (options->batch_tokens != 0 && options->batch_tokens < max_length) {
        return error_set(error, STATUS_USAGE,
                         "--batch-tokens %d is less than one title may have (--max-length %d)",
                         options->batch_tokens, (int)max_length);
    }
    if (request.cuda) {
        struct cuda_devices found = {0};
        struct error *why = &choice->why_no_gpu;
        status = try_cuda(options, &request, max_length, user, choice, &found, why);
        if (status == STATUS_AGAIN || (status == STATUS_MODEL && !request.cpu)) {
            return error_set(
                error, STATUS_MODEL, "--device %s: %s%s; --device cpu does without",
                options->device, why->text,
                status == STATUS_MODEL && found.n_devices == 0 ? WHAT_A_GPU_TAKES : "");
        }
        if (status != STATUS_OK && status != STATUS_MODEL && error != NULL) *error = *why;
        if (status != STATUS_MODEL) return status;
    }
    return try_cpu(options, config, max_length, user, choice, error);
}

// ---- for wader label

static enum status make_encoder(void *context, const struct device_choice *choice,
                                struct error *error) {
    struct engine *engine = context;
    if (choice->is_cuda) {
        return encoder_create_cuda(engine->model, &choice->cuda, &engine->encoder, error);
    }
    return encoder_create_cpu(engine->model, &choice->cpu, &engine->encoder, error);
}

static void tell(const struct options *options, const struct device_choice *choice,
                 const struct encoder *encoder) {
    char what[64];
    const char *why;
    if (choice->n_passed_over > 0) {
        report_note("%d of %d CUDA devices are used: the others are of another kind",
                    (int)choice->devices.n_devices,
                    (int)(choice->devices.n_devices + choice->n_passed_over));
    }
    describe_device(choice, what, sizeof what, &why);
    if (choice->is_auto) report_note("device: %s (%s)", what, why);
    if (options->verbose) {
        const char *remark = encoder->remark;
        report_note("batches of %d tokens, %d in flight%s%s", (int)encoder->batch_tokens,
                    (int)encoder->n_slots, remark != NULL ? ", " : "",
                    remark != NULL ? remark : "");
    }
}

enum status open_encoder(const struct options *options, struct engine *engine,
                         struct error *error) {
    const struct device_user user = {.take = make_encoder, .context = engine};
    struct device_choice choice;
    enum status status =
        choose_device(options, &engine->model->config, engine->max_length, &user, &choice, error);
    if (status != STATUS_OK) return status;
    engine->device = choice.device;
    engine->precision = choice.precision;
    engine->is_cuda = choice.is_cuda;
    engine->n_threads = options->threads > 0 ? options->threads : processors_available();
    engine->n_workers = choice.is_cuda ? choice.devices.n_devices : engine->n_threads;
    snprintf(engine->hardware, sizeof engine->hardware, "%s", choice.hardware);
    snprintf(engine->workers, sizeof engine->workers, "%s", choice.workers);
    if (!options->quiet) tell(options, &choice, engine->encoder);
    return STATUS_OK;
}
