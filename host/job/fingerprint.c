// SPDX-License-Identifier: Apache-2.0
#include "host/job/fingerprint.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are read as they lie in memory");

enum status fingerprint_key_make(struct fingerprint_key *key, struct error *error) {
    if (getrandom(key, sizeof *key, 0) == (ssize_t)sizeof *key) return STATUS_OK;
    return error_set(error, STATUS_IO, "the system gave no random number: %s", strerror(errno));
}

static uint64_t rotate(uint64_t x, int bits) {
    return x << bits | x >> (64 - bits);
}

static void rounds(uint64_t v[4], int n) {
    for (int i = 0; i < n; i++) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] = rotate(v[0], 32) + v[3];
        v[2] += v[1];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] = rotate(v[2], 32);
    }
}

static void absorb(uint64_t v[4], uint64_t word) {
    v[3] ^= word;
    rounds(v, 2);
    v[0] ^= word;
}

struct fingerprint fingerprint_of(const struct fingerprint_key *key, struct span text) {
    const uint64_t k0 = key->words[0], k1 = key->words[1];
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d ^ 0xee,
                     k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573};
    uint64_t word;
    size_t at = 0;
    for (; text.len - at >= sizeof word; at += sizeof word) {
        memcpy(&word, text.ptr + at, sizeof word);
        absorb(v, word);
    }
    word = (uint64_t)text.len << 56;
    for (size_t i = at; i < text.len; i++) {
        word |= (uint64_t)(unsigned char)text.ptr[i] << (8 * (i - at));
    }
    absorb(v, word);
    v[2] ^= 0xee;
    rounds(v, 4);
    const uint64_t low = v[0] ^ v[1] ^ v[2] ^ v[3];
    v[1] ^= 0xdd;
    rounds(v, 4);
    return (struct fingerprint){low, v[0] ^ v[1] ^ v[2] ^ v[3]};
}
