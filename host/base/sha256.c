// SPDX-License-Identifier: Apache-2.0
#include "host/base/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sha256 {
    EVP_MD_CTX *context;
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
    hash->context = EVP_MD_CTX_new();
    if (hash->context == NULL || EVP_DigestInit_ex(hash->context, EVP_sha256(), NULL) != 1) {
        sha256_destroy(hash);
        return no_digest(error);
    }
    *out = hash;
    return STATUS_OK;
}

void sha256_destroy(struct sha256 *hash) {
    if (hash == NULL) return;
    EVP_MD_CTX_free(hash->context);
    free(hash);
}

void sha256_update(struct sha256 *hash, const void *bytes, size_t nbytes) {
    if (EVP_DigestUpdate(hash->context, bytes, nbytes) != 1) hash->failed = true;
}

enum status sha256_finish(struct sha256 *hash, char hex[SHA256_HEX_LEN + 1], struct error *error) {
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    hex[0] = '\0';
    if (hash->failed || EVP_DigestFinal_ex(hash->context, digest, &n) != 1) return no_digest(error);
    for (unsigned int i = 0; i < n; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[2 * n] = '\0';
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
