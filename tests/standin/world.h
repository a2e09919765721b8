// SPDX-License-Identifier: Apache-2.0
//
// What the parts of the stand-in share: devices, their memory, streams and what waits in them.
//
// One lock guards all of it. A function takes it unless its comment says that the caller holds it;
// standin_misuse may be called either way. Handles are never deleted, so that one that is used
// after it was destroyed is known as such.
#ifndef WADER_TESTS_STANDIN_WORLD_H
#define WADER_TESTS_STANDIN_WORLD_H

#include <stdint.h>

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "tests/standin/standin.h"

struct CUstream_st;

namespace standin {

// The codes that more than one part returns, with the toolkit's values.
enum code : int {
    OK = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NO_DRIVER = 35,
    INVALID_DEVICE = 101,
    INVALID_HANDLE = 400,
    ILLEGAL_STATE = 401,
    NOT_READY = 600,
    LAUNCH_FAILURE = 719,
    CAPTURE_UNSUPPORTED = 900,
    CAPTURE_INVALIDATED = 901,
    CAPTURE_ISOLATION = 905,
    CAPTURE_WRONG_THREAD = 908,
    STATUS_MAX = 16,  // of a cublasStatus_t
    STATUS_EXECUTION_FAILED = 13,
    STATUS_INTERNAL_ERROR = 14
};

// ---- settings, from the environment

enum class how { once, sticky, late };

struct provocation {
    int kind;  // an enum standin_call, -1: none
    long n;
    int code;
    standin::how how;
};

struct settings {
    int n_devices, major, minor, n_multiprocessors;
    bool is_mixed;
    size_t memory_nbytes, told_nbytes;  // of each device; SIZE_MAX: told as it is
    uint64_t seed;
    provocation fail, hang;
    const char *report;  // NULL: none
};

// Ends the program when the environment makes no sense.
settings read_settings(void);
const char *call_name(int kind);

// ---- order

// Of each stream, by its number, how many of its operations come before.
typedef std::vector<uint64_t> vector_clock;
void join(vector_clock *into, const vector_clock &from);

// A place in a stream: of an event, or the end of a graph's launch.
struct mark {
    bool is_done;
    double seconds;  // when it was done
    vector_clock before;
};

// ---- operations

// Something to do, once or as often as its graph is launched.
struct work {
    standin_call kind;
    const char *name;
    void (*run)(const void *closure);
    std::vector<char> closure;
    std::vector<standin_range> reads, writes;  // the pinned range is among them
    standin_range pinned;                      // of a copy; 0 bytes: none
    bool is_pinned_written;
    int late_code;  // it fails with this when its turn comes; 0: it does not
    bool is_endless;
};

struct operation {
    std::shared_ptr<const standin::work> work;  // or
    std::shared_ptr<mark> record, wait;         // one of these
    CUstream_st *stream;
    uint64_t number;      // in its stream, from 1
    vector_clock before;  // itself included
    bool is_done;
    bool is_watched;       // its pinned memory must stay as it is until it runs:
    uint64_t pinned_hash;  // this of what it reads, bytes of 0xFF where it writes
};

}  // namespace standin

// ---- what handles point to

struct CUstream_st {
    int device;
    size_t number;
    bool is_destroyed;
    std::deque<std::shared_ptr<standin::operation>> queue;
    uint64_t n_operations;
    standin::vector_clock before;
    struct CUgraph_st *capture;  // NULL: what is enqueued is to run
    int32_t n_rows;              // of the last embed; 0: not known
};

struct CUevent_st {
    int device;
    bool is_destroyed;
    std::shared_ptr<standin::mark> last;  // NULL: never recorded
};

struct CUgraph_st {
    int device;
    bool is_capturing, is_spoiled, is_destroyed;
    std::thread::id owner;  // who captures
    std::vector<std::shared_ptr<const standin::work>> works;
};

struct CUgraphExec_st {
    int device;
    bool is_destroyed;
    std::vector<std::shared_ptr<const standin::work>> works;
    std::shared_ptr<standin::mark> last;  // the end of its last launch
};

