// SPDX-License-Identifier: Apache-2.0
//
// Outputs: the same bytes however the rows came, there whole or not at all, and an error where the
// system refuses them.
#include "host/stream/output.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/check.h"
#include "tests/support/gzip_bytes.h"
#include "tests/support/temp_dir.h"

static char dir[TEMP_PATH_MAX], path[TEMP_PATH_MAX];

// The number of files in the directory, hidden ones too.
static int n_files(void) {
    DIR *open_dir = opendir(dir);
    int n = 0;
    while (readdir(open_dir) != NULL) n++;
    closedir(open_dir);
    return n - 2;
}

static void name_path(const char *name) {
    path_join(path, sizeof path, dir, name, NULL);
}

// Writes `bytes` to `path` in pieces of up to `piece` bytes and reads the file into `file`.
static void write_pieces(struct span bytes, unsigned piece, struct buffer *file) {
    struct check_random random = {piece};
    struct output *output;
    struct error error = {""};
    char sha256[SHA256_HEX_LEN + 1];
    CHECK_INT(output_open(path, &output, &error), STATUS_OK);
    for (size_t at = 0, n; at < bytes.len; at += n) {
        n = check_below(&random, piece + 1);
        if (n > bytes.len - at) n = bytes.len - at;
        CHECK_INT(output_write(output, bytes.ptr + at, n, &error), STATUS_OK);
        if (n % 5 == 0) CHECK_INT(output_flush(output, &error), STATUS_OK);
    }
    CHECK(access(path, F_OK) != 0);
    CHECK_INT(output_commit(output, &error), STATUS_OK);
    CHECK_STR(error.text, "");
    CHECK_INT(sha256_of(bytes.ptr, bytes.len, sha256, NULL), STATUS_OK);
    CHECK_STR(output_sha256(output), sha256);
    CHECK_INT(output_nbytes(output), bytes.len);
    output_close(output);
    CHECK_INT(n_files(), 1);
    file->len = 0;
    file_add(file, path);
    unlink(path);
}

static void check_bytes(struct span bytes) {
    static const unsigned pieces[] = {1000, 100000, 3000000};
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        struct buffer plain = {0}, packed = {0}, again = {0};
        name_path("out.jsonl");
        write_pieces(bytes, pieces[i], &plain);
        CHECK(plain.len == bytes.len &&
              (plain.len == 0 || memcmp(plain.bytes, bytes.ptr, plain.len) == 0));
        name_path("out.jsonl.gz");
        write_pieces(bytes, pieces[i], &packed);
        plain.len = 0;
        CHECK(gzip_read((struct span){packed.bytes, packed.len}, &plain));
        CHECK(plain.len == bytes.len &&
              (plain.len == 0 || memcmp(plain.bytes, bytes.ptr, plain.len) == 0));
        // RFC 1952: no flags (so no name), no time.
        CHECK(packed.len >= 20 && memcmp(packed.bytes, "\x1f\x8b\x08\0\0\0\0\0", 8) == 0);
        write_pieces(bytes, pieces[i] / 7, &again);
        CHECK(again.len == packed.len && memcmp(again.bytes, packed.bytes, again.len) == 0);
        buffer_free(&plain);
        buffer_free(&packed);
        buffer_free(&again);
    }
}

static void contents(void) {
    struct check_random random = {3};
    struct buffer bytes = {0};
    check_bytes((struct span){"", 0});
    check_bytes((struct span){"a row\n", 6});
    // Around the size of one block, text-like, and well beyond it.
    static const size_t sizes[] = {262143, 262144, 262145, 524288, 1500000};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        while (bytes.len < sizes[i]) {
            buffer_add_format(&bytes, "{\"id\":%u}\n", check_below(&random, 1 << 20));
        }
        bytes.len = sizes[i];
        check_bytes((struct span){bytes.bytes, bytes.len});
    }
    buffer_free(&bytes);
}

