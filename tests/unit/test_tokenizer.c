// SPDX-License-Identifier: Apache-2.0
//
// The rules of Hugging Face's cased BERT tokenizer one by one, on a toy vocabulary; what is refused
// is in test_tokenizer_open.c. Each title lies
// at the end of a block of exactly its size, and so do its ids, so that AddressSanitizer sees a
// byte read or written too far.
#include <utf8proc.h>

#include "tests/check.h"
#include "tokenizer/decode.h"
#include "tokenizer/wordpiece.h"

// "x" has no "##x", "dea" no "##d": dead ends. A token's id is its line.
static const char toy_vocab[] =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##a\nb\n##b\nab\n##ab\nT\nTest\ntest\n##test\n"
    "un\n##aff\n##able\nunaff\n##le\n[\n]\n#\n##\n.\n,\n!\nCLS\nU\nx\n日\n本\né\n##é\ne\n##e\n"
    "😀\n##😀\n€\n##日\n##.\n";

static struct tokenizer *make_toy(void) {
    struct tokenizer_files files = {.vocab = {"vocab.txt", {toy_vocab, sizeof toy_vocab - 1}}};
    struct tokenizer *tokenizer;
    struct error error = {""};
    if (tokenizer_make(&files, &tokenizer, &error) != STATUS_OK) CHECK_FAIL("%s", error.text);
    return tokenizer;
}

static void append_token(char *text, size_t cap, int32_t id) {
    const char *line = toy_vocab;
    for (int32_t i = 0; i < id; i++) line = strchr(line, '\n') + 1;
    size_t at = strlen(text);
    snprintf(text + at, cap - at, "%s%.*s", at > 0 ? " " : "", (int)strcspn(line, "\n"), line);
}

// Encodes from and to blocks of exactly the size that the contract asks for. Returns the tokens
// between [CLS] and [SEP].
static const char *encode(const struct tokenizer *toy, const char *bytes, size_t len,
                          int32_t max_length, bool *truncated) {
    static char text[8000];
    size_t cap = len + 2;
    if (max_length > 0 && (size_t)max_length < cap) cap = (size_t)max_length;
    char *title = malloc(len > 0 ? len : 1);
    int32_t *ids = malloc(cap * sizeof *ids);
    if (title == NULL || ids == NULL) exit(1);
    memcpy(title, bytes, len);
    struct span span = {len > 0 ? title : NULL, len};
    struct encoding encoding = tokenizer_encode(toy, span, max_length, ids);
    CHECK(encoding.n_ids >= 2 && (size_t)encoding.n_ids <= cap);
    CHECK_INT(ids[0], 2);
    CHECK_INT(ids[encoding.n_ids - 1], 3);
    text[0] = 0;
    for (int32_t i = 1; i + 1 < encoding.n_ids; i++) {
        CHECK(ids[i] >= 0 && ids[i] < tokenizer_vocab_size(toy));
        append_token(text, sizeof text, ids[i]);
    }
    free(title);
    free(ids);
    *truncated = encoding.truncated;
    return text;
}

// That the title `literal` (NUL bytes and all) gives these tokens.
#define CHECK_TOKENS(literal, tokens)                                                 \
    do {                                                                              \
        bool truncated_;                                                              \
        CHECK_STR(encode(toy, literal, sizeof(literal) - 1, 0, &truncated_), tokens); \
        CHECK(!truncated_);                                                           \
    } while (0)

