// SPDX-License-Identifier: Apache-2.0
//
// What tokenizer.json and tokenizer_config.json may say: each setting takes effect, both files
// together mean what they mean to transformers, and everything else is refused by name.
#include "tests/support/tokenizer_files.h"

// That the files make a tokenizer with the switches clean_text, handle_chinese_chars, strip_accents
// and lowercase as the four digits tell.
static void check_switches(const char *vocab, const char *json, const char *config,
                           const char *digits) {
    struct error error;
    struct tokenizer *tokenizer = make(vocab, json, config, &error);
    if (tokenizer == NULL) {
        CHECK_FAIL("refused: %s", error.text);
        return;
    }
    struct normalizer normalizer = tokenizer->normalizer;
    char got[5] = {normalizer.clean_text ? '1' : '0', normalizer.handle_chinese_chars ? '1' : '0',
                   normalizer.strip_accents ? '1' : '0', normalizer.lowercase ? '1' : '0', 0};
    CHECK_STR(got, digits);
    tokenizer_close(tokenizer);
}

// good_json with the normalizer set so.
static const char *json_with(const char *lowercase, const char *strip_accents,
                             const char *chinese_chars, const char *clean_text) {
    char normalizer[200];
    snprintf(normalizer, sizeof normalizer,
             "\"clean_text\":%s,\"handle_chinese_chars\":%s,\"strip_accents\":%s,\"lowercase\":%s",
             clean_text, chinese_chars, strip_accents, lowercase);
    return swap(good_json,
                "\"clean_text\":true,\"handle_chinese_chars\":true,\"strip_accents\":null,"
                "\"lowercase\":false",
                normalizer);
}

static void test_tokenizer_json(void) {
    static const char *const names[] = {"false", "true"};
    for (int i = 0; i < 16; i++) {
        int clean = i >> 3 & 1, chinese = i >> 2 & 1, strip = i >> 1 & 1, lower = i & 1;
        char digits[5];
        snprintf(digits, sizeof digits, "%d%d%d%d", clean, chinese, strip, lower);
        const char *json = json_with(names[lower], names[strip], names[chinese], names[clean]);
        check_switches(NULL, json, NULL, digits);
        check_switches(good_vocab, json, NULL, digits);
    }
    check_switches(NULL, json_with("true", "null", "true", "true"), NULL, "1111");
    check_switches(NULL, json_with("false", "null", "true", "true"), NULL, "1100");
    check_switches(NULL, swap(good_json, "\"strip_accents\":null,", ""), NULL, "1100");
    check_made(NULL, json_with("true", "null", "true", "true"), NULL, "AB \xc3\x80", "2 1 5 3");
    check_made(NULL, json_with("true", "false", "true", "true"), NULL, "AA \xc3\x80", "2 5 6 1 3");
    check_made(NULL, json_with("false", "true", "true", "true"), NULL, "B\xcc\x81 a", "2 8 5 3");
}

static void test_vocabulary_alone(void) {
    static const char without_capitals[] = "[UNK]\n[CLS]\n[SEP]\na\n<S>\n##-A\n";
    check_switches(without_capitals, NULL, NULL, "1111");
    check_switches(without_capitals, NULL, "{}", "1111");
    check_switches(without_capitals, NULL, "{\"strip_accents\":false}", "1101");
    check_switches(without_capitals, NULL, "{\"do_lower_case\":false}", "1100");
    check_switches(good_vocab, NULL, NULL, "1100");
    check_switches("[UNK]\n[CLS]\n[SEP]\n##aB\n", NULL, NULL, "1100");
    check_switches(good_vocab, NULL, "{\"strip_accents\":true}", "1110");
    check_switches(good_vocab, NULL, "{\"do_lower_case\":true}", "1111");
    check_switches(good_vocab, NULL, "{\"do_lower_case\":true,\"strip_accents\":null}", "1111");
    check_switches(good_vocab, NULL, "{\"do_lower_case\":true,\"strip_accents\":false}", "1101");
    check_switches(good_vocab, NULL, "{\"do_lower_case\":false,\"strip_accents\":true}", "1110");
    check_switches(good_vocab, NULL, "{\"tokenize_chinese_chars\":false}", "1000");
    check_switches(good_vocab, NULL, "{\"tokenize_chinese_chars\":true}", "1100");
    // transformers reads none of these.
    check_switches(good_vocab, NULL,
                   "{\"clean_text\":false,\"lowercase\":true,\"handle_chinese_chars\":false}",
                   "1100");
    check_made(without_capitals, NULL, NULL, "A\xcc\x80 \xc3\x81", "1 3 3 2");
}

