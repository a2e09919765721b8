// SPDX-License-Identifier: Apache-2.0
//
// The quick path against the plain one on fresh random titles: test_tokenizer_batch [SEED]. The
// seed that is printed replays them. Every title ends where the next byte cannot be read.
#include <sys/mman.h>
#include <time.h>
#include <utf8proc.h>

#include "tests/check.h"
#include "tests/support/must.h"
#include "tokenizer/lanes.h"
#include "tokenizer/wordpiece.h"

enum { TITLES_MAX = 300, TITLE_MAX = 20000, ROUNDS = 400, VOCAB_MAX = 400000 };

static struct check_random random_state;

static uint32_t below(uint32_t n) {
    return check_below(&random_state, n);
}

// ---- a vocabulary: pieces of what titles are made of, with gaps

static const char *const words[] = {
    "the",    "title", "Title",  "un",      "aff",      "able",    "2026",   "x",
    "résumé", "Über",  "straße", "naïve",   "История",  "мир",     "й",      "ёлка",
    "Ελλάδα", "ΑΣ",    "שלום",   "مرحبا",   "नमस्ते",     "ภาษาไทย", "한국어", "日本",
    "語",     "中文",  "がく",   "ქართული", "İstanbul", "Việt",    "🚀",      "👩‍🔬",
    "ﬁ",      "≠",     "豈",     "ﾊﾟ",      "߁߂",       "ಕನ್ನಡ",    "ㅎㅏ"};

// Every character of the words but some, with and without "##", and beginnings of words.
static size_t make_vocab(char *out) {
    // Blanks in tokens, which no title's word can have, must not reach beyond words.
    char *at = out + sprintf(out,
                             "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n \n## \nab \nab x\n  ab\n"
                             "дu\nдc\nдs\nдp\nдm\n。u\n。c\n。s\n。p\n。m\n");
    for (char c = '!'; c <= '~'; c++) {
        if (c != '[' && c != 'q') at += sprintf(at, "%c\n##%c\n", c, c);
    }
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        const size_t len = strlen(words[i]);
        for (size_t n = 1; n <= len; n++) {
            if (((unsigned char)words[i][n] & 0xC0) == 0x80) continue;
            if ((n * 7 + i) % 5 != 0) at += sprintf(at, "%.*s\n", (int)n, words[i]);
            if ((n * 3 + i) % 4 != 0 && n < len) at += sprintf(at, "##%s\n", words[i] + n);
        }
    }
    for (int32_t code = 0xA0; code < 0x2E80; code++) {
        uint8_t bytes[5] = {0};
        utf8proc_encode_char(code, bytes);
        if (code % 3 != 0) at += sprintf(at, "%s\n##%s\n", (char *)bytes, (char *)bytes);
    }
    return (size_t)(at - out);
}

static struct tokenizer *make(const char *vocab, size_t len, const char *config) {
    struct tokenizer_files files = {.vocab = {"vocab.txt", {vocab, len}},
                                    .config = {"tokenizer_config.json", span_text(config)}};
    struct tokenizer *tokenizer;
    struct error error;
    must(tokenizer_make(&files, &tokenizer, &error), &error);
    return tokenizer;
}

// ---- titles

static size_t put_code(char *out, int32_t code) {
    if (code >= 0xD800 && code < 0xE000) code = ' ';
    return (size_t)utf8proc_encode_char(code, (uint8_t *)out);
}

static size_t put_bytes(char *out, const char *bytes) {
    memcpy(out, bytes, strlen(bytes));
    return strlen(bytes);
}

