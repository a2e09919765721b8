// SPDX-License-Identifier: Apache-2.0
//
// What calls return: of devices, of events and captures as CUDA has them; failures and hanging
// calls that the environment asks for; what is left over at exit; the report.
#include <signal.h>
#include <unistd.h>

#include <thread>

#include "cuda/device.h"
extern "C" {
#include "tests/support/temp_dir.h"
}
#include "tests/standin/standin.h"
#include "tests/standin/trial.h"

// The toolkit's functions return an enumeration of its headers.
extern "C" int cudaGetLastError(void);
extern "C" int cudaMalloc(void **out, size_t nbytes);

enum { MIB = 1 << 20 };

// ---- devices and memory

static void two_devices() {
    static struct cuda_devices found;
    cuda_devices_find(&found);
    WANT(found.n_devices, 2);
    WANT(found.devices[1].index, 1);
    WANT(strcmp(found.devices[0].name, found.devices[1].name) != 0, 1);
    WANT(strcmp(found.devices[0].uuid, found.devices[1].uuid) != 0, 1);
    WANT(strcmp(found.devices[0].pci, found.devices[1].pci) != 0, 1);
    WANT(found.devices[0].major * 10 + found.devices[0].minor, 75);
    WANT(found.devices[0].n_multiprocessors, 5);
    WANT(found.devices[0].memory_nbytes, 2 * MIB);
    WANT(gpu_use(2), 101);
    void *memory, *more;
    size_t n_free, n_total;
    WANT(gpu_alloc(MIB + 1, &memory), 0);
    WANT(gpu_alloc(MIB, &more), 2);
    WANT(cudaGetLastError(), 0);  // runtime.cu has asked for it
    WANT(cudaMalloc(&more, MIB), 2);
    WANT(cudaGetLastError(), 2);
    WANT(cudaGetLastError(), 0);
    WANT(gpu_code_is_memory(2), 1);
    WANT(gpu_memory(&n_free, &n_total), 0);
    WANT(n_free, MIB - 1);
    WANT(n_total, 2 * MIB);
    WANT(gpu_use(1), 0);
    WANT(gpu_alloc(2 * MIB, &more), 0);  // a device's memory is its own
    WANT(gpu_free(more), 0);
    WANT(gpu_use(0), 0);
    WANT(gpu_free(memory), 0);
    WANT(gpu_memory(&n_free, &n_total), 0);
    WANT(n_free, 2 * MIB);
}

static void no_device() {
    struct cuda_devices found;
    void *memory;
    cuda_devices_find(&found);
    WANT(found.n_devices, 0);
    WANT(strcmp(found.what, "no NVIDIA driver on this host"), 0);
    WANT(gpu_alloc(16, &memory), 35);
}

static void told_memory() {
    size_t n_free, n_total;
    WANT(gpu_memory(&n_free, &n_total), 0);
    WANT(n_free, 7 * MIB);
    WANT(n_total, 256 * MIB);
}

// ---- events and captures

static void event_codes() {
    bench b = bench_open();
    bool is_done = false;
    double seconds;
    char name[128];
    WANT(gpu_event_is_done(b.event_a, &is_done), 0);
    WANT(is_done, 1);
    WANT(gpu_event_record(b.event_a, b.a), 0);
    WANT(gpu_event_seconds(b.event_a, b.event_b, &seconds), 400);
    WANT(gpu_event_record(b.event_b, b.b), 0);
    WANT(gpu_event_seconds(b.event_a, b.event_b, &seconds), 600);
    WANT(await_event(b.event_a), 0);
    WANT(await_event(b.event_b), 0);
    WANT(gpu_event_seconds(b.event_a, b.event_b, &seconds), 0);
    WANT(strcmp(gpu_code_name(214, name),
                "cudaErrorECCUncorrectable: uncorrectable ECC error encountered"),
         0);
    WANT(strcmp(gpu_code_name(8888, name), "cudaError_t 8888"), 0);
    bench_close(&b);
}

