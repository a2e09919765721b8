// SPDX-License-Identifier: Apache-2.0
//
// The ways in which a gzip file can be wrong, one after the other: what each gives by default, with
// --trailing warn and ignore, and what is known of the damage. What is handed out before the fault
// is the beginning of what was packed, but for a fault that only a CRC sees.
#include "host/stream/input.h"
#include "tests/check.h"
#include "tests/support/gzip_bytes.h"
#include "tests/support/temp_dir.h"

static char dir[TEMP_PATH_MAX];
static const char text[] = "one\ntwo\nthree three three three three three three\nfour\n";

// How a case is made of `text` packed once, or twice with an empty member between.
enum make {
    WHOLE,
    TWICE,    // two members
    BETWEEN,  // an empty member between them
    CUT,      // `at` bytes off the end
    FLIP,     // a bit in the byte `at` from the end
    APPEND,   // `more`, `n_more` bytes
    ONLY,     // `more` alone
    CUT_TWO,  // two members, `at` bytes off the end
};

struct file_case {
    const char *name;
    enum make make;
    size_t at;
    const char *more;
    size_t n_more;
    const char *strict;  // NULL: read to the end; else what is said
    bool lenient;        // read to the end with --trailing warn and ignore
    enum damage damage;  // as the strict reading found it
    int n_checked;       // members whose CRC held
};

#define BYTES(literal) literal, sizeof(literal) - 1

static const struct file_case cases[] = {
    {"ok.gz", WHOLE, 0, NULL, 0, NULL, true, DAMAGE_NONE, 1},
    {"two-members.gz", TWICE, 0, NULL, 0, NULL, true, DAMAGE_NONE, 2},
    {"empty-between.gz", BETWEEN, 0, NULL, 0, NULL, true, DAMAGE_NONE, 2},
    {"empty.gz", ONLY, 0, BYTES(""), "the file is empty", false, DAMAGE_NONE, 0},
    {"text.gz", ONLY, 0, BYTES("one\ntwo\n"), "not gzip's", false, DAMAGE_NONE, 0},
    {"zstd.gz", ONLY, 0, BYTES("\x28\xb5\x2f\xfd\x24\0\1\0\0"), "zstd -dc", false, DAMAGE_NONE, 0},
    {"xz.gz", ONLY, 0, BYTES("\xfd\x37zXZ\0\0\4"), "xz -dc", false, DAMAGE_NONE, 0},
    {"bz2.gz", ONLY, 0, BYTES("BZh91AY&SY"), "bzip2 -dc", false, DAMAGE_NONE, 0},
    {"zip.gz", ONLY, 0, BYTES("PK\3\4\x14\0"), "unzip -p", false, DAMAGE_NONE, 0},
    {"7z.gz", ONLY, 0, BYTES("7z\xbc\xaf\x27\x1c\0\4"), "7z x -so", false, DAMAGE_NONE, 0},
    {"lz4.gz", ONLY, 0, BYTES("\x04\x22\x4d\x18\x64"), "lz4 -dc", false, DAMAGE_NONE, 0},
    {"utf-16.gz", ONLY, 0, BYTES("\xff\xfeh\0i\0"), "UTF-16", false, DAMAGE_NONE, 0},
    {"utf-32.gz", ONLY, 0, BYTES("\xff\xfe\0\0h\0\0\0"), "UTF-32", false, DAMAGE_NONE, 0},
    {"utf-32be.txt", ONLY, 0, BYTES("\0\0\xfe\xff\0\0\0h"), "UTF-32", false, DAMAGE_NONE, 0},
    {"cut-in-header.gz", ONLY, 0, BYTES("\x1f\x8b\x08\0\0"), "truncated at compressed byte 5",
     false, DAMAGE_TRUNCATED, 0},
    {"cut-in-stream.gz", CUT, 30, NULL, 0, "truncated", false, DAMAGE_TRUNCATED, 0},
    {"no-trailer.gz", CUT, 8, NULL, 0, "truncated", false, DAMAGE_TRUNCATED, 0},
    {"no-length.gz", CUT, 4, NULL, 0, "truncated", false, DAMAGE_TRUNCATED, 0},
    {"bad-crc.gz", FLIP, 8, NULL, 0, "incorrect data check", false, DAMAGE_CORRUPT, 0},
    {"bad-length.gz", FLIP, 4, NULL, 0, "incorrect length check", false, DAMAGE_CORRUPT, 0},
    {"second-cut.gz", CUT_TWO, 20, NULL, 0, "truncated", false, DAMAGE_TRUNCATED, 1},
    {"second-cut-in-header.gz", APPEND, 0, BYTES("\x1f\x8b\x08\0\0"), "truncated", false,
     DAMAGE_TRUNCATED, 1},
    {"second-is-no-deflate.gz", APPEND, 0, BYTES("\x1f\x8b\x07\0\0\0\0\0\0\0"), "damaged", false,
     DAMAGE_CORRUPT, 1},
    {"garbage.gz", APPEND, 0, BYTES("garbage"), "--trailing warn", true, DAMAGE_TRAILING, 1},
    {"newline.gz", APPEND, 0, BYTES("\n"), "followed by other bytes", true, DAMAGE_TRAILING, 1},
    {"half-magic.gz", APPEND, 0, BYTES("\x1f"), "truncated", true, DAMAGE_TRUNCATED, 1},
    {"half-magic-and-more.gz", APPEND, 0, BYTES("\x1f\x8c"), "damaged", true, DAMAGE_CORRUPT, 1},
    {"zeros.gz", APPEND, 0, BYTES("\0\0\0\0\0\0\0\0"), NULL, true, DAMAGE_NONE, 1},
    {"zeros-and-garbage.gz", APPEND, 0, BYTES("\0\0x"), "followed by", true, DAMAGE_TRAILING, 1},
    // A member behind zeros is none: nobody's padding is followed by more of the file.
    {"zeros-and-member.gz", APPEND, 0, BYTES("\0\0\x1f\x8b\x08\0"), "followed by", true,
     DAMAGE_TRAILING, 1},
};

