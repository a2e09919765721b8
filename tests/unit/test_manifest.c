// SPDX-License-Identifier: Apache-2.0
//
// Manifests: what is a path, what is not, and where it stood.
#include "host/job/manifest.h"

#include <stdlib.h>
#include <string.h>

#include "tests/check.h"

// That `text` [len] lists `want`, each written "number:path", parted by |.
static void check_bytes(const char *text, size_t len, const char *want) {
    char got[1000] = "";
    size_t n = 0;
    char *copy = malloc(len > 0 ? len : 1);  // so that a sanitizer sees a step beyond its end
    if (len > 0) memcpy(copy, text, len);
    struct manifest_walk walk = manifest_walk((struct span){copy, len}, "m");
    for (bool more = true; more;) {
        struct error error = {""};
        CHECK_INT(manifest_next(&walk, &more, &error), STATUS_OK);
        if (!more) break;
        n += (size_t)snprintf(got + n, sizeof got - n, "%s%zu:%.*s", n > 0 ? "|" : "", walk.number,
                              (int)walk.path.len, walk.path.ptr);
    }
    CHECK_STR(got, want);
    free(copy);
}

#define CHECK_LIST(text, want) check_bytes(text, sizeof(text) - 1, want)

static void check_refused(const char *text, size_t len, const char *part) {
    struct manifest_walk walk = manifest_walk((struct span){text, len}, "the manifest");
    struct error error = {""};
    enum status status = STATUS_OK;
    for (bool more = true; more && status == STATUS_OK;) {
        status = manifest_next(&walk, &more, &error);
    }
    CHECK_INT(status, STATUS_INPUT);
    CHECK_CONTAINS(error.text, part);
}

int main(void) {
    CHECK_LIST("", "");
    CHECK_LIST("\n", "");
    CHECK_LIST("a", "1:a");
    CHECK_LIST("a\nb\n", "1:a|2:b");
    CHECK_LIST("a\r\nb\r", "1:a|2:b");
    CHECK_LIST(
        "\xEF\xBB\xBF"
        "a\nb",
        "1:a|2:b");
    CHECK_LIST("\xEF\xBB", "1:\xEF\xBB");
    CHECK_LIST("\xEF\xBB\xBF", "");
    CHECK_LIST("# all of them\n\n  \t\na b.jsonl\n#x\n ./#x\n  two \n\xff\xfe\n",
               "4:a b.jsonl|6: ./#x|7:  two |8:\xff\xfe");
    CHECK_LIST("\r\n#\r\n", "");
    // With NULs nothing else is special.
    CHECK_LIST("a\0", "1:a");
    CHECK_LIST("a\0b", "1:a|2:b");
    CHECK_LIST("a\nb\0# c\0 \0d\r\0", "1:a\nb|2:# c|3: |4:d\r");
    CHECK_LIST(
        "\xEF\xBB\xBF"
        "a\0",
        "1:a");
    check_refused("a\0\0b", 4, "the manifest: entry 2 is empty");
    check_refused("\0", 1, "entry 1 is empty");

    char *line = malloc(3 * PATH_NBYTES_MAX);
    memset(line, 'x', 3 * PATH_NBYTES_MAX);
    line[0] = '\n';
    check_refused(line, PATH_NBYTES_MAX + 1, "line 2 has 4096 bytes");
    struct manifest_walk walk = manifest_walk((struct span){line, PATH_NBYTES_MAX}, "m");
    bool more;
    CHECK_INT(manifest_next(&walk, &more, NULL), STATUS_OK);
    CHECK(more && walk.path.len == PATH_NBYTES_MAX - 1);
    free(line);
    return check_result();
}
