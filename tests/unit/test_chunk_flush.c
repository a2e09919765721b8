// SPDX-License-Identifier: Apache-2.0
//
// Reading from a program that takes its time: whole lines are handed out when nothing more comes,
// once, and nothing is handed out over and over while it stays idle.
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "host/stream/chunk.h"
#include "tests/check.h"

enum { IDLE_MS = 20 };

struct fed {
    int to;  // what is written here is read
    struct input *input;
    struct line_reader *reader;
    struct chunk *chunk;
};

static struct fed start(void) {
    int fds[2];
    struct fed fed;
    if (pipe(fds) != 0 || dup2(fds[0], STDIN_FILENO) != STDIN_FILENO) exit(1);
    close(fds[0]);
    fed.to = fds[1];
    CHECK_INT(input_open("-", &fed.input, NULL), STATUS_OK);
    CHECK_INT(line_reader_create(fed.input, &fed.reader, NULL), STATUS_OK);
    CHECK_INT(chunk_create(RECORD_NBYTES_MAX, &fed.chunk, NULL), STATUS_OK);
    return fed;
}

static void end(struct fed *fed) {
    if (fed->to >= 0) close(fed->to);
    line_reader_destroy(fed->reader);
    chunk_destroy(fed->chunk);
    input_close(fed->input);
}

static void feed(const struct fed *fed, const void *bytes, size_t n) {
    CHECK(write(fed->to, bytes, n) == (ssize_t)n);
}

static void feed_text(const struct fed *fed, const char *text) {
    feed(fed, text, strlen(text));
}

// That the next chunk has these lines, each followed by a bar in `want`, and these flags.
static void check_lines(struct fed *fed, const char *want, bool flush, bool last) {
    struct error error = {""};
    char got[1000];
    size_t len = 0;
    CHECK_INT(line_reader_fill(fed->reader, IDLE_MS, fed->chunk, &error), STATUS_OK);
    for (size_t i = 0; i < fed->chunk->n_records; i++) {
        const struct span line = fed->chunk->records[i].line;
        len += (size_t)snprintf(got + len, sizeof got - len, "%.*s|", (int)line.len, line.ptr);
    }
    got[len] = '\0';
    CHECK_STR(got, want);
    CHECK_INT(fed->chunk->flush, flush);
    CHECK_INT(fed->chunk->last, last);
}

static void line_by_line(void) {
    struct fed fed = start();
    feed_text(&fed, "a\n");
    check_lines(&fed, "a|", true, false);
    feed_text(&fed, "b\n\nc\n");
    check_lines(&fed, "b||c|", true, false);
    CHECK_INT(fed.chunk->first_record, 2);
    feed_text(&fed, "d\n");
    close(fed.to);
    fed.to = -1;
    check_lines(&fed, "d|", false, true);
    end(&fed);
}

// A line that is not whole yet holds up nothing before it.
static void half_a_line(void) {
    struct fed fed = start();
    feed_text(&fed, "a\nb\nhal");
    check_lines(&fed, "a|b|", true, false);
    feed_text(&fed, "f\nc");
    check_lines(&fed, "half|", true, false);
    close(fed.to);
    fed.to = -1;
    check_lines(&fed, "c|", false, true);
    end(&fed);
}

// After a chunk that was cut short, the reader waits: the next chunk has the next line in it.
static void idle(void) {
    struct fed fed = start();
    feed_text(&fed, "a\n");
    check_lines(&fed, "a|", true, false);
    pid_t pid = fork();
    if (pid == 0) {
        usleep(6 * IDLE_MS * 1000);
        _exit(write(fed.to, "b\n", 2) == 2 ? 0 : 1);
    }
    const double begin = now_seconds();
    check_lines(&fed, "b|", true, false);
    CHECK(now_seconds() - begin >= 4e-3 * IDLE_MS);
    waitpid(pid, NULL, 0);
    close(fed.to);
    fed.to = -1;
    check_lines(&fed, "", false, true);
    end(&fed);
}