namespace standin {

// ---- all of it

struct device {
    size_t used_nbytes;
    int lost_code, lost_status;  // what every call returns, cublasLt's calls; 0: none
    bool is_hung;                // something on it was told never to end
    bool has_worked;             // a kernel or a product has run
    bool is_excused() const {
        return lost_code != 0 || is_hung;
    }
};

struct block {
    size_t nbytes;
    int device;
};

struct world {
    const standin::settings settings = read_settings();
    std::mutex lock;
    uint64_t random = settings.seed;
    std::vector<standin::device> devices = std::vector<standin::device>((size_t)settings.n_devices);
    std::map<const char *, block> memory, freed, pinned;
    std::deque<CUstream_st> streams;
    std::deque<CUevent_st> events;
    std::deque<CUgraph_st> graphs;
    std::deque<CUgraphExec_st> execs;
    vector_clock host;                                // what the program has seen done
    std::vector<std::shared_ptr<operation>> history;  // works that it has not
    std::atomic<long> calls[STANDIN_CALLS] = {};
    std::atomic<long> n_launches{0};
    std::atomic<bool> has_fired{false};
    std::atomic<int> n_handles{0};
};
world &the_world(void);  // made by the first call

uint64_t random_below(uint64_t n);  // caller holds the lock

// ---- calls.cpp

int current_device(void);  // of the calling thread
void choose_device(int device);

// standin_enter for a device that need not be the current one; -1: for none.
int enter(standin_call kind, int device);
// What a call that is not counted returns on `device`.
int lost_code(int device);
// The device is lost by a failure of this kind: from now on every call returns a code of it, and
// what waits is dropped. Caller holds the lock.
void fail_device(int device, standin_call kind, int code);
// What the calling thread's last call left for the next operation. Caller holds the lock.
void take_late(work *work);
void write_report(void);  // needs no lock
[[noreturn]] void hang(void);

// ---- memory.cpp

int allocate(void **out, size_t nbytes);
int release(void *memory);
int allocate_pinned(void **out, size_t nbytes, bool is_portable);
int release_pinned(void *memory);
// End the program unless all of `range` is in one block of the device's memory, or is pinned.
// Caller holds the lock.
void must_be_memory(const char *name, const standin_range &range, int device);
void must_be_pinned(const char *name, const standin_range &range);
// Makes an operation of a copy or of zeros. `from` NULL: zeros.
enum class direction { in, out, within, zero };
std::shared_ptr<work> make_copy(standin::direction direction, void *to, const void *from,
                                size_t nbytes);
// That the whole of what `work` wrote counts as written for the emulator.
void note_written(const work &work);

// ---- order.cpp: all callers hold the lock

// Gives the operation its place in its stream and ends the program if one that is not ordered
// before it touches the same bytes.
void order_operation(const std::shared_ptr<operation> &operation);
void note_seen(const vector_clock &before);  // the program knows that these are done
void forget_history(int device);
void watch_pinned(operation *operation);           // when it is enqueued
void check_pinned(const operation &operation);     // when it runs
const char *describe(const operation &operation);  // until this thread's second next call

// ---- streams.cpp: all callers hold the lock

// End the program unless the handle is alive and the current device's.
CUstream_st *use_stream(CUstream_st *stream);
CUevent_st *use_event(CUevent_st *event);
std::shared_ptr<work> make_work(const standin_operation &operation);
int enqueue(std::shared_ptr<work> work, CUstream_st *stream);
void enqueue_again(const std::shared_ptr<const work> &work, CUstream_st *stream);  // of a graph
std::shared_ptr<mark> enqueue_record(CUstream_st *stream);
void enqueue_wait(CUstream_st *stream, const std::shared_ptr<mark> &mark);
void run_some(int device);
bool run_all(int device);  // false: something never ends

// ---- graphs.cpp: all callers hold the lock

// 0, or the code of a call that the calling thread must not make while it captures.
int check_capture(void);
// The same of a call that no thread must make on a stream while it is captured.
int check_capture_of(CUstream_st *stream, int code);
CUgraphExec_st *use_exec(CUgraphExec_st *exec);  // as use_stream

// ---- api_errors.cpp

// Keeps a failure of the calling thread for cudaGetLastError. Returns `code`.
int note_error(int code);

}  // namespace standin

#endif
