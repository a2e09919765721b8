// SPDX-License-Identifier: Apache-2.0
//
// How cuda/matmul.h comes to its algorithms, on the stand-in for cublasLt: what it says when the
// library is missing, refuses or fails, which choices it keeps on disk and which of these it takes:
// test_matmul_choices [SEED].
#include <dlfcn.h>
#include <glob.h>
#include <time.h>

#include "cuda/algorithm_cache.h"
#include "tests/standin/matmul_rig.h"
#include "tests/support/must.h"
#include "tests/support/temp_dir.h"

enum { FAILED = 3, ALLOC_FAILED = 3, INTERNAL_ERROR = 14 };

// Of lt_algorithm.cpp: an algorithm's first byte is its number, exclusive-ored with the mark's end.
enum { MARK_END = 0x72, SPLIT = 22, WITH_WORKSPACE = 19 };

static char cache_dir[TEMP_PATH_MAX];

// ---- a library that is not there. The linker leads the calls of cuda/cublaslt.cu here.

static const char *dlopen_takes;   // a part of the paths that are found; NULL: all
static const char *dlsym_lacks;    // a function
static char dlopen_asked[2][256];  // the last two paths

void *__real_dlopen(const char *path, int flags);
void *__wrap_dlopen(const char *path, int flags);
void *__real_dlsym(void *library, const char *name);
void *__wrap_dlsym(void *library, const char *name);

void *__wrap_dlopen(const char *path, int flags) {
    memcpy(dlopen_asked[0], dlopen_asked[1], sizeof dlopen_asked[0]);
    snprintf(dlopen_asked[1], sizeof dlopen_asked[1], "%s", path);
    if (dlopen_takes == NULL) return __real_dlopen(path, flags);
    return strstr(path, dlopen_takes) == NULL ? NULL : __real_dlopen("libcublasLt.so.13", flags);
}

void *__wrap_dlsym(void *library, const char *name) {
    const bool is_lacking = dlsym_lacks != NULL && strcmp(name, dlsym_lacks) == 0;
    return is_lacking ? NULL : __real_dlsym(library, name);
}

static void check_not_opened(const char *part) {
    const struct cuda_device device = rig_device(0);
    struct matmul_choices *choices;
    struct error error;
    CHECK_INT(matmul_choices_open(&device, &choices, &error), STATUS_MODEL);
    CHECK(choices == NULL);
    CHECK_CONTAINS(error.text, part);
    CHECK_CONTAINS(error.text, "libcublasLt.so.13");
    CHECK_CONTAINS(error.text, "CUDA toolkit 13");
    CHECK_CONTAINS(error.text, "nvidia-cublas");
    CHECK_CONTAINS(error.text, "LD_LIBRARY_PATH");
}

static void no_library(void) {
    dlopen_takes = "nowhere";
    check_not_opened("cannot be loaded");
    CHECK_STR(dlopen_asked[1], "/usr/local/cuda/lib64/libcublasLt.so.13");
    setenv("CUDA_PATH", "/somewhere", 1);
    setenv("CUDA_HOME", "", 1);
    check_not_opened("cannot be loaded");
    CHECK_STR(dlopen_asked[0], "/somewhere/lib64/libcublasLt.so.13");
    dlopen_takes = "/somewhere/lib64/";
    matmul_choices_close(rig_choices());
    dlopen_takes = NULL;
    dlsym_lacks = "cublasLtMatmulAlgoCheck";
    check_not_opened("lacks the function cublasLtMatmulAlgoCheck");
    dlsym_lacks = NULL;
    setenv("STANDIN_LT_VERSION", "120805", 1);
    check_not_opened("120805");
    unsetenv("STANDIN_LT_VERSION");
    matmul_choices_close(rig_choices());
    matmul_choices_close(NULL);
    matmul_close(NULL);
    matmul_destroy(NULL);
}

// ---- choices on disk

// Whether every kind of product is served.
static void check_served(bool is_served) {
    struct matmul_rig rig;
    rig_open_all(&rig);
    for (int k = 0; k < RIG_KINDS; k++) {
        struct matmul *matmul;
        struct error error;
        int code = -1;
        const enum status status =
            matmul_create(rig.context, &rig_kinds[k], 17, &matmul, &code, &error);
        CHECK_INT(status, is_served ? STATUS_OK : STATUS_MODEL);
        CHECK_INT(code, 0);
        if (!is_served) CHECK_CONTAINS(error.text, "has no algorithm that sums in one order");
        matmul_destroy(matmul);
    }
    matmul_choices_keep(rig.choices);
    matmul_choices_keep(rig.choices);
    rig_close_all(&rig);
}