static void not_committed(void) {
    struct output *output;
    struct buffer file = {0};
    temp_dir_write_text(dir, "there.gz", "what was there");
    name_path("there.gz");
    CHECK_INT(output_open(path, &output, NULL), STATUS_OK);
    CHECK_INT(n_files(), 2);
    CHECK_INT(output_write(output, "row\n", 4, NULL), STATUS_OK);
    output_close(output);
    CHECK_INT(n_files(), 1);
    file_add(&file, path);
    CHECK(span_equal((struct span){file.bytes, file.len}, "what was there"));
    // Abandoned while it is open, and closed later.
    CHECK_INT(output_open(path, &output, NULL), STATUS_OK);
    output_abandon(output);
    CHECK_INT(n_files(), 1);
    output_close(output);
    // Two attempts at once: each has a file of its own; the later rename wins.
    struct output *other;
    CHECK_INT(output_open(path, &output, NULL), STATUS_OK);
    CHECK_INT(output_open(path, &other, NULL), STATUS_OK);
    CHECK_INT(n_files(), 3);
    CHECK_INT(output_write(output, "row\n", 4, NULL), STATUS_OK);
    CHECK_INT(output_commit(output, NULL), STATUS_OK);
    output_abandon(output);  // too late
    CHECK_INT(n_files(), 2);
    output_close(other);
    output_close(output);
    file.len = 0;
    file_add(&file, path);
    struct buffer plain = {0};
    CHECK(gzip_read((struct span){file.bytes, file.len}, &plain));
    CHECK(span_equal((struct span){plain.bytes, plain.len}, "row\n"));
    unlink(path);
    CHECK_INT(n_files(), 0);
    buffer_free(&plain);
    buffer_free(&file);
    output_close(NULL);
}

// Complete under its other name, an output can still be given up; committing it takes a rename.
static void completed(void) {
    struct output *output;
    struct error error = {""};
    for (int commit = 0; commit < 2; commit++) {
        temp_dir_write_text(dir, "out", "what was there");
        name_path("out");
        CHECK_INT(output_open(path, &output, &error), STATUS_OK);
        CHECK_INT(output_write(output, "row\n", 4, &error), STATUS_OK);
        CHECK_INT(output_complete(output, &error), STATUS_OK);
        CHECK_INT(output_nbytes(output), 4);
        CHECK_INT(strlen(output_sha256(output)), SHA256_HEX_LEN);
        if (commit == 1) CHECK_INT(output_commit(output, &error), STATUS_OK);
        output_close(output);
        struct buffer file = {0};
        file_add(&file, path);
        CHECK(span_equal((struct span){file.bytes, file.len},
                         commit == 1 ? "row\n" : "what was there"));
        CHECK_INT(n_files(), 1);
        buffer_free(&file);
    }
    unlink(path);
}

// Unfinished files of dead attempts at this output go; all others stay.
static void swept(void) {
    static const char *const dead[] = {".out.gz.65f0-1a2b-3c.tmp", ".out.gz.0-0-0.tmp"};
    static const char *const others[] = {
        "out.gz",
        ".out.gz.lock",
        "out.gz.65f0-1-2.tmp",
        ".out.65f0-1-2.tmp",
        ".out.gz.tmp",
        ".out.gz.65f0-1-2.part",
        ".out.gz.note.tmp",
        ".out.gz..tmp",
        ".other.gz.0-0-0.tmp",
        ".out.gz.meta.json.65f0-1-2.tmp",
    };
    for (size_t i = 0; i < ARRAY_LEN(dead); i++) temp_dir_write_text(dir, dead[i], "");
    for (size_t i = 0; i < ARRAY_LEN(others); i++) temp_dir_write_text(dir, others[i], "");
    name_path("out.gz");
    output_sweep(path, NULL);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        name_path(others[i]);
        CHECK(access(path, F_OK) == 0);
        unlink(path);
    }
    CHECK_INT(n_files(), 0);
    output_sweep("/nowhere/out.gz", NULL);
}

