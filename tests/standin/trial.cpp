// SPDX-License-Identifier: Apache-2.0
#include "tests/standin/trial.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

[[noreturn]] static void run_child(void (*what)(), std::initializer_list<const char *> environment,
                                   int out) {
    dup2(out, STDERR_FILENO);
    close(out);
    for (const char *one : environment) {
        if (putenv(const_cast<char *>(one)) != 0) _exit(4);
    }
    what();
    exit(0);
}

// Ends the child when its time is over, whoever holds the pipe's other end.
static pid_t start_clock(pid_t child, double seconds) {
    const pid_t clock = fork();
    if (clock != 0) return clock;
    const struct timespec pause = {(time_t)seconds,
                                   (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&pause, nullptr);
    kill(child, SIGKILL);
    _exit(0);
}

trial_end trial_run(void (*what)(), std::initializer_list<const char *> environment,
                    double seconds) {
    int ends[2];
    fflush(nullptr);
    if (pipe(ends) != 0) abort();
    const pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        run_child(what, environment, ends[1]);
    }
    close(ends[1]);
    const pid_t clock = start_clock(child, seconds);
    if (child < 0 || clock < 0) abort();
    trial_end end = {};
    int status = 0;
    char part[4096];
    // The clock has the pipe's end for reading, but not that for writing.
    for (ssize_t n; (n = read(ends[0], part, sizeof part)) > 0;) end.text.append(part, (size_t)n);
    close(ends[0]);
    waitpid(child, &status, 0);
    kill(clock, SIGKILL);
    waitpid(clock, nullptr, 0);
    if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
    if (WIFEXITED(status)) end.exit_code = WEXITSTATUS(status);
    return end;
}

// ---- within a trial

void want_equal(const char *file, int line, const char *what, long long got, long long want) {
    enum { WANTED = 3 };
    if (got == want) return;
    fprintf(stderr, "%s:%d: %s is %lld, should be %lld\n", file, line, what, got, want);
    _exit(WANTED);
}

bench bench_open(int device) {
    bench bench = {};
    void *memory;
    WANT(gpu_use(device), 0);
    WANT(gpu_stream_create(&bench.a), 0);
    WANT(gpu_stream_create(&bench.b), 0);
    WANT(gpu_event_create(&bench.event_a), 0);
    WANT(gpu_event_create(&bench.event_b), 0);
    WANT(gpu_alloc(BENCH_NBYTES, &memory), 0);
    bench.memory = static_cast<char *>(memory);
    WANT(gpu_alloc_pinned(BENCH_NBYTES, &memory), 0);
    bench.pinned = static_cast<char *>(memory);
    return bench;
}

void bench_close(bench *bench) {
    WANT(gpu_free_pinned(bench->pinned), 0);
    WANT(gpu_free(bench->memory), 0);
    WANT(gpu_event_destroy(bench->event_a), 0);
    WANT(gpu_event_destroy(bench->event_b), 0);
    WANT(gpu_stream_destroy(bench->a), 0);
    WANT(gpu_stream_destroy(bench->b), 0);
}

int await_event(struct CUevent_st *event) {
    bool is_done = false;
    int code = 0;
    while (code == 0 && !is_done) code = gpu_event_is_done(event, &is_done);
    return code;
}

int await_stream(struct CUstream_st *stream) {
    bool is_done = false;
    int code = 0;
    while (code == 0 && !is_done) code = gpu_stream_is_done(stream, &is_done);
    return code;
}
