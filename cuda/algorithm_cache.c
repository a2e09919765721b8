// SPDX-License-Identifier: Apache-2.0
#include "cuda/algorithm_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[] = "wader algorithms 1\n";
static const char *const dtype_names[] = {
    [DTYPE_F32] = "f32", [DTYPE_F16] = "f16", [DTYPE_BF16] = "bf16", [DTYPE_E4M3] = "e4m3"};
static const char *const epilogue_names[] = {
    [MATMUL_PLAIN] = "plain", [MATMUL_BIAS] = "bias", [MATMUL_BIAS_GELU] = "bias_gelu"};

// Two numbers of 10 digits, three names, 8 words of 17 characters: less than 256 bytes a line.
enum { FILE_NBYTES_MAX = 1024 + 256 * ALGORITHMS_MAX };

// FNV-1a, going on from `hash`.
static const uint64_t fnv_begin = 0xcbf29ce484222325u;

static uint64_t fnv(uint64_t hash, const char *bytes, size_t nbytes) {
    for (size_t i = 0; i < nbytes; i++) hash = (hash ^ (uint8_t)bytes[i]) * 0x100000001b3u;
    return hash;
}

// ---- shapes

static bool shape_equal(const struct matmul_shape *a, const struct matmul_shape *b) {
    return a->n_out == b->n_out && a->n_in == b->n_in && a->dtype == b->dtype &&
           a->out_dtype == b->out_dtype && a->epilogue == b->epilogue;
}

// What matmul.h promises of a shape.
static bool shape_is_valid(const struct matmul_shape *shape) {
    if (shape->n_out <= 0 || shape->n_in <= 0 || shape->n_out % 8 != 0 || shape->n_in % 8 != 0) {
        return false;
    }
    if (shape->dtype == DTYPE_E4M3) {
        return shape->n_out % 16 == 0 && shape->n_in % 16 == 0 && shape->out_dtype == DTYPE_BF16 &&
               shape->epilogue == MATMUL_PLAIN;
    }
    return shape->out_dtype == shape->dtype ||
           (shape->out_dtype == DTYPE_F32 && shape->epilogue == MATMUL_PLAIN);
}

const uint64_t *algorithm_cache_find(const struct algorithm_cache *cache,
                                     const struct matmul_shape *shape) {
    for (int32_t i = 0; i < cache->n_algorithms; i++) {
        if (shape_equal(&cache->algorithms[i].shape, shape)) return cache->algorithms[i].words;
    }
    return NULL;
}

void algorithm_cache_put(struct algorithm_cache *cache, const struct matmul_shape *shape,
                         const uint64_t words[ALGORITHM_WORDS]) {
    int32_t i = 0;
    while (i < cache->n_algorithms && !shape_equal(&cache->algorithms[i].shape, shape)) i++;
    struct algorithm *algorithm = &cache->algorithms[i];
    if (i < cache->n_algorithms) {
        if (memcmp(algorithm->words, words, sizeof algorithm->words) == 0) return;
    } else if (cache->n_algorithms < ALGORITHMS_MAX) {
        cache->n_algorithms++;
    } else {
        return;
    }
    algorithm->shape = *shape;
    memcpy(algorithm->words, words, sizeof algorithm->words);
    cache->changed = true;
}

// ---- the text. A reader takes only what a writer writes, byte for byte.

static bool take(struct span *rest, const char *text, size_t len) {
    if (rest->len < len || memcmp(rest->ptr, text, len) != 0) return false;
    rest->ptr += len;
    rest->len -= len;
    return true;
}

// A positive int32_t without leading zeros.
static bool take_number(struct span *rest, int32_t *out) {
    int64_t number = 0;
    size_t n = 0;
    while (n < rest->len && rest->ptr[n] >= '0' && rest->ptr[n] <= '9') {
        if (n == 0 && rest->ptr[n] == '0') return false;
        number = number * 10 + (rest->ptr[n++] - '0');
        if (number > INT32_MAX) return false;
    }
    if (n == 0) return false;
    rest->ptr += n;
    rest->len -= n;
    *out = (int32_t)number;
    return true;
}

