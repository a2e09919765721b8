// SPDX-License-Identifier: Apache-2.0
//
// SHA-256 (FIPS 180-4) through OpenSSL's libcrypto, which uses the processor's own instructions.
// It names inputs, outputs and models in commit records.
#ifndef WADER_HOST_BASE_SHA256_H
#define WADER_HOST_BASE_SHA256_H

#include "host/base/base.h"

enum { SHA256_HEX_LEN = 64, SHA256_NBYTES = 32 };

struct sha256;  // used by one thread at a time

// STATUS_IO when libcrypto has no SHA-256 to give or memory is short. sha256_destroy releases it.
enum status sha256_create(struct sha256 **out, struct error *error);
void sha256_destroy(struct sha256 *hash);  // NULL is fine
void sha256_update(struct sha256 *hash, const void *bytes, size_t nbytes);

// Where a hash stands, to go on from in another process: sha256_restore makes `hash`, a fresh one,
// what the saved one was. Plain numbers, of any value; only `nbytes % 64` bytes are pending.
struct sha256_state {
    uint32_t words[8];
    uint64_t nbytes;
    unsigned char pending[64];
};
void sha256_save(const struct sha256 *hash, struct sha256_state *state);
void sha256_restore(struct sha256 *hash, const struct sha256_state *state);

// The digest of all that was fed, in lower-case hex with a NUL. Ends the hash: destroy it next.
// STATUS_IO, and an empty string, where libcrypto failed on the way.
enum status sha256_finish(struct sha256 *hash, char hex[SHA256_HEX_LEN + 1], struct error *error);

// The same for bytes that are there at once.
enum status sha256_of(const void *bytes, size_t nbytes, char hex[SHA256_HEX_LEN + 1],
                      struct error *error);

// The same as bytes, without memory of its own: for many short texts. False where libcrypto failed.
bool sha256_bytes(const void *bytes, size_t nbytes, unsigned char digest[SHA256_NBYTES]);

// The same for a whole file, read in pieces. STATUS_IO when it cannot be read. `stop`, unless NULL,
// is asked before each piece: where it says so, STATUS_AGAIN.
enum status sha256_file(const char *path, bool (*stop)(void), char hex[SHA256_HEX_LEN + 1],
                        struct error *error);

#endif
