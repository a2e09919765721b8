// SPDX-License-Identifier: Apache-2.0
//
// Added tokens that are looked for in normalized text, rule by rule as Hugging Face tokenizers 0.14
// to 0.23.3 were seen to have them, and which ones are refused. Titles, ids and scratch lie in
// blocks of exactly the size that is asked for, so that AddressSanitizer sees a byte too far.
#include <utf8proc.h>

#include "tests/support/must.h"
#include "tests/support/tokenizer_files.h"

// New tokens have the ids from 16 on.
static const char vocab[] =
    "\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2,\"a\":3,\"##a\":4,\"b\":5,\"##b\":6,\"x\":7,\"##x\":8,"
    "\"中\":9,\"豈\":10,\"ᄀ\":11,\"##ᅡ\":12,\"=\":13,\".\":14,\"co\":15";

enum { CLEAN = 1, CHINESE = 2, STRIP = 4, LOWER = 8, CASED = CLEAN | CHINESE, UNCASED = 15 };

// A tokenizer.json with these rows of added_tokens. One may be in use at a time.
static const char *json_with(unsigned settings, const char *rows) {
    static char json[8000];
    static const char *const names[] = {"false", "true"};
    snprintf(json, sizeof json,
             "{\"added_tokens\":[%s],\"normalizer\":{\"type\":\"BertNormalizer\","
             "\"clean_text\":%s,\"handle_chinese_chars\":%s,\"strip_accents\":%s,\"lowercase\":%s},"
             "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"post_processor\":{\"type\":"
             "\"BertProcessing\",\"sep\":[\"[SEP]\",2],\"cls\":[\"[CLS]\",1]},\"model\":{"
             "\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\","
             "\"max_input_chars_per_word\":100,\"vocab\":{%s}}}",
             rows, names[settings & 1], names[settings >> 1 & 1], names[settings >> 2 & 1],
             names[settings >> 3 & 1], vocab);
    return json;
}

#define ROW(id, content, flags) "{\"id\":" #id ",\"content\":\"" content "\"," flags "}"
#define NORMAL(id, content)     ROW(id, content, "\"normalized\":true,\"special\":false")
#define PLAIN(id, content)      ROW(id, content, "\"normalized\":false,\"special\":false")

static void *copy_of(const void *bytes, size_t len) {
    void *copy = must_zeroed(len > 0 ? len : 1, 1);
    if (len > 0) memcpy(copy, bytes, len);
    return copy;
}

static void write_ids(char *text, size_t cap, const int32_t *ids, int32_t n) {
    text[0] = 0;
    for (int32_t i = 0; i < n; i++) {
        const size_t at = strlen(text);
        snprintf(text + at, cap - at, "%s%d", i > 0 ? " " : "", ids[i]);
    }
}

// That `title` gives `ids`, plainly and in a batch.
static void check_ids(const struct tokenizer *tokenizer, int32_t max_length, const char *title,
                      size_t len, const char *ids, bool truncated) {
    struct error error;
    struct tokenizer_batch *batch;
    must(tokenizer_batch_create(tokenizer, max_length, len, &batch, &error), &error);
    const size_t cap =
        max_length > 0 && (size_t)max_length < len + 2 ? (size_t)max_length : len + 2;
    int32_t *plain = must_zeroed(cap, sizeof *plain);
    int32_t *batched = must_zeroed(2 * cap + TOKENIZER_IDS_SLACK, sizeof *batched);
    uint8_t *scratch = must_zeroed(normalize_nbytes(len), 1);
    char *bytes = copy_of(title, len), text[2000];
    const struct span span = {bytes, len};
    struct encoding got = wordpiece_encode_title(tokenizer, span, max_length, plain, scratch);
    write_ids(text, sizeof text, plain, got.n_ids);
    CHECK_STR(text, ids);
    CHECK_INT(got.truncated, truncated);
    struct encoding encodings[2];
    tokenizer_batch_start(batch, batched, encodings);
    for (int i = 0; i < 2; i++) tokenizer_batch_add(batch, span);
    CHECK_INT(tokenizer_batch_finish(batch), 2 * got.n_ids);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(encodings[i].n_ids, got.n_ids);
        CHECK_INT(encodings[i].truncated, truncated);
        CHECK(memcmp(batched + i * got.n_ids, plain, (size_t)got.n_ids * sizeof *plain) == 0);
    }
    tokenizer_batch_destroy(batch);
    free(plain);
    free(batched);
    free(scratch);
    free(bytes);
}

