// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE  // pipe2
#include "host/bench/startup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const char own_program[] = "/proc/self/exe";
static const char title[] = "a title to begin with\n";

// The environment but for options of wader. The strings stay the environment's.
static char **plain_environment(void) {
    size_t n = 0;
    while (environ[n] != NULL) n++;
    char **copy = malloc((n + 1) * sizeof *copy);
    size_t kept = 0;
    for (size_t i = 0; copy != NULL && i < n; i++) {
        if (strncmp(environ[i], "WADER_", 6) != 0) copy[kept++] = environ[i];
    }
    if (copy != NULL) copy[kept] = NULL;
    return copy;
}

static int spawn(char *const argv[], int in, int out, pid_t *child) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t back_to_default;
    char **environment = plain_environment();
    if (environment == NULL) return ENOMEM;
    sigemptyset(&back_to_default);
    sigaddset(&back_to_default, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    int reason = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    if (reason == 0) reason = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    if (reason == 0) reason = posix_spawnattr_setsigdefault(&attributes, &back_to_default);
    if (reason == 0) reason = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    if (reason == 0) {
        reason = posix_spawn(child, own_program, &actions, &attributes, argv, environment);
    }
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    free(environment);
    return reason;
}

// Until the first newline; false when there is none.
static bool await_line(int fd) {
    char bytes[4096];
    for (;;) {
        const ssize_t n = read(fd, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        if (memchr(bytes, '\n', (size_t)n) != NULL) return true;
    }
}

enum status startup_seconds(char *const argv[], double *seconds, struct error *error) {
    int in[2], out[2];
    pid_t child = 0;
    if (pipe2(in, O_CLOEXEC) != 0)
        return error_set(error, STATUS_IO, "a pipe: %s", strerror(errno));
    if (pipe2(out, O_CLOEXEC) != 0) {
        close(in[0]);
        close(in[1]);
        return error_set(error, STATUS_IO, "a pipe: %s", strerror(errno));
    }
    bool good = write(in[1], title, sizeof title - 1) == sizeof title - 1;
    close(in[1]);
    const double begin = now_seconds();
    const int reason = good ? spawn(argv, in[0], out[1], &child) : EIO;
    close(in[0]);
    close(out[1]);
    good = reason == 0 && await_line(out[0]);
    *seconds = now_seconds() - begin;
    close(out[0]);
    int how = 0;
    while (reason == 0 && waitpid(child, &how, 0) < 0 && errno == EINTR) continue;
    if (good) return STATUS_OK;
    if (reason != 0) {
        return error_set(error, STATUS_IO, "%s: cannot be started: %s", own_program,
                         strerror(reason));
    }
    return error_set(error, STATUS_IO, "%s label ended without a row (%s %d)", own_program,
                     WIFSIGNALED(how) ? "signal" : "exit code",
                     WIFSIGNALED(how) ? WTERMSIG(how) : WEXITSTATUS(how));
}
