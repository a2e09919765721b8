// SPDX-License-Identifier: Apache-2.0
//
// The file of chosen algorithms: what is written is read, by its own kind alone; a damaged one is
// none, and nothing that cannot be written or read is a fault: test_algorithm_cache [SEED].
#include "cuda/algorithm_cache.h"

#include <dirent.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/check.h"
#include "tests/support/temp_dir.h"

static const char kind[] =
    "NVIDIA H100 80GB HBM3, sm_90, 132 multiprocessors, driver 13000, cublasLt 130100";
static struct check_random random_state;
// The cache of the test that runs, and "wader" in it.
static char dir[TEMP_PATH_MAX], sub[TEMP_PATH_MAX], path[TEMP_PATH_MAX];

static struct matmul_shape random_shape(void) {
    struct matmul_shape shape;
    const bool is_e4m3 = check_below(&random_state, 4) == 0;
    shape.n_out = (is_e4m3 ? 16 : 8) * (1 + (int32_t)check_below(&random_state, INT32_MAX / 16));
    shape.n_in = (is_e4m3 ? 16 : 8) * (1 + (int32_t)check_below(&random_state, 4));
    shape.dtype = is_e4m3 ? DTYPE_E4M3 : (enum dtype)check_below(&random_state, 3);
    shape.epilogue = (enum matmul_epilogue)check_below(&random_state, is_e4m3 ? 1 : 3);
    const bool is_f32 = shape.epilogue == MATMUL_PLAIN && check_below(&random_state, 2) == 0;
    shape.out_dtype = is_e4m3 ? DTYPE_BF16 : is_f32 ? DTYPE_F32 : shape.dtype;
    return shape;
}

static void fill(struct algorithm_cache *cache, const char *of_kind, int32_t n) {
    memset(cache, 0, sizeof *cache);
    snprintf(cache->kind, sizeof cache->kind, "%s", of_kind);
    while (cache->n_algorithms < n) {
        const struct matmul_shape shape = random_shape();
        uint64_t words[ALGORITHM_WORDS];
        for (int i = 0; i < ALGORITHM_WORDS; i++) words[i] = check_next(&random_state);
        algorithm_cache_put(cache, &shape, words);
    }
}

// That what is on disk is `want`, read over garbage, of which nothing may stay.
static void check_read(const struct algorithm_cache *want) {
    struct algorithm_cache got;
    memset(&got, 0x55, sizeof got);
    algorithm_cache_read(want->kind, &got);
    CHECK_STR(got.kind, want->kind);
    CHECK(!got.changed);
    CHECK_INT(got.n_algorithms, want->n_algorithms);
    for (int32_t i = 0; i < got.n_algorithms && i < want->n_algorithms; i++) {
        const struct algorithm *a = &got.algorithms[i], *b = &want->algorithms[i];
        CHECK(memcmp(&a->shape, &b->shape, sizeof a->shape) == 0);  // has no gaps
        CHECK(memcmp(a->words, b->words, sizeof a->words) == 0);
    }
}

static void check_empty(const char *of_kind) {
    struct algorithm_cache empty;
    fill(&empty, of_kind, 0);
    check_read(&empty);
}

