// SPDX-License-Identifier: Apache-2.0
//
// That the stand-in notices what it should, each in a process of its own, and lets pass what is
// right; that streams take turns at random as far as events allow.
#include <unistd.h>

#include <vector>

#include "cuda/kernels.h"
#include "tests/standin/standin.h"
#include "tests/standin/trial.h"

// ---- memory

static void copy_to_freed() {
    bench b = bench_open();
    WANT(gpu_free(b.memory), 0);
    gpu_copy_in(b.memory, b.pinned, 16, b.a);
}

static void copy_beyond() {
    bench b = bench_open();
    gpu_copy_in(b.memory + 1, b.pinned, BENCH_NBYTES, b.a);
}

static void zero_before() {
    bench b = bench_open();
    gpu_zero(b.memory - 16, 32, b.a);
}

static void copy_unpinned() {
    bench b = bench_open();
    char here[16] = {};
    gpu_copy_in(b.memory, here, sizeof here, b.a);
}

static void copy_beyond_pinned() {
    bench b = bench_open();
    gpu_copy_out(b.pinned + BENCH_NBYTES - 8, b.memory, 16, b.a);
}

static void pinned_is_undefined() {
    bench b = bench_open();
    for (size_t i = 0; i < BENCH_NBYTES; i++) WANT((unsigned char)b.pinned[i], 0xff);
    bench_close(&b);
}

static void free_twice() {
    bench b = bench_open();
    WANT(gpu_free(b.memory), 0);
    gpu_free(b.memory);
}

static void free_pinned_early() {
    bench b = bench_open();
    WANT(gpu_copy_in(b.memory, b.pinned, 16, b.a), 0);
    gpu_free_pinned(b.pinned);
}

static void change_source() {
    bench b = bench_open();
    memset(b.pinned, 1, BENCH_NBYTES);
    WANT(gpu_copy_in(b.memory, b.pinned, BENCH_NBYTES, b.a), 0);
    b.pinned[BENCH_NBYTES - 1] = 2;
    await_stream(b.a);
}

static void write_target() {
    bench b = bench_open();
    WANT(gpu_zero(b.memory, BENCH_NBYTES, b.a), 0);
    WANT(gpu_copy_out(b.pinned, b.memory, BENCH_NBYTES, b.a), 0);
    b.pinned[77] = 2;
    await_stream(b.a);
}

static void test_memory() {
    trial_misuse("copy to freed", copy_to_freed, "device memory that was freed");
    trial_misuse("copy beyond", copy_beyond, "4096 bytes at ");
    trial_misuse("copy beyond", copy_beyond, "not within one block");
    trial_misuse("zero before", zero_before, "zeros touches 32 bytes");
    trial_misuse("copy unpinned", copy_unpinned, "which are not pinned");
    trial_misuse("copy beyond pinned", copy_beyond_pinned, "which are not pinned");
    trial_well("pinned is undefined", pinned_is_undefined);
    trial_misuse("free twice", free_twice, "no device memory, or no longer");
    trial_misuse("free pinned early", free_pinned_early, "pinned memory is freed that a copy to");
    trial_misuse("change source", change_source, "the host wrote to the pinned memory that a copy");
    trial_misuse("write target", write_target, "the host wrote to the pinned memory that a copy");
}

// ---- devices

static void stream_of_other() {
    bench b = bench_open(0);
    WANT(gpu_use(1), 0);
    gpu_zero(b.memory, 16, b.a);
}

static void memory_of_other() {
    bench b = bench_open(0), c = bench_open(1);
    gpu_zero(b.memory, 16, c.a);
}

static void event_of_other() {
    bench b = bench_open(0), c = bench_open(1);
    gpu_event_record(b.event_a, c.a);
}

static void free_of_other() {
    bench b = bench_open(0);
    WANT(gpu_use(1), 0);
    gpu_free(b.memory);
}

// ---- handles

static void default_stream() {
    bench b = bench_open();
    gpu_zero(b.memory, 16, nullptr);
}

static void stream_gone() {
    bench b = bench_open();
    WANT(gpu_stream_destroy(b.a), 0);
    gpu_zero(b.memory, 16, b.a);
}

static void stream_with_work() {
    bench b = bench_open();
    WANT(gpu_zero(b.memory, 16, b.a), 0);
    gpu_stream_destroy(b.a);
}

static void event_gone() {
    bench b = bench_open();
    WANT(gpu_event_destroy(b.event_a), 0);
    gpu_event_record(b.event_a, b.a);
}

