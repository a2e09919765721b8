// SPDX-License-Identifier: Apache-2.0
//
// How quick the tokenizer is on a file of titles, one a line. Prints one line of JSON; with --ids
// it writes the ids of all titles, back to back, as raw int32 instead.
//
//   bench_tokenizer --model DIR [--threads N] [--repeats N] [--phase cold|steady|warm]
//                   [--other FILE] [--fresh] [--plain] FILE
//   bench_tokenizer --model DIR --ids [--plain] FILE
//   bench_tokenizer --model DIR --hostile
//
// cold: the tokenizer is opened anew for each repeat; steady: the titles of --other went before;
// warm: the very same titles went before. Timed are mapping the file (its pages are cached),
// cutting it into lines, and the ids of all titles in memory that was written to before; with
// --fresh, in memory that the kernel has just given. Opening the tokenizer is told apart. --plain
// takes the one-title-at-a-time path, which everything is tested against. --hostile times titles
// that are nothing but one unkind thing, of one and of four MiB: as many ns a byte show that the
// time is linear.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/support/must.h"
#include "tokenizer/tokenizer.h"

enum { BATCH_TITLES = 4096, REPEATS_MAX = 1000, THREADS_MAX = 256 };

struct options {
    const char *model, *other, *phase, *file;
    int threads, repeats;
    bool ids, fresh, plain, hostile;
};

struct share {
    const struct options *options;
    const struct tokenizer *tokenizer;
    struct tokenizer_batch *batch;
    const char *path;  // that the batch takes
    struct span text;
    int32_t *ids;
    struct encoding *encodings;
    size_t n_titles, n_ids;
};

static const char *need(int argc, char **argv, int *i) {
    if (++*i < argc) return argv[*i];
    fprintf(stderr, "bench_tokenizer: %s needs a value\n", argv[*i - 1]);
    exit(2);
}

static struct options read_options(int argc, char **argv) {
    struct options options = {.threads = 1, .repeats = 5, .phase = "cold"};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--model") == 0) {
            options.model = need(argc, argv, &i);
        } else if (strcmp(argv[i], "--threads") == 0) {
            options.threads = atoi(need(argc, argv, &i));
        } else if (strcmp(argv[i], "--repeats") == 0) {
            options.repeats = atoi(need(argc, argv, &i));
        } else if (strcmp(argv[i], "--phase") == 0) {
            options.phase = need(argc, argv, &i);
        } else if (strcmp(argv[i], "--other") == 0) {
            options.other = need(argc, argv, &i);
        } else if (strcmp(argv[i], "--ids") == 0) {
            options.ids = true;
        } else if (strcmp(argv[i], "--fresh") == 0) {
            options.fresh = true;
        } else if (strcmp(argv[i], "--hostile") == 0) {
            options.hostile = true;
            options.file = "";
        } else if (strcmp(argv[i], "--plain") == 0) {
            options.plain = true;
        } else {
            options.file = argv[i];
        }
    }
    const bool phase_known = strcmp(options.phase, "cold") == 0 ||
                             strcmp(options.phase, "warm") == 0 ||
                             (strcmp(options.phase, "steady") == 0 && options.other != NULL);
    if (options.model == NULL || options.file == NULL || !phase_known || options.threads < 1 ||
        options.threads > THREADS_MAX || options.repeats < 1 || options.repeats > REPEATS_MAX) {
        fprintf(stderr, "bench_tokenizer: see the comment in tests/bench/bench_tokenizer.c\n");
        exit(2);
    }
    return options;
}

// Takes a line off `rest`.
static struct span take_line(struct span *rest) {
    const char *newline = memchr(rest->ptr, '\n', rest->len);
    struct span line = {rest->ptr, newline != NULL ? (size_t)(newline - rest->ptr) : rest->len};
    const size_t taken = line.len + (newline != NULL ? 1 : 0);
    rest->ptr += taken;
    rest->len -= taken;
    return line;
}

static size_t encode_plainly(struct share *share, struct span *rest, int32_t *ids) {
    size_t n = 0;
    for (int i = 0; i < BATCH_TITLES && rest->len > 0; i++, share->n_titles++) {
        struct span line = take_line(rest);
        n += (size_t)tokenizer_encode(share->tokenizer, line, 0, ids + n).n_ids;
    }
    return n;
}