// The only file of `dir`: its path, or "" where there is none or another one beside it.
static void only_file(const char *in, char out[TEMP_PATH_MAX]) {
    DIR *open_dir = opendir(in);
    int n = 0;
    out[0] = 0;
    for (struct dirent *entry; open_dir != NULL && (entry = readdir(open_dir)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        CHECK_INT(path_join(out, TEMP_PATH_MAX, in, entry->d_name, NULL), STATUS_OK);
        n++;
    }
    if (open_dir != NULL) closedir(open_dir);
    CHECK(n <= 1);
    if (n != 1) out[0] = 0;
}

static void write_to_path(const struct algorithm_cache *cache) {
    CHECK(algorithm_cache_write(cache));
    only_file(sub, path);
}

static void must(bool is_good, const char *what) {
    if (is_good) return;
    perror(what);
    exit(1);
}

// ---- in memory

static void putting(void) {
    struct algorithm_cache cache;
    fill(&cache, kind, 3);
    CHECK(cache.changed);
    cache.changed = false;
    uint64_t words[ALGORITHM_WORDS];
    const struct matmul_shape shape = cache.algorithms[1].shape;
    memcpy(words, cache.algorithms[1].words, sizeof words);
    algorithm_cache_put(&cache, &shape, words);  // as it was
    CHECK(!cache.changed);
    words[7] ^= 1;
    algorithm_cache_put(&cache, &shape, words);
    CHECK(cache.changed);
    const uint64_t *const found = algorithm_cache_find(&cache, &shape);
    CHECK(cache.n_algorithms == 3 && found != NULL && memcmp(found, words, sizeof words) == 0);
    // Each field tells shapes apart.
    for (int field = 0; field < 5; field++) {
        struct matmul_shape other = shape;
        if (field == 0) other.n_out ^= 1 << 3;
        if (field == 1) other.n_in += 1 << 10;
        if (field == 2) other.dtype = (enum dtype)((other.dtype + 1) % 3);
        if (field == 3) other.out_dtype = (enum dtype)((other.out_dtype + 1) % 3);
        if (field == 4) other.epilogue = (enum matmul_epilogue)((other.epilogue + 1) % 3);
        CHECK(algorithm_cache_find(&cache, &other) != found);
    }
    // A full one takes no more, but replaces.
    fill(&cache, kind, ALGORITHMS_MAX);
    cache.changed = false;
    const struct matmul_shape more = {8, 4096, DTYPE_F32, DTYPE_F32, MATMUL_PLAIN};
    algorithm_cache_put(&cache, &more, words);
    CHECK(cache.n_algorithms == ALGORITHMS_MAX && !cache.changed);
    CHECK(algorithm_cache_find(&cache, &more) == NULL);
    algorithm_cache_put(&cache, &cache.algorithms[ALGORITHMS_MAX - 1].shape, words);
    CHECK(cache.changed);
    CHECK_INT(memcmp(cache.algorithms[ALGORITHMS_MAX - 1].words, words, sizeof words), 0);
}

// ---- the text

#define HEAD "wader algorithms 1\nK\n"
#define ZERO " 0000000000000000"
#define WORDS \
    " " ZERO " 0000000000000001 0123456789abcdef" ZERO ZERO ZERO ZERO " 8000000000000000\n"

// Ends `text`, of `cap` bytes, with the line that its sum asks for, 64-bit FNV-1a.
static void add_sum(char *text, size_t cap) {
    unsigned long long sum = 0xcbf29ce484222325u;
    const size_t n = strlen(text);
    for (size_t i = 0; i < n; i++) sum = (sum ^ (unsigned char)text[i]) * 0x100000001b3u;
    snprintf(text + n, cap - n, "sum %016llx\n", sum);
}

static void check_parse(const char *body, int n, const char *name) {
    char text[2048];
    struct algorithm_cache cache;
    memset(&cache, 0x55, sizeof cache);
    memcpy(cache.kind, "K", 2);
    snprintf(text, sizeof text, "%s", body);
    add_sum(text, sizeof text);
    if (algorithm_cache_parse(text, strlen(text), &cache) != (n >= 0)) CHECK_FAIL("%s", name);
    CHECK_INT(cache.n_algorithms, n >= 0 ? n : 0);
    CHECK(!cache.changed);
    if (n <= 0) return;
    CHECK(cache.algorithms[0].words[1] == 1 && cache.algorithms[0].words[7] == 1ULL << 63);
    CHECK(cache.algorithms[0].words[2] == 0x0123456789abcdef);
}

static void parsing(void) {
    char texts[] =
        "\n|wader algorithms 1\nK|wader algorithms 2\nK\n|wader algorithms 1\nK2\n|"
        "wader algorithms 1\n\n|" HEAD "\n|" HEAD "8 8 f32 f32 plain\n|" HEAD
        "8 8 f32 f32 plain" WORDS "8 8 f32 f32 plain" WORDS;
    char shapes[] =
        "8 8 f32 f32 bias_|8 8 f16 f32 bias|8 8 f32 f16 plain|8 8 f64 f64 plain|8 12 f32 f32 plain|"
        "0 8 f32 f32 plain|-8 8 f32 f32 plain|+8 8 f32 f32 plain|08 8 f32 f32 plain|"
        " 8 8 f32 f32 plain|8  8 f32 f32 plain|8 8 f32 f32 plain |8 2147483648 f32 f32 plain|"
        "8 99999999999999999999999999999999 f32 f32 plain";
    check_parse("", -1, "empty");
    check_parse(HEAD, 0, "none");
    check_parse(HEAD "sum 0000000000000000\n", -1, "two sums");
    check_parse(HEAD "2304 768 bf16 bf16 bias" WORDS, 1, "bias");
    check_parse(HEAD "8 2147483640 f16 f16 bias_gelu" WORDS, 1, "bias_gelu");
    check_parse(HEAD "8 8 f16 f32 plain" WORDS "8 8 f32 f32 plain" WORDS, 2, "plain");
    for (char *text = strtok(texts, "|"); text != NULL; text = strtok(NULL, "|")) {
        check_parse(text, -1, text);
    }
    for (char *shape = strtok(shapes, "|"); shape != NULL; shape = strtok(NULL, "|")) {
        char text[1024];
        snprintf(text, sizeof text, HEAD "%s" WORDS, shape);
        check_parse(text, -1, shape);
    }
}

// A file that never changes, so that what is written today is read tomorrow; and its last line bad.
static void sums(void) {
    char lines[] =
        "sum 69405a2cece6b1e0\n|sum 69405A2CECE6B1EF\n|sum 69405a2cece6b1ef|"
        "sum  69405a2cece6b1ef\n|Sum 69405a2cece6b1ef\n|sum 69405a2cece6b1ef\n\n|\n";
    const char *const whole = HEAD "8 8 f32 f32 plain" WORDS "sum 69405a2cece6b1ef\n";
    static struct algorithm_cache cache = {.kind = "K"};
    CHECK(algorithm_cache_parse(whole, strlen(whole), &cache) && cache.n_algorithms == 1);
    for (char *line = strtok(lines, "|"); line != NULL; line = strtok(NULL, "|")) {
        char text[1024];
        snprintf(text, sizeof text, HEAD "8 8 f32 f32 plain" WORDS "%s", line);
        if (algorithm_cache_parse(text, strlen(text), &cache)) CHECK_FAIL("%s", line);
    }
}

// ---- the file

static void round_trips(void) {
    for (int32_t round = 0; round < 100; round++) {
        struct algorithm_cache cache;
        fill(&cache, kind, round == 0 ? ALGORITHMS_MAX : (int32_t)check_below(&random_state, 65));
        CHECK(algorithm_cache_write(&cache));
        if (cache.changed) check_read(&cache);  // else there was nothing to write
        only_file(sub, path);                   // the temporary one is gone
        CHECK(path[0] != 0);
    }
    struct stat info;
    CHECK(stat(sub, &info) == 0 && (info.st_mode & 0777) == 0700);
    must(unlink(path) == 0, path);  // nothing new is not written
    struct algorithm_cache cache;
    fill(&cache, kind, 2);
    cache.changed = false;
    CHECK(algorithm_cache_write(&cache));
    check_empty(kind);
}

// Another GPU, driver or library has a file of its own; a file of that name with another kind in it
// counts for nothing.
static void foreign_kinds(void) {
    struct algorithm_cache cache, other;
    fill(&cache, kind, 3);
    write_to_path(&cache);
    check_empty("another GPU");
    fill(&other, "another GPU", 5);
    CHECK(algorithm_cache_write(&other));
    check_read(&cache);
    check_read(&other);
    char text[1024] = "wader algorithms 1\nanother GPU\n8 8 f32 f32 plain" WORDS;
    add_sum(text, sizeof text);
    temp_dir_write_text(sub, path_base(path), text);
    check_empty(kind);
}

// Every byte cut off, every bit turned over.
static void damaged(void) {
    static char bad[4096];
    struct file_map map;
    static struct algorithm_cache cache;
    fill(&cache, kind, 4);
    write_to_path(&cache);
    must(file_map_open(path, &map, NULL) == STATUS_OK, path);
    const size_t n = map.nbytes;
    must(n < sizeof bad, path);
    CHECK(algorithm_cache_parse(map.bytes, n, &cache) && cache.n_algorithms == 4);
    for (size_t cut = 0; cut < n; cut++) {
        CHECK(!algorithm_cache_parse(map.bytes, cut, &cache) && cache.n_algorithms == 0);
    }
    memcpy(bad, map.bytes, n);
    for (size_t at = 0; at < n; at++) {
        for (int bit = 0; bit < 8; bit++) {
            bad[at] = (char)(map.bytes[at] ^ 1 << bit);
            CHECK(!algorithm_cache_parse(bad, n, &cache) && cache.n_algorithms == 0);
        }
        bad[at] = map.bytes[at];
    }
    file_map_close(&map);
}

// A directory in the file's place, a pipe, and a file that is too long.
static void strange_files(void) {
    struct algorithm_cache cache;
    fill(&cache, kind, 1);
    write_to_path(&cache);
    must(truncate(path, 100000) == 0, path);
    check_empty(kind);
    must(unlink(path) == 0 && mkfifo(path, 0600) == 0, path);
    check_empty(kind);
    must(unlink(path) == 0 && mkdir(path, 0700) == 0, path);
    check_empty(kind);
    CHECK(!algorithm_cache_write(&cache));
    only_file(sub, path);  // no temporary one
    must(rmdir(path) == 0, path);
}

// ---- places

// The cache of `n` is written and read; or, with n < 0, neither is possible.
static void check_place(int32_t n) {
    struct algorithm_cache cache;
    fill(&cache, kind, n >= 0 ? n : 2);
    CHECK_INT(algorithm_cache_write(&cache), n >= 0);
    if (n < 0) cache.n_algorithms = 0;
    check_read(&cache);
}

static void places(void) {
    char cache_dir[TEMP_PATH_MAX];
    if (geteuid() != 0) {  // root writes everywhere: the failures below are for all users
        must(chmod(dir, 0500) == 0, dir);
        check_place(-1);
        must(chmod(dir, 0700) == 0, dir);
    }
    path_join(cache_dir, sizeof cache_dir, dir, ".cache", NULL);
    path_join(sub, sizeof sub, cache_dir, "wader", NULL);
    static const char *const ignored[] = {NULL, "", "relative/cache"};
    for (size_t i = 0; i < ARRAY_LEN(ignored); i++) {
        setenv("HOME", dir, 1);
        unsetenv("XDG_CACHE_HOME");
        if (ignored[i] != NULL) setenv("XDG_CACHE_HOME", ignored[i], 1);
        check_place(3);
        only_file(sub, path);
        CHECK(path[0] != 0);
        must(unlink(path) == 0, path);
        for (size_t h = 1; h < ARRAY_LEN(ignored); h++) {
            setenv("HOME", ignored[h], 1);
            check_place(-1);
        }
        unsetenv("HOME");
        check_place(-1);
    }
    must(rmdir(sub) == 0 && rmdir(cache_dir) == 0, sub);
    // No directory can be made there, and no path is that long.
    temp_dir_write_text(dir, "file", "");
    path_join(path, sizeof path, dir, "file", NULL);
    setenv("XDG_CACHE_HOME", path, 1);
    check_place(-1);
    path_join(path, sizeof path, dir, "missing/too", NULL);
    setenv("XDG_CACHE_HOME", path, 1);
    check_place(-1);
    char slashes[PATH_NBYTES_MAX + 8];
    memset(slashes, '/', sizeof slashes);
    slashes[sizeof slashes - 1] = 0;
    setenv("XDG_CACHE_HOME", slashes, 1);
    check_place(-1);
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = 0;  // longer than a name may be
    setenv("XDG_CACHE_HOME", path, 1);
    check_place(-1);
}

// Runs `test` on a fresh directory that is the user's cache.
static void with_dir(void (*test)(void)) {
    temp_dir_make(dir);
    setenv("XDG_CACHE_HOME", dir, 1);
    path_join(sub, sizeof sub, dir, "wader", NULL);
    test();
    path_join(sub, sizeof sub, dir, "wader", NULL);
    if (access(sub, F_OK) == 0) temp_dir_remove(sub);
    temp_dir_remove(dir);
}

int main(int argc, char **argv) {
    random_state.state = argc > 1 ? strtoull(argv[1], NULL, 0) : (unsigned long long)time(NULL);
    printf("seed %llu\n", random_state.state);
    putting();
    parsing();
    sums();
    with_dir(round_trips);
    with_dir(foreign_kinds);
    with_dir(damaged);
    with_dir(strange_files);
    with_dir(places);
    return check_result();
}