static void refused(void) {
    struct error error = {""};
    struct output *output;
    CHECK_INT(output_open("/nowhere/out.gz", &output, &error), STATUS_IO);
    CHECK(output == NULL);
    CHECK_CONTAINS(error.text, "/nowhere/out.gz: cannot be written: No such file");
    name_path("out");
    struct stat info;
    CHECK_INT(mkdir(path, 0700), 0);
    CHECK_INT(output_open(path, &output, &error), STATUS_IO);
    CHECK_CONTAINS(error.text, "not a regular file");
    rmdir(path);
    // A device or pipe cannot be written to another name first; it must not be replaced by a file.
    CHECK_INT(mkfifo(path, 0600), 0);
    CHECK_INT(output_open(path, &output, &error), STATUS_IO);
    CHECK(stat(path, &info) == 0 && S_ISFIFO(info.st_mode));
    unlink(path);
    CHECK_INT(output_open("/dev/null", &output, &error), STATUS_IO);
    if (geteuid() != 0) {
        chmod(dir, 0500);
        CHECK_INT(output_open(path, &output, &error), STATUS_IO);
        chmod(dir, 0700);
    }
    CHECK_INT(n_files(), 0);

    // The name is taken by a directory while the rows are written.
    CHECK_INT(output_open(path, &output, &error), STATUS_OK);
    CHECK_INT(mkdir(path, 0700), 0);
    CHECK_INT(output_commit(output, &error), STATUS_IO);
    CHECK_CONTAINS(error.text, "renaming");
    output_close(output);
    rmdir(path);
    CHECK_INT(n_files(), 0);
}

// A disk that is full, as a process with a limit on the size of its files sees it.
static void disk_full(void) {
    name_path("out.jsonl");
    pid_t pid = fork();
    if (pid == 0) {
        static char rows[100000];
        struct rlimit limit = {300000, 300000};
        struct output *output;
        struct error error = {""};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        enum status status = output_open(path, &output, &error);
        for (int i = 0; i < 20 && status == STATUS_OK; i++) {
            status = output_write(output, rows, sizeof rows, &error);
        }
        if (status == STATUS_OK) status = output_commit(output, &error);
        output_close(output);
        _exit(strstr(error.text, "out.jsonl: writing: File too large") != NULL ? (int)status : 99);
    }
    int how;
    waitpid(pid, &how, 0);
    CHECK(WIFEXITED(how));
    CHECK_INT(WEXITSTATUS(how), STATUS_IO);
    CHECK_INT(n_files(), 0);
}

// How writing 1 MB to stdout goes, when stdout is `fd`; the message goes to `error`.
static enum status write_stdout(int fd, struct error *error) {
    static char rows[1000000];
    struct output *output;
    const int saved = dup(STDOUT_FILENO);
    dup2(fd, STDOUT_FILENO);
    close(fd);
    for (size_t i = 0; i < sizeof rows; i++) rows[i] = (char)(i % 251);
    CHECK_INT(output_open("-", &output, error), STATUS_OK);
    enum status status = output_write(output, rows, 10, error);
    if (status == STATUS_OK) status = output_flush(output, error);
    if (status == STATUS_OK) status = output_write(output, rows + 10, sizeof rows - 10, error);
    if (status == STATUS_OK) status = output_commit(output, error);
    output_close(output);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    return status;
}

static void standard_output(void) {
    struct error error = {""};
    int fds[2];
    CHECK_INT(write_stdout(open("/dev/full", O_WRONLY), &error), STATUS_IO);
    CHECK_CONTAINS(error.text, "stdout: writing: No space left");
    signal(SIGPIPE, SIG_IGN);
    if (pipe(fds) != 0) exit(1);
    close(fds[0]);
    CHECK_INT(write_stdout(fds[1], &error), STATUS_PIPE);

    // A slow reader of a pipe that does not block: it gets every byte all the same.
    if (pipe(fds) != 0) exit(1);
    pid_t pid = fork();
    if (pid == 0) {
        unsigned char bytes[4096];
        size_t total = 0;
        close(fds[1]);
        for (ssize_t n; (n = read(fds[0], bytes, sizeof bytes)) > 0;) {
            for (ssize_t i = 0; i < n; i++, total++) {
                if (bytes[i] != total % 251) _exit(2);
            }
            if (total % 7 == 0) usleep(1000);
        }
        _exit(total == 1000000 ? 0 : 3);
    }
    close(fds[0]);
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
    error = (struct error){""};
    CHECK_INT(write_stdout(fds[1], &error), STATUS_OK);
    CHECK_STR(error.text, "");
    int how;
    waitpid(pid, &how, 0);
    CHECK(WIFEXITED(how) && WEXITSTATUS(how) == 0);
}

int main(void) {
    alarm(120);  // a write that waits for ever fails the test
    temp_dir_make(dir);
    contents();
    not_committed();
    completed();
    swept();
    refused();
    disk_full();
    standard_output();
    temp_dir_remove(dir);
    return check_result();
}