struct found {
    unsigned settings;
    const char *rows, *title, *ids;
};

static void check_found(const struct found *cases, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct error error;
        const struct found *it = &cases[i];
        struct tokenizer *tokenizer = make(NULL, json_with(it->settings, it->rows), NULL, &error);
        if (tokenizer == NULL) {
            CHECK_FAIL("refused: %s", error.text);
            continue;
        }
        char ids[200];
        snprintf(ids, sizeof ids, "1%s%s 2", it->ids[0] != 0 ? " " : "", it->ids);
        check_ids(tokenizer, 0, it->title, strlen(it->title), ids, false);
        tokenizer_close(tokenizer);
    }
}

static void test_finding(void) {
    static const struct found cases[] = {
        // Anywhere in a word, in any case where that is lost, over what is deleted.
        {UNCASED, NORMAL(16, "COVID"), "aCovidb covid", "3 16 5 16"},
        {UNCASED, NORMAL(16, "covid"), "CO\xc2\xadVI\xcc\x81\x44 cov\xffid", "16 16"},
        {CASED, NORMAL(16, "COVID"), "acovid COVIDb", "0 16 5"},
        {CASED, NORMAL(15, "co"), "aco", "3 15"},  // in the vocabulary: that id
        // What lies between is not normalized again, but split.
        {UNCASED, NORMAL(16, "-"), "A-B.x", "3 16 5 14 7"},
        // The longest that starts first.
        {UNCASED, NORMAL(16, "q") "," NORMAL(17, "qa") "," NORMAL(18, "qabq"), "qab qabq q",
         "17 5 18 16"},
        {UNCASED, NORMAL(16, "ab") "," NORMAL(17, "bxxx"), "abxxx", "16 7 8 8"},
        // Those in the raw text go first, and what they leave is normalized piece by piece.
        {UNCASED, PLAIN(16, "ab") "," NORMAL(17, "abx") "," NORMAL(18, "AB"), "abx ABX AB ab",
         "16 7 17 18 16"},
        {UNCASED, PLAIN(16, "q") "," NORMAL(17, "a b"), "a qb a b aq b", "3 16 5 17 3 16 5"},
        // Special ones, too.
        {UNCASED, ROW(16, "[X]", "\"normalized\":true,\"special\":true"), "[x][X]", "16 16"},
        {UNCASED, ROW(1, "[CLS]", "\"normalized\":true,\"special\":true"), "[cls]", "1"},
        {UNCASED, ROW(16, "[X]", "\"special\":true"), "[x][X]", "0 7 0 16"},
        {UNCASED, NORMAL(16, "x y"), "x  y x\ty x\xe3\x80\x80y x y", "7 0 16 16 16"},
        {UNCASED, NORMAL(16, " "), "a b", "3 16 5"},
        {UNCASED, NORMAL(16, "q"), "", ""},
        {UNCASED, NORMAL(16, "q"), " \xc2\xad\xff", ""},
    };
    check_found(cases, ARRAY_LEN(cases));
}