static size_t put_something(char *out) {
    static const char *const odd[] = {"дc",
                                      "。s",
                                      "дs。m",
                                      "。",
                                      "[CLS]",
                                      "[SEP",
                                      "[MASK]",
                                      "[",
                                      "\xC2\xAD",
                                      "\xE2\x80\x8D",
                                      "\xC2\xA0",
                                      "\xE3\x80\x80",
                                      "\xE2\x80\x99",
                                      "\xE2\x80\x94",
                                      "\xD0",
                                      "\xE0\xA4",
                                      "\xF0\x9F\x98",
                                      "\x80",
                                      "\xED\xA0\x80",
                                      "\xC0\x80",
                                      "\xFF",
                                      "\t",
                                      "\n",
                                      "\x0B",
                                      "\x7F",
                                      "\xEF\xBF\xBD",
                                      "\xE3\x80\xAE",
                                      "\xCC\x81",
                                      "\xF0\x9D\x85\xA5",
                                      "\xF0\x9D\x85\xAD",
                                      "\xEF\xBB\xBF",
                                      "\xC3",
                                      "\xE4\xB8",
                                      "\xCD\x8F"};
    static const int32_t tops[] = {0x80, 0x250, 0x600, 0x800, 0x1200, 0x3000, 0xFFFF, 0x110000};
    const uint32_t kind = below(16);
    if (kind < 6) return put_bytes(out, words[below(ARRAY_LEN(words))]);
    if (kind < 9) return put_bytes(out, " ");
    if (kind < 10) return put_bytes(out, odd[below(ARRAY_LEN(odd))]);
    if (kind < 12) return put_code(out, (int32_t)below((uint32_t)tops[below(ARRAY_LEN(tops))]));
    if (kind < 13) {
        out[0] = (char)below(256);
        return 1;
    }
    if (kind < 15) {
        out[0] = (char)('!' + below('~' - '!' + 1));
        return 1;
    }
    return put_bytes(out, "ab");
}

// A title; every eighth has a word of about a hundred characters, some are long.
static size_t make_title(char *out) {
    static const uint32_t lengths[] = {0, 1, 2, 8, 20, 40, 63, 64, 65, 100, 130};
    size_t want = lengths[below(ARRAY_LEN(lengths))], n = 0;
    if (below(100) == 0) want = below(12000);
    if (below(8) == 0) {
        const char *unit = words[below(ARRAY_LEN(words))];
        const size_t len = strlen(unit), chars = 90 + below(30);
        for (size_t i = 0; i < chars && n + len < 600; i++) n += put_bytes(out + n, unit);
    }
    while (n < want) n += put_something(out + n);
    return n;
}

// ---- both paths

static char *guarded_end;  // no byte from here on can be read

static void make_guard(void) {
    const size_t page = 4096, n = TITLE_MAX / page * page + page;
    char *memory = mmap(NULL, n + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory + n, page, PROT_NONE) != 0) exit(1);
    guarded_end = memory + n;
}

static void show_difference(const char *title, size_t len, int32_t max_length) {
    char hex[401];
    size_t shown = len < 200 ? len : 200;
    for (size_t i = 0; i < shown; i++) sprintf(hex + 2 * i, "%02x", (unsigned char)title[i]);
    hex[2 * shown] = 0;
    CHECK_FAIL("max length %d: a title of %zu bytes differs: %s", (int)max_length, len, hex);
}

static void compare(const struct tokenizer *tokenizer, struct tokenizer_batch *batch,
                    int32_t max_length) {
    static char titles[TITLES_MAX][TITLE_MAX];
    static size_t lens[TITLES_MAX];
    static struct encoding got[TITLES_MAX];
    static int32_t want[TITLE_MAX + 2];
    const uint32_t n = 1 + below(TITLES_MAX);
    size_t cap = 0;
    for (uint32_t i = 0; i < n; i++) cap += (lens[i] = make_title(titles[i])) + 2;
    int32_t *ids = must_zeroed(cap + TOKENIZER_IDS_SLACK, sizeof *ids), *at = ids;
    tokenizer_batch_start(batch, ids, got);
    for (uint32_t i = 0; i < n; i++) {
        char *title = guarded_end - lens[i];
        memcpy(title, titles[i], lens[i]);
        tokenizer_batch_add(batch, (struct span){title, lens[i]});
        memset(title, '#', lens[i]);
    }
    const size_t n_ids = tokenizer_batch_finish(batch);
    for (uint32_t i = 0; i < n; i++) {
        const struct encoding right =
            tokenizer_encode(tokenizer, (struct span){titles[i], lens[i]}, max_length, want);
        CHECK_INT(got[i].truncated, right.truncated);
        if (got[i].n_ids != right.n_ids ||
            memcmp(at, want, (size_t)right.n_ids * sizeof *at) != 0) {
            show_difference(titles[i], lens[i], max_length);
        }
        at += got[i].n_ids;
    }
    CHECK_INT(n_ids, at - ids);
    free(ids);
}