static void test_cleaning(const struct tokenizer *toy) {
    CHECK_TOKENS("", "");
    CHECK_TOKENS(" \t\n\r \xc2\xa0\xe3\x80\x80", "");
    CHECK_TOKENS("\xc2\xad\0\xef\xbb\xbf", "");
    // Deleted without a break: soft hyphen, NUL, \v, \f, NEL, FS, ZWJ, BOM, U+FFFD, private use.
    CHECK_TOKENS("Test\xc2\xadtest", "Test ##test");
    CHECK_TOKENS("\xc2\xadTest\xc2\xad", "Test");
    CHECK_TOKENS(
        "T\xc2\xad"
        "e\0s\x0bt",
        "Test");
    CHECK_TOKENS(
        "a\x0c"
        "b a\xc2\x85"
        "b a\x1c"
        "b",
        "ab ab ab");
    CHECK_TOKENS(
        "a\xe2\x80\x8d"
        "b\xef\xbb\xbf"
        "b",
        "ab ##b");
    CHECK_TOKENS(
        "a\xef\xbf\xbd"
        "b a\xee\x80\x80"
        "b a\xf4\x8f\xbf\xbd"
        "b",
        "ab ab ab");
    CHECK_TOKENS(
        "a\x7f"
        "b a\xf3\xa0\x80\x81"
        "b",
        "ab ab");
    CHECK_TOKENS(
        "a\xc2\xad.\xc2\xad"
        "b\xc2\xad ",
        "a . b");
    // Spaces: tab, newline, return, NBSP, U+2028, U+3000.
    CHECK_TOKENS(
        "a\tb\nb\rb\xc2\xa0"
        "b\xe2\x80\xa8"
        "b\xe3\x80\x80"
        "b",
        "a b b b b b b");
    // Kept, and in no vocabulary: unassigned, noncharacter, variation selector.
    CHECK_TOKENS(
        "a\xcd\xb8"
        "b a\xef\xbf\xbe"
        "b a\xef\xb8\x8f"
        "b",
        "[UNK] [UNK] [UNK]");
}

static void test_splitting(const struct tokenizer *toy) {
    CHECK_TOKENS("a.b", "a . b");
    CHECK_TOKENS("...a,!", ". . . a , !");
    CHECK_TOKENS("a$b", "a [UNK] b");  // ASCII symbols stand alone, others do not
    CHECK_TOKENS("€ a€", "€ [UNK]");
    CHECK_TOKENS(
        "a\xe2\x80\x93"
        "b",
        "a [UNK] b");                       // en dash
    CHECK_TOKENS("日本a日", "日 本 a 日");  // never "##日"
    CHECK_TOKENS("😀😀", "😀 ##😀");
    // U+2B820 is a CJK ideograph, but not in Hugging Face's table; U+2B920 is.
    CHECK_TOKENS(
        "a\xf0\xab\xa0\xa0"
        "b",
        "[UNK]");
    CHECK_TOKENS(
        "a\xf0\xab\xa4\xa0"
        "b",
        "a [UNK] b");
    // U+2E43 became punctuation after Unicode 8, U+166D was and is no longer.
    CHECK_TOKENS(
        "a\xe2\xb9\x83"
        "b",
        "[UNK]");
    CHECK_TOKENS(
        "a\xe1\x99\xad"
        "b",
        "a [UNK] b");
}

static void test_wordpiece(const struct tokenizer *toy) {
    CHECK_TOKENS("unaffable", "unaff ##able");  // longest first, though "un ##aff" would do
    CHECK_TOKENS("unable unle", "un ##able un ##le");
    CHECK_TOKENS("unafable", "[UNK]");  // one gap makes the whole word unknown
    CHECK_TOKENS("ax a", "[UNK] a");
    CHECK_TOKENS("aba abab", "ab ##a ab ##ab");
    CHECK_TOKENS("aB", "[UNK]");                  // cased
    CHECK_TOKENS("éa e\xcc\x81", "é ##a [UNK]");  // no normal form is applied
    CHECK_TOKENS("éé", "é ##é");
    CHECK_TOKENS("##a # ##", "# # a # # #");  // "##" in a title is two signs
}