static void test_characters(void) {
    static const struct found cases[] = {
        // Spaces around ideographs are part of the text, and of the token.
        {CASED, NORMAL(9, "中"), "a中b中中", "3 9 5 9 9"},
        {CASED, NORMAL(16, "x中"), "ax中b x 中 x  中", "3 16 5 7 9 7 9"},
        {CASED, NORMAL(16, "中 "), "中 中", "16 9"},
        {CASED, NORMAL(16, " "), "中", "16 9 16"},
        {CLEAN, NORMAL(16, "x中"), "ax中b x 中", "3 16 5 7 9"},
        {UNCASED, NORMAL(16, "\xef\xa4\x80"), "豈 \xef\xa4\x80", "16 16"},  // U+F900, which is 豈
        // Within a character that is taken apart.
        {UNCASED, NORMAL(11, "ᄀ"), "가 xᄀ", "11 0 7 11"},
        {UNCASED, NORMAL(16, "ᅡ"), "가x", "11 16 7"},
        {CASED, NORMAL(11, "ᄀ"), "가", "0"},
        {UNCASED, NORMAL(16, "≠"), "a=b≠", "3 16 5 16"},
        // U+08D4 (class 230) and U+302E (224): in order; not across U+0903 (0) or U+0941 (0, Mn,
        // which vanishes), but across U+0301, which vanishes.
        {UNCASED, NORMAL(16, "x\xe3\x80\xae\xe0\xa3\x94"), "x\xe0\xa3\x94\xe3\x80\xae", "16"},
        {UNCASED, NORMAL(16, "x\xe0\xa3\x94\xe3\x80\xae"), "x\xe3\x80\xae\xcc\x81\xe0\xa3\x94",
         "16"},
        {UNCASED, NORMAL(16, "x\xe0\xa3\x94"), "x\xe0\xa3\x94\xe0\xa4\x83\xe3\x80\xae", "16 0"},
        {UNCASED, NORMAL(16, "x\xe0\xa3\x94"), "x\xe0\xa3\x94\xe0\xa5\x81\xe3\x80\xae", "16 0"},
        {UNCASED, NORMAL(16, "\xe3\x80\xae"), "x\xe0\xa3\x94\xe3\x80\xae\xe0\xa3\x94", "7 16 0"},
        {CASED, NORMAL(16, "x\xe3\x80\xae\xe0\xa3\x94"), "x\xe0\xa3\x94\xe3\x80\xae", "0"},
        // Small letters of two characters.
        {CLEAN | LOWER, NORMAL(16, "İ"), "İ i\xcc\x87", "16 16"},
        // Without clean_text spaces stay what they are, unless they decompose; so does the rest.
        {CHINESE | STRIP | LOWER, NORMAL(16, "a\\tb"), "A\tB a b", "16 3 5"},
        {STRIP, NORMAL(16, "a\xe2\x80\x80"), "a\xe2\x80\x82 a\xe2\x80\x80 a ", "16 16 3"},
        {STRIP, NORMAL(16, "\xe2\x80\x83"), "a\xe2\x80\x81", "3 16"},
        {LOWER, NORMAL(16, "\xe2\x80\x83"), "a\xe2\x80\x81", "3"},
        {STRIP | LOWER, NORMAL(16, "ax"), "a\xc2\xadx a\xffx ax", "0 0 16"},
        {STRIP | LOWER, NORMAL(16, "ax"), "\xff", "0"},
    };
    check_found(cases, ARRAY_LEN(cases));
}

static void test_strips(void) {
#define STRIPS(id, text, flags) ROW(id, text, "\"lstrip\":true,\"rstrip\":true," flags)
#define STRIPS_PLAIN(id, text)  STRIPS(id, text, "\"normalized\":false")
#define STRIPS_NORMAL(id, text) STRIPS(id, text, "\"normalized\":true,\"special\":false")
    static const struct found cases[] = {
        {UNCASED, STRIPS_PLAIN(16, "[M]") "," NORMAL(9, "中"),
         "a [M] 中 [M]\x0b"
         "b",
         "3 16 9 16 5"},
        {UNCASED, STRIPS_NORMAL(16, "q") "," STRIPS_NORMAL(9, "中"), "a Q b 中 q 中 qq",
         "3 16 5 9 16 9 16 16"},
        {UNCASED, STRIPS_PLAIN(16, "[M]"), "a [M]b", "3 16 5"},
    };
    check_found(cases, ARRAY_LEN(cases));
    static const char *const blank[] = {NORMAL(17, " q"),  NORMAL(17, "q\\t"),
                                        PLAIN(17, " "),    NORMAL(17, "q \\u00ad"),
                                        NORMAL(17, "中 "), PLAIN(17, "\xe3\x80\x80q")};
    for (size_t i = 0; i < ARRAY_LEN(blank); i++) {
        char rows[400];
        snprintf(rows, sizeof rows, "%s,%s", STRIPS_PLAIN(16, "[M]"), blank[i]);
        check_refused(NULL, json_with(UNCASED, rows), NULL, "added token \"", "lstrip or rstrip");
    }
}