// Every token of the vocabulary as a title of its own.
static void test_every_token(const struct tokenizer *tokenizer, const char *vocab, size_t len) {
    struct tokenizer_batch *batch;
    struct error error;
    must(tokenizer_batch_create(tokenizer, 0, len, &batch, &error), &error);
    int32_t *ids = must_zeroed(3 * len + TOKENIZER_IDS_SLACK, sizeof *ids), *at = ids;
    struct encoding *got = must_zeroed(len, sizeof *got);
    tokenizer_batch_start(batch, ids, got);
    for (const char *line = vocab; line < vocab + len; line = strchr(line, '\n') + 1) {
        tokenizer_batch_add(batch, (struct span){line, strcspn(line, "\n")});
    }
    tokenizer_batch_finish(batch);
    size_t i = 0;
    for (const char *line = vocab; line < vocab + len; line = strchr(line, '\n') + 1, i++) {
        int32_t want[100];
        const struct span title = {line, strcspn(line, "\n")};
        const struct encoding right = tokenizer_encode(tokenizer, title, 0, want);
        if (got[i].n_ids != right.n_ids ||
            memcmp(at, want, (size_t)right.n_ids * sizeof *at) != 0) {
            show_difference(title.ptr, title.len, 0);
        }
        at += got[i].n_ids;
    }
    CHECK(i > 1000);
    free(ids);
    free(got);
    tokenizer_batch_destroy(batch);
}

static void test_settings(const char *vocab, size_t len, const char *config) {
    static const int32_t max_lengths[] = {0, 2, 3, 16, 512};
    struct tokenizer *tokenizer = make(vocab, len, config);
    CHECK_INT(tokenizer->trie.nodes[0], 0);  // no token's slot is 0: to the lanes 0 is none
    for (size_t i = 0; i < ARRAY_LEN(max_lengths); i++) {
        struct tokenizer_batch *batch;
        struct error error;
        must(tokenizer_batch_create(tokenizer, max_lengths[i], TITLE_MAX, &batch, &error), &error);
        for (int round = 0; round < ROUNDS / (int)ARRAY_LEN(max_lengths); round++) {
            compare(tokenizer, batch, max_lengths[i]);
        }
        tokenizer_batch_destroy(batch);
    }
    test_every_token(tokenizer, vocab, len);
    tokenizer_close(tokenizer);
}

int main(int argc, char **argv) {
    static const char *const configs[] = {
        "{\"do_lower_case\": false}", "{\"do_lower_case\": true}",
        "{\"do_lower_case\": false, \"strip_accents\": true}",
        "{\"do_lower_case\": true, \"strip_accents\": false}",
        "{\"do_lower_case\": true, \"tokenize_chinese_chars\": false}",
        "{\"do_lower_case\": false, \"tokenize_chinese_chars\": false}",
        "{\"do_lower_case\": false, \"additional_special_tokens\": [\"ab\", \"the\"]}",
        // All added tokens start with the same byte, which is no ASCII, of a letter or not.
        "{\"do_lower_case\": false, \"unk_token\": \"дu\", \"cls_token\": \"дc\","
        "\"sep_token\": \"дs\", \"pad_token\": \"дp\", \"mask_token\": \"дm\"}",
        "{\"do_lower_case\": true, \"unk_token\": \"。u\", \"cls_token\": \"。c\","
        "\"sep_token\": \"。s\", \"pad_token\": \"。p\", \"mask_token\": \"。m\"}"};
    if (lanes_choose() == NULL) return check_skip("this processor has only the plain path");
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    random_state.state = seed;
    make_guard();
    static char vocab[VOCAB_MAX];
    const size_t len = make_vocab(vocab);
    for (size_t i = 0; i < ARRAY_LEN(configs); i++) test_settings(vocab, len, configs[i]);
    return check_result();
}
