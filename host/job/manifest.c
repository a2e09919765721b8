// SPDX-License-Identifier: Apache-2.0
#include "host/job/manifest.h"

#include <string.h>

struct manifest_walk manifest_walk(struct span text, const char *name) {
    static const char mark[] = "\xEF\xBB\xBF";
    struct manifest_walk walk = {.name = name};
    if (text.len == 0) return walk;
    walk.is_nul = memchr(text.ptr, '\0', text.len) != NULL;
    const bool marked = text.len >= 3 && memcmp(text.ptr, mark, 3) == 0;
    walk.at = text.ptr + (marked ? 3 : 0);
    walk.end = text.ptr + text.len;
    return walk;
}

// Takes the bytes up to the next `stop`, or up to the end.
static struct span take(struct manifest_walk *walk, char stop) {
    const size_t rest = (size_t)(walk->end - walk->at);
    const char *found = memchr(walk->at, stop, rest);
    const struct span entry = {walk->at, found != NULL ? (size_t)(found - walk->at) : rest};
    walk->at = found != NULL ? found + 1 : walk->end;
    walk->number++;
    return entry;
}

static bool is_blank(struct span line) {
    for (size_t i = 0; i < line.len; i++) {
        if (line.ptr[i] != ' ' && line.ptr[i] != '\t') return false;
    }
    return true;
}

// The next line that is neither blank nor a comment; false at the end.
static bool next_line(struct manifest_walk *walk) {
    while (walk->at < walk->end) {
        struct span line = take(walk, '\n');
        if (line.len > 0 && line.ptr[line.len - 1] == '\r') line.len--;
        if (is_blank(line) || line.ptr[0] == '#') continue;
        walk->path = line;
        return true;
    }
    return false;
}

enum status manifest_next(struct manifest_walk *walk, bool *more, struct error *error) {
    *more = false;
    if (walk->at == walk->end) return STATUS_OK;
    if (!walk->is_nul) {
        if (!next_line(walk)) return STATUS_OK;
    } else {
        walk->path = take(walk, '\0');
        if (walk->path.len == 0) {
            return error_set(error, STATUS_INPUT,
                             "%s: entry %zu is empty: two NULs, one behind the other", walk->name,
                             walk->number);
        }
    }
    if (walk->path.len >= PATH_NBYTES_MAX) {
        return error_set(error, STATUS_INPUT,
                         "%s: %s %zu has %zu bytes; a path has %d at most: is this a manifest?",
                         walk->name, walk->is_nul ? "entry" : "line", walk->number, walk->path.len,
                         PATH_NBYTES_MAX - 1);
    }
    *more = true;
    return STATUS_OK;
}
