// SPDX-License-Identifier: Apache-2.0
//
// 128 bits that stand for a text, by SipHash-2-4 (Aumasson and Bernstein, 2012) under a key. With a
// key that nobody knows beforehand, nobody can write texts that share one.
#ifndef WADER_HOST_JOB_FINGERPRINT_H
#define WADER_HOST_JOB_FINGERPRINT_H

#include "host/base/base.h"

struct fingerprint_key {
    uint64_t words[2];
};

struct fingerprint {
    uint64_t low, high;
};

// A key from the system's random numbers. STATUS_IO where it has none to give.
enum status fingerprint_key_make(struct fingerprint_key *key, struct error *error);

struct fingerprint fingerprint_of(const struct fingerprint_key *key, struct span text);

#endif
