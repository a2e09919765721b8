// SPDX-License-Identifier: Apache-2.0
#include "host/base/sha256.h"

#include <errno.h>
#include <fcntl.h>
// The calls that show their state are old ones, which libcrypto 3 warns of; EVP hides it.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sha256 {
    SHA256_CTX context;
    bool failed;  // libcrypto refused an update: sha256_finish will say so
};

static enum status no_digest(struct error *error) {
    return error_set(error, STATUS_IO, "libcrypto cannot compute SHA-256");
}

enum status sha256_create(struct sha256 **out, struct error *error) {
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "a hash", error);
    if (status != STATUS_OK) return status;
    struct sha256 *hash = memory;
    if (SHA256_Init(&hash->context) != 1) {
        sha256_destroy(hash);
        return no_digest(error);
    }
    *out = hash;
    return STATUS_OK;
}

void sha256_destroy(struct sha256 *hash) {
    free(hash);
}

void sha256_update(struct sha256 *hash, const void *bytes, size_t nbytes) {
    if (nbytes > 0 && SHA256_Update(&hash->context, bytes, nbytes) != 1) hash->failed = true;
}

void sha256_save(const struct sha256 *hash, struct sha256_state *state) {
    const SHA256_CTX *context = &hash->context;
    *state = (struct sha256_state){.nbytes = (uint64_t)context->Nh << 29 | context->Nl >> 3};
    for (int i = 0; i < 8; i++) state->words[i] = context->h[i];
    memcpy(state->pending, context->data, (size_t)(state->nbytes % SHA256_CBLOCK));
}

void sha256_restore(struct sha256 *hash, const struct sha256_state *state) {
    SHA256_CTX *context = &hash->context;
    for (int i = 0; i < 8; i++) context->h[i] = state->words[i];
    context->Nh = (SHA_LONG)(state->nbytes >> 29);
    context->Nl = (SHA_LONG)(state->nbytes << 3);
    context->num = (unsigned)(state->nbytes % SHA256_CBLOCK);
    memcpy(context->data, state->pending, context->num);
}

enum status sha256_finish(struct sha256 *hash, char hex[SHA256_HEX_LEN + 1], struct error *error) {
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[SHA256_DIGEST_LENGTH];
    hex[0] = '\0';
    if (hash->failed || SHA256_Final(digest, &hash->context) != 1) return no_digest(error);
    for (size_t i = 0; i < sizeof digest; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[SHA256_HEX_LEN] = '\0';
    return STATUS_OK;
}

enum status sha256_of(const void *bytes, size_t nbytes, char hex[SHA256_HEX_LEN + 1],
                      struct error *error) {
    struct sha256 *hash;
    enum status status = sha256_create(&hash, error);
    if (status != STATUS_OK) return status;
    sha256_update(hash, bytes, nbytes);
    status = sha256_finish(hash, hex, error);
    sha256_destroy(hash);
    return status;
}

bool sha256_bytes(const void *bytes, size_t nbytes, unsigned char digest[SHA256_NBYTES]) {
    SHA256_CTX context;
    return SHA256_Init(&context) == 1 &&
           (nbytes == 0 || SHA256_Update(&context, bytes, nbytes) == 1) &&
           SHA256_Final(digest, &context) == 1;
}

enum status sha256_file(const char *path, bool (*stop)(void), char hex[SHA256_HEX_LEN + 1],
                        struct error *error) {
    enum { PIECE_NBYTES = 1 << 18 };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return error_set(error, STATUS_IO, "%s: %s", path, strerror(errno));
    void *piece;
    struct sha256 *hash = NULL;
    enum status status = alloc_array(&piece, PIECE_NBYTES, 1, "hashing a file", error);
    if (status == STATUS_OK) status = sha256_create(&hash, error);
    for (ssize_t n = 1; status == STATUS_OK && n != 0;) {
        if (stop != NULL && stop()) {
            status = error_set(error, STATUS_AGAIN, "%s: stopped while reading it", path);
            break;
        }
        n = read(fd, piece, PIECE_NBYTES);
        if (n > 0) {
            sha256_update(hash, piece, (size_t)n);
        } else if (n < 0 && errno != EINTR) {
            status = error_set(error, STATUS_IO, "%s: reading: %s", path, strerror(errno));
        }
    }
    if (status == STATUS_OK) status = sha256_finish(hash, hex, error);
    sha256_destroy(hash);
    free(piece);
    close(fd);
    return status;
}