static void test_added(const struct tokenizer *toy) {
    CHECK_TOKENS("a[MASK]b", "a [MASK] b");
    CHECK_TOKENS("[CLS][SEP][PAD][UNK]", "[CLS] [SEP] [PAD] [UNK]");
    CHECK_TOKENS("[[CLS]]", "[ [CLS] ]");
    CHECK_TOKENS("[CL[CLS]", "[ [UNK] [CLS]");
    CHECK_TOKENS("[CLS", "[ CLS");
    CHECK_TOKENS("[cls]", "[ [UNK] ]");
    CHECK_TOKENS("[C\xc2\xadLS]", "[ CLS ]");  // the raw bytes decide, not the cleaned ones
    CHECK_TOKENS("[CL\xffS]", "[ CLS ]");
    CHECK_TOKENS("[CLS\xff]", "[ CLS ]");
    CHECK_TOKENS("[C\0LS]", "[ CLS ]");
    CHECK_TOKENS("T\xc2\xad[MASK]\xc2\xadtest", "T [MASK] test");  // a hard break
    CHECK_TOKENS("\xf0\x9f[MASK]\x98\x80", "[MASK]");
}

static void test_ill_formed(const struct tokenizer *toy) {
    CHECK_TOKENS(
        "a\xff"
        "b \x80\xbf",
        "ab");
    CHECK_TOKENS("a\xc3", "a");
    CHECK_TOKENS("a\xe6\x97", "a");
    CHECK_TOKENS("a\xf0\x9f\x98", "a");
    CHECK_TOKENS(
        "\xe6\x97"
        "a",
        "a");
    CHECK_TOKENS(
        "\xc0\x80"
        "a\xe0\x80\xaf"
        "b",
        "ab");  // overlong
    CHECK_TOKENS(
        "a\xed\xa0\x80\xed\xbf\xbf"
        "b",
        "ab");  // surrogates
    CHECK_TOKENS(
        "a\xf4\x90\x80\x80\xf8\x88\x80\x80\x80"
        "b",
        "ab");
    CHECK_TOKENS("\xf0\xc3\xa9", "é");  // a new lead byte is looked at again
    CHECK_TOKENS("\xf0\x9f\xe6\x97\xa5", "日");
}

// Words of 99 to 102 characters of each width, plain and with deleted characters inside.
static void test_word_limit(const struct tokenizer *toy) {
    static const char *const kinds[][3] = {{"e", "e", "##e"},
                                           {"é", "é", "##é"},
                                           {"😀", "😀", "##😀"},
                                           {"e",
                                            "\xc2\xad"
                                            "e",
                                            "##e"},
                                           {"é", "\xffé", "##é"}};
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        for (int n = 99; n <= 102; n++) {
            char title[2000], want[2000];
            size_t len = (size_t)snprintf(title, sizeof title, "%s", kinds[k][0]);
            size_t at = (size_t)snprintf(want, sizeof want, "%s", kinds[k][0]);
            for (int i = 1; i < n; i++) {
                len += (size_t)snprintf(title + len, sizeof title - len, "%s", kinds[k][1]);
                at += (size_t)snprintf(want + at, sizeof want - at, " %s", kinds[k][2]);
            }
            bool truncated;
            CHECK_STR(encode(toy, title, len, 0, &truncated), n <= 100 ? want : "[UNK]");
        }
    }
}

static void test_truncation(const struct tokenizer *toy) {
    static const struct {
        const char *title;
        int32_t max_length;
        const char *tokens;
        bool truncated;
    } cases[] = {{"", 2, "", false},
                 {" \xc2\xad ", 2, "", false},
                 {"a", 2, "", true},
                 {"[MASK]", 2, "", true},
                 {"ax", 2, "", true},
                 {"a", 3, "a", false},
                 {"a \xc2\xad\t", 3, "a", false},
                 {"a.", 3, "a", true},
                 {"a[SEP]", 3, "a", true},
                 {"[SEP]a", 3, "[SEP]", true},
                 {"aba", 3, "ab", true},  // inside a word
                 {"aba", 4, "ab ##a", false},
                 {"abax", 3, "[UNK]", false},  // a dead end beyond the limit
                 {"b abax", 3, "b", true},
                 {"b abax", 4, "b [UNK]", false},
                 {"b ab\xff"
                  "ax",
                  4, "b [UNK]", false},
                 {"a b a b a", 0, "a b a b a", false},
                 {"a b a b a", 7, "a b a b a", false},
                 {"a b a b a", 6, "a b a b", true}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        bool truncated;
        size_t len = strlen(cases[i].title);
        CHECK_STR(encode(toy, cases[i].title, len, cases[i].max_length, &truncated),
                  cases[i].tokens);
        CHECK_INT(truncated, cases[i].truncated);
    }
}