// A full chunk needs no flush; the empty one behind it says that no more comes.
static void full_then_idle(void) {
    struct fed fed = start();
    char lines[CHUNK_RECORDS];
    memset(lines, '\n', sizeof lines);
    feed(&fed, lines, sizeof lines);
    CHECK_INT(line_reader_fill(fed.reader, IDLE_MS, fed.chunk, NULL), STATUS_OK);
    CHECK_INT(fed.chunk->n_records, CHUNK_RECORDS);
    CHECK(!fed.chunk->flush && !fed.chunk->last);
    check_lines(&fed, "", true, false);
    feed_text(&fed, "a\n");
    check_lines(&fed, "a|", true, false);
    end(&fed);
}

// gzip that its writer flushes after every line.
static void compressed(void) {
    struct fed fed = start();
    z_stream stream = {0};
    unsigned char packed[1000];
    if (deflateInit2(&stream, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) != Z_OK) exit(1);
    for (int i = 0; i < 3; i++) {
        stream.next_in = (unsigned char *)(uintptr_t) "a line\n";
        stream.avail_in = 7;
        stream.next_out = packed;
        stream.avail_out = sizeof packed;
        CHECK_INT(deflate(&stream, Z_SYNC_FLUSH), Z_OK);
        feed(&fed, packed, sizeof packed - stream.avail_out);
        check_lines(&fed, "a line|", true, false);
    }
    stream.next_out = packed;
    stream.avail_out = sizeof packed;
    CHECK_INT(deflate(&stream, Z_FINISH), Z_STREAM_END);
    feed(&fed, packed, sizeof packed - stream.avail_out);
    deflateEnd(&stream);
    close(fed.to);
    fed.to = -1;
    check_lines(&fed, "", false, true);
    end(&fed);
}

// A byte order mark that comes byte by byte is one all the same; half of one is not.
static void mark_in_pieces(void) {
    for (int n_marked = 1; n_marked <= 3; n_marked++) {
        struct fed fed = start();
        pid_t pid = fork();
        if (pid == 0) {
            for (int i = 0; i < n_marked; i++) {
                if (write(fed.to, &"\xef\xbb\xbf"[i], 1) != 1) _exit(1);
                usleep(IDLE_MS * 500);
            }
            _exit(write(fed.to, "a\n", 2) == 2 ? 0 : 1);
        }
        close(fed.to);
        fed.to = -1;
        const char *const want[] = {
            "\xef"
            "a",
            "\xef\xbb"
            "a",
            "a"};
        CHECK_INT(line_reader_fill(fed.reader, -1, fed.chunk, NULL), STATUS_OK);
        CHECK_INT(fed.chunk->n_records, 1);
        CHECK(span_equal(fed.chunk->records[0].line, want[n_marked - 1]));
        CHECK_INT(fed.chunk->records[0].offset, n_marked == 3 ? 3 : 0);
        waitpid(pid, NULL, 0);
        end(&fed);
    }
}

// Without flush_ms the reader waits for a full chunk.
static void no_flush(void) {
    struct fed fed = start();
    feed_text(&fed, "a\n");
    pid_t pid = fork();
    if (pid == 0) {
        usleep(4 * IDLE_MS * 1000);
        _exit(write(fed.to, "b\n", 2) == 2 ? 0 : 1);
    }
    close(fed.to);
    fed.to = -1;
    CHECK_INT(line_reader_fill(fed.reader, -1, fed.chunk, NULL), STATUS_OK);
    CHECK_INT(fed.chunk->n_records, 2);
    CHECK(fed.chunk->last && !fed.chunk->flush);
    waitpid(pid, NULL, 0);
    end(&fed);
}

int main(void) {
    alarm(60);  // waiting for ever fails the test
    line_by_line();
    idle();
    full_then_idle();
    compressed();
    no_flush();
    half_a_line();
    mark_in_pieces();
    return check_result();
}