static void *encode_share(void *argument) {
    struct share *share = argument;
    share->n_titles = share->n_ids = 0;
    for (struct span rest = share->text; rest.len > 0;) {
        int32_t *ids = share->ids + share->n_ids;
        if (share->options->plain) {
            share->n_ids += encode_plainly(share, &rest, ids);
            continue;
        }
        tokenizer_batch_start(share->batch, ids, share->encodings);
        for (int i = 0; i < BATCH_TITLES && rest.len > 0; i++, share->n_titles++) {
            tokenizer_batch_add(share->batch, take_line(&rest));
        }
        share->n_ids += tokenizer_batch_finish(share->batch);
    }
    return NULL;
}

// Maps the file, gives every share about as many bytes, and encodes. Returns the seconds.
static double encode_file(const char *path, struct share *shares) {
    const int n = shares[0].options->threads;
    struct error error;
    struct file_map map;
    const double begin = now_seconds();
    must(file_map_open(path, &map, &error), &error);
    size_t at = 0;
    pthread_t threads[THREADS_MAX];
    for (int i = 0; i < n; i++) {
        size_t end = map.nbytes / (size_t)n * (size_t)(i + 1);
        if (end < at) end = at;
        const char *newline = i + 1 < n ? memchr(map.bytes + end, '\n', map.nbytes - end) : NULL;
        end = newline != NULL ? (size_t)(newline - map.bytes) + 1 : map.nbytes;
        shares[i].text = (struct span){map.bytes + at, end - at};
        at = end;
        if (i > 0 && pthread_create(&threads[i], NULL, encode_share, &shares[i]) != 0) exit(1);
    }
    encode_share(&shares[0]);
    for (int i = 1; i < n; i++) pthread_join(threads[i], NULL);
    const double seconds = now_seconds() - begin;
    file_map_close(&map);
    return seconds;
}

static size_t file_nbytes(const char *path) {
    struct error error;
    struct file_map map;
    must(file_map_open(path, &map, &error), &error);
    const size_t n = map.nbytes;
    file_map_close(&map);
    return n;
}

// Memory that no program has touched, in large pages where the kernel gives them.
static void fresh_ids(const struct options *options, size_t nbytes, struct share *shares) {
    const size_t page = (size_t)2 << 20;
    const size_t size = (3 * nbytes + 2 + TOKENIZER_IDS_SLACK) * sizeof(int32_t);
    for (int i = 0; i < options->threads; i++) {
        free(shares[i].ids);
        shares[i].ids = aligned_alloc(page, (size + page - 1) / page * page);
        if (shares[i].ids == NULL) exit(1);
        madvise(shares[i].ids, (size + page - 1) / page * page, MADV_HUGEPAGE);
    }
}

static void open_batches(const struct options *options, const struct tokenizer *tokenizer,
                         size_t max_title_nbytes, struct share *shares) {
    struct error error;
    for (int i = 0; i < options->threads; i++) {
        tokenizer_batch_destroy(shares[i].batch);
        shares[i].tokenizer = tokenizer;
        must(tokenizer_batch_create(tokenizer, 0, max_title_nbytes, &shares[i].batch, &error),
             &error);
        shares[i].path = options->plain ? "plain" : tokenizer_batch_path(shares[i].batch);
    }
}

// Returns the ms it took.
static double open_tokenizer(const struct options *options, struct tokenizer **tokenizer) {
    struct error error;
    tokenizer_close(*tokenizer);
    const double begin = now_seconds();
    must(tokenizer_open(options->model, tokenizer, &error), &error);
    return (now_seconds() - begin) * 1e3;
}