// Every code point is read, and each proper beginning of one is ill formed.
static void test_decoding(void) {
    for (int32_t code = 0; code < 0x110000; code++) {
        uint8_t *bytes = malloc(4);
        if (bytes == NULL) exit(1);
        bool surrogate = code >= 0xD800 && code < 0xE000;
        size_t want = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4, len;
        if (want == 1) bytes[0] = (uint8_t)code;
        if (want == 2) bytes[0] = (uint8_t)(0xC0 | code >> 6);
        if (want == 3) bytes[0] = (uint8_t)(0xE0 | code >> 12);
        if (want == 4) bytes[0] = (uint8_t)(0xF0 | code >> 18);
        for (size_t i = 1; i < want; i++) {
            bytes[i] = (uint8_t)(0x80 | (code >> (6 * (want - 1 - i)) & 0x3F));
        }
        int32_t got = utf8_decode(bytes, bytes + want, &len);
        if (got != (surrogate ? -1 : code) || len != (surrogate ? 1 : want)) {
            CHECK_FAIL("U+%04X: %zu bytes, read as %d", (unsigned)code, len, (int)got);
        }
        for (size_t cut = 1; cut < want; cut++) {
            // The rest being there, beyond the end, must change nothing.
            if (utf8_decode(bytes, bytes + cut, &len) != -1 || len != (surrogate ? 1 : cut)) {
                CHECK_FAIL("U+%04X cut to %zu bytes is taken", (unsigned)code, cut);
            }
        }
        free(bytes);
    }
}

// Any four bytes: read as utf8proc reads them, from a block that ends with them.
static void test_decoding_anything(void) {
    uint32_t random = 1;
    for (int i = 0; i < 2000000; i++) {
        static const uint8_t likely[] = {0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0,
                                         0xC1, 0xC2, 0xDF, 0xE0, 0xEC, 0xED, 0xEE, 0xEF,
                                         0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF8, 0xFE, 0xFF};
        uint8_t *bytes = malloc(4);
        if (bytes == NULL) exit(1);
        for (int j = 0; j < 4; j++) {
            random = random * 1664525 + 1013904223;
            bytes[j] = (random >> 30) == 0 ? (uint8_t)(random >> 8)
                                           : likely[(random >> 8) % ARRAY_LEN(likely)];
        }
        size_t len;
        utf8proc_int32_t want;
        utf8proc_ssize_t n = utf8proc_iterate(bytes, 4, &want);
        int32_t got = utf8_decode(bytes, bytes + 4, &len);
        if (got != (n > 0 ? want : -1) || (n > 0 && len != (size_t)n)) {
            CHECK_FAIL("%02x %02x %02x %02x", bytes[0], bytes[1], bytes[2], bytes[3]);
        }
        free(bytes);
    }
}

int main(void) {
    struct tokenizer *toy = make_toy();
    if (toy == NULL) return check_result();
    CHECK_INT(tokenizer_vocab_size(toy), 41);
    test_cleaning(toy);
    test_splitting(toy);
    test_wordpiece(toy);
    test_added(toy);
    test_ill_formed(toy);
    test_word_limit(toy);
    test_truncation(toy);
    test_decoding();
    test_decoding_anything();
    tokenizer_close(toy);
    tokenizer_close(NULL);
    return check_result();
}
