// SPDX-License-Identifier: Apache-2.0
//
// Which model directories and vocabularies a tokenizer is made from, and that everything else is
// refused by name.
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/tokenizer_files.h"

static void test_made(void) {
    check_made(good_vocab, NULL, NULL, "aa b [MASK]", "2 5 6 7 4 3");
    check_made(NULL, good_json, NULL, "aa b [MASK]", "2 5 6 7 4 3");
    check_made(good_vocab, good_json, good_config, "aa b [MASK]", "2 5 6 7 4 3");
    check_made(NULL, swap(good_json, "per_word\":100", "per_word\":2"), NULL, "aa aaa",
               "2 5 6 1 3");
    check_made(NULL, swap(good_json, "per_word\":100", "per_word\":0"), NULL, "a", "2 1 3");
    check_made(NULL, swap(good_json, "\"a\":5", "\"a\":1000000"), NULL, "a", "2 1000000 3");
    check_made(NULL, swap(good_json, "\"b\":7", "\"b\":6,\"\\u0062\":7"), NULL, "b", "2 7 3");
    check_made(NULL, swap(good_json, "\"unk_token\"", "\"type\":\"WordPiece\",\"unk_token\""), NULL,
               "a", "2 5 3");
    // Other names for special tokens; "[CLS]" is then nothing special.
    check_made("<s>\n</s>\n[UNK]\nA\n[\n", NULL,
               "{\"cls_token\":\"<s>\",\"sep_token\":{\"content\":\"</s>\",\"normalized\":false}}",
               "A<s>[CLS]", "0 3 0 4 2 2 1");
    // The last line without an end, \r\n, empty lines, a repeated token: the later id.
    check_made("[UNK]\r\n[CLS]\r\n[SEP]\r\nA\r\n\r\nb", NULL, NULL, "A b", "1 3 5 2");
    check_made("[UNK]\n[CLS]\n[SEP]\nA\nb\nA\n\n\n", NULL, NULL, "A b", "1 5 4 2");
    // U+2028 is not an end of line.
    check_made("[UNK]\n[CLS]\n[SEP]\n\xe2\x80\xa8\n##\xe2\x80\xa8\nA\n", NULL, NULL, "A", "1 5 2");
}

static void test_added(void) {
    // Beyond the vocabulary, one within another, several first bytes; the longest wins.
    const char *more = swap(
        good_json, "\"added_tokens\":[",
        "\"added_tokens\":[{\"id\":9,\"content\":\"<e>\",\"single_word\":false,\"lstrip\":false,"
        "\"rstrip\":false,\"normalized\":false,\"special\":false},{\"id\":10,\"content\":\"<e>a\","
        "\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,"
        "\"special\":true},");
    check_made(NULL, more, NULL, "b<e>b<e>aa[CLS]", "2 7 9 7 10 5 2 3");
    check_made(good_vocab, more, good_config, "a<e>", "2 5 9 3");
    check_made(good_vocab, NULL,
               "{\"added_tokens_decoder\":{\"2\":{\"content\":\"[CLS]\",\"special\":true},"
               "\"9\":{\"content\":\"new\",\"special\":true,\"normalized\":false}}}",
               "anewb", "2 5 9 7 3");
    check_made(good_vocab, NULL, "{\"additional_special_tokens\":[\"B\"]}", "aBa", "2 5 8 5 3");
    // Not special and not said: normalized.
    check_refused(good_vocab, NULL, "{\"added_tokens_decoder\":{\"2\":{\"content\":\"[CLS]\"}}}",
                  "normalized", "added_tokens_decoder");
    check_refused(good_vocab, NULL,
                  "{\"added_tokens_decoder\":{\"x\":{\"content\":\"[CLS]\","
                  "\"special\":true}}}",
                  "a key of added_tokens_decoder is \"x\"", "ids");
    check_refused(good_vocab, NULL, "{\"additional_special_tokens\":[\"<x>\"]}", "\"<x>\"",
                  "tokenizer_config.json");
    check_refused(NULL, swap(more, "\"id\":10", "\"id\":11"), NULL, "11", "should have 10");
    check_refused(NULL, swap(more, "\"id\":10", "\"id\":9"), NULL, "share an id", "beyond");
    check_refused(NULL, swap(more, "<e>a", "<e>"), NULL, "\"<e>\" has the id 10 here", "9 else");
    check_refused(NULL, swap(good_json, "\"id\":2,", "\"id\":5,"), NULL, "5 here", "2 in the voc");
    check_made(NULL, swap(good_json, "\"lstrip\":false", "\"lstrip\":true"), NULL, "a [CLS]",
               "2 5 2 3");
    check_refused(NULL, swap(good_json, "\"single_word\":false", "\"single_word\":true"), NULL,
                  "an entry of added_tokens", "single_word false");
    check_refused(NULL, swap(good_json, "\"content\":\"[CLS]\"", "\"content\":\"a\\u0000\""), NULL,
                  "added_tokens", "U+0000");
}

static void test_refused_vocabularies(void) {
    check_refused("[UNK]\n[SEP]\nA\n", NULL, NULL, "\"[CLS]\" is not among its 3 tokens",
                  "tokenizer_config.json");
    check_refused("[CLS]\n[SEP]\nA\n", NULL, NULL, "\"[UNK]\"", "vocab.txt");
    check_refused("", NULL, good_config, "vocab.txt", "0 tokens");
    check_refused("[UNK]\n[CLS]\n[SEP]\nA\xc3\n", NULL, NULL, "line 4", "not UTF-8");
    check_refused("[UNK]\n[CLS]\n[SEP]\nA\rB\n", NULL, NULL, "line 4", "carriage return");
    check_made("[UNK]\n[CLS]\n[SEP]\na\n", NULL, good_config, "a", "1 3 2");
    check_refused("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##a\nB\nb\n", good_json, NULL,
                  "\"B\" is 7", "8 in the second");
    check_refused("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##a\nb\n", good_json, NULL, "has 8",
                  "has 9");
    check_refused("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##a\nb\nB\nC\n", good_json, NULL,
                  "10 tokens", "9 tokens");
}

