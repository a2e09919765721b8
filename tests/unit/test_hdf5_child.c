// SPDX-License-Identifier: Apache-2.0
//
// Work in a child process: whatever it does, this process learns how it ended, and loses nothing.
#include "weights/hdf5_child.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/check.h"

struct shared {
    int answer;
    int parent;
};

// Patience is for a machine that is busy with other things: what ends by itself, or by the limit on
// processor time, must not be taken for what waits for ever.
enum { MEMORY_NBYTES = 64 << 20, SOON = 3, PATIENCE = 120 };

static void answer(void *context) {
    ((struct shared *)context)->answer = 42;
}
static void crash(void *context) {
    (void)context;
    raise(SIGSEGV);
}
static void give_up(void *context) {
    (void)context;
    fprintf(stderr, "a child that gives up says so on stderr\n");
    abort();
}
static void leave(void *context) {
    (void)context;
    _exit(7);
}
static void spin(void *context) {
    for (volatile unsigned *n = context;;) *n = *n + 1;
}
static void sleep_on(void *context) {
    (void)context;
    for (;;) pause();
}

// How many MiB of address space there are.
static void take_memory(void *context) {
    struct shared *shared = context;
    const size_t step = 1 << 20;
    while (shared->answer < 4096) {
        void *memory = mmap(NULL, step, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) return;
        shared->answer++;
    }
}
static void open_files(void *context) {
    ((struct shared *)context)->answer = open("/dev/null", O_RDONLY) < 0 ? 1 : 2;
}
// Asks the program to stop, as a terminal does: both processes get the signal.
static void ask_to_stop(void *context) {
    struct shared *shared = context;
    raise(SIGTERM);
    raise(SIGINT);
    raise(SIGHUP);
    kill(shared->parent, SIGTERM);
    shared->answer = 42;
}

static struct child_end run_within(unsigned wall_seconds, void (*work)(void *),
                                   struct shared *shared) {
    struct child_limits limits = {
        .memory_nbytes = MEMORY_NBYTES, .cpu_seconds = 1, .wall_seconds = wall_seconds};
    struct child_end end = {0};
    struct error error = {""};
    *shared = (struct shared){.parent = getpid()};
    CHECK_INT(child_run(work, shared, &limits, &end, &error), STATUS_OK);
    return end;
}

static struct child_end run(void (*work)(void *), struct shared *shared) {
    return run_within(PATIENCE, work, shared);
}

static int n_open_files(void) {
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;
    while (dir != NULL && readdir(dir) != NULL) n++;
    if (dir != NULL) closedir(dir);
    return n;
}

static void ends(struct shared *shared) {
    const int n_files = n_open_files();
    struct child_end end = run(answer, shared);
    CHECK(end.signal == 0 && end.exit_code == 0 && shared->answer == 42);
    CHECK_INT(run(crash, shared).signal, SIGSEGV);
    CHECK_INT(run(give_up, shared).signal, SIGABRT);
    CHECK_INT(run(leave, shared).exit_code, 7);
    CHECK_INT(run(spin, shared).signal, SIGXCPU);
    const double begun = now_seconds();
    CHECK_INT(run_within(SOON, sleep_on, shared).signal, SIGALRM);
    CHECK(now_seconds() - begun > SOON - 1);
    end = run(open_files, shared);
    CHECK_INT(shared->answer, 1);
    end = run(take_memory, shared);
    CHECK_INT(end.exit_code, 0);
    // Some of it goes to the stack and to what the library has mapped since it was counted.
    CHECK(shared->answer >= 48 && shared->answer <= 64);
    CHECK_INT(n_open_files(), n_files);
}

static volatile sig_atomic_t n_signals;
static void count(int number) {
    (void)number;
    n_signals = n_signals + 1;
}

static void signals(struct shared *shared) {
    struct sigaction action = {.sa_handler = count}, before;
    sigset_t mask, after;
    sigaction(SIGTERM, &action, &before);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    struct child_end end = run(ask_to_stop, shared);
    CHECK(end.signal == 0 && end.exit_code == 0 && shared->answer == 42);
    CHECK_INT(n_signals, 1);  // its own; the child's was not for it
    sigprocmask(SIG_SETMASK, NULL, &after);
    CHECK(sigismember(&after, SIGUSR2) == 1 && sigismember(&after, SIGTERM) == 0);
    sigaction(SIGTERM, &before, NULL);

    signal(SIGCHLD, SIG_IGN);  // as a parent may have left it
    end = run(answer, shared);
    CHECK(end.signal == 0 && end.exit_code == -1 && shared->answer == 42);
    end = run(crash, shared);
    CHECK(end.exit_code == -1 && shared->answer == 0);
    signal(SIGCHLD, SIG_DFL);
}

// A thread that is in malloc most of the time.
static atomic_bool stop;
static void *churn(void *argument) {
    (void)argument;
    while (!atomic_load(&stop)) {
        void *memory = malloc(1000);
        *(volatile char *)memory = 1;
        free(memory);
    }
    return NULL;
}
static void allocate(void *context) {
    struct shared *shared = context;
    char *memory = malloc(100000);
    if (memory == NULL) return;
    memset(memory, 1, 100000);
    shared->answer = memory[99999];
    free(memory);
}

static void beside_threads(struct shared *shared) {
    pthread_t threads[3];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        CHECK_INT(pthread_create(&threads[i], NULL, churn, NULL), 0);
    }
    for (int i = 0; i < 50; i++) {
        struct child_end end = run(allocate, shared);
        CHECK(end.signal == 0 && end.exit_code == 0 && shared->answer == 1);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) pthread_join(threads[i], NULL);
}

int main(void) {
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return 1;
    ends(shared);
    signals(shared);
    beside_threads(shared);
    return check_result();
}
