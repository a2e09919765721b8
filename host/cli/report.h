// SPDX-License-Identifier: Apache-2.0
//
// What wader says: all of it on stderr, so that stdout is data alone.
#ifndef WADER_HOST_CLI_REPORT_H
#define WADER_HOST_CLI_REPORT_H

#include "host/base/base.h"
#include "host/cli/options.h"
#include "host/stream/pipeline.h"

// "wader: ...", "wader: warning: ...", "wader: error: ...", each a line of its own. Any thread may
// call these.
void report_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void report_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void report_error(const struct error *error);

// The progress of one input. Rates and the time to go are of this input alone.
struct progress {
    enum progress_mode mode;  // resolved: never PROGRESS_AUTO
    double started, shown;    // now_seconds
};
void progress_start(struct progress *progress, enum progress_mode mode);
// Shows the figures if it is time to. `total_nbytes` is 0 where nobody knows.
void progress_show(struct progress *progress, const char *name, const struct totals *totals,
                   uint64_t total_nbytes);

// The same for work that is counted in bytes.
void progress_show_bytes(struct progress *progress, const char *name, uint64_t done_nbytes,
                         uint64_t total_nbytes);

// The closing summary. `workers`: what encoded, "8 threads". Its titles a second are all that went
// through the model, those that abstained among them.
void report_summary(const struct totals *totals, double seconds, const char *workers,
                    const char *where);

// 1234567 as 1,234,567 into `text` of 32 bytes; returns `text`.
const char *with_commas(uint64_t n, char text[32]);

#endif
