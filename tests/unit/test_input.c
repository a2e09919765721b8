// SPDX-License-Identifier: Apache-2.0
//
// Every way in which a gzip or plain input may be whole, damaged or something else: what is read is
// exactly what is inside, or the input is refused by name, with the place.
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/stream/input.h"
#include "tests/check.h"
#include "tests/support/gzip_bytes.h"
#include "tests/support/temp_dir.h"

static char dir[TEMP_PATH_MAX];
static const size_t caps[] = {1, 7, 64 * 1024};

static struct span span_of(const struct buffer *buffer) {
    return (struct span){buffer->bytes, buffer->len};
}

// Writes the file `name` and gives its path.
static const char *file_of(const char *name, struct span bytes) {
    static char path[TEMP_PATH_MAX];
    temp_dir_write(dir, name, bytes.len > 0 ? bytes.ptr : "", bytes.len);
    path_join(path, sizeof path, dir, name, NULL);
    return path;
}

// Reads `input` to its end, `cap` bytes at a time, into `out`.
static enum status read_all(struct input *input, size_t cap, struct buffer *out,
                            struct error *error) {
    uint64_t consumed = 0;
    for (size_t n = 1; n > 0;) {
        char *at = buffer_reserve(out, cap);
        enum status status = input_read(input, at, cap, &n, error);
        if (status != STATUS_OK) return status;
        CHECK(n <= cap);
        out->len += n;
        CHECK(input_consumed_nbytes(input) >= consumed);
        consumed = input_consumed_nbytes(input);
    }
    return STATUS_OK;
}

static enum status read_path(const char *path, size_t cap, struct buffer *out,
                             struct error *error) {
    struct input *input;
    out->len = 0;
    enum status status = input_open(path, &input, error);
    CHECK((status == STATUS_OK) == (input != NULL));
    if (status == STATUS_OK) status = read_all(input, cap, out, error);
    input_close(input);
    return status;
}

// That the file holds `plain`, however it is read, and that the figures about it are right.
static void check_good(const char *name, struct span raw, struct span plain) {
    const char *path = file_of(name, raw);
    char sha256[SHA256_HEX_LEN + 1];
    CHECK_INT(sha256_of(raw.ptr, raw.len, sha256, NULL), STATUS_OK);
    for (size_t i = 0; i < ARRAY_LEN(caps); i++) {
        struct buffer got = {0};
        struct error error = {""};
        struct input *input;
        CHECK_INT(input_open(path, &input, &error), STATUS_OK);
        CHECK_STR(input_name(input), path);
        CHECK_INT(input_total_nbytes(input), raw.len);
        CHECK_INT(input_consumed_nbytes(input), 0);
        CHECK(!input_would_wait(input, 0));
        CHECK_INT(read_all(input, caps[i], &got, &error), STATUS_OK);
        CHECK_STR(error.text, "");
        CHECK_INT(got.len, plain.len);
        CHECK(got.len == plain.len && (got.len == 0 || memcmp(got.bytes, plain.ptr, got.len) == 0));
        CHECK_STR(input_sha256(input), sha256);
        CHECK_INT(input_consumed_nbytes(input), raw.len);
        size_t n = 1;  // the end stays the end
        char byte;
        CHECK_INT(input_read(input, &byte, 1, &n, &error), STATUS_OK);
        CHECK_INT(n, 0);
        input_close(input);
        buffer_free(&got);
    }
}

// That the file is refused, with its name and `part` in the message.
static void check_bad(const char *name, struct span raw, const char *part) {
    const char *path = file_of(name, raw);
    for (size_t i = 0; i < ARRAY_LEN(caps); i++) {
        struct buffer got = {0};
        struct error error = {""};
        CHECK_INT(read_path(path, caps[i], &got, &error), STATUS_INPUT);
        CHECK_CONTAINS(error.text, path);
        CHECK_CONTAINS(error.text, part);
        buffer_free(&got);
    }
}

static void check_bad_bytes(const char *name, const char *bytes, size_t n, const char *part) {
    check_bad(name, (struct span){bytes, n}, part);
}

// `head` and then `n` bytes of `tail`.
static struct span joined(struct buffer *out, const struct buffer *head, const char *tail,
                          size_t n) {
    out->len = 0;
    buffer_add(out, head->bytes, head->len);
    buffer_add(out, tail, n);
    return span_of(out);
}

static const char text[] = "one\ntwo\nthree three three three three three three\nfour\n";