static int run_hostile(const struct options *options) {
    static const struct {
        const char *what, *unit;
    } kinds[] = {{"words", "the "},
                 {"one word", "x"},
                 {"Han", "\xE4\xBB\x8A"},
                 {"Hangul", "\xED\x95\x9C"},
                 {"combining marks", "\xCC\x81"},
                 {"marks in the wrong order", "\xE3\x80\xAE\xE3\x80\xAF"},
                 {"deleted characters", "\xC2\xAD"},
                 {"ill-formed bytes", "\xFF"},
                 {"halves of characters", "\xF0\x9F"},
                 {"beginnings of added tokens", "[SE"}};
    enum { SMALL = 1 << 20, LARGE = 4 << 20 };
    struct error error;
    struct tokenizer *tokenizer;
    struct tokenizer_batch *batch;
    must(tokenizer_open(options->model, &tokenizer, &error), &error);
    must(tokenizer_batch_create(tokenizer, 0, LARGE, &batch, &error), &error);
    char *title = must_zeroed(LARGE, 1);
    int32_t *ids = must_zeroed(LARGE + 2 + TOKENIZER_IDS_SLACK, sizeof *ids);
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        const size_t len = strlen(kinds[k].unit);
        for (size_t i = 0; i < LARGE; i++) title[i] = kinds[k].unit[i % len];
        double seconds[2] = {1e9, 1e9};
        for (int repeat = 0; repeat < 2 * 5; repeat++) {
            const size_t size = repeat % 2 == 0 ? SMALL : LARGE;
            struct encoding encoding;
            const double begin = now_seconds();
            tokenizer_batch_start(batch, ids, &encoding);
            tokenizer_batch_add(batch, (struct span){title, size});
            tokenizer_batch_finish(batch);
            const double took = now_seconds() - begin;
            if (took < seconds[repeat % 2]) seconds[repeat % 2] = took;
        }
        printf("%-28s %6.2f ns a byte of 1 MiB, %6.2f of 4 MiB\n", kinds[k].what,
               seconds[0] / SMALL * 1e9, seconds[1] / LARGE * 1e9);
    }
    free(ids);
    free(title);
    tokenizer_batch_destroy(batch);
    tokenizer_close(tokenizer);
    return 0;
}

// The seconds of each repeat; returns the least ms that opening the tokenizer took.
static double measure(const struct options *options, struct share *shares, double *seconds) {
    const size_t nbytes = file_nbytes(options->file);
    const size_t other = options->other != NULL ? file_nbytes(options->other) : 0;
    const size_t most = nbytes > other ? nbytes : other;
    const bool cold = strcmp(options->phase, "cold") == 0;
    struct tokenizer *tokenizer = NULL;
    double load = 1e9;
    fresh_ids(options, most, shares);
    for (int i = -1; i < options->repeats; i++) {
        if (cold || tokenizer == NULL) {
            const double took = open_tokenizer(options, &tokenizer);
            if (took < load) load = took;
            open_batches(options, tokenizer, most, shares);
        }
        if (options->other != NULL) encode_file(options->other, shares);
        if (options->fresh) fresh_ids(options, most, shares);
        const double took = encode_file(options->file, shares);
        if (i >= 0) seconds[i] = took;  // the first one has touched the memory, and so on
    }
    for (int i = 0; i < options->threads; i++) tokenizer_batch_destroy(shares[i].batch);
    tokenizer_close(tokenizer);
    return load;
}

static int write_ids(const struct options *options, const struct share *shares) {
    for (int i = 0; i < options->threads; i++) {
        fwrite(shares[i].ids, sizeof(int32_t), shares[i].n_ids, stdout);
    }
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 4;
}

static void print_figures(const struct options *options, const struct share *shares, double load,
                          const double *seconds) {
    size_t n_titles = 0, n_ids = 0;
    for (int i = 0; i < options->threads; i++) {
        n_titles += shares[i].n_titles;
        n_ids += shares[i].n_ids;
    }
    printf("{\"path\":\"%s\",\"fresh\":%s,\"threads\":%d,\"phase\":\"%s\",\"titles\":%zu,",
           shares[0].path, options->fresh ? "true" : "false", options->threads, options->phase,
           n_titles);
    printf("\"bytes\":%zu,\"tokens\":%zu,\"load_ms\":%.2f,\"seconds\":[",
           file_nbytes(options->file), n_ids, load);
    for (int i = 0; i < options->repeats; i++) printf("%s%.6f", i > 0 ? "," : "", seconds[i]);
    printf("]}\n");
}

int main(int argc, char **argv) {
    struct options options = read_options(argc, argv);
    if (options.hostile) return run_hostile(&options);
    if (options.ids) options.repeats = 1;
    struct share *shares = must_zeroed((size_t)options.threads, sizeof *shares);
    for (int i = 0; i < options.threads; i++) {
        shares[i].options = &options;
        shares[i].encodings = must_zeroed(BATCH_TITLES, sizeof(struct encoding));
    }
    double seconds[REPEATS_MAX];
    const double load = measure(&options, shares, seconds);
    int status = 0;
    if (options.ids) {
        status = write_ids(&options, shares);
    } else {
        print_figures(&options, shares, load, seconds);
    }
    for (int i = 0; i < options.threads; i++) {
        free(shares[i].ids);
        free(shares[i].encodings);
    }
    free(shares);
    return status;
}
