// SPDX-License-Identifier: Apache-2.0
#include "host/job/inputs.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/base/buffer.h"
#include "host/job/manifest.h"
#include "host/stream/input.h"

// How the names of catalogs end, plain; a .gz may follow.
static const char *const kinds[] = {".jsonl", ".tsv", ".txt"};

// Takes `suffix` off the end of `*name`; false where it is not there, or is all there is.
static bool cut_suffix(struct span *name, const char *suffix) {
    const size_t n = strlen(suffix);
    if (name->len <= n || !span_ends_in(*name, suffix)) return false;
    name->len -= n;
    return true;
}

static bool cut_kind(struct span *name) {
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (cut_suffix(name, kinds[i])) return true;
    }
    return false;
}

void inputs_cut_kind(struct span *name) {
    cut_suffix(name, ".gz");
    cut_kind(name);
}

bool inputs_is_own_output(const char *name) {
    struct span stem = span_text(name);
    if (span_ends_in(stem, ".meta.json")) return true;
    cut_suffix(&stem, ".gz");
    return span_ends_in(stem, ".labels.jsonl") || span_ends_in(stem, ".labels.tsv") ||
           span_ends_in(stem, ".rejects.jsonl");
}

// What a catalog directory holds besides its shards is not a catalog: hidden files, outputs of an
// earlier run, other kinds of file.
static bool is_catalog_name(const char *name) {
    struct span stem = span_text(name);
    if (name[0] == '.' || inputs_is_own_output(name)) return false;
    cut_suffix(&stem, ".gz");
    return cut_kind(&stem);
}

