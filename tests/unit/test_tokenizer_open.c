// SPDX-License-Identifier: Apache-2.0
//
// Which model directories a tokenizer is made from, with which settings, and that everything else
// is refused by name.
#include <sys/stat.h>
#include <unistd.h>

#include "tests/check.h"
#include "tokenizer/wordpiece.h"

static const char good_vocab[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##a\nb\nB\n";
static const char good_config[] =
    "{\"do_lower_case\": false, \"tokenizer_class\": \"BertTokenizer\"}";
static const char good_json[] =
    "{\"version\":\"1.0\",\"truncation\":{\"max_length\":8},\"padding\":null,"
    "\"added_tokens\":[{\"id\":2,\"content\":\"[CLS]\",\"single_word\":false,\"lstrip\":false,"
    "\"rstrip\":false,\"normalized\":false,\"special\":true}],"
    "\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,"
    "\"handle_chinese_chars\":true,\"strip_accents\":null,\"lowercase\":false},"
    "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
    "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":["
    "{\"SpecialToken\":{\"id\":\"[CLS]\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}"
    "},"
    "{\"SpecialToken\":{\"id\":\"[SEP]\",\"type_id\":0}}],\"pair\":[],\"special_tokens\":{"
    "\"[SEP]\":{\"id\":\"[SEP]\",\"ids\":[3],\"tokens\":[\"[SEP]\"]},"
    "\"[CLS]\":{\"id\":\"[CLS]\",\"ids\":[2],\"tokens\":[\"[CLS]\"]}}},"
    "\"decoder\":{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true},"
    "\"model\":{\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\","
    "\"max_input_chars_per_word\":100,\"vocab\":{\"[PAD]\":0,\"[UNK]\":1,\"[CLS]\":2,\"[SEP]\":3,"
    "\"[MASK]\":4,\"a\":5,\"##a\":6,\"b\":7,\"B\":8}}}";

// `text` with its one `from` replaced by `to`. Eight results may be in use at a time.
static const char *swap(const char *text, const char *from, const char *to) {
    static char results[8][4000];
    static int turn;
    char *result = results[turn++ % 8];
    const char *at = strstr(text, from);
    if (at == NULL) {
        CHECK_FAIL("the test's own text lacks %s", from);
        at = text;
    }
    snprintf(result, sizeof results[0], "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return result;
}

static struct tokenizer_file file(const char *name, const char *text) {
    if (text == NULL) return (struct tokenizer_file){0};
    return (struct tokenizer_file){name, {text, strlen(text)}};
}

static struct tokenizer *make(const char *vocab, const char *json, const char *config,
                              struct error *error) {
    struct tokenizer_files files = {.vocab = file("vocab.txt", vocab),
                                    .json = file("tokenizer.json", json),
                                    .config = file("tokenizer_config.json", config)};
    struct tokenizer *tokenizer = (struct tokenizer *)(uintptr_t)1;
    *error = (struct error){""};
    enum status status = tokenizer_make(&files, &tokenizer, error);
    CHECK((status == STATUS_OK) == (tokenizer != NULL));
    CHECK(status == STATUS_OK || status == STATUS_MODEL);
    return tokenizer;
}

// That the files make a tokenizer which gives `title` these ids.
static void check_made(const char *vocab, const char *json, const char *config, const char *title,
                       const char *ids) {
    struct error error;
    struct tokenizer *tokenizer = make(vocab, json, config, &error);
    if (tokenizer == NULL) {
        CHECK_FAIL("refused: %s", error.text);
        return;
    }
    int32_t got[100];
    struct encoding encoding = tokenizer_encode(tokenizer, span_text(title), 100, got);
    char text[1000] = "";
    for (int32_t i = 0; i < encoding.n_ids; i++) {
        size_t at = strlen(text);
        snprintf(text + at, sizeof text - at, "%s%d", i > 0 ? " " : "", got[i]);
        CHECK(got[i] < tokenizer_vocab_size(tokenizer));
    }
    CHECK_STR(text, ids);
    tokenizer_close(tokenizer);
}

// That the files are refused with a message that has both parts in it.
static void check_refused(const char *vocab, const char *json, const char *config, const char *part,
                          const char *other_part) {
    struct error error;
    struct tokenizer *tokenizer = make(vocab, json, config, &error);
    CHECK_CONTAINS(error.text, part);
    CHECK_CONTAINS(error.text, other_part);
    tokenizer_close(tokenizer);
}

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
    check_made("[UNK]\n[CLS]\n[SEP]\n\xe2\x80\xa8\nA\n", NULL, NULL, "A", "1 4 2");
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
    check_refused(NULL, swap(good_json, "\"lstrip\":false", "\"lstrip\":true"), NULL, "lstrip",
                  "added_tokens");
    check_refused(NULL, swap(good_json, "\"single_word\":false", "\"single_word\":true"), NULL,
                  "single_word", "all false");
    check_refused(NULL, swap(good_json, "\"normalized\":false", "\"normalized\":true"), NULL,
                  "normalized", "all false");
    check_refused(NULL, swap(good_json, "\"content\":\"[CLS]\"", "\"content\":\"a\\u0000\""), NULL,
                  "added_tokens", "U+0000");
}

static void test_refused_settings(void) {
    static const struct {
        const char *from, *to, *part, *other_part;
    } cases[] = {
        {"\"lowercase\":false", "\"lowercase\":true", "normalizer.lowercase is true", "only cased"},
        {"\"strip_accents\":null", "\"strip_accents\":true", "strip_accents is true", "only cased"},
        {"chinese_chars\":true", "chinese_chars\":false", "handle_chinese_chars is false", "true"},
        {"\"clean_text\":true", "\"clean_text\":false", "clean_text is false", "true"},
        {"\"clean_text\":true,", "", "clean_text is missing", "true"},
        {"\"BertNormalizer\"", "\"NFC\"", "normalizer is \"NFC\"", "BertNormalizer"},
        {"\"BertPreTokenizer\"", "\"Whitespace\"", "\"Whitespace\"", "BertPreTokenizer"},
        {"\"TemplateProcessing\"", "\"RobertaProcessing\"", "post_processor", "TemplateProcessing"},
        {"\"type_id\":0", "\"type_id\":1", "post_processor", "type_id 0"},
        {"\"id\":\"A\"", "\"id\":\"B\"", "post_processor", "$A"},
        {"\"ids\":[3]", "\"ids\":[4]", "4 here", "3 in the vocabulary"},
        {"\"ids\":[3]", "\"ids\":[3,3]", "post_processor", "one id"},
        {"prefix\":\"##\",\"max", "prefix\":\"@@\",\"max", "subword_prefix is \"@@\"", "\"##\""},
        {"per_word\":100", "per_word\":1001", "per_word is 1001", "1000"},
        {"per_word\":100", "per_word\":-1", "per_word is -1", "1000"},
        {"\"unk_token\":\"[UNK]\",", "", "unk_token is missing", "tokenizer.json"},
        {"\"unk_token\":\"[UNK]\"", "\"unk_token\":\"<unk>\"", "<unk>", "9 tokens"},
        {"\"unk_token\":", "\"type\":\"BPE\",\"unk_token\":", "model.type is \"BPE\"", "WordPiece"},
        {"\"a\":5", "\"a\":-5", "\"a\" the id -5", "from 0"},
        {"\"a\":5", "\"a\":5.5", "the id 5.5", "integer"},
        {"\"a\":5", "\"a\":16777215", "16777215", "16777214"},
        {"\"a\":5", "\"a\xff\":5", "entry 6", "not UTF-8"},
        {"\"model\":{", "\"model\":7,\"other\":{", "model is 7", "WordPiece"},
        {"\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},", "", "pre_tokenizer is missing", ""},
        {"{\"version\"", "{version", "not JSON", "byte 1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        check_refused(NULL, swap(good_json, cases[i].from, cases[i].to), NULL, cases[i].part,
                      cases[i].other_part);
    }
    check_refused(good_vocab, NULL, "{\"do_lower_case\": true}", "do_lower_case is true", "cased");
    check_refused(good_vocab, good_json, "{\"do_lower_case\": true}", "tokenizer_config.json",
                  "only cased");
    check_refused(good_vocab, NULL, "{\"strip_accents\": true}", "strip_accents is true", "cased");
    check_refused(good_vocab, NULL, "{\"tokenize_chinese_chars\": false}",
                  "tokenize_chinese_chars is false", "true");
    check_refused(good_vocab, NULL, "{\"tokenizer_class\": \"BertJapaneseTokenizer\"}",
                  "BertJapaneseTokenizer", "BertTokenizerFast");
    check_refused(good_vocab, NULL, "{\"truncation_side\": \"left\"}", "truncation_side", "right");
    check_refused(good_vocab, NULL, "{\"split_special_tokens\": true}", "split_special_tokens",
                  "false");
    check_refused(good_vocab, NULL, "{\"unk_token\": 7}", "unk_token is 7", "content");
    check_refused(good_vocab, good_json, "{\"cls_token\": \"a\"}", "cls_token is \"[CLS]\"",
                  "\"a\"");
    check_refused(good_vocab, NULL, "[]", "tokenizer_config.json", "an object");
}

static void test_refused_vocabularies(void) {
    check_refused("[UNK]\n[SEP]\nA\n", NULL, NULL, "\"[CLS]\" is not among its 3 tokens",
                  "tokenizer_config.json");
    check_refused("[CLS]\n[SEP]\nA\n", NULL, NULL, "\"[UNK]\"", "vocab.txt");
    check_refused("", NULL, good_config, "vocab.txt", "0 tokens");
    check_refused("[UNK]\n[CLS]\n[SEP]\nA\xc3\n", NULL, NULL, "line 4", "not UTF-8");
    check_refused("[UNK]\n[CLS]\n[SEP]\nA\rB\n", NULL, NULL, "line 4", "carriage return");
    check_refused("[UNK]\n[CLS]\n[SEP]\na\n", NULL, NULL, "do_lower_case", "looks uncased");
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

int main(void) {
    test_made();
    test_added();
    test_refused_settings();
    test_refused_vocabularies();
    test_directories();
    test_hard_vocabularies();
    return check_result();
}