static void make(const struct file_case *file, struct buffer *raw, struct buffer *plain) {
    if (file->make == ONLY) {
        buffer_add(raw, file->more, file->n_more);
        return;
    }
    gzip_add(raw, text, strlen(text));
    buffer_add_text(plain, text);
    if (file->make == BETWEEN) gzip_add(raw, "", 0);
    if (file->make == TWICE || file->make == BETWEEN || file->make == CUT_TWO) {
        gzip_add(raw, text, strlen(text));
        buffer_add_text(plain, text);
    }
    if (file->make == CUT || file->make == CUT_TWO) raw->len -= file->at;
    if (file->make == FLIP) raw->bytes[raw->len - file->at] ^= 1;
    if (file->make == APPEND) buffer_add(raw, file->more, file->n_more);
}

static enum status read_all(struct input *input, size_t cap, struct buffer *out,
                            struct error *error) {
    for (size_t n = 1; n > 0;) {
        enum status status = input_read(input, buffer_reserve(out, cap), cap, &n, error);
        if (status != STATUS_OK) return status;
        out->len += n;
    }
    return STATUS_OK;
}

static void check_case(const struct file_case *file, const char *path, struct span raw,
                       struct span plain, enum trailing trailing, size_t cap) {
    struct buffer got = {0};
    struct error error = {""};
    struct input *input;
    const bool accepted = file->strict == NULL || (file->lenient && trailing != TRAILING_ERROR);
    CHECK_INT(input_open(path, &input, &error), STATUS_OK);
    input_set_rules(input, (struct input_rules){.trailing = trailing});
    const enum status status = read_all(input, cap, &got, &error);
    if (status != (accepted ? STATUS_OK : STATUS_INPUT)) {
        CHECK_FAIL("%s, trailing %d: %d, %s", file->name, (int)trailing, (int)status, error.text);
    }
    if (!accepted) CHECK_CONTAINS(error.text, file->strict);
    CHECK(got.len <= plain.len && (got.len == 0 || memcmp(got.bytes, plain.ptr, got.len) == 0));
    const struct input_damage damage = input_damage(input);
    const struct input_trailing left = input_trailing(input);
    CHECK_INT(left.found, accepted && file->strict != NULL);
    CHECK_INT(damage.kind, accepted ? DAMAGE_NONE : file->damage);
    CHECK_INT(damage.checked_nbytes, (size_t)file->n_checked * strlen(text));
    if (damage.kind != DAMAGE_NONE) CHECK(damage.compressed_at <= raw.len);
    if (accepted) {
        char sha256[SHA256_HEX_LEN + 1];
        CHECK_INT(got.len, plain.len);
        CHECK_INT(sha256_of(raw.ptr, raw.len, sha256, NULL), STATUS_OK);
        CHECK_STR(input_sha256(input), sha256);  // of what was left aside as well
        CHECK_INT(input_consumed_nbytes(input), raw.len);
    }
    input_close(input);
    buffer_free(&got);
}

