// SPDX-License-Identifier: Apache-2.0
#include "weights/labels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/utf8.h"
#include "weights/bert_config.h"
#include "weights/quote.h"

// Room for n names of `nbytes` characters altogether, their terminators not counted. `*bytes` is
// where the characters go.
static enum status labels_alloc(size_t n, size_t nbytes, struct labels *labels, char **bytes,
                                struct error *error) {
    void *block = NULL;
    enum status status =
        alloc_zeroed(&block, n * (sizeof(char *) + 1) + nbytes, 1, "label names", error);
    if (status != STATUS_OK) return status;
    *labels = (struct labels){.names = block, .n = n};
    *bytes = (char *)(labels->names + n);
    return STATUS_OK;
}

static enum status count_fits(size_t n, const char *path, struct error *error) {
    if (n <= LABELS_MAX) return STATUS_OK;
    return error_set(error, STATUS_MODEL, "%s: %zu labels; at most %d are supported", path, n,
                     LABELS_MAX);
}

// The class number that a key of id2label spells, or -1: digits without a needless 0.
static int64_t class_of_key(struct json_value key, size_t n) {
    char digits[16];
    if (key.raw.len - 2 >= sizeof digits) return -1;
    memcpy(digits, key.raw.ptr + 1, key.raw.len - 2);
    digits[key.raw.len - 2] = '\0';
    int64_t number = 0;
    for (const char *c = digits; *c != '\0'; c++) {
        if (*c < '0' || *c > '9') return -1;
        number = number * 10 + (*c - '0');
    }
    if (digits[0] == '\0' || (digits[0] == '0' && digits[1] != '\0')) return -1;
    return number < (int64_t)n ? number : -1;
}

// One member of id2label; `*bytes` moves on behind the name.
static enum status read_member(const struct json_walk *member, const char *path,
                               struct labels *labels, char **bytes, struct error *error) {
    int64_t class = class_of_key(member->key, labels->n);
    if (class < 0) {
        return error_set(error, STATUS_MODEL,
                         "%s: id2label has the key %s; with %zu labels its keys must be \"0\" to "
                         "\"%zu\"",
                         path, quote_json(member->key).text, labels->n, labels->n - 1);
    }
    if (labels->names[class] != NULL) {
        return error_set(error, STATUS_MODEL, "%s: id2label has the key %s twice", path,
                         quote_json(member->key).text);
    }
    size_t len = member->value.type == JSON_STRING ? json_string(member->value, *bytes) : 0;
    if (len == 0 || memchr(*bytes, '\0', len) != NULL) {
        return error_set(error, STATUS_MODEL,
                         "%s: id2label names class %lld %s; a name must be a string, not empty, "
                         "without \\u0000",
                         path, (long long)class, quote_json(member->value).text);
    }
    labels->names[class] = *bytes;
    *bytes += len + 1;
    return STATUS_OK;
}

enum status labels_from_config(struct json_value config, const char *path, struct labels *labels,
                               struct error *error) {
    *labels = (struct labels){0};
    struct json_value map;
    if (!json_member(config, "id2label", &map) || map.type == JSON_NULL) return STATUS_OK;
    if (map.type != JSON_OBJECT) {
        return error_set(error, STATUS_MODEL, "%s: id2label is %s; it must be an object", path,
                         json_type_name(map.type));
    }
    size_t n = 0, nbytes = 0;
    for (struct json_walk walk = json_walk(map); json_next(&walk); n++) {
        nbytes += walk.value.raw.len;
    }
    if (n == 0) return error_set(error, STATUS_MODEL, "%s: id2label is empty", path);
    enum status status = count_fits(n, path, error);
    if (status != STATUS_OK) return status;
    char *bytes;
    status = labels_alloc(n, nbytes, labels, &bytes, error);
    for (struct json_walk walk = json_walk(map); status == STATUS_OK && json_next(&walk);) {
        status = read_member(&walk, path, labels, &bytes, error);
    }
    if (status != STATUS_OK) {
        free(labels->names);
        *labels = (struct labels){0};
    }
    return status;
}

