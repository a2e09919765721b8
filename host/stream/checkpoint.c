// SPDX-License-Identifier: Apache-2.0
#include "host/stream/checkpoint.h"

uint64_t totals_bad(const struct totals *totals) {
    uint64_t bad = 0;
    for (int s = 0; s < RECORD_STATUS_COUNT; s++) {
        if (record_is_bad((enum record_status)s)) bad += totals->by_status[s];
    }
    return bad;
}

uint64_t totals_encoded(const struct totals *totals) {
    const uint64_t computed =
        totals->records - totals_bad(totals) + totals->by_status[RECORD_NONFINITE];
    return computed - totals->reuse.reused - totals->reuse.shared;
}

void totals_add(struct totals *sum, const struct totals *more) {
    sum->read += more->read;
    sum->records += more->records;
    for (int s = 0; s < RECORD_STATUS_COUNT; s++) sum->by_status[s] += more->by_status[s];
    sum->ill_formed_utf8 += more->ill_formed_utf8;
    sum->tokens += more->tokens;
    sum->reuse.reused += more->reuse.reused;
    sum->reuse.shared += more->reuse.shared;
    sum->reuse.changed += more->reuse.changed;
    sum->reuse.known += more->reuse.known;
    sum->unknown_tokens += more->unknown_tokens;
    sum->audit.rows += more->audit.rows;
    if (more->audit.apart > sum->audit.apart) sum->audit.apart = more->audit.apart;
    sum->seconds.read += more->seconds.read;
    sum->seconds.tokenize += more->seconds.tokenize;
    sum->seconds.encode += more->seconds.encode;
    sum->seconds.write += more->seconds.write;
}

void totals_since(struct totals *totals, const struct totals *before) {
    totals->read -= before->read;
    totals->records -= before->records;
    for (int s = 0; s < RECORD_STATUS_COUNT; s++) totals->by_status[s] -= before->by_status[s];
    totals->ill_formed_utf8 -= before->ill_formed_utf8;
    totals->tokens -= before->tokens;
    totals->reuse.reused -= before->reuse.reused;
    totals->reuse.shared -= before->reuse.shared;
    totals->reuse.changed -= before->reuse.changed;
    totals->reuse.known -= before->reuse.known;
    totals->unknown_tokens -= before->unknown_tokens;
}
