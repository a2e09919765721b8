// SPDX-License-Identifier: Apache-2.0
//
// The one place where stderr is written: notes, warnings, errors, progress and summary, as text or,
// with --log-format json, each as one JSON object on a line of its own.
//
// An object has at least
//   time       RFC 3339, UTC, with milliseconds
//   level      "info", "warning", "error"
//   event      "note", "warning", "error", "bad_record", "progress", "file", "summary", "stopped"
//   message    what the text would be, without "wader: " and the level
// and of errors exit_code; of errors and bad records, where it is known, file, record (from 1),
// byte (where the record begins, in plain bytes) and compressed_byte. The other events' own members
// are told in report.h. Members may be added; those there are stay what they are.
#ifndef WADER_HOST_CLI_LOG_H
#define WADER_HOST_CLI_LOG_H

#include "host/base/base.h"
#include "host/base/buffer.h"

// In the order of --log-format's words.
enum log_format { LOG_TEXT, LOG_JSON };
enum log_level { LOG_INFO, LOG_WARNING, LOG_ERROR };

// Before there is a second thread; text until then.
void log_begin(enum log_format format);
enum log_format log_format(void);
bool log_is_on_terminal(void);

// "wader: ...", "wader: warning: ...", "wader: error: ...", each a line of its own. Any thread may
// call these, and those below.
void report_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void report_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));

// `status` is what the program ends with, or would if there were no other input.
void report_error(const struct error *error, enum status status);

// A line of another kind. `members`, for JSON, are further members, each with a comma before it;
// NULL is none. Where memory for them was short they are left out.
void log_line(enum log_level level, const char *event, const struct buffer *members,
              const char *format, ...) __attribute__((format(printf, 4, 5)));

// The same, as JSON whatever the format.
void log_line_json(enum log_level level, const char *event, const struct buffer *members,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));

// Text in place of the line that the cursor is in; for terminals, and never in JSON.
void log_in_place(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Adds `,"key":value` to the members of a line.
void log_add_text(struct buffer *members, const char *key, struct span value);
void log_add_count(struct buffer *members, const char *key, uint64_t value);
void log_add_number(struct buffer *members, const char *key, double value);

// For signal handlers: nothing is allocated or locked. `message` has no character that JSON
// escapes, and 300 at most. An exit code of 0 is not told.
void log_from_handler(enum log_level level, const char *event, const char *message, int exit_code);

#endif