// One of `names` and the space behind it.
static bool take_name(struct span *rest, const char *const *names, int n_names, int *out) {
    for (int i = 0; i < n_names; i++) {
        const size_t len = strlen(names[i]);
        if (rest->len <= len || rest->ptr[len] != ' ' || !take(rest, names[i], len)) continue;
        *out = i;
        return take(rest, " ", 1);
    }
    return false;
}

static bool take_word(struct span *rest, uint64_t *out) {
    enum { N_DIGITS = 16 };
    if (rest->len < N_DIGITS) return false;
    uint64_t word = 0;
    for (int i = 0; i < N_DIGITS; i++) {
        const char c = rest->ptr[i];
        const int digit = c >= 'A' && c <= 'F' ? -1 : hex_digit(c);
        if (digit < 0) return false;
        word = word << 4 | (uint64_t)digit;
    }
    rest->ptr += N_DIGITS;
    rest->len -= N_DIGITS;
    *out = word;
    return true;
}

static bool take_algorithm(struct span *rest, struct algorithm *algorithm) {
    struct matmul_shape *shape = &algorithm->shape;
    int dtype, out_dtype, epilogue;
    if (!take_number(rest, &shape->n_out) || !take(rest, " ", 1) ||
        !take_number(rest, &shape->n_in) || !take(rest, " ", 1) ||
        !take_name(rest, dtype_names, ARRAY_LEN(dtype_names), &dtype) ||
        !take_name(rest, dtype_names, ARRAY_LEN(dtype_names), &out_dtype) ||
        !take_name(rest, epilogue_names, ARRAY_LEN(epilogue_names), &epilogue)) {
        return false;
    }
    shape->dtype = (enum dtype)dtype;
    shape->out_dtype = (enum dtype)out_dtype;
    shape->epilogue = (enum matmul_epilogue)epilogue;
    for (int i = 0; i < ALGORITHM_WORDS; i++) {
        if (!take(rest, " ", 1) || !take_word(rest, &algorithm->words[i])) return false;
    }
    return take(rest, "\n", 1) && shape_is_valid(shape);
}

// Takes the last line off `text`. False unless it is the sum of what is before it.
static bool take_sum(struct span *text) {
    enum { LINE_LEN = 4 + 16 + 1 };
    if (text->len < LINE_LEN) return false;
    text->len -= LINE_LEN;
    struct span line = {text->ptr + text->len, LINE_LEN};
    uint64_t sum;
    return take(&line, "sum ", 4) && take_word(&line, &sum) && take(&line, "\n", 1) &&
           sum == fnv(fnv_begin, text->ptr, text->len);
}

bool algorithm_cache_parse(const char *text, size_t nbytes, struct algorithm_cache *cache) {
    struct span rest = {text, nbytes};
    cache->n_algorithms = 0;
    cache->changed = false;
    if (!take_sum(&rest) || !take(&rest, magic, sizeof magic - 1) ||
        !take(&rest, cache->kind, strlen(cache->kind)) || !take(&rest, "\n", 1)) {
        return false;
    }
    int32_t n = 0;
    while (rest.len > 0) {
        struct algorithm algorithm;
        cache->n_algorithms = n;
        if (n == ALGORITHMS_MAX || !take_algorithm(&rest, &algorithm) ||
            algorithm_cache_find(cache, &algorithm.shape) != NULL) {
            cache->n_algorithms = 0;
            return false;
        }
        cache->algorithms[n++] = algorithm;
    }
    cache->n_algorithms = n;
    return true;
}

// ---- the file

// "BASE/wader" and the file in it, whose name is a hash of the kind: two kinds that share
// one evict each other, for the second line tells them apart. False when the environment names no
// place. `base` is the directory above.
struct place {
    char base[PATH_NBYTES_MAX], dir[PATH_NBYTES_MAX], path[PATH_NBYTES_MAX];
};

