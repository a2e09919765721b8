// SPDX-License-Identifier: Apache-2.0
//
// A compressed output of several segments, which threads of its own deflate, on a system that
// fails: whichever call it is, the thread that writes rows is told, and nothing is left behind.
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <unistd.h>
#include <zlib.h>

#include "host/stream/output.h"
#include "tests/check.h"
#include "tests/support/temp_dir.h"

enum call { CALL_NONE, CALL_WRITE, CALL_DEFLATE, CALL_INIT, CALL_THREAD };

static enum call fails;
static int64_t fails_at, n_calls;  // of that kind, from 1

// Outputs may have several threads in these.
static bool is_due(enum call call) {
    return fails == call && __atomic_add_fetch(&n_calls, 1, __ATOMIC_SEQ_CST) == fails_at;
}

// Behind the linker's --wrap: __real_x is the function, __wrap_x is called in its place.
ssize_t __real_write(int fd, const void *bytes, size_t n);
ssize_t __wrap_write(int fd, const void *bytes, size_t n);
int __real_deflate(z_streamp stream, int flush);
int __wrap_deflate(z_streamp stream, int flush);
typedef int init(z_streamp stream, int level, int method, int bits, int memory, int strategy,
                 const char *version, int nbytes);
init __real_deflateInit2_, __wrap_deflateInit2_;
typedef int create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *argument);
create __real_pthread_create, __wrap_pthread_create;

ssize_t __wrap_write(int fd, const void *bytes, size_t n) {
    if (!is_due(CALL_WRITE)) return __real_write(fd, bytes, n);
    errno = ENOSPC;
    return -1;
}

int __wrap_deflate(z_streamp stream, int flush) {
    return is_due(CALL_DEFLATE) ? Z_MEM_ERROR : __real_deflate(stream, flush);
}

int __wrap_deflateInit2_(z_streamp stream, int level, int method, int bits, int memory,
                         int strategy, const char *version, int nbytes) {
    if (is_due(CALL_INIT)) return Z_MEM_ERROR;
    return __real_deflateInit2_(stream, level, method, bits, memory, strategy, version, nbytes);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument) {
    return is_due(CALL_THREAD) ? EAGAIN : __real_pthread_create(thread, attributes, run, argument);
}

static char dir[TEMP_PATH_MAX], path[TEMP_PATH_MAX];

static int n_files(void) {
    DIR *open_dir = opendir(dir);
    int n = 0;
    while (readdir(open_dir) != NULL) n++;
    closedir(open_dir);
    return n - 2;
}

// Rows of 4 segments and a bit, in pieces; with a point in the middle, as a checkpoint asks for.
static enum status write_output(struct error *error) {
    static char rows[1 << 20];
    static struct output_point point;
    struct check_random random = {7};
    struct output *output;
    for (size_t i = 0; i < sizeof rows; i++) rows[i] = (char)('a' + check_below(&random, 20));
    enum status status = output_open(path, &output, error);
    if (status != STATUS_OK) return status;
    for (int i = 0; i < 22 && status == STATUS_OK; i++) {
        status = output_write(output, rows + 1000 * i, 107000, error);
        if (status == STATUS_OK && i == 12) status = output_point(output, &point, error);
    }
    if (status == STATUS_OK) status = output_commit(output, error);
    output_close(output);
    return status;
}

static void check_call(enum call call, const char *words) {
    enum status status = STATUS_IO;
    for (fails_at = 1; status != STATUS_OK; fails_at++) {
        struct error error = {""};
        fails = call;
        n_calls = 0;
        status = write_output(&error);
        fails = CALL_NONE;
        CHECK_INT(n_files(), status == STATUS_OK ? 1 : 0);
        if (status == STATUS_OK) break;
        CHECK_INT(status, STATUS_IO);
        CHECK_CONTAINS(error.text, path);
        CHECK_CONTAINS(error.text, words);
        CHECK(fails_at < 1000);
        if (fails_at == 1000) break;
    }
    CHECK(fails_at > 1);  // it did fail
    unlink(path);
}

int main(void) {
    temp_dir_make(dir);
    path_join(path, sizeof path, dir, "rows.gz", NULL);
    check_call(CALL_WRITE, "No space left");
    check_call(CALL_DEFLATE, "zlib");
    check_call(CALL_INIT, "zlib");
    check_call(CALL_THREAD, "cannot start a thread");
    temp_dir_remove(dir);
    return check_result();
}