// transformers' BertTokenizerFast replaces the normalizer of tokenizer.json by its own arguments.
static void test_both_files(void) {
    const char *cased = json_with("false", "null", "true", "true");
    const char *uncased = json_with("true", "null", "true", "true");
    const char *accents = json_with("true", "false", "true", "true");
    const char *odd = json_with("false", "true", "true", "true");
    const char *chinese = json_with("false", "null", "false", "true");
    const char *unclean = json_with("false", "null", "true", "false");
    static const char lower[] = "{\"do_lower_case\":true}", keep[] = "{\"do_lower_case\":false}";
    check_switches(NULL, cased, lower, "1111");
    check_switches(NULL, cased, keep, "1100");
    check_switches(NULL, uncased, keep, "1100");
    check_switches(NULL, uncased, "{}", "1111");
    check_switches(NULL, uncased, "{\"strip_accents\":false}", "1101");
    check_switches(NULL, accents, "{\"strip_accents\":null}", "1111");
    check_switches(NULL, accents, "{\"strip_accents\":false}", "1101");
    check_switches(NULL, accents, keep, "1100");
    check_switches(NULL, odd, lower, "1111");
    check_switches(NULL, odd, "{\"do_lower_case\":false,\"strip_accents\":null}", "1100");
    check_switches(NULL, chinese, "{\"do_lower_case\":true,\"tokenize_chinese_chars\":false}",
                   "1011");
    check_switches(NULL, unclean, lower, "0111");
    // These classes take tokenizer.json as it is.
    check_switches(NULL, cased, "{\"tokenizer_class\":\"PreTrainedTokenizerFast\"}", "1100");
    check_switches(NULL, chinese,
                   "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"do_lower_case\":true,"
                   "\"strip_accents\":true,\"tokenize_chinese_chars\":true}",
                   "1000");
    check_switches(NULL, odd, "{\"tokenizer_class\":\"TokenizersBackend\",\"do_lower_case\":null}",
                   "1110");
    check_refused(NULL, cased, "{}", "normalizer.lowercase is false", "not have do_lower_case");
    check_refused(NULL, cased, "{\"tokenizer_class\":\"ElectraTokenizer\"}",
                  "tokenizer_config.json does not have do_lower_case", "takes for true");
    check_refused(NULL, accents, lower, "strip_accents is false", "takes for null, that is true");
    check_refused(NULL, odd, keep, "strip_accents is true", "takes for null, that is false");
    check_refused(NULL, chinese, keep, "handle_chinese_chars is false",
                  "tokenize_chinese_chars, which transformers then takes for true");
    check_refused(NULL, chinese, "{\"do_lower_case\":false,\"tokenize_chinese_chars\":true}",
                  "tokenize_chinese_chars is true", "of tokenizer.json is false");
    check_refused(NULL, cased, "{\"do_lower_case\":false,\"tokenize_chinese_chars\":false}",
                  "tokenize_chinese_chars is false", "of tokenizer.json is true");
    check_refused(NULL, cased, "{\"do_lower_case\":null}", "do_lower_case is null",
                  "true and false");
}

// good_json with another prefix and vocabulary.
static const char *prefix_json(const char *prefix, const char *vocab) {
    char text[200];
    snprintf(text, sizeof text, "prefix\":\"%s\",\"max", prefix);
    const char *json = swap(good_json, "prefix\":\"##\",\"max", text);
    return swap(json, "\"a\":5,\"##a\":6,\"b\":7,\"B\":8", vocab);
}

