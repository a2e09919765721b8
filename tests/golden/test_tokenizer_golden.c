// SPDX-License-Identifier: Apache-2.0
//
// Ids against files that Hugging Face tokenizers made.
//   test_tokenizer_golden SOURCE_DIR WHICH
// where WHICH is
//   toy, toy_uncased             tests/golden/tokenizer_toy and tokenizer_toy_uncased: 1,500
//   strings
//                                each, with their vocabularies; see make_tokenizer_golden.py
//   mcased, muncased, euncased   tests/golden/tokenizer_WHICH.jsonl.gz: 12,429 strings (unit tests
//                                of several tokenizers, Unicode's test files, titles in 157
//                                locales, mangled bytes), made with Hugging Face tokenizers 0.23.2.
//                                Their vocabularies, bert-base-multilingual-cased,
//                                bert-base-multilingual-uncased and bert-base-uncased, are not in
//                                the repository: SKIP where ../shared/vocabs lacks them
// A line: "hex", the bytes; "ids", what they give; "ids_512" and "ids_16", where truncation to so
// many changes anything (the uncased real ones do without).
#include <unistd.h>
#include <zlib.h>

#include "host/base/json.h"
#include "tests/check.h"
#include "tokenizer/tokenizer.h"

enum { TEXT_CAP = 64 << 20, IDS_CAP = 1 << 20 };

struct source {
    const char *which;
    const char *vocab;  // below ../shared/vocabs; NULL: the model is below tests/golden
    long n_strings;
    bool has_limits;
};

static const struct source sources[] = {
    {"toy", NULL, 1500, true},
    {"toy_uncased", NULL, 1500, true},
    {"mcased", "bert-base-multilingual-cased", 12429, true},
    {"muncased", "bert-base-multilingual-uncased", 12429, false},
    {"euncased", "bert-base-uncased", 12429, false},
};

static struct span read_gzip(const char *path) {
    char *text = malloc(TEXT_CAP);
    gzFile file = gzopen(path, "rb");
    int n = text != NULL && file != NULL ? gzread(file, text, TEXT_CAP) : -1;
    if (n <= 0 || n == TEXT_CAP || gzclose(file) != Z_OK) {
        fprintf(stderr, "%s cannot be read\n", path);
        exit(1);
    }
    return (struct span){text, (size_t)n};
}

// Checks one title at one limit against the ids that it should give.
static void check_ids(const struct tokenizer *tokenizer, struct span title, int32_t max_length,
                      struct json_value want, bool truncated) {
    static int32_t ids[IDS_CAP];
    if (title.len + 2 > IDS_CAP) exit(1);
    struct encoding got = tokenizer_encode(tokenizer, title, max_length, ids);
    int32_t n = 0;
    bool same = got.truncated == truncated;
    for (struct json_walk walk = json_walk(want); json_next(&walk) && same; n++) {
        int64_t id;
        same = json_int64(walk.value, &id) && n < got.n_ids && ids[n] == id;
    }
    check_count++;
    if (same && n == got.n_ids) return;
    CHECK_FAIL("max length %d, %zu bytes \"%.*s\": id %d of %d is not as in %.*s", max_length,
               title.len, (int)(title.len < 60 ? title.len : 60), title.ptr, n, got.n_ids,
               (int)(want.raw.len < 200 ? want.raw.len : 200), want.raw.ptr);
}

static void check_line(const struct tokenizer *tokenizer, struct json_value line, bool has_limits) {
    static const struct {
        const char *key;
        int32_t max_length;
    } limits[] = {{"ids_512", 512}, {"ids_16", 16}};
    struct json_value hex, ids, cut;
    if (!json_member(line, "hex", &hex) || !json_member(line, "ids", &ids)) {
        CHECK_FAIL("a line without hex or ids");
        return;
    }
    // A block of the title's own size, so that AddressSanitizer sees a read beyond it.
    size_t len = (hex.raw.len - 2) / 2;
    char *bytes = malloc(len > 0 ? len : 1);
    if (bytes == NULL) exit(1);
    for (size_t i = 0; i < len; i++) {
        const char *digits = hex.raw.ptr + 1 + 2 * i;
        bytes[i] = (char)(hex_digit(digits[0]) << 4 | hex_digit(digits[1]));
    }
    struct span title = {bytes, len};
    check_ids(tokenizer, title, 0, ids, false);
    for (size_t i = 0; i < ARRAY_LEN(limits) && has_limits; i++) {
        bool changed = json_member(line, limits[i].key, &cut);
        check_ids(tokenizer, title, limits[i].max_length, changed ? cut : ids, changed);
    }
    free(bytes);
}

static long check_file(const struct tokenizer *tokenizer, struct span text, bool has_limits) {
    long n_lines = 0;
    while (text.len > 0) {
        const char *newline = memchr(text.ptr, '\n', text.len);
        size_t len = newline != NULL ? (size_t)(newline - text.ptr) : text.len;
        struct json_value line, made_with;
        struct json_fault fault;
        if (!json_parse((struct span){text.ptr, len}, &line, &fault)) {
            CHECK_FAIL("not JSON: %s", fault.what);
        } else if (!json_member(line, "made_with", &made_with)) {
            check_line(tokenizer, line, has_limits);
            n_lines++;
        }
        size_t taken = len + (newline != NULL ? 1 : 0);
        text.ptr += taken;
        text.len -= taken;
    }
    return n_lines;
}

// Where the model and its golden file are. False: the vocabulary is not on this machine.
static bool find_files(const struct source *source, const char *root, char *model, char *golden) {
    if (source->vocab == NULL) {
        snprintf(model, PATH_NBYTES_MAX, "%s/tests/golden/tokenizer_%s", root, source->which);
        snprintf(golden, PATH_NBYTES_MAX, "%s/tests/golden/tokenizer_%s/golden.jsonl.gz", root,
                 source->which);
        return true;
    }
    const char *shared = getenv("WADER_SHARED");
    snprintf(model, PATH_NBYTES_MAX, "%s%s/vocabs/%s", shared != NULL ? shared : root,
             shared != NULL ? "" : "/../shared", source->vocab);
    snprintf(golden, PATH_NBYTES_MAX, "%s/tests/golden/tokenizer_%s.jsonl.gz", root, source->which);
    return access(model, F_OK) == 0;
}

int main(int argc, char **argv) {
    const struct source *source = NULL;
    for (size_t i = 0; i < ARRAY_LEN(sources) && argc == 3; i++) {
        if (strcmp(argv[2], sources[i].which) == 0) source = &sources[i];
    }
    if (source == NULL) {
        fprintf(stderr,
                "usage: test_tokenizer_golden SOURCE_DIR "
                "toy|toy_uncased|mcased|muncased|euncased\n");
        return 2;
    }
    char model[PATH_NBYTES_MAX], golden[PATH_NBYTES_MAX];
    if (!find_files(source, argv[1], model, golden)) {
        char why[128];
        snprintf(why, sizeof why, "no ../shared/vocabs/%s", source->vocab);
        return check_skip(why);
    }
    struct tokenizer *tokenizer;
    struct error error;
    if (tokenizer_open(model, &tokenizer, &error) != STATUS_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    struct span text = read_gzip(golden);
    CHECK_INT(check_file(tokenizer, text, source->has_limits), source->n_strings);
    free((char *)(uintptr_t)text.ptr);
    tokenizer_close(tokenizer);
    return check_result();
}