static bool find_place(const char *kind, struct place *place) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache != NULL && cache[0] == '/') {  // a relative one is to be ignored
        if ((size_t)snprintf(place->base, sizeof place->base, "%s", cache) >= sizeof place->base) {
            return false;
        }
    } else if (home == NULL || home[0] != '/' ||
               path_join(place->base, sizeof place->base, home, ".cache", NULL) != STATUS_OK) {
        return false;
    }
    const uint64_t hash = fnv(fnv_begin, kind, strlen(kind));
    char name[48];
    snprintf(name, sizeof name, "algorithms-%016" PRIx64 ".txt", hash);
    return path_join(place->dir, sizeof place->dir, place->base, "wader", NULL) == STATUS_OK &&
           path_join(place->path, sizeof place->path, place->dir, name, NULL) == STATUS_OK;
}

// The bytes of a regular file, at most `cap`, or -1. O_NONBLOCK: a pipe of that name would wait.
static ssize_t read_file(const char *path, char *bytes, size_t cap) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return -1;
    struct stat info;
    size_t n = 0;
    ssize_t got = fstat(fd, &info) == 0 && S_ISREG(info.st_mode) ? 1 : -1;
    while (got > 0 && n < cap) {
        got = read(fd, bytes + n, cap - n);
        if (got > 0) n += (size_t)got;
        if (got < 0 && errno == EINTR) got = 1;
    }
    close(fd);
    return got < 0 ? -1 : (ssize_t)n;
}

void algorithm_cache_read(const char *kind, struct algorithm_cache *cache) {
    memset(cache, 0, sizeof *cache);
    snprintf(cache->kind, sizeof cache->kind, "%s", kind);
    struct place place;
    char text[FILE_NBYTES_MAX + 1];  // one more shows a file that is too long
    if (!find_place(cache->kind, &place)) return;
    const ssize_t n = read_file(place.path, text, sizeof text);
    if (n >= 0 && n <= FILE_NBYTES_MAX) (void)algorithm_cache_parse(text, (size_t)n, cache);
}

struct printer {
    FILE *file;
    uint64_t sum;  // of what was printed
};

__attribute__((format(printf, 2, 3))) static void print(struct printer *printer, const char *format,
                                                        ...) {
    char text[1024];  // longer than any line
    va_list arguments;
    va_start(arguments, format);
    const int len = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    printer->sum = fnv(printer->sum, text, (size_t)len);
    fwrite(text, 1, (size_t)len, printer->file);
}

static void print_algorithm(struct printer *printer, const struct algorithm *algorithm) {
    const struct matmul_shape *shape = &algorithm->shape;
    print(printer, "%" PRId32 " %" PRId32 " %s %s %s ", shape->n_out, shape->n_in,
          dtype_names[shape->dtype], dtype_names[shape->out_dtype],
          epilogue_names[shape->epilogue]);
    for (int i = 0; i < ALGORITHM_WORDS; i++) print(printer, " %016" PRIx64, algorithm->words[i]);
    print(printer, "\n");
}

// A power cut may leave a file of other bytes, which its sum shows: nothing is synced.
static bool print_cache(int fd, const struct algorithm_cache *cache) {
    FILE *file = fdopen(fd, "w");
    if (file == NULL) {
        close(fd);
        return false;
    }
    struct printer printer = {file, fnv_begin};
    print(&printer, "%s%s\n", magic, cache->kind);
    for (int32_t i = 0; i < cache->n_algorithms; i++) {
        print_algorithm(&printer, &cache->algorithms[i]);
    }
    print(&printer, "sum %016" PRIx64 "\n", printer.sum);
    const bool is_good = ferror(file) == 0;
    return fclose(file) == 0 && is_good;
}

bool algorithm_cache_write(const struct algorithm_cache *cache) {
    if (!cache->changed) return true;
    struct place place;
    char temporary[PATH_NBYTES_MAX];
    if (!find_place(cache->kind, &place)) return false;
    const int len = snprintf(temporary, sizeof temporary, "%s.XXXXXX", place.path);
    if (len < 0 || (size_t)len >= sizeof temporary) return false;
    // 0700 as the XDG base directory specification has it. Those that are there are fine; any other
    // failure shows in the next step.
    (void)mkdir(place.base, 0700);
    (void)mkdir(place.dir, 0700);
    const int fd = mkstemp(temporary);
    if (fd < 0) return false;
    if (print_cache(fd, cache) && rename(temporary, place.path) == 0) return true;
    (void)unlink(temporary);
    return false;
}