static void members(void) {
    struct buffer raw = {0}, plain = {0}, random_plain = {0};
    buffer_add_text(&plain, text);
    gzip_add(&raw, text, strlen(text));
    check_good("one.gz", span_of(&raw), span_of(&plain));
    check_good("no-suffix", span_of(&raw), span_of(&plain));
    gzip_add(&raw, "", 0);
    check_good("empty-member-behind.gz", span_of(&raw), span_of(&plain));
    gzip_add(&raw, text, strlen(text));
    buffer_add_text(&plain, text);
    check_good("empty-member-between.gz", span_of(&raw), span_of(&plain));
    raw.len = 0;
    gzip_add(&raw, "", 0);
    check_good("nothing.gz", span_of(&raw), (struct span){0});

    // A thousand members cut anywhere, some of them empty; and one that is larger than any buffer.
    struct check_random random = {1};
    raw.len = plain.len = 0;
    for (int i = 0; i < 1000; i++) {
        char piece[40];
        const size_t n = check_below(&random, sizeof piece);
        for (size_t k = 0; k < n; k++) piece[k] = (char)check_next(&random);
        gzip_add(&raw, piece, n);
        buffer_add(&plain, piece, n);
    }
    check_good("members.gz", span_of(&raw), span_of(&plain));
    for (int i = 0; i < 100000; i++) {
        const unsigned long long word = check_next(&random);
        memcpy(buffer_reserve(&random_plain, 8), &word, 8);
        random_plain.len += 8;
    }
    raw.len = 0;
    gzip_add(&raw, random_plain.bytes, random_plain.len);
    check_good("large.gz", span_of(&raw), span_of(&random_plain));
    check_good("large", span_of(&random_plain), span_of(&random_plain));
    buffer_free(&raw);
    buffer_free(&plain);
    buffer_free(&random_plain);
}

static void cut_anywhere(void) {
    struct buffer raw = {0};
    gzip_add(&raw, text, strlen(text));
    const size_t border = raw.len;
    gzip_add(&raw, "second\n", 7);
    for (size_t n = 1; n < raw.len; n++) {
        char part[100];
        snprintf(part, sizeof part, "truncated at compressed byte %zu: the file ends inside", n);
        if (n == border) {
            check_good("cut.gz", (struct span){raw.bytes, n}, span_text(text));
        } else {
            check_bad("cut.gz", (struct span){raw.bytes, n}, part);
            check_bad("cut", (struct span){raw.bytes, n}, part);
        }
    }
    buffer_free(&raw);
}

// One flipped bit gives an error or, in a byte that means nothing (time, system), the same bytes.
static void flipped_bits(void) {
    struct buffer raw = {0}, plain = {0}, got = {0};
    gzip_add(&raw, text, strlen(text));
    gzip_add(&raw, "second\n", 7);
    buffer_add_text(&plain, text);
    buffer_add_text(&plain, "second\n");
    int n_harmless = 0;
    for (size_t bit = 0; bit < 8 * raw.len; bit++) {
        raw.bytes[bit / 8] = (char)(raw.bytes[bit / 8] ^ 1 << bit % 8);
        struct error error = {""};
        enum status status = read_path(file_of("flip.gz", span_of(&raw)), 4096, &got, &error);
        CHECK(status == STATUS_OK || status == STATUS_INPUT);
        if (status == STATUS_OK) {
            n_harmless++;
            CHECK(got.len == plain.len && memcmp(got.bytes, plain.bytes, got.len) == 0);
        } else {
            CHECK_CONTAINS(error.text, "flip.gz: ");
        }
        raw.bytes[bit / 8] = (char)(raw.bytes[bit / 8] ^ 1 << bit % 8);
    }
    // Of each header, the text flag and six bytes: four of the time, the level and the system.
    // Nor do the bits mean anything that fill up the last byte before the CRC.
    CHECK(n_harmless >= 2 * (1 + 6 * 8) && n_harmless <= 2 * (1 + 6 * 8 + 7));
    buffer_free(&raw);
    buffer_free(&plain);
    buffer_free(&got);
}

