// SPDX-License-Identifier: Apache-2.0
//
// The titles of a bench: made up from a vocabulary, the same for the same seed; read from an input;
// their tokens those that the tokenizer gives one title at a time: test_bench_corpus GOLDEN_DIR.
#include <fcntl.h>
#include <unistd.h>

#include "host/bench/corpus.h"
#include "host/bench/words.h"
#include "host/stream/input.h"
#include "host/stream/output.h"
#include "tests/check.h"
#include "tests/support/gzip_bytes.h"
#include "tests/support/must.h"
#include "tests/support/temp_dir.h"
#include "tokenizer/wordpiece.h"

static struct tokenizer *tokenizer;

static struct corpus make(const char *lengths, uint64_t seed, size_t n_titles, int32_t max_length) {
    struct corpus_recipe recipe = {.lengths_name = lengths, .seed = seed, .n_titles = n_titles};
    struct corpus corpus;
    struct error error;
    must(lengths_parse(lengths, &recipe.lengths, &error), &error);
    must(corpus_make(&recipe, tokenizer, max_length, &corpus, &error), &error);
    return corpus;
}

static bool same(const struct corpus *a, const struct corpus *b) {
    return a->plain.len == b->plain.len &&
           memcmp(a->plain.bytes, b->plain.bytes, a->plain.len) == 0;
}

static struct span file_bytes(const struct memory_file *file, struct buffer *out) {
    struct input *input;
    struct error error;
    size_t n = 1;
    buffer_clear(out);
    must(input_open(file->path, &input, &error), &error);
    while (n > 0) {
        char bytes[4096];
        must(input_read(input, bytes, sizeof bytes, &n, &error), &error);
        buffer_add(out, bytes, n);
    }
    input_close(input);
    return (struct span){out->bytes, out->len};
}

// Everything about a corpus that must hold, whatever it was made of.
static void check_corpus(const struct corpus *corpus, int32_t max_length) {
    struct buffer bytes = {0};
    struct span plain = file_bytes(&corpus->plain_file, &bytes);
    CHECK_INT(plain.len, corpus->plain.len);
    CHECK(memcmp(plain.ptr, corpus->plain.bytes, plain.len) == 0);
    plain = file_bytes(&corpus->gzip_file, &bytes);  // inflated
    CHECK_INT(plain.len, corpus->plain.len);
    CHECK(memcmp(plain.ptr, corpus->plain.bytes, plain.len) == 0);
    CHECK(plain.len < 200 || corpus->gzip_file.nbytes < plain.len);
    buffer_free(&bytes);

    int32_t *ids = must_zeroed((size_t)max_length, sizeof *ids);
    uint64_t before = 0;
    size_t n_tokens = 0;
    for (size_t i = 0; i < corpus->n_titles; i++) {
        const struct span title = corpus_title(corpus, i);
        const struct encoding encoding = tokenizer_encode(tokenizer, title, max_length, ids);
        CHECK_INT(corpus_length(corpus, i), encoding.n_ids);
        CHECK(memcmp(corpus->token_ids + n_tokens, ids, (size_t)encoding.n_ids * sizeof *ids) == 0);
        n_tokens += (size_t)encoding.n_ids;
        CHECK(corpus->record_end[i] > before && corpus->record_end[i] <= corpus->plain.len);
        before = corpus->record_end[i];
        CHECK(before == corpus->plain.len || corpus->plain.bytes[before - 1] == '\n');
    }
    CHECK_INT(n_tokens, corpus->n_tokens);
    free(ids);
}

static void test_made_up(void) {
    struct corpus a = make("titles", 1, 3000, 40), b = make("titles", 1, 3000, 40);
    CHECK(same(&a, &b));
    check_corpus(&a, 40);
    CHECK_INT(a.n_records, 3000);
    CHECK_INT(a.n_titles, 3000);
    corpus_free(&b);
    b = make("titles", 2, 3000, 40);
    CHECK(!same(&a, &b));
    corpus_free(&a);
    corpus_free(&b);
    static const struct {
        const char *lengths;
        int32_t least, most;
    } cases[] = {{"2", 2, 2}, {"3", 3, 3}, {"11", 11, 11}, {"5-9", 5, 9}, {"38-40", 38, 40}};
    for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
        a = make(cases[c].lengths, 5, 500, 40);
        check_corpus(&a, 40);
        for (size_t i = 0; i < a.n_titles; i++) {
            const int32_t length = corpus_length(&a, i);
            CHECK(length >= cases[c].least && length <= cases[c].most);
        }
        corpus_free(&a);
    }
    a = make("titles", 1, 1, 40);
    check_corpus(&a, 40);
    corpus_free(&a);
    corpus_free(&a);  // of a zeroed one
}

// Tokenizing is work: some words are of several tokens, and there are many words.
static void test_words(void) {
    struct bench_random random = {1};
    struct words words;
    struct error error;
    must(words_make(tokenizer, &random, &words, &error), &error);
    CHECK(words.n_single > 20);
    CHECK(words.n_words > words.n_single);
    for (size_t i = 0; i < words.n_words; i++) {
        int32_t ids[300];
        const struct span text = {words.all[i].text, (size_t)words.all[i].len};
        CHECK_INT(tokenizer_encode(tokenizer, text, 0, ids).n_ids, words.all[i].n_tokens + 2);
        CHECK(i < words.n_single ? words.all[i].n_tokens == 1 : words.all[i].n_tokens > 1);
        CHECK(memchr(text.ptr, ' ', text.len) == NULL);
    }
    words_free(&words);
}

// ---- an input