static void test_refused(void) {
    static const struct {
        const char *rows, *part, *other_part;
    } cases[] = {
        {NORMAL(16, "\\u00ad"), "nothing is left of it", "tokenizer.json"},
        {NORMAL(16, "\\u0301"), "nothing is left of it", "tokenizer.json"},
        {NORMAL(16, "Ab") "," NORMAL(17, "aB"), "\"Ab\" and \"aB\"", "the same"},
        {ROW(16, "q", "\"normalized\":true,\"single_word\":true"), "single_word false", "\"q\""},
        {ROW(16, "q", "\"special\":false"), "say whether", "normalized"},
        {ROW(16, "q", "\"normalized\":7"), "normalized is 7", "true, false"},
        {ROW(16, "q", "\"normalized\":true,\"lstrip\":\"\""), "lstrip is \"\"", "false"},
        {NORMAL(16, "q") "," PLAIN(16, "q"), "\"q\" is normalized: false", "true"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        check_refused(NULL, json_with(UNCASED, cases[i].rows), NULL, cases[i].part,
                      cases[i].other_part);
    }
    // What tokenizer_config.json says of the same tokens must agree; names alone say nothing.
#define CONFIG(more) "{\"do_lower_case\":true,\"strip_accents\":true," more "}"
    const char *json =
        json_with(UNCASED, ROW(2, "[SEP]", "\"normalized\":true") "," NORMAL(16, "Q"));
    check_made(NULL, json, CONFIG("\"sep_token\":\"[SEP]\""), "q[sep]", "1 16 2 2");
    check_made(NULL, json, CONFIG("\"extra_special_tokens\":[\"Q\"]"), "q[sep]", "1 16 2 2");
    check_refused(NULL, json, CONFIG("\"sep_token\":{\"content\":\"[SEP]\",\"normalized\":false}"),
                  "\"[SEP]\" is normalized: ", "tokenizer");
    check_refused(NULL, json,
                  CONFIG("\"extra_special_tokens\":[{\"content\":\"Q\",\"special\":true}]"),
                  "\"Q\" is normalized: false", "elsewhere: true");
    check_made("[UNK]\n[CLS]\n[SEP]\na\n", NULL,
               "{\"added_tokens_decoder\":{\"4\":{\"content\":\"Q\",\"normalized\":true}}}", "aq a",
               "1 3 4 3 2");
}

static void test_truncation(void) {
    struct error error;
    struct tokenizer *tokenizer = make(NULL, json_with(UNCASED, NORMAL(16, "q")), NULL, &error);
    static const struct {
        int32_t max_length;
        const char *title, *ids;
        bool truncated;
    } cases[] = {{2, "q", "1 2", true},
                 {3, "q", "1 16 2", false},
                 {3, "qq", "1 16 2", true},
                 {4, "aqa", "1 3 16 2", true},
                 {3, "qa", "1 16 2", true},
                 {3, "abq", "1 3 2", true},
                 {3, "q \xc2\xad", "1 16 2", false},
                 {2, "", "1 2", false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        check_ids(tokenizer, cases[i].max_length, cases[i].title, strlen(cases[i].title),
                  cases[i].ids, cases[i].truncated);
    }
    tokenizer_close(tokenizer);
}

// That what becomes of each character is no longer than normalize_nbytes takes for granted, and has
// no more characters than there were bytes, for each may become an id.
static void test_lengths(void) {
    for (unsigned i = 0; i < 16; i++) {
        const struct normalizer normalizer = {.clean_text = i & CLEAN,
                                              .handle_chinese_chars = i & CHINESE,
                                              .strip_accents = i & STRIP,
                                              .lowercase = i & LOWER};
        struct char_map map;
        struct error error;
        must(char_map_make(&map, &normalizer, &error), &error);
        for (int32_t code = 0; code < 0x30000; code++) {  // all beyond are as those around them
            uint8_t bytes[4], text[4 * 4 + 2 * CHAR_TEXT_MAX];
            const size_t len = (size_t)utf8proc_encode_char(code, bytes);
            const size_t n = normalize(&map, &normalizer, bytes, bytes + len, text);
            size_t n_chars = 0;
            for (size_t j = 0; j < n; j++) n_chars += (text[j] & 0xC0) != 0x80;
            if (n > 3 * len || n_chars > len) {
                CHECK_FAIL("U+%04X: %zu bytes, %zu characters", (unsigned)code, n, n_chars);
            }
        }
        char_map_free(&map);
    }
}

// Random titles, in which the one normalized token does not occur: as without it.
static void test_without(void) {
    static const char units[] =
        "a\0b\0A\0x\0co\0 \0\t\0\x0b\0.\0中\0豈\0\xef\xa4\x80\0가\0ᅡ\0≠\0é\0İ\0\xcc\x81\0"
        "\xe3\x80\xae\0\xe0\xa3\x94\0\xe0\xa5\x81\0\xf0\x9d\x85\xa0\0\xc2\xad\0\xff\0\xe4\xb8\0"
        "\xe2\x80\x80\0\xef\xbf\xbd\0[CLS]\0😀\0\xe3\x80\x80";
    uint32_t random = 1;
    for (unsigned settings = 0; settings < 16; settings++) {
        struct error error;
        struct tokenizer *without = make(NULL, json_with(settings, PLAIN(16, "[Q]")), NULL, &error);
        struct tokenizer *with =
            make(NULL, json_with(settings, PLAIN(16, "[Q]") "," NORMAL(17, "zyzzy")), NULL, &error);
        CHECK(with->normalizes_first && !without->normalizes_first);
        for (int i = 0; i < 1000; i++) {
            char title[400] = "", ids[2000];
            for (uint32_t n = (random = random * 1664525 + 1013904223) >> 27; n > 0; n--) {
                random = random * 1664525 + 1013904223;
                const char *unit = units + (random >> 8) % (sizeof units - 1);
                strcat(title, unit);  // some are parts of characters
            }
            int32_t want[402];
            const int32_t max_length = i % 4 > 0 ? 0 : 2 + i % 16;
            const struct encoding right =
                tokenizer_encode(without, span_text(title), max_length, want);
            write_ids(ids, sizeof ids, want, right.n_ids);
            check_ids(with, max_length, title, strlen(title), ids, right.truncated);
        }
        tokenizer_close(with);
        tokenizer_close(without);
    }
}

// A million bytes of marks in no order, two classes by turns: linear, or this takes hours.
static void test_long_run(void) {
    enum { N = 1 << 20 };
    struct error error;
    struct tokenizer *tokenizer =
        make(NULL, json_with(UNCASED, NORMAL(16, "\xe0\xa3\x94")), NULL, &error);
    char *title = must_zeroed(N, 1);
    memset(title, ' ', N);
    for (size_t i = 0; i + 6 <= N; i += 6) memcpy(title + i, "\xe0\xa3\x94\xe3\x80\xae", 6);
    int32_t *ids = must_zeroed(N + 2, sizeof *ids);
    uint8_t *scratch = must_zeroed(normalize_nbytes(N), 1);
    const struct encoding got =
        wordpiece_encode_title(tokenizer, (struct span){title, N}, 0, ids, scratch);
    CHECK_INT(got.n_ids, N / 6 + 3);  // U+302E all together, one word that is too long
    CHECK_INT(ids[1], 0);
    CHECK_INT(ids[2], 16);
    CHECK_INT(ids[got.n_ids - 2], 16);
    free(title);
    free(ids);
    free(scratch);
    tokenizer_close(tokenizer);
}

int main(void) {
    test_finding();
    test_characters();
    test_strips();
    test_refused();
    test_truncation();
    test_lengths();
    test_without();
    test_long_run();
    return check_result();
}