static struct CUgraphExec_st *graph_of_zeros(const bench &b) {
    struct CUgraphExec_st *graph;
    WANT(gpu_capture_begin(b.a), 0);
    WANT(gpu_zero(b.memory, BENCH_NBYTES, b.a), 0);
    WANT(gpu_capture_end(b.a, &graph), 0);
    return graph;
}

static void graph_at_work() {
    bench b = bench_open();
    struct CUgraphExec_st *graph = graph_of_zeros(b);
    WANT(gpu_graph_launch(graph, b.a), 0);
    gpu_graph_destroy(graph);
}

static void graph_of_freed() {
    bench b = bench_open();
    struct CUgraphExec_st *graph = graph_of_zeros(b);
    WANT(gpu_free(b.memory), 0);
    gpu_graph_launch(graph, b.a);
}

static void graph_gone() {
    bench b = bench_open();
    struct CUgraphExec_st *graph = graph_of_zeros(b);
    WANT(gpu_graph_destroy(graph), 0);
    gpu_graph_launch(graph, b.a);
}

static void end_unfinished() {
    bench b = bench_open();
    WANT(gpu_zero(b.memory, 16, b.a), 0);
}

static void test_handles() {
    trial_misuse("stream of other", stream_of_other, "stream 0 of device 0", {"STANDIN_DEVICES=2"});
    trial_misuse("memory of other", memory_of_other, "touches memory of", {"STANDIN_DEVICES=2"});
    trial_misuse("event of other", event_of_other, "an event of device 0", {"STANDIN_DEVICES=2"});
    trial_misuse("free of other", free_of_other, "memory of device 0", {"STANDIN_DEVICES=2"});
    trial_misuse("default stream", default_stream, "is no stream");
    trial_misuse("stream gone", stream_gone, "stream 0 was destroyed");
    trial_misuse("stream with work", stream_with_work, "is destroyed before zeros (operation 1 of");
    trial_misuse("event gone", event_gone, "an event was destroyed");
    trial_misuse("graph at work", graph_at_work, "whose last launch nobody has seen done");
    trial_misuse("graph of freed", graph_of_freed, "device memory that was freed");
    trial_misuse("graph gone", graph_gone, "a graph was destroyed that is used");
    trial_misuse("end unfinished", end_unfinished, "the program ends before zeros");
}

// ---- order

static void write_and_write() {
    bench b = bench_open();
    WANT(gpu_zero(b.memory, 16, b.a), 0);
    gpu_zero(b.memory + 15, 16, b.b);
}

static void write_and_read() {
    bench b = bench_open();
    WANT(gpu_zero(b.memory, 16, b.a), 0);
    gpu_copy_out(b.pinned, b.memory, 8, b.b);
}

static void read_and_write() {
    bench b = bench_open();
    WANT(gpu_zero(b.memory, BENCH_NBYTES, b.a), 0);
    WANT(await_stream(b.a), 0);
    WANT(gpu_copy_out(b.pinned, b.memory, 8, b.a), 0);
    gpu_zero(b.memory, 8, b.b);
}

// The event is recorded before what it should have been recorded behind.
static void event_too_early() {
    bench b = bench_open();
    WANT(gpu_event_record(b.event_a, b.a), 0);
    WANT(gpu_zero(b.memory, 16, b.a), 0);
    WANT(gpu_stream_wait(b.b, b.event_a), 0);
    gpu_zero(b.memory, 16, b.b);
}

// A wait for an event that was never recorded is none.
static void event_unrecorded() {
    bench b = bench_open();
    WANT(gpu_zero(b.memory, 16, b.a), 0);
    WANT(gpu_stream_wait(b.b, b.event_a), 0);
    WANT(gpu_event_record(b.event_a, b.a), 0);
    gpu_zero(b.memory, 16, b.b);
}

static void pinned_unordered() {
    bench b = bench_open();
    WANT(gpu_zero(b.memory, BENCH_NBYTES, b.a), 0);
    WANT(await_stream(b.a), 0);
    WANT(gpu_copy_out(b.pinned, b.memory, 16, b.a), 0);
    gpu_copy_in(b.memory + 64, b.pinned, 16, b.b);
}

static void graph_unordered() {
    bench b = bench_open();
    struct CUgraphExec_st *graph = graph_of_zeros(b);
    WANT(gpu_graph_launch(graph, b.a), 0);
    gpu_zero(b.memory, 16, b.b);
}