static void test_prefixes(void) {
    // A letter: what begins with it both starts a word as it stands and continues one.
    const char *x = prefix_json("x", "\"a\":5,\"xa\":6,\"x\":7,\"xxb\":8");
    check_made(NULL, x, NULL, "xa aa xaa", "2 6 5 6 6 6 3");
    check_made(NULL, x, NULL, "axb xxb x xx ab", "2 5 8 8 7 1 1 3");
    check_made("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nxa\nx\nxxb\n", x, NULL, "axb", "2 5 8 3");
    check_made("[PAD]\r\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nxa\nx\nxxb", x, NULL, "axb", "2 5 8 3");
    check_refused("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nxb\nx\nxxb\n", x, NULL,
                  "\"xb\" is only in the first", "(9 tokens)");
    check_made(NULL, prefix_json("", "\"a\":5,\"ab\":6,\"b\":7,\"c\":8"), NULL, "abab bca",
               "2 6 6 7 8 5 3");
    // The later member, under both roots.
    check_made(NULL, prefix_json("", "\"a\":5,\"b\":6,\"a\":7"), NULL, "aab", "2 7 7 6 3");
    // Punctuation, of which no longer word begins; alone it is a token of its own.
    const char *at = prefix_json("@@", "\"a\":5,\"@@a\":6,\"@@\":7,\"@\":8");
    check_made(NULL, at, NULL, "aa @@a @@", "2 5 6 8 8 5 8 8 3");
    check_made("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n@@a\n@@\n@\n", at, NULL, "aa", "2 5 6 3");
    check_refused("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n@@b\n@@\n@\n", at, NULL,
                  "\"@@b\" is only in the first", "9 tokens");
    check_made(NULL,
               prefix_json("\\u2581",
                           "\"a\":5,\"\xe2\x96\x81"
                           "a\":6"),
               NULL,
               "aa \xe2\x96\x81"
               "aa",
               "2 5 6 6 6 3");
    check_made(NULL, prefix_json("##", "\"a\":5,\"##a\":6,\"##\":7,\"#\":8"), NULL, "##aa",
               "2 8 8 5 6 3");
    // A special token that begins with the prefix is found as it stands.
    check_made(NULL, prefix_json("[", "\"a\":5,\"[b\":6"), NULL, "ab[MASK]a[", "2 5 6 4 5 1 3");
    check_made(NULL, prefix_json("[M", "\"a\":5,\"[Mb\":6"), NULL, "ab[MASK]", "2 5 6 4 3");
    check_refused(NULL, prefix_json("\\u0000", "\"a\":5"), NULL, "continuing_subword_prefix",
                  "U+0000");
    check_refused(NULL, swap(good_json, "prefix\":\"##\",\"max", "prefix\":7,\"max"), NULL,
                  "continuing_subword_prefix is 7", "a string");
}

static void test_refused_settings(void) {
    static const struct {
        const char *from, *to, *part, *other_part;
    } cases[] = {
        {"\"lowercase\":false", "\"lowercase\":null", "normalizer.lowercase is null", "true and"},
        {"\"strip_accents\":null", "\"strip_accents\":0", "strip_accents is 0", "null"},
        {"chinese_chars\":true", "chinese_chars\":\"\"", "handle_chinese_chars is \"\"", "true"},
        {",\"lowercase\":false", "", "normalizer.lowercase is missing", "true and false"},
        {"\"clean_text\":true,", "", "clean_text is missing", "true"},
        {"\"BertNormalizer\"", "\"NFC\"", "normalizer is \"NFC\"", "BertNormalizer"},
        {"\"BertPreTokenizer\"", "\"Whitespace\"", "\"Whitespace\"", "BertPreTokenizer"},
        {"\"TemplateProcessing\"", "\"RobertaProcessing\"", "post_processor", "TemplateProcessing"},
        {"\"type_id\":0", "\"type_id\":1", "post_processor", "type_id 0"},
        {"\"id\":\"A\"", "\"id\":\"B\"", "post_processor", "$A"},
        {"\"ids\":[3]", "\"ids\":[4]", "4 here", "3 in the vocabulary"},
        {"\"ids\":[3]", "\"ids\":[3,3]", "post_processor", "one id"},
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
    check_refused(good_vocab, NULL, "{\"do_lower_case\": 1}", "do_lower_case is 1", "true and");
    check_refused(good_vocab, NULL, "{\"do_lower_case\": null}", "do_lower_case is null", "true");
    check_refused(good_vocab, NULL, "{\"strip_accents\": \"\"}", "strip_accents is \"\"", "null");
    check_refused(good_vocab, NULL, "{\"tokenize_chinese_chars\": null}",
                  "tokenize_chinese_chars is null", "true and false");
    check_refused(good_vocab, NULL, "{\"tokenizer_class\": \"BertJapaneseTokenizer\"}",
                  "BertJapaneseTokenizer", "BertTokenizerFast");
    check_refused(good_vocab, NULL, "{\"truncation_side\": \"left\"}", "truncation_side", "right");
    check_refused(good_vocab, NULL, "{\"split_special_tokens\": true}", "split_special_tokens",
                  "false");
    check_refused(good_vocab, NULL, "{\"unk_token\": 7}", "unk_token is 7", "content");
    check_refused(good_vocab, good_json, "{\"do_lower_case\": false, \"cls_token\": \"a\"}",
                  "cls_token is \"[CLS]\"", "\"a\"");
    check_refused(good_vocab, NULL, "[]", "tokenizer_config.json", "an object");
}

int main(void) {
    test_tokenizer_json();
    test_vocabulary_alone();
    test_both_files();
    test_prefixes();
    test_refused_settings();
    return check_result();
}