static void served(void) {
    check_served(true);
}

static void refused(void) {
    check_served(false);
}

// Where they are kept.
static void find_file(char path[TEMP_PATH_MAX]) {
    char pattern[TEMP_PATH_MAX];
    glob_t found;
    path_join(pattern, sizeof pattern, cache_dir, "wader/algorithms-*.txt", NULL);
    if (glob(pattern, 0, NULL, &found) != 0 || found.gl_pathc != 1) {
        CHECK_FAIL("%s: not one file", pattern);
        exit(1);
    }
    snprintf(path, TEMP_PATH_MAX, "%s", found.gl_pathv[0]);
    globfree(&found);
}

static void read_cache(struct algorithm_cache *cache, int32_t n) {
    char path[TEMP_PATH_MAX], kind[512];
    struct file_map map;
    struct error error;
    find_file(path);
    must(file_map_open(path, &map, &error), &error);
    const char *line = memchr(map.bytes, '\n', map.nbytes);
    if (line == NULL || sscanf(line + 1, "%511[^\n]", kind) != 1) exit(1);
    file_map_close(&map);
    CHECK_CONTAINS(kind, "A stand-in, sm_90, 3 multiprocessors, driver 13");
    CHECK_CONTAINS(kind, ", cublasLt 130100");
    algorithm_cache_read(kind, cache);
    CHECK_INT(cache->n_algorithms, n);
}

// As many shapes as there may be; one with workspace only where nothing else serves, which is a
// quarter of them.
static void many_shapes(void) {
    static struct algorithm_cache cache;
    struct matmul_rig rig;
    struct matmul *matmul;
    struct error error;
    int code, n_with_workspace = 0;
    rig_open_all(&rig);
    for (int32_t i = 0; i <= ALGORITHMS_MAX; i++) {
        const bool is_full = i == ALGORITHMS_MAX;
        const struct matmul_shape shape = {8 + 8 * i, 8, DTYPE_F32, DTYPE_F32, MATMUL_PLAIN};
        CHECK_INT(matmul_create(rig.context, &shape, 100, &matmul, &code, &error),
                  is_full ? STATUS_MODEL : STATUS_OK);
        CHECK_INT(code, is_full ? MATMUL_CODE + ALLOC_FAILED : 0);
        matmul_destroy(matmul);
    }
    matmul_choices_keep(rig.choices);
    rig_close_all(&rig);
    read_cache(&cache, ALGORITHMS_MAX);
    for (int32_t i = 0; i < cache.n_algorithms; i++) {
        n_with_workspace += ((cache.algorithms[i].words[0] ^ MARK_END) & 0xff) == WITH_WORKSPACE;
    }
    CHECK(n_with_workspace > 5 && n_with_workspace < 28);
}

// Bytes that are no algorithm, another shape's, and one that splits its sum, all with a good sum.
static void foreign_choices(void) {
    static struct algorithm_cache good, bad, repaired;
    read_cache(&good, RIG_KINDS);
    bad = good;
    for (int32_t i = 0; i < good.n_algorithms; i++) {
        uint64_t words[ALGORITHM_WORDS];
        memcpy(words, good.algorithms[(i + i % 3 / 2) % good.n_algorithms].words, sizeof words);
        if (i % 3 == 0) words[check_below(&rig_random, ALGORITHM_WORDS)] ^= 1ull << 40;
        if (i % 3 == 1) words[0] = (words[0] & ~0xffull) | (MARK_END ^ SPLIT);
        algorithm_cache_put(&bad, &good.algorithms[i].shape, words);
    }
    CHECK(algorithm_cache_write(&bad));
    check_served(true);
    read_cache(&repaired, RIG_KINDS);
    for (int32_t i = 0; i < good.n_algorithms; i++) {
        const uint64_t *words = algorithm_cache_find(&repaired, &good.algorithms[i].shape);
        CHECK(words != NULL &&
              memcmp(words, good.algorithms[i].words, sizeof bad.algorithms[i].words) == 0);
    }
}

// One bit of one algorithm, so that it is another one that serves: without the file's sum it would
// pass.
static void damage(void) {
    char path[TEMP_PATH_MAX], text[20000];
    struct file_map map;
    struct error error;
    find_file(path);
    must(file_map_open(path, &map, &error), &error);
    const size_t n = map.nbytes;
    if (n >= sizeof text) exit(1);
    memcpy(text, map.bytes, n);
    text[n] = 0;
    file_map_close(&map);
    char *word = strstr(text, "  ");  // before the first algorithm
    if (word == NULL) exit(1);
    word[2 + 15] ^= 1;
    temp_dir_write(cache_dir, strstr(path, "wader/"), text, n);
    CHECK(word > text);
}

