// SPDX-License-Identifier: Apache-2.0
//
// --audit: the second encoder, and the audit of one output.
#ifndef WADER_HOST_CLI_LABEL_AUDIT_H
#define WADER_HOST_CLI_LABEL_AUDIT_H

#include "host/cli/label_setup.h"

// Makes engine->reference where --audit asks for one. STATUS_IO or STATUS_USAGE where memory does
// not suffice for it.
enum status open_reference(const struct options *options, struct engine *engine,
                           struct error *error);

// The audit of one output; NULL without --audit. `formats` and `input`, its name, outlive it.
enum status open_audit(const struct options *options, const struct engine *engine,
                       const struct item_formats *formats, const char *input, struct audit **out,
                       struct error *error);

// Ends it; the figures are in `totals`. STATUS_MODEL: what the run made is not to be relied on;
// STATUS_AGAIN: a signal asked to stop.
enum status check_audit(struct audit *audit, struct totals *totals, struct error *error);

#endif