// Takes the next line off `*text`, without its end.
static struct span next_line(struct span *text) {
    const char *end = memchr(text->ptr, '\n', text->len);
    struct span line = {text->ptr, end != NULL ? (size_t)(end - text->ptr) : text->len};
    size_t taken = line.len + (end != NULL ? 1 : 0);
    text->ptr += taken;
    text->len -= taken;
    if (line.len > 0 && line.ptr[line.len - 1] == '\r') line.len--;
    return line;
}

static enum status check_line(struct span line, size_t number, const char *path,
                              struct error *error) {
    const char *wrong = NULL;
    if (line.len == 0) {
        wrong = "is empty: a name is missing";
    } else if (memchr(line.ptr, '\0', line.len) != NULL) {
        wrong = "has a NUL byte in it: this is no text file";
    } else if (utf8_check(line.ptr, line.len) != line.len) {
        wrong = "is not well-formed UTF-8";
    }
    if (wrong == NULL) return STATUS_OK;
    return error_set(error, STATUS_MODEL, "%s: line %zu %s", path, number, wrong);
}

enum status labels_from_lines(struct span text, const char *path, struct labels *labels,
                              struct error *error) {
    *labels = (struct labels){0};
    static const char mark[] = "\xEF\xBB\xBF";  // a byte order mark, which some editors put first
    if (text.len >= 3 && memcmp(text.ptr, mark, 3) == 0) {
        text.ptr += 3;
        text.len -= 3;
    }
    size_t n = 0;
    for (struct span rest = text; rest.len > 0;) {
        enum status status = check_line(next_line(&rest), ++n, path, error);
        if (status != STATUS_OK) return status;
    }
    if (n == 0) return error_set(error, STATUS_MODEL, "%s: no names in it, one a line", path);
    enum status status = count_fits(n, path, error);
    if (status != STATUS_OK) return status;
    char *bytes;
    status = labels_alloc(n, text.len, labels, &bytes, error);
    if (status != STATUS_OK) return status;
    for (size_t i = 0; i < n; i++) {
        struct span line = next_line(&text);
        labels->names[i] = memcpy(bytes, line.ptr, line.len);
        bytes += line.len + 1;
    }
    return STATUS_OK;
}

enum { NUMBERED_BYTES = sizeof "LABEL_65535" };
_Static_assert(LABELS_MAX - 1 <= 65535, "NUMBERED_BYTES holds the last class's name");

enum status labels_numbered(size_t n, struct labels *labels, struct error *error) {
    char *bytes;
    enum status status = labels_alloc(n, n * NUMBERED_BYTES, labels, &bytes, error);
    if (status != STATUS_OK) return status;
    for (size_t i = 0; i < n; i++) {
        snprintf(bytes, NUMBERED_BYTES, "LABEL_%u", (unsigned)i);
        labels->names[i] = bytes;
        bytes += NUMBERED_BYTES;
    }
    return STATUS_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

enum status labels_check_distinct(const struct labels *labels, const char *where,
                                  struct error *error) {
    void *memory;
    enum status status = alloc_array(&memory, labels->n, sizeof(char *), "label names", error);
    if (status != STATUS_OK) return status;
    char **sorted = memory;
    if (labels->n > 0) memcpy(sorted, labels->names, labels->n * sizeof *sorted);
    qsort(sorted, labels->n, sizeof *sorted, by_name);
    for (size_t i = 1; i < labels->n && status == STATUS_OK; i++) {
        if (strcmp(sorted[i - 1], sorted[i]) == 0) {
            status = error_set(error, STATUS_MODEL,
                               "%s: two labels are called %s; rows could not tell them apart",
                               where, quote(span_text(sorted[i])).text);
        }
    }
    free(sorted);
    return status;
}

bool labels_say_nothing(const struct labels *labels) {
    for (size_t i = 0; i < labels->n; i++) {
        char numbered[32];
        snprintf(numbered, sizeof numbered, "LABEL_%zu", i);
        if (strcmp(labels->names[i], numbered) != 0) return false;
    }
    return true;
}