// ---- refusals and failures

static void check_create(int32_t n_rows, enum status want, int want_code, const char *part) {
    struct matmul_rig rig;
    struct matmul *matmul;
    struct error error;
    int code = -1;
    rig_open_all(&rig);
    CHECK_INT(matmul_create(rig.context, &rig_kinds[7], n_rows, &matmul, &code, &error), want);
    CHECK_INT(code, want_code);
    if (part != NULL) CHECK_CONTAINS(error.text, part);
    matmul_destroy(matmul);
    rig_close_all(&rig);
}

static void picky(void) {
    check_create(64, STATUS_OK, 0, NULL);
    check_create(1, STATUS_OK, 0, NULL);
}

static void old_device(void) {
    check_create(64, STATUS_MODEL, 0, "CUBLAS_STATUS_ARCH_MISMATCH");
}

// Opens and makes all; a failure has the code that the environment asks for. Exits with FAILED.
static void prepare_all(void) {
    const int want = atoi(getenv("TEST_CODE"));
    const struct cuda_device device = rig_device(0);
    struct matmul_choices *choices;
    struct matmul_context *context;
    struct matmul *matmuls[RIG_KINDS] = {NULL};
    struct error error;
    int code = 0;
    must(matmul_choices_open(&device, &choices, &error), &error);
    enum status status = matmul_open(&device, choices, &context, &code, &error);
    for (int k = 0; k < RIG_KINDS && status == STATUS_OK; k++) {
        status = matmul_create(context, &rig_kinds[k], 9, &matmuls[k], &code, &error);
    }
    CHECK_INT(status, status == STATUS_OK ? STATUS_OK : STATUS_MODEL);
    CHECK_INT(code, status == STATUS_OK ? 0 : want);
    for (int k = 0; k < RIG_KINDS; k++) matmul_destroy(matmuls[k]);
    matmul_close(context);
    matmul_choices_close(choices);
    if (check_failures == 0 && status != STATUS_OK) exit(FAILED);
}

// ---- the program

// The n-th call fails, for every n: until many calls in a row are beyond the last.
static void sweep(const char *kind, int injected, int want) {
    int n_failed = 0, n_clean = 0;
    for (int n = 1; n_clean < 8; n++) {
        char environment[256];
        snprintf(environment, sizeof environment, "STANDIN_FAIL=%s:%d:%d TEST_CODE=%d", kind, n,
                 injected, want);
        const int status = rig_part(prepare_all, environment);
        if (status != FAILED) CHECK_INT(status, 0);
        n_failed += status == FAILED;
        n_clean = status == FAILED ? 0 : n_clean + 1;
    }
    printf("%d calls of kind %s failed\n", n_failed, kind);
    CHECK(n_failed > 0);
}

int main(int argc, char **argv) {
    rig_random.state = argc > 1 ? strtoull(argv[1], NULL, 0) : (unsigned long long)time(NULL);
    printf("seed %llu\n", rig_random.state);
    char sub[TEMP_PATH_MAX];
    temp_dir_make(cache_dir);
    setenv("XDG_CACHE_HOME", cache_dir, 1);
    RIG_PART(no_library, "");
    RIG_PART(refused, "STANDIN_LT_OFFER=bad");
    RIG_PART(served, "");
    RIG_PART(served, "STANDIN_LT_OFFER=bad");  // from the disk
    RIG_PART(refused, "STANDIN_LT_OFFER=bad STANDIN_LT_VERSION=130200");
    RIG_PART(damage, "");
    RIG_PART(refused, "STANDIN_LT_OFFER=bad");
    RIG_PART(served, "");
    RIG_PART(foreign_choices, "");
    path_join(sub, sizeof sub, cache_dir, "wader", NULL);
    temp_dir_remove(sub);
    RIG_PART(many_shapes, "");
    RIG_PART(picky, "STANDIN_LT_PICKY=1");
    RIG_PART(old_device, "STANDIN_CC=7.5");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    sweep("choose", INTERNAL_ERROR, MATMUL_CODE + INTERNAL_ERROR);
    sweep("device", 46, 46);
    temp_dir_remove(sub);
    temp_dir_remove(cache_dir);
    return check_result();
}