// A directory as tokenizer_open sees it.
static void test_directories(void) {
    char dir[] = "/tmp/wader_test_tokenizer_XXXXXX", path[100];
    if (mkdtemp(dir) == NULL) exit(1);
    struct tokenizer *tokenizer;
    struct error error = {""};
    CHECK_INT(tokenizer_open(dir, &tokenizer, &error), STATUS_MODEL);
    CHECK(tokenizer == NULL);
    CHECK_CONTAINS(error.text, "neither vocab.txt nor tokenizer.json");
    snprintf(path, sizeof path, "%s/vocab.txt", dir);
    FILE *out = fopen(path, "wb");
    if (out == NULL) exit(1);
    fputs(good_vocab, out);
    fclose(out);
    CHECK_INT(tokenizer_open(dir, &tokenizer, &error), STATUS_OK);
    CHECK_INT(tokenizer_vocab_size(tokenizer), 9);
    tokenizer_close(tokenizer);
    char config[100];
    snprintf(config, sizeof config, "%s/tokenizer_config.json", dir);
    if (mkdir(config, 0700) != 0) exit(1);
    CHECK_INT(tokenizer_open(dir, &tokenizer, &error), STATUS_MODEL);
    CHECK(tokenizer == NULL);
    CHECK_CONTAINS(error.text, "tokenizer_config.json: not a regular file");
    rmdir(config);
    snprintf(config, sizeof config, "%s/added_tokens.json", dir);
    out = fopen(config, "wb");
    if (out == NULL) exit(1);
    fclose(out);
    CHECK_INT(tokenizer_open(dir, &tokenizer, &error), STATUS_MODEL);
    CHECK_CONTAINS(error.text, "added_tokens.json: supported only beside a tokenizer.json");
    unlink(config);
    unlink(path);
    rmdir(dir);
    CHECK_INT(tokenizer_open(dir, &tokenizer, NULL), STATUS_MODEL);
}

// Vocabularies made to be hard to index: many children everywhere, long tokens, NUL bytes.
static void test_hard_vocabularies(void) {
    enum { CAP = 1 << 20 };
    char *vocab = malloc(CAP);
    if (vocab == NULL) exit(1);
    size_t head = (size_t)snprintf(vocab, CAP, "[UNK]\n[CLS]\n[SEP]\nA\n"), len = head;
    for (int i = 0; i < 128 * 128 * 4; i++) {
        int a = i & 127, b = (i >> 7) & 127;
        if (a < 14 || b < 14) continue;
        len += (size_t)snprintf(vocab + len, CAP - len, "%c%c%s\n", a, b, i >> 14 ? "xyz" : "");
    }
    check_made(vocab, NULL, NULL, "A", "1 3 2");
    memset(vocab + head, 'A', CAP - head - 1);
    vocab[CAP - 1] = 0;
    check_made(vocab, NULL, NULL, "A AA", "1 3 0 2");
    free(vocab);
    struct error error;
    char with_nul[] = "[UNK]\n[CLS]\n[SEP]\nA\nA?A\n";
    *strchr(with_nul, '?') = 0;
    struct tokenizer_files files = {.vocab = {"vocab.txt", {with_nul, sizeof with_nul - 1}}};
    struct tokenizer *tokenizer;
    CHECK_INT(tokenizer_make(&files, &tokenizer, &error), STATUS_OK);
    int32_t ids[5];
    struct encoding encoding = tokenizer_encode(tokenizer, (struct span){"A\0A", 3}, 0, ids);
    CHECK_INT(encoding.n_ids, 3);
    CHECK_INT(ids[1], 0);
    tokenizer_close(tokenizer);
}

// Enough tokens to be sorted by their first eight bytes, which most of these share, in no order,
// half of them twice.
static void test_many_alike(void) {
    enum { N = 2000, CAP = N * 40 };
    static char vocab[CAP], title[40], ids[40];
    size_t len = (size_t)snprintf(vocab, CAP, "[UNK]\n[CLS]\n[SEP]\n");
    for (int i = 0; i < N + N / 2; i++) {
        const char *start = i % 3 == 0 ? "##" : "";
        len += (size_t)snprintf(vocab + len, CAP - len, "%sprefixed%d\n", start, i * 7 % N);
    }
    static int start_ids[N], more_ids[N];
    for (int i = 0; i < N + N / 2; i++) (i % 3 == 0 ? more_ids : start_ids)[i * 7 % N] = 3 + i;
    for (int i = 0; i < N; i += 13) {
        if (start_ids[i] == 0) continue;
        snprintf(title, sizeof title, "prefixed%d", i);
        snprintf(ids, sizeof ids, "1 %d 2", start_ids[i]);
        check_made(vocab, NULL, NULL, title, ids);
        if (more_ids[i] == 0) continue;
        snprintf(title, sizeof title, "prefixed%dprefixed%d", i, i);
        snprintf(ids, sizeof ids, "1 %d %d 2", start_ids[i], more_ids[i]);
        check_made(vocab, NULL, NULL, title, ids);
    }
}

int main(void) {
    test_made();
    test_added();
    test_refused_vocabularies();
    test_directories();
    test_hard_vocabularies();
    test_many_alike();
    return check_result();
}
