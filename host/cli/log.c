// SPDX-License-Identifier: Apache-2.0
#include "host/cli/log.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/base/rfc3339.h"

enum { MESSAGE_NBYTES = 2048 };

static const char *const level_names[] = {"info", "warning", "error"};
static enum log_format chosen = LOG_TEXT;

void log_begin(enum log_format format) {
    chosen = format;
}

enum log_format log_format(void) {
    return chosen;
}

bool log_is_on_terminal(void) {
    return isatty(STDERR_FILENO) != 0;
}

// One call for a whole line: lines of several processes do not mix. There is nobody to tell where
// it fails.
static void put(const char *bytes, size_t n) {
    fwrite(bytes, 1, n, stderr);
}

// Names of files may hold anything: a message stays one line, and tells a terminal nothing else.
static void keep_to_a_line(char *message) {
    for (; *message != '\0'; message++) {
        if ((unsigned char)*message < ' ' || *message == 0x7f) *message = '?';
    }
}

// On a terminal the line may begin where a progress line stands.
static void put_text(enum log_level level, char *message) {
    keep_to_a_line(message);
    char line[MESSAGE_NBYTES + 64];
    const int n = snprintf(
        line, sizeof line, "%swader: %s%s%s\n", log_is_on_terminal() ? "\r\033[K" : "",
        level == LOG_INFO ? "" : level_names[level], level == LOG_INFO ? "" : ": ", message);
    put(line, (size_t)n);
}

static char *now_text(char text[RFC3339_NBYTES]) {
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    return rfc3339_milliseconds(now, text);
}

static void put_json(enum log_level level, const char *event, const struct buffer *members,
                     const char *message) {
    char time[RFC3339_NBYTES];
    struct buffer line = {0};
    buffer_add_format(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\",\"message\":",
                      now_text(time), level_names[level], event);
    buffer_add_json_string(&line, span_text(message));
    if (members != NULL && !members->failed) buffer_add(&line, members->bytes, members->len);
    buffer_add_text(&line, "}\n");
    if (line.failed) {
        log_from_handler(level, event, "out of memory for a message", 0);
    } else {
        put(line.bytes, line.len);
    }
    buffer_free(&line);
}

static void put_line(bool json, enum log_level level, const char *event,
                     const struct buffer *members, const char *format, va_list args) {
    char message[MESSAGE_NBYTES];
    vsnprintf(message, sizeof message, format, args);
    if (json) {
        put_json(level, event, members, message);
    } else {
        put_text(level, message);
    }
}

void log_line(enum log_level level, const char *event, const struct buffer *members,
              const char *format, ...) {
    va_list args;
    va_start(args, format);
    put_line(chosen == LOG_JSON, level, event, members, format, args);
    va_end(args);
}

void log_line_json(enum log_level level, const char *event, const struct buffer *members,
                   const char *format, ...) {
    va_list args;
    va_start(args, format);
    put_line(true, level, event, members, format, args);
    va_end(args);
}

void report_note(const char *format, ...) {
    va_list args;
    va_start(args, format);
    put_line(chosen == LOG_JSON, LOG_INFO, "note", NULL, format, args);
    va_end(args);
}

void report_warning(const char *format, ...) {
    va_list args;
    va_start(args, format);
    put_line(chosen == LOG_JSON, LOG_WARNING, "warning", NULL, format, args);
    va_end(args);
}

void report_error(const struct error *error, enum status status) {
    const struct error_place *place = &error->place;
    struct buffer members = {0};
    log_add_count(&members, "exit_code", (uint64_t)status);
    const size_t len = strlen(error->text);
    if (place->file_nbytes > 0) {  // a long name may have been cut
        log_add_text(
            &members, "file",
            (struct span){error->text, place->file_nbytes < len ? place->file_nbytes : len});
    }
    if (place->has_record) {
        log_add_count(&members, "record", place->record);
        log_add_count(&members, "byte", place->byte);
    }
    if (place->has_compressed) log_add_count(&members, "compressed_byte", place->compressed_byte);
    log_line(LOG_ERROR, "error", &members, "%s", error->text);
    buffer_free(&members);
}

void log_in_place(const char *format, ...) {
    char line[MESSAGE_NBYTES];
    va_list args;
    const size_t n = (size_t)snprintf(line, sizeof line, "\r\033[Kwader: ");
    va_start(args, format);
    vsnprintf(line + n, sizeof line - n, format, args);
    va_end(args);
    keep_to_a_line(line + n);
    put(line, strlen(line));
}

void log_add_text(struct buffer *members, const char *key, struct span value) {
    buffer_add_format(members, ",\"%s\":", key);
    buffer_add_json_string(members, value);
}

void log_add_count(struct buffer *members, const char *key, uint64_t value) {
    buffer_add_format(members, ",\"%s\":%llu", key, (unsigned long long)value);
}

void log_add_number(struct buffer *members, const char *key, double value) {
    if (isfinite(value)) {
        buffer_add_format(members, ",\"%s\":%.3f", key, value);
    } else {
        buffer_add_format(members, ",\"%s\":null", key);
    }
}

static char *append(char *at, const char *text) {
    const size_t n = strlen(text);
    memcpy(at, text, n);
    return at + n;
}

void log_from_handler(enum log_level level, const char *event, const char *message, int exit_code) {
    char line[640], time[RFC3339_NBYTES], *at = line;
    if (chosen == LOG_JSON) {
        at = append(append(at, "{\"time\":\""), now_text(time));
        at = append(append(at, "\",\"level\":\""), level_names[level]);
        at = append(append(at, "\",\"event\":\""), event);
        at = append(append(append(at, "\",\"message\":\""), message), "\"");
        if (exit_code != 0) {
            const char digits[] = {(char)('0' + exit_code / 100), (char)('0' + exit_code / 10 % 10),
                                   (char)('0' + exit_code % 10), '\0'};
            at = append(at, ",\"exit_code\":");
            at = append(at, digits + (exit_code >= 100 ? 0 : exit_code >= 10 ? 1 : 2));
        }
        at = append(at, "}\n");
    } else {
        at = append(at, "wader: ");
        if (level != LOG_INFO) at = append(append(at, level_names[level]), ": ");
        at = append(append(at, message), "\n");
    }
    if (write(STDERR_FILENO, line, (size_t)(at - line)) < 0) {
        // Nobody to tell: the exit code says it.
    }
}