bool is_directory(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

// What cannot be looked at is an input that may not be left out in silence, nor may a link to what
// is not there: it fails when it is opened. A file that is gone by now is none.
static enum status check_regular(const char *path, bool *regular, struct error *error) {
    struct stat info;
    *regular = stat(path, &info) == 0;
    if (!*regular && errno != ENOENT) {
        return error_set(error, STATUS_INPUT, "%s: %s", path, strerror(errno));
    }
    *regular = *regular ? S_ISREG(info.st_mode)
                        : lstat(path, &info) == 0 && S_ISLNK(info.st_mode);
    return STATUS_OK;
}

static bool is_there(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

static enum status out_of_memory(struct error *error) {
    return error_set(error, STATUS_IO, "out of memory for the list of inputs");
}

// Takes `path`, which must have come from malloc; NULL is an allocation that failed.
static enum status add(struct inputs *inputs, char *path, struct error *error) {
    if (path == NULL) return out_of_memory(error);
    if (inputs->n == INPUTS_MAX) {
        free(path);
        return error_set(error, STATUS_INPUT, "more than %d inputs: label them in several runs",
                         (int)INPUTS_MAX);
    }
    if (inputs->n == inputs->cap) {
        const size_t cap = inputs->cap > 0 ? 2 * inputs->cap : 16;
        char **paths = realloc(inputs->paths, cap * sizeof *paths);
        if (paths == NULL) {
            free(path);
            return out_of_memory(error);
        }
        inputs->paths = paths;
        inputs->cap = cap;
    }
    inputs->paths[inputs->n++] = path;
    return STATUS_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// From the `first` one on. With none of them there is nothing to sort, and perhaps no array.
static void sort_from(struct inputs *inputs, size_t first) {
    if (inputs->n == first) return;
    qsort(inputs->paths + first, inputs->n - first, sizeof *inputs->paths, by_name);
}

// ---- a directory

// Adds dir/name where that is a regular file.
static enum status add_listed(struct inputs *inputs, const char *dir, const char *name,
                             struct error *error) {
    const size_t cap = strlen(dir) + strlen(name) + 2;
    char *path = malloc(cap);
    if (path == NULL) return out_of_memory(error);
    snprintf(path, cap, "%s/%s", dir, name);
    bool regular;
    enum status status = check_regular(path, &regular, error);
    if (status == STATUS_OK && regular) return add(inputs, path, error);
    free(path);
    return status;
}

// NULL and errno 0 at the end.
static struct dirent *next_entry(DIR *directory) {
    errno = 0;
    return readdir(directory);
}

static enum status add_directory(struct inputs *inputs, const char *path, struct error *error) {
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return error_set(error, STATUS_INPUT, "%s: %s", path, strerror(errno));
    }
    const size_t first = inputs->n;
    enum status status = STATUS_OK;
    for (struct dirent *entry; status == STATUS_OK && (entry = next_entry(directory)) != NULL;) {
        if (is_catalog_name(entry->d_name)) status = add_listed(inputs, path, entry->d_name, error);
    }
    if (status == STATUS_OK && errno != 0) {
        status = error_set(error, STATUS_INPUT, "%s: listing it: %s", path, strerror(errno));
    }
    closedir(directory);
    if (status == STATUS_OK && inputs->n == first) {
        status =
            error_set(error, STATUS_INPUT,
                      "%s: no .jsonl, .tsv or .txt file in this directory, plain or .gz", path);
    }
    if (status == STATUS_OK) sort_from(inputs, first);
    return status;
}

// ---- a pattern

// The same pattern finds the same inputs once outputs stand beside them, unless it asks for those.
static bool is_wanted(const char *pattern, const char *path) {
    const char *name = path_base(path);
    if (is_directory(path)) return false;
    return strcmp(name, "_SUCCESS") != 0 &&
           (!inputs_is_own_output(name) || strstr(path_base(pattern), ".labels.") != NULL);
}

static enum status add_pattern(struct inputs *inputs, const char *pattern, struct error *error) {
    glob_t found = {0};
    const size_t first = inputs->n;
    enum status status = STATUS_OK;
    const int result = glob(pattern, GLOB_ERR | GLOB_NOSORT, NULL, &found);
    if (result != 0 && result != GLOB_NOMATCH) {
        status = result == GLOB_NOSPACE ? out_of_memory(error)
                                        : error_set(error, STATUS_INPUT,
                                                    "%s: a directory of this pattern cannot be "
                                                    "read: %s",
                                                    pattern, strerror(errno));
    }
    for (size_t i = 0; result == 0 && status == STATUS_OK && i < found.gl_pathc; i++) {
        if (!is_wanted(pattern, found.gl_pathv[i])) continue;
        status = add(inputs, strdup(found.gl_pathv[i]), error);
    }
    globfree(&found);
    if (status == STATUS_OK && inputs->n == first) {
        status = error_set(error, STATUS_INPUT, "%s: no file matches this pattern", pattern);
    }
    if (status == STATUS_OK) sort_from(inputs, first);
    return status;
}

// ---- a manifest

// All of it, into `text`. What is no manifest at all must not fill the memory.
static enum status read_manifest(const char *path, struct buffer *text, struct error *error) {
    enum { AT_ONCE = 256 * 1024 };
    struct input *input;
    enum status status = input_open(path, &input, error);
    size_t n = 1;
    while (status == STATUS_OK && n > 0) {
        char *at = buffer_reserve(text, AT_ONCE);
        if (at == NULL) {
            status = out_of_memory(error);
            break;
        }
        status = input_read(input, at, AT_ONCE, &n, error);
        if (status == STATUS_OK) text->len += n;
        if (status == STATUS_OK && text->len > MANIFEST_NBYTES_MAX) {
            status = error_set(error, STATUS_INPUT,
                               "%s: a manifest has %d MiB at most: is this a list of paths?",
                               input_name(input), MANIFEST_NBYTES_MAX >> 20);
        }
    }
    input_close(input);
    return status;
}

static enum status check_entry(const struct manifest_walk *walk, const char *path,
                               struct error *error) {
    struct stat info;
    const char *what = NULL;
    if (stat(path, &info) != 0) {
        what = strerror(errno);
    } else if (S_ISDIR(info.st_mode)) {
        what = "is a directory; a manifest lists files";
    }
    if (what == NULL) return STATUS_OK;
    return error_set(error, STATUS_INPUT, "%s: %s %zu: %.500s: %s", walk->name,
                     walk->is_nul ? "entry" : "line", walk->number, path, what);
}

static enum status add_entry(struct inputs *inputs, const struct manifest_walk *walk,
                             struct span directory, bool must_exist, struct error *error) {
    const struct span path = walk->path;
    const size_t before = path.ptr[0] == '/' ? 0 : directory.len;
    char *input = malloc(before + path.len + 1);
    if (input == NULL) return out_of_memory(error);
    memcpy(input, directory.ptr, before);
    memcpy(input + before, path.ptr, path.len);
    input[before + path.len] = '\0';
    if (strcmp(input, "-") == 0) {
        free(input);
        return error_set(error, STATUS_INPUT,
                         "%s: %s %zu: a manifest cannot list stdin (-); a file of that name is ./-",
                         walk->name, walk->is_nul ? "entry" : "line", walk->number);
    }
    enum status status = must_exist ? check_entry(walk, input, error) : STATUS_OK;
    if (status != STATUS_OK) {
        free(input);
        return status;
    }
    return add(inputs, input, error);
}

static enum status add_manifest(struct inputs *inputs, const char *path, bool must_exist,
                                struct error *error) {
    const bool is_stdin = strcmp(path, "-") == 0;
    const size_t first = inputs->n;
    struct span directory = {path, is_stdin ? 0 : (size_t)(path_base(path) - path)};
    struct buffer text = {0};
    if (path[0] == '\0') {
        return error_set(error, STATUS_USAGE,
                         "@: give the manifest's name: @FILE, or @- for stdin");
    }
    enum status status = read_manifest(path, &text, error);
    struct manifest_walk walk =
        manifest_walk((struct span){text.bytes, text.len}, is_stdin ? "stdin" : path);
    for (bool more = true; status == STATUS_OK;) {
        status = manifest_next(&walk, &more, error);
        if (status != STATUS_OK || !more) break;
        status = add_entry(inputs, &walk, directory, must_exist, error);
    }
    buffer_free(&text);
    if (status == STATUS_OK && inputs->n == first) {
        status = error_set(error, STATUS_INPUT, "%s: this manifest lists no input", walk.name);
    }
    return status;
}

// ---- any word

enum status inputs_add(struct inputs *inputs, const char *word, bool must_exist,
                       struct error *error) {
    if (word[0] == '@') {
        inputs->is_list = true;
        return add_manifest(inputs, word + 1, must_exist, error);
    }
    if (is_directory(word)) {
        inputs->is_list = true;
        return add_directory(inputs, word, error);
    }
    if (strpbrk(word, "*?[") != NULL && !is_there(word)) {
        inputs->is_list = true;
        return add_pattern(inputs, word, error);
    }
    return add(inputs, strdup(word), error);
}

void inputs_free(struct inputs *inputs) {
    for (size_t i = 0; i < inputs->n; i++) free(inputs->paths[i]);
    free(inputs->paths);
    *inputs = (struct inputs){0};
}