static void table(void) {
    static const size_t caps[] = {1, 5, 64 * 1024};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buffer raw = {0}, plain = {0};
        char path[TEMP_PATH_MAX];
        make(&cases[i], &raw, &plain);
        temp_dir_write(dir, cases[i].name, raw.len > 0 ? raw.bytes : "", raw.len);
        path_join(path, sizeof path, dir, cases[i].name, NULL);
        for (int trailing = TRAILING_ERROR; trailing <= TRAILING_IGNORE; trailing++) {
            for (size_t k = 0; k < ARRAY_LEN(caps); k++) {
                check_case(&cases[i], path, (struct span){raw.bytes, raw.len},
                           (struct span){plain.bytes, plain.len}, (enum trailing)trailing, caps[k]);
            }
        }
        buffer_free(&raw);
        buffer_free(&plain);
    }
}

// What follows is left aside wherever one read of the file ends: also between the two bytes that
// could begin a member.
static void trailing_at_borders(void) {
    enum { READ_NBYTES = 256 * 1024 };
    struct buffer member = {0};
    gzip_add(&member, text, strlen(text));
    for (size_t shift = 0; shift < 3; shift++) {
        struct buffer raw = {0}, got = {0};
        char path[TEMP_PATH_MAX];
        struct input *input;
        struct error error = {""};
        // Stored, so that its size can be chosen: a member of a file name, 10 bytes before it.
        buffer_add(&raw, "\x1f\x8b\x08\x08\0\0\0\0\0\3", 10);
        while (raw.len < READ_NBYTES - (member.len - 10) - 1 - shift) buffer_add(&raw, "n", 1);
        buffer_add(&raw, "\0", 1);
        buffer_add(&raw, member.bytes + 10, member.len - 10);
        CHECK_INT(raw.len, READ_NBYTES - shift);
        buffer_add(&raw, member.bytes, member.len);
        buffer_add_text(&raw, "\x1f-and-more");
        temp_dir_write(dir, "border.gz", raw.bytes, raw.len);
        path_join(path, sizeof path, dir, "border.gz", NULL);
        CHECK_INT(input_open(path, &input, &error), STATUS_OK);
        input_set_rules(input, (struct input_rules){.trailing = TRAILING_WARN});
        CHECK_INT(read_all(input, 1000, &got, &error), STATUS_OK);
        CHECK_STR(error.text, "");
        CHECK_INT(got.len, 2 * strlen(text));
        CHECK(input_trailing(input).found);
        CHECK_INT(input_trailing(input).compressed_at, READ_NBYTES - shift + member.len);
        input_close(input);
        buffer_free(&raw);
        buffer_free(&got);
    }
    buffer_free(&member);
}

// No more than was asked for is handed out, and what is behind is hashed, damaged or not.
static void limited(void) {
    struct buffer raw = {0};
    char path[TEMP_PATH_MAX], sha256[SHA256_HEX_LEN + 1];
    gzip_add(&raw, text, strlen(text));
    gzip_add(&raw, text, strlen(text));
    raw.len -= 5;
    CHECK_INT(sha256_of(raw.bytes, raw.len, sha256, NULL), STATUS_OK);
    temp_dir_write(dir, "limited.gz", raw.bytes, raw.len);
    path_join(path, sizeof path, dir, "limited.gz", NULL);
    for (size_t limit = 1; limit <= 2 * strlen(text); limit += 9) {
        for (size_t cap = 1; cap < 100; cap += 33) {
            struct buffer got = {0};
            struct error error = {""};
            struct input *input;
            CHECK_INT(input_open(path, &input, &error), STATUS_OK);
            input_set_rules(input, (struct input_rules){.plain_nbytes_max = limit});
            CHECK_INT(read_all(input, cap, &got, &error), STATUS_OK);
            CHECK_INT(got.len, limit);
            CHECK_STR(input_sha256(input), sha256);
            CHECK_INT(input_consumed_nbytes(input), raw.len);
            input_close(input);
            buffer_free(&got);
        }
    }
    buffer_free(&raw);
}

int main(void) {
    temp_dir_make(dir);
    table();
    trailing_at_borders();
    limited();
    temp_dir_remove(dir);
    return check_result();
}