static void trailing(void) {
    static const char zeros[100 * 1024];
    struct buffer raw = {0}, more = {0};
    char part[100];
    const struct span plain = {text, strlen(text)};
    gzip_add(&raw, text, strlen(text));
    check_good("zero.gz", joined(&more, &raw, zeros, 1), plain);
    check_good("zeros.gz", joined(&more, &raw, zeros, 512), plain);
    // More padding than one read gives.
    joined(&more, &raw, zeros, sizeof zeros);
    for (int i = 0; i < 3; i++) buffer_add(&more, zeros, sizeof zeros);
    check_good("padding.gz", span_of(&more), plain);
    snprintf(part, sizeof part, "followed by other bytes, from compressed byte %zu on", more.len);
    buffer_add(&more, "x", 1);
    check_bad("padding-and-garbage.gz", span_of(&more), part);
    snprintf(part, sizeof part, "followed by other bytes, from compressed byte %zu on", raw.len);
    check_bad("garbage.gz", joined(&more, &raw, "garbage", 7), part);
    snprintf(part, sizeof part, "from compressed byte %zu on", raw.len + 2);
    check_bad("zeros-and-member.gz", joined(&more, &raw, "\0\0\x1f\x8b", 4), part);
    // Zeros to the very end of what one read gives, then a member.
    const size_t read_nbytes = 256 * 1024;
    joined(&more, &raw, zeros, sizeof zeros);
    while (more.len < read_nbytes) buffer_add(&more, zeros, 1);
    buffer_add(&more, raw.bytes, raw.len);
    snprintf(part, sizeof part, "from compressed byte %zu on", read_nbytes);
    check_bad("zeros-and-member-behind.gz", span_of(&more), part);
    snprintf(part, sizeof part, "truncated at compressed byte %zu:", raw.len + 1);
    check_bad("half-magic.gz", joined(&more, &raw, "\x1f", 1), part);
    snprintf(part, sizeof part, "damaged gzip data at compressed byte %zu", raw.len + 2);
    check_bad("wrong-magic.gz", joined(&more, &raw, "\x1f\x8c", 2), part);
    buffer_free(&raw);
    buffer_free(&more);
}

static void not_gzip(void) {
    check_good("empty", (struct span){0}, (struct span){0});
    check_good("plain.txt", span_text(text), span_text(text));
    check_good("letter", (struct span){"B", 1}, (struct span){"B", 1});
    check_good("BZ", (struct span){"BZ\n", 3}, (struct span){"BZ\n", 3});
    check_good("zeros", (struct span){"\0\0\0", 3}, (struct span){"\0\0\0", 3});
    check_good("unit-separator", (struct span){"\x1fz", 2}, (struct span){"\x1fz", 2});
    check_bad_bytes("empty.gz", "", 0, "empty");
    check_bad_bytes("text.gz", text, strlen(text), "not gzip's (1f 8b)");
    check_bad_bytes("zst.gz", "\x28\xb5\x2f\xfd\x04\x00", 6, "zstd");
    check_bad_bytes("zst.txt", "\x28\xb5\x2f\xfd\x04\x00", 6, "zstd -dc");
    check_bad_bytes("xz.jsonl", "\xfd\x37zXZ\0more", 10, "xz -dc");
    check_bad_bytes("bz2.jsonl", "BZh91AY", 7, "bzip2 -dc");
    check_bad_bytes("zip.jsonl", "PK\3\4more", 8, "zip archive");
    check_bad_bytes("utf-16le.txt", "\xff\xfeh\0i\0", 6, "UTF-16");
    check_bad_bytes("utf-16be.txt", "\xfe\xff\0h\0i", 6, "iconv");
    check_bad_bytes("deflate.gz", "\x1f\x8b\x07\0\0\0\0\0\0\0", 10, "damaged gzip");

    struct error error = {""};
    struct input *input;
    CHECK_INT(input_open(dir, &input, &error), STATUS_INPUT);
    CHECK(input == NULL);
    CHECK_CONTAINS(error.text, "is a directory");
    CHECK_INT(input_open("/nowhere/at/all.gz", &input, &error), STATUS_INPUT);
    CHECK_CONTAINS(error.text, "/nowhere/at/all.gz: No such file");
    CHECK(name_ends_in_gz("a.gz") && name_ends_in_gz(".gz"));
    CHECK(!name_ends_in_gz("gz") && !name_ends_in_gz("a.gzip") && !name_ends_in_gz(""));
}

// 64 MiB of zeros out of 64 KiB: read through, and never held.
static void bomb(void) {
    enum { NBYTES = 64 << 20 };
    struct buffer raw = {0};
    char *zeros = calloc(NBYTES, 1);
    if (zeros == NULL) exit(1);
    gzip_add(&raw, zeros, NBYTES);
    free(zeros);
    CHECK(raw.len < 100000);
    struct input *input;
    struct error error = {""};
    CHECK_INT(input_open(file_of("bomb.gz", span_of(&raw)), &input, &error), STATUS_OK);
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    static char bytes[1 << 16];
    size_t total = 0, n = 1;
    bool all_zero = true;
    while (n > 0 && input_read(input, bytes, sizeof bytes, &n, &error) == STATUS_OK) {
        total += n;
        all_zero = all_zero && (n == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, n - 1) == 0));
    }
    getrusage(RUSAGE_SELF, &after);
    CHECK_INT(total, NBYTES);
    CHECK(all_zero);
    CHECK(after.ru_maxrss - before.ru_maxrss < 4096);
    input_close(input);
    buffer_free(&raw);
}

int main(void) {
    temp_dir_make(dir);
    bomb();
    members();
    cut_anywhere();
    flipped_bits();
    trailing();
    not_gzip();
    temp_dir_remove(dir);
    return check_result();
}
