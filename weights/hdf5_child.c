// SPDX-License-Identifier: Apache-2.0
#include "weights/hdf5_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void set_limit(int what, rlim_t soft, rlim_t hard) {
    struct rlimit now;
    if (getrlimit(what, &now) != 0) return;
    if (soft < now.rlim_cur) now.rlim_cur = soft;  // RLIM_INFINITY is the largest of all
    if (hard < now.rlim_max) now.rlim_max = hard;
    setrlimit(what, &now);
}

// Bytes of address space that this process has: the first number of statm, in pages. 0 where the
// system does not say.
static rlim_t address_space(void) {
    char text[64] = "";
    const int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    const ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    if (len <= 0) return 0;
    return (rlim_t)strtoull(text, NULL, 10) * (rlim_t)sysconf(_SC_PAGESIZE);
}

// Handlers of the parent's mean nothing here, and a crash must end the child. Whoever stops the
// program with a signal to the whole group means the parent, which waits for us.
static void reset_signals(void) {
    for (int number = 1; number < NSIG; number++) {
        const bool stops = number == SIGINT || number == SIGTERM || number == SIGHUP ||
                           number == SIGQUIT || number == SIGPIPE || number == SIGTSTP;
        signal(number, stops ? SIG_IGN : SIG_DFL);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void confine(const struct child_limits *limits) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_DUMPABLE, 0);
    reset_signals();
    alarm(limits->wall_seconds);
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere < 0 || dup2(nowhere, STDERR_FILENO) < 0) close(STDERR_FILENO);
    const rlim_t size = address_space();
    if (size > 0) {
        const rlim_t most = size + (rlim_t)limits->memory_nbytes;
        set_limit(RLIMIT_AS, most, most);
    }
    set_limit(RLIMIT_CORE, 0, 0);
    set_limit(RLIMIT_FSIZE, 0, 0);
    set_limit(RLIMIT_NOFILE, 0, 0);  // those open stay; there will be no others
    set_limit(RLIMIT_CPU, limits->cpu_seconds, limits->cpu_seconds + 1);
}

static void wait_for(pid_t child, struct child_end *end) {
    int status = 0;
    pid_t got;
    do {
        got = waitpid(child, &status, 0);
    } while (got < 0 && errno == EINTR);
    *end = (struct child_end){.exit_code = -1};
    if (got != child) return;  // ECHILD: it has ended, but its status went elsewhere
    if (WIFSIGNALED(status)) *end = (struct child_end){.signal = WTERMSIG(status)};
    if (WIFEXITED(status)) *end = (struct child_end){.exit_code = WEXITSTATUS(status)};
}

enum status child_run(void (*work)(void *context), void *context, const struct child_limits *limits,
                      struct child_end *end, struct error *error) {
    // No handler of the parent's shall run in the child before reset_signals.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const pid_t child = fork();
    const int reason = errno;
    if (child == 0) {
        confine(limits);
        work(context);
        _exit(0);  // not exit: what the parent has in its buffers is not ours to write
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (child < 0) {
        return error_set(error, STATUS_IO, "no process can be started to read the weights: %s",
                         strerror(reason));
    }
    wait_for(child, end);
    return STATUS_OK;
}