// All that may be told apart by an event, a query or a stream is right.
static void ordered() {
    void *other;
    bench b = bench_open();
    struct CUgraphExec_st *graph = graph_of_zeros(b);
    WANT(gpu_zero(b.memory, 16, b.a), 0);
    WANT(gpu_zero(b.memory + 16, 16, b.b), 0);  // beside it
    WANT(gpu_event_record(b.event_b, b.b), 0);
    WANT(gpu_stream_wait(b.a, b.event_b), 0);
    WANT(gpu_graph_launch(graph, b.a), 0);
    WANT(gpu_graph_launch(graph, b.b), 0);  // launches of a graph are ordered
    WANT(gpu_event_record(b.event_b, b.b), 0);
    WANT(await_event(b.event_b), 0);
    WANT(gpu_zero(b.memory, 32, b.a), 0);
    WANT(gpu_alloc(16, &other), 0);
    WANT(gpu_free(other), 0);  // waits for all
    WANT(gpu_zero(b.memory, 32, b.b), 0);
    WANT(await_stream(b.b), 0);
    WANT(gpu_copy_out(b.pinned, b.memory, 16, b.a), 0);
    WANT(gpu_copy_in(b.memory + 64, b.pinned, 16, b.a), 0);
    WANT(await_stream(b.a), 0);
    WANT(gpu_graph_destroy(graph), 0);
    bench_close(&b);
}

// What goes through two streams comes out as it went in, and not before anybody asked.
static void through_two_streams() {
    bench b = bench_open();
    char *back = b.pinned + BENCH_NBYTES / 2;
    const size_t n = BENCH_NBYTES / 2;
    for (int round = 0; round < 20; round++) {
        memset(b.pinned, round + 1, n);
        WANT(gpu_copy_in(b.memory, b.pinned, n, b.a), 0);
        WANT(gpu_event_record(b.event_a, b.a), 0);
        WANT(gpu_stream_wait(b.b, b.event_a), 0);
        WANT(gpu_copy_out(back, b.memory, n, b.b), 0);
        WANT(gpu_event_record(b.event_b, b.b), 0);
        for (size_t i = 0; i < n; i++) WANT((unsigned char)back[i], 0xff);
        WANT(await_event(b.event_b), 0);
        for (size_t i = 0; i < n; i++) WANT(back[i], round + 1);
    }
    bench_close(&b);
}

// Exits with 10 when stream a was done first, with 11 when it was b.
static void which_is_first(bool is_ordered) {
    bench b = bench_open();
    double seconds;
    for (size_t i = 0; i < 4; i++) {
        WANT(gpu_zero(b.memory + 16 * i, 16, b.a), 0);
        if (i == 3) WANT(gpu_event_record(b.event_a, b.a), 0);
    }
    if (is_ordered) WANT(gpu_stream_wait(b.b, b.event_a), 0);
    for (size_t i = 0; i < 4; i++) WANT(gpu_zero(b.memory + 1024 + 16 * i, 16, b.b), 0);
    WANT(gpu_event_record(b.event_b, b.b), 0);
    WANT(await_event(b.event_b), 0);
    WANT(await_event(b.event_a), 0);
    WANT(gpu_event_seconds(b.event_a, b.event_b, &seconds), 0);
    bench_close(&b);
    _exit(seconds >= 0 ? 10 : 11);
}

static void first_unordered() {
    which_is_first(false);
}

static void first_ordered() {
    which_is_first(true);
}

static void test_turns() {
    int n_first[2] = {0, 0}, n_ordered = 0;
    for (int seed = 1; seed <= 20; seed++) {
        char variable[40];
        snprintf(variable, sizeof variable, "STANDIN_SEED=%d", seed);
        trial_well("two streams", through_two_streams, {variable});
        const int code = trial_run(first_unordered, {variable}).exit_code;
        CHECK(code == 10 || code == 11);
        CHECK_INT(trial_run(first_unordered, {variable}).exit_code, code);  // as the seed has it
        n_first[code == 11]++;
        n_ordered += trial_run(first_ordered, {variable}).exit_code == 10;
    }
    CHECK(n_first[0] > 2 && n_first[1] > 2);
    CHECK_INT(n_ordered, 20);
}

static void test_order() {
    trial_misuse("write and write", write_and_write, "writes what zeros (operation 1 of stream 0");
    trial_misuse("write and read", write_and_read, "reads what zeros (operation 1 of stream 0");
    trial_misuse("read and write", read_and_write, "writes what a copy from the device");
    trial_misuse("event too early", event_too_early, "orders the two");
    trial_misuse("event unrecorded", event_unrecorded, "orders the two");
    trial_misuse("pinned unordered", pinned_unordered, "orders the two");
    trial_misuse("graph unordered", graph_unordered, "orders the two");
    trial_well("ordered", ordered);
}

int main() {
    test_memory();
    test_handles();
    test_order();
    test_turns();
    return check_result();
}