static void captures() {
    bench b = bench_open();
    struct CUgraphExec_st *graph;
    bool is_done;
    void *memory;
    WANT(gpu_capture_end(b.a, &graph), 401);
    WANT(gpu_capture_begin(b.a), 0);
    WANT(gpu_alloc(16, &memory), 900);  // of the thread that captures
    WANT(gpu_zero(b.memory, 16, b.a), 901);
    WANT(gpu_capture_end(b.a, &graph), 901);
    WANT(gpu_capture_begin(b.a), 0);
    WANT(gpu_stream_is_done(b.a, &is_done), 900);
    WANT(gpu_capture_end(b.a, nullptr), 901);
    WANT(gpu_capture_begin(b.a), 0);
    WANT(gpu_event_record(b.event_b, b.b), 0);
    WANT(gpu_event_is_done(b.event_b, &is_done), 900);
    WANT(gpu_capture_end(b.a, nullptr), 901);
    WANT(gpu_capture_begin(b.a), 0);
    WANT(gpu_stream_wait(b.a, b.event_b), 905);
    WANT(gpu_capture_end(b.a, nullptr), 901);
    WANT(gpu_capture_begin(b.a), 0);
    std::thread([&] {
        void *other;
        WANT(gpu_alloc(16, &other), 0);  // other threads do not mind
        WANT(gpu_free(other), 0);
    }).join();
    WANT(gpu_zero(b.memory, 16, b.a), 0);
    WANT(gpu_capture_end(b.a, nullptr), 0);  // thrown away
    WANT(gpu_capture_begin(b.a), 0);
    std::thread([&] { WANT(gpu_capture_end(b.a, &graph), 908); }).join();
    WANT(gpu_capture_end(b.a, &graph), 901);
    WANT(await_stream(b.b), 0);
    bench_close(&b);
}

static void test_codes() {
    trial_well("two devices", two_devices,
               {"STANDIN_DEVICES=2", "STANDIN_MIXED=1", "STANDIN_CC=7.5", "STANDIN_SMS=5",
                "STANDIN_MEMORY=2"});
    trial_well("no device", no_device, {"STANDIN_DEVICES=0"});
    trial_well("told memory", told_memory, {"STANDIN_MEMORY_TOLD=7"});
    trial_well("event codes", event_codes);
    trial_well("captures", captures);
}

// ---- failures

static const char *wanted_kind;
static int wanted_code;

// Makes three calls of the wanted kind on a bench that needed one or two of each.
static int call_once(const bench &b) {
    const std::string kind = wanted_kind;
    bool is_done;
    size_t n_free, n_total;
    void *memory = nullptr;
    int code = -1;
    if (kind == "device") code = gpu_memory(&n_free, &n_total);
    if (kind == "alloc") code = gpu_alloc(16, &memory), gpu_free(memory);
    if (kind == "pinned") code = gpu_alloc_pinned(16, &memory), gpu_free_pinned(memory);
    if (kind == "stream") code = gpu_stream_wait(b.a, b.event_a);
    if (kind == "event") code = gpu_event_record(b.event_a, b.a);
    if (kind == "query") code = gpu_stream_is_done(b.a, &is_done);
    if (kind == "copy") code = gpu_zero(b.memory, 16, b.a);
    if (kind == "graph") code = gpu_capture_begin(b.a);
    if (kind == "product") code = standin_enter(STANDIN_PRODUCT);
    if (kind == "choose") code = standin_enter(STANDIN_CHOOSE);
    if (kind == "graph" && code == 0) WANT(gpu_capture_end(b.a, nullptr), 0);
    return code;
}

// The third call of each kind at the latest is that of call_once.
static void fails_once() {
    bench b = bench_open();
    int n_failed = 0;
    for (int i = 0; i < 6; i++) {
        const int code = call_once(b);
        if (code != 0) WANT(code, wanted_code);
        n_failed += code != 0;
    }
    WANT(n_failed, 1);
    WANT(await_stream(b.a), 0);
    bench_close(&b);
}

static void fails_for_ever() {
    bench b = bench_open();
    void *memory;
    for (int i = 0; i < 2; i++) WANT(gpu_copy_in(b.memory, b.pinned, 16, b.a), 0);
    for (int i = 0; i < 2; i++) WANT(gpu_zero(b.memory, 16, b.a), 214);
    WANT(cudaGetLastError(), 214);  // stays
    WANT(gpu_alloc(16, &memory), 214);
    WANT(gpu_event_record(b.event_a, b.a), 214);
    WANT(standin_enter(STANDIN_PRODUCT), 13);
    WANT(gpu_use(1), 0);
    WANT(cudaGetLastError(), 0);
    WANT(gpu_use(0), 214);  // and frees what is left there
    WANT(gpu_free(b.memory), 214);
    WANT(gpu_free_pinned(b.pinned), 214);
    WANT(gpu_use(1), 0);
    bench other = bench_open(1);  // another device does not mind
    bench_close(&other);
}

static void fails_late() {
    bench b = bench_open();
    bool is_done;
    for (int i = 0; i < 4; i++) WANT(gpu_zero(b.memory, 16, b.a), 0);
    WANT(gpu_event_record(b.event_a, b.a), 0);
    WANT(await_event(b.event_a), 700);
    WANT(gpu_event_is_done(b.event_b, &is_done), 700);
    WANT(gpu_stream_destroy(b.a), 700);
}