static struct corpus read_file(const char *dir, const char *name, const void *bytes, size_t nbytes,
                               enum status want, struct error *error) {
    char path[TEMP_PATH_MAX + 64];
    struct corpus corpus;
    const struct record_format format = {.kind = record_kind_of_name(name),
                                         .id = {.name = "id", .column = 1},
                                         .title = {.name = "title", .column = 2}};
    temp_dir_write(dir, name, bytes, nbytes);
    must(path_join(path, sizeof path, dir, name, error), error);
    CHECK_INT(corpus_read(path, &format, tokenizer, 40, &corpus, error), want);
    return corpus;
}

static void test_inputs(void) {
    static const char records[] =
        "\xef\xbb\xbf{\"id\":1,\"title\":\"gold \\u0041 \\\"x\\\"\"}\r\n"
        "not JSON\n"
        "{\"id\":2,\"title\":\"\"}\n"
        "{\"id\":3}\n"
        "{\"id\":4,\"title\":\"oil and gas\"}";
    char dir[TEMP_PATH_MAX];
    struct error error;
    temp_dir_make(dir);
    struct corpus corpus =
        read_file(dir, "a.jsonl", records, sizeof records - 1, STATUS_OK, &error);
    CHECK_INT(corpus.n_records, 5);
    CHECK_INT(corpus.n_titles, 3);
    CHECK(!corpus.is_cut);
    CHECK(span_equal(corpus_title(&corpus, 0), "gold A \"x\""));
    CHECK(span_equal(corpus_title(&corpus, 1), ""));
    CHECK_INT(corpus.record_end[0], strchr(records, '\n') + 1 - records);
    CHECK_INT(corpus.record_end[2], sizeof records - 1);
    check_corpus(&corpus, 40);
    corpus_free(&corpus);
    corpus = read_file(dir, "b.tsv", "1\tgold\n2\toil\n", 13, STATUS_OK, &error);
    CHECK_INT(corpus.n_titles, 2);
    check_corpus(&corpus, 40);
    corpus_free(&corpus);
    corpus = read_file(dir, "c.jsonl", "{\"id\":3}\n", 9, STATUS_INPUT, &error);
    CHECK_CONTAINS(error.text, "none of 1 records has a title");
    corpus_free(&corpus);
    corpus = read_file(dir, "d.txt", "", 0, STATUS_INPUT, &error);
    corpus_free(&corpus);
    corpus = read_file(dir, "e.gz", "gold\n", 5, STATUS_INPUT, &error);
    corpus_free(&corpus);
    temp_dir_remove(dir);
}

// Longer than is read: whole records, and told so. Many chunks, so ends across them are right.
static void test_cut(void) {
    char dir[TEMP_PATH_MAX];
    struct error error;
    struct buffer text = {0};
    for (int i = 0; text.len < CORPUS_NBYTES_MAX + 100000; i++) {
        buffer_add_format(&text, "%d and %0*d\n", i, 20 + i % 3000, i);
    }
    temp_dir_make(dir);
    struct corpus corpus = read_file(dir, "a.txt", text.bytes, text.len, STATUS_OK, &error);
    CHECK(corpus.is_cut);
    CHECK(corpus.plain.len > CORPUS_NBYTES_MAX - 4000 && corpus.plain.len < text.len);
    CHECK(corpus.plain.bytes[corpus.plain.len - 1] == '\n');
    CHECK(memcmp(corpus.plain.bytes, text.bytes, corpus.plain.len) == 0);
    CHECK_INT(corpus.record_end[corpus.n_titles - 1], corpus.plain.len);
    uint64_t at = 0;
    for (size_t i = 0; i < corpus.n_titles; i++) {
        CHECK_INT(corpus.record_end[i], at + corpus_title(&corpus, i).len + 1);
        at = corpus.record_end[i];
    }
    corpus_free(&corpus);
    buffer_free(&text);
    temp_dir_remove(dir);
}

// A descriptor's output: the bytes of a file's, nothing left behind when it is not finished.
static void test_memory_files(void) {
    struct memory_file file;
    struct buffer bytes = {0};
    struct error error;
    struct output *output;
    int fd;
    must(memory_file_create(&file, &error), &error);
    must(memory_file_write(&file, span_text("a longer text\n"), false, &error), &error);
    must(memory_file_write(&file, span_text("a text\n"), false, &error), &error);
    CHECK_INT(file.nbytes, 7);
    CHECK(span_equal(file_bytes(&file, &bytes), "a text\n"));
    must(memory_file_write(&file, span_text("a text\n"), true, &error), &error);
    CHECK(file.nbytes != 7);
    CHECK(span_equal(file_bytes(&file, &bytes), "a text\n"));
    must(memory_file_rewrite(&file, &fd, &error), &error);
    must(output_open_fd(fd, false, &output, &error), &error);
    must(output_write(output, "x", 1, &error), &error);
    output_close(output);
    CHECK(fcntl(fd, F_GETFD) == -1);  // closed with it
    fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    must(output_open_fd(fd, true, &output, &error), &error);
    must(output_write(output, "x", 1, &error), &error);
    CHECK_INT(output_commit(output, &error), STATUS_IO);
    output_close(output);
    buffer_free(&bytes);
    memory_file_close(&file);
    memory_file_close(&file);
}

int main(int argc, char **argv) {
    char dir[TEMP_PATH_MAX];
    struct error error;
    CHECK(argc == 2);
    must(path_join(dir, sizeof dir, argv[1], "bert_small", &error), &error);
    must(tokenizer_open(dir, &tokenizer, &error), &error);
    test_words();
    test_made_up();
    test_inputs();
    test_cut();
    test_memory_files();
    tokenizer_close(tokenizer);
    return check_result();
}
