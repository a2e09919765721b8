// SPDX-License-Identifier: Apache-2.0
//
// Inputs that another program feeds: bytes may come one at a time, late, or not yet.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/stream/input.h"
#include "tests/check.h"
#include "tests/support/gzip_bytes.h"
#include "tests/support/temp_dir.h"

static char dir[TEMP_PATH_MAX], fifo[TEMP_PATH_MAX];

// A process that writes `bytes` to the fifo, `step` at a time.
static pid_t feed(struct span bytes, size_t step) {
    pid_t pid = fork();
    if (pid != 0) return pid;
    int fd = open(fifo, O_WRONLY);
    for (size_t at = 0; at < bytes.len; at += step) {
        const size_t n = bytes.len - at < step ? bytes.len - at : step;
        if (write(fd, bytes.ptr + at, n) != (ssize_t)n) _exit(1);
    }
    _exit(0);
}

static enum status read_all(struct input *input, struct buffer *out, struct error *error) {
    enum { CAP = 4096 };
    for (size_t n = 1; n > 0;) {
        enum status status = input_read(input, buffer_reserve(out, CAP), CAP, &n, error);
        if (status != STATUS_OK) return status;
        out->len += n;
    }
    return STATUS_OK;
}

// What reading the fifo gives when it is fed so.
static enum status read_fed(struct span bytes, size_t step, struct buffer *out,
                            struct error *error) {
    pid_t pid = feed(bytes, step);
    struct input *input;
    out->len = 0;
    enum status status = input_open(fifo, &input, error);
    CHECK_INT(status, STATUS_OK);
    CHECK_INT(input_total_nbytes(input), 0);
    status = read_all(input, out, error);
    if (status == STATUS_OK) {
        char sha256[SHA256_HEX_LEN + 1];
        CHECK_INT(sha256_of(bytes.ptr, bytes.len, sha256, NULL), STATUS_OK);
        CHECK_STR(input_sha256(input), sha256);
        CHECK_INT(input_consumed_nbytes(input), bytes.len);
    }
    input_close(input);
    waitpid(pid, NULL, 0);
    return status;
}

static void check_fed(struct span bytes, struct span plain) {
    static const size_t steps[] = {1, 2, 5, 1000};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct buffer got = {0};
        struct error error = {""};
        CHECK_INT(read_fed(bytes, steps[i], &got, &error), STATUS_OK);
        CHECK_STR(error.text, "");
        CHECK(got.len == plain.len && (got.len == 0 || memcmp(got.bytes, plain.ptr, got.len) == 0));
        buffer_free(&got);
    }
}

static void check_fed_bad(struct span bytes, const char *part) {
    for (size_t step = 1; step < 8; step += 3) {
        struct buffer got = {0};
        struct error error = {""};
        CHECK_INT(read_fed(bytes, step, &got, &error), STATUS_INPUT);
        CHECK_CONTAINS(error.text, part);
        buffer_free(&got);
    }
}

static void small_pieces(void) {
    static const char text[] = "one\ntwo\nthree\n";
    const struct span plain = {text, strlen(text)};
    struct buffer raw = {0}, twice = {0};
    check_fed(plain, plain);
    check_fed((struct span){"", 0}, (struct span){"", 0});
    check_fed((struct span){"PK\n", 3}, (struct span){"PK\n", 3});
    gzip_add(&raw, text, strlen(text));
    check_fed((struct span){raw.bytes, raw.len}, plain);
    gzip_add(&raw, "", 0);
    gzip_add(&raw, text, strlen(text));
    buffer_add(&raw, "\0\0\0\0", 4);
    buffer_add_text(&twice, text);
    buffer_add_text(&twice, text);
    check_fed((struct span){raw.bytes, raw.len}, (struct span){twice.bytes, twice.len});
    buffer_add(&raw, "!", 1);
    check_fed_bad((struct span){raw.bytes, raw.len}, "followed by other bytes");
    check_fed_bad((struct span){raw.bytes, 20}, "truncated at compressed byte 20:");
    check_fed_bad((struct span){"\x28\xb5\x2f\xfd\0", 5}, "zstd");
    check_fed_bad((struct span){"\xfd\x37zXZ\0", 6}, "xz");
    buffer_free(&raw);
    buffer_free(&twice);
}

// Nothing to read yet, something, the end; on stdin that does not block by itself.
static void waiting(void) {
    int fds[2];
    struct error error = {""};
    struct input *input;
    char byte[8];
    size_t n;
    if (pipe(fds) != 0) exit(1);
    dup2(fds[0], STDIN_FILENO);
    close(fds[0]);
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    CHECK_INT(input_open("-", &input, &error), STATUS_OK);
    CHECK_STR(input_name(input), "stdin");
    CHECK(input_would_wait(input, 0));
    CHECK(input_would_wait(input, 30));
    CHECK(write(fds[1], "abc", 3) == 3);
    CHECK(!input_would_wait(input, 0));
    CHECK_INT(input_read(input, byte, 2, &n, &error), STATUS_OK);
    CHECK(n == 2 && memcmp(byte, "ab", 2) == 0);
    CHECK(!input_would_wait(input, 0));
    CHECK_INT(input_read(input, byte, 2, &n, &error), STATUS_OK);
    CHECK(n == 1 && byte[0] == 'c');
    CHECK(input_would_wait(input, 0));

    // A read that has to wait gets what comes later.
    pid_t pid = fork();
    if (pid == 0) {
        usleep(50000);
        _exit(write(fds[1], "d", 1) == 1 ? 0 : 1);
    }
    CHECK_INT(input_read(input, byte, 2, &n, &error), STATUS_OK);
    CHECK(n == 1 && byte[0] == 'd');
    waitpid(pid, NULL, 0);
    close(fds[1]);
    CHECK(!input_would_wait(input, 1000));
    CHECK_INT(input_read(input, byte, 2, &n, &error), STATUS_OK);
    CHECK_INT(n, 0);
    CHECK(!input_would_wait(input, 0));
    input_close(input);
    CHECK(fcntl(STDIN_FILENO, F_GETFD) != -1);  // stdin is not ours to close

    close(STDIN_FILENO);
    CHECK_INT(input_open("-", &input, &error), STATUS_INPUT);
    CHECK_CONTAINS(error.text, "stdin: is closed");
}

int main(void) {
    alarm(120);  // a read that waits for ever fails the test
    temp_dir_make(dir);
    path_join(fifo, sizeof fifo, dir, "fifo", NULL);
    if (mkfifo(fifo, 0600) != 0) exit(1);
    small_pieces();
    waiting();
    temp_dir_remove(dir);
    return check_result();
}