static void test_failures() {
    static const struct {
        const char *kind;
        int code;
    } kinds[] = {{"device", 46}, {"alloc", 2},  {"pinned", 2}, {"stream", 719}, {"event", 719},
                 {"query", 719}, {"copy", 719}, {"graph", 1},  {"product", 13}, {"choose", 14}};
    for (const auto &one : kinds) {
        char variable[60];
        wanted_kind = one.kind;
        wanted_code = one.code;
        snprintf(variable, sizeof variable, "STANDIN_FAIL=%s:5:%d", one.kind, one.code);
        trial_well(one.kind, fails_once, {variable});
    }
    trial_well("for ever", fails_for_ever, {"STANDIN_FAIL=copy:3:214:sticky", "STANDIN_DEVICES=2"});
    trial_well("late", fails_late, {"STANDIN_FAIL=copy:3:700:late"});
    CHECK_INT(trial_run(fails_late, {"STANDIN_FAIL=copy:0"}).exit_code, 2);
    CHECK_INT(trial_run(fails_late, {"STANDIN_FAIL=alloc:1:2:late"}).exit_code, 2);
    CHECK_INT(trial_run(fails_late, {"STANDIN_HANG=copies:1"}).exit_code, 2);
}

// ---- calls that hang

static char report_path[TEMP_PATH_MAX + 20];

// The thread in it holds up no other.
static void hangs() {
    static bench b = bench_open();
    WANT(gpu_zero(b.memory, 16, b.b), 0);
    std::thread([] {
        gpu_zero(b.memory, 16, b.a);
        fprintf(stderr, "came back\n");
    }).detach();
    usleep(200000);
    WANT(await_stream(b.b), 0);
    fprintf(stderr, "alive\n");
    _exit(0);
}

static void hangs_late() {
    bench b = bench_open();
    bool is_done;
    for (int i = 0; i < 2; i++) WANT(gpu_zero(b.memory, 16, b.a), 0);
    for (int i = 0; i < 1000; i++) {
        WANT(gpu_stream_is_done(b.a, &is_done), 0);
        WANT(is_done, 0);
    }
    fprintf(stderr, "frees\n");
    gpu_free(b.memory);  // waits for it
}

static std::string read_report() {
    char text[1000] = "";
    FILE *file = fopen(report_path, "r");
    if (file != nullptr) {
        text[fread(text, 1, sizeof text - 1, file)] = '\0';
        fclose(file);
    }
    return text;
}

static void test_hangs() {
    char variable[sizeof report_path + 20];
    snprintf(variable, sizeof variable, "STANDIN_REPORT=%s", report_path);
    const trial_end end = trial_run(hangs, {"STANDIN_HANG=copy:2", variable});
    CHECK_INT(end.exit_code, 0);
    CHECK_STR(end.text.c_str(), "alive\n");
    const std::string fired = read_report();  // of when it began to hang: _exit writes none
    CHECK_CONTAINS(fired.c_str(), "\"copy\":2,");
    CHECK_CONTAINS(fired.c_str(), "\"fired\":true,\"launches\":0,\"devices_used\":0}");
    const trial_end late = trial_run(hangs_late, {"STANDIN_HANG=copy:2:late", variable}, 0.7);
    CHECK_INT(late.signal, SIGKILL);
    CHECK_STR(late.text.c_str(), "frees\n");
    trial_well("event codes", event_codes, {variable});
    const std::string none = read_report();
    CHECK_CONTAINS(none.c_str(), "\"copy\":0,\"launch\":0,");
    CHECK_CONTAINS(none.c_str(), "\"fired\":false");
}

// ---- what is left over

static void leaves_all() {
    bench b = bench_open();
    struct CUgraphExec_st *graph;
    WANT(gpu_capture_begin(b.a), 0);
    WANT(gpu_capture_end(b.a, &graph), 0);
    standin_count_handles(2);
}

static void leaves_graph() {
    bench b = bench_open();
    struct CUgraphExec_st *graph;
    WANT(gpu_capture_begin(b.a), 0);
    WANT(gpu_capture_end(b.a, &graph), 0);
    bench_close(&b);
}

static void leaves_lost() {
    bench b = bench_open();
    WANT(gpu_zero(b.memory, 16, b.a), 719);
    standin_count_handles(1);
}

static void test_leaks() {
    const trial_end end = trial_run(leaves_all);
    CHECK_INT(end.exit_code, 99);
    for (const char *part :
         {"memory of device 0, 4096 bytes", "pinned memory of device 0, 4096", "a stream of device",
          "an event of device", "a graph that can be launched of", "2 handles of cublasLt"}) {
        CHECK_CONTAINS(end.text.c_str(), part);
    }
    CHECK_INT(trial_run(leaves_graph).exit_code, 99);
    trial_well("lost", leaves_lost, {"STANDIN_FAIL=copy:1:719:sticky"});
}

int main() {
    char dir[TEMP_PATH_MAX];
    temp_dir_make(dir);
    snprintf(report_path, sizeof report_path, "%s/report.json", dir);
    test_codes();
    test_failures();
    test_hangs();
    test_leaks();
    temp_dir_remove(dir);
    return check_result();
}
