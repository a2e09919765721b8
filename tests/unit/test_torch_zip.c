// SPDX-License-Identifier: Apache-2.0
//
// The zip archives of torch: their entries are found, whatever is spoiled is refused by name.
#include "weights/torch_zip.h"

#include "tests/check.h"
#include "tests/support/torch_bytes.h"

static const struct span no_name = {0};

// The archive of most tests.
static struct torch_zip_bytes make(enum torch_zip_end kind) {
    struct torch_zip_bytes zip = {0};
    torch_zip_put(&zip, "any name/data.pkl", "pickle", 6);
    torch_zip_put(&zip, "any name/byteorder", "little", 6);
    torch_zip_put(&zip, "any name/data/0", "0123456789", 10);
    torch_zip_put(&zip, "any name/data/10", "", 0);
    torch_zip_put(&zip, "any name/data/1", "abc", 3);
    torch_zip_put(&zip, "other", "x", 1);
    torch_zip_put_end(&zip, kind);
    return zip;
}

// Opens a copy of its own size, so that a sanitizer sees a read past its end.
static bool opens(const char *bytes, size_t n, struct error *error) {
    char *copy = malloc(n > 0 ? n : 1);
    memcpy(copy, bytes, n);
    struct torch_zip zip;
    error->text[0] = '\0';
    enum status status = torch_zip_open((struct span){copy, n}, "x.bin", &zip, error);
    CHECK(status == STATUS_OK || status == STATUS_MODEL);
    for (size_t i = 0; i < zip.n_entries; i++) {
        const struct torch_zip_entry *entry = &zip.entries[i];
        CHECK(entry->bytes.ptr >= copy && entry->bytes.ptr + entry->bytes.len <= copy + n);
        CHECK(torch_zip_find(&zip, "", entry->name) == entry);
        struct error ignored;
        (void)torch_zip_check(entry, "x.bin", &ignored);
    }
    if (status != STATUS_OK) CHECK(strncmp(error->text, "x.bin: ", 7) == 0);
    torch_zip_close(&zip);
    free(copy);
    return status == STATUS_OK;
}

static void good(void) {
    for (enum torch_zip_end kind = TORCH_ZIP_PLAIN; kind <= TORCH_ZIP_64_ENTRIES; kind++) {
        struct torch_zip_bytes zip = make(kind);
        const struct span file = {zip.file.bytes, zip.file.n};
        struct torch_zip opened;
        struct error error = {""};
        CHECK(torch_zip_is(file));
        CHECK_INT(torch_zip_open(file, "x.bin", &opened, &error), STATUS_OK);
        CHECK_STR(error.text, "");
        CHECK_INT(opened.n_entries, 5);
        const struct torch_zip_entry *entry = torch_zip_find(&opened, "data/", span_text("0"));
        CHECK(entry != NULL && span_equal(entry->bytes, "0123456789"));
        CHECK(entry != NULL && torch_zip_check(entry, "x.bin", &error) == STATUS_OK);
        entry = torch_zip_find(&opened, "data/", span_text("1"));
        CHECK(entry != NULL && span_equal(entry->bytes, "abc"));
        entry = torch_zip_find(&opened, "data/", span_text("10"));
        CHECK(entry != NULL && span_equal(entry->bytes, ""));
        CHECK(torch_zip_find(&opened, "data.pkl", no_name) != NULL);
        CHECK(torch_zip_find(&opened, "data", span_text(".pkl")) != NULL);
        CHECK(torch_zip_find(&opened, "data/", span_text("2")) == NULL);
        CHECK(torch_zip_find(&opened, "data/", no_name) == NULL);
        CHECK(torch_zip_find(&opened, "other", no_name) == NULL);
        CHECK(torch_zip_find(&opened, "", no_name) == NULL);
        torch_zip_close(&opened);
    }
    CHECK(!torch_zip_is(span_text("PK\3")) && !torch_zip_is(span_text("PK\5\6")));
}

static void every_length(void) {
    for (enum torch_zip_end kind = TORCH_ZIP_PLAIN; kind <= TORCH_ZIP_64_ENTRIES; kind++) {
        struct torch_zip_bytes zip = make(kind);
        struct error error;
        torch_put(&zip.file, "PK\5\6", 4);
        for (size_t n = 0; n <= zip.file.n; n++) {
            CHECK_INT(opens(zip.file.bytes, n, &error), n == zip.file.n - 4);
        }
    }
}

static void every_bit(void) {
    for (enum torch_zip_end kind = TORCH_ZIP_PLAIN; kind <= TORCH_ZIP_64_ENTRIES; kind++) {
        struct torch_zip_bytes zip = make(kind);
        struct error error;
        for (size_t i = 0; i < zip.file.n; i++) {
            for (int bit = 0; bit < 8; bit++) {
                zip.file.bytes[i] = (char)(zip.file.bytes[i] ^ 1 << bit);
                (void)opens(zip.file.bytes, zip.file.n, &error);
                zip.file.bytes[i] = (char)(zip.file.bytes[i] ^ 1 << bit);
            }
        }
    }
}

// One number of the archive changed, counted from the local header of entry 2 (data/0), from its
// entry of the directory, or from the end record.
static void spoiled(void) {
    enum place { LOCAL, CENTRAL, END, END64 };
    static const struct {
        enum torch_zip_end kind;
        enum place place;
        size_t at, nbytes;
        uint64_t value;
        const char *message;
    } cases[] = {
        {0, LOCAL, 0, 4, 0, "has no header"},
        {0, LOCAL, 26, 2, 14, "its header has another name"},
        {0, LOCAL, 26, 2, 65535, "outside the file"},
        {0, LOCAL, 28, 2, 65535, "outside the file"},
        {0, LOCAL, 30, 1, 'x', "its header has another name"},
        {0, CENTRAL, 0, 4, 0, "an entry that is none"},
        {0, CENTRAL, 8, 2, 0x801, "\"any name/data/0\" of the zip archive: it is encrypted"},
        {0, CENTRAL, 10, 2, 8, "\"any name/data/0\" of the zip archive: it is compressed"},
        {0, CENTRAL, 20, 4, 9, "not as long as it says"},
        {0, CENTRAL, 24, 4, 11, "not as long as it says"},
        {0, CENTRAL, 28, 2, 65535, "an entry that is none"},
        {0, CENTRAL, 30, 2, 65535, "an entry that is none"},
        {0, CENTRAL, 32, 2, 65535, "an entry that is none"},
        {0, CENTRAL, 32, 2, 1, "an entry that is none"},
        {0, CENTRAL, 42, 4, 0, "its header has another name"},
        {0, CENTRAL, 42, 4, UINT32_MAX, "outside the file"},
        {0, CENTRAL, 42, 4, 1 << 20, "outside the file"},
        {0, END, 0, 4, 0, "no end record"},
        {0, END, 4, 2, 1, "not the one of a whole archive"},
        {0, END, 10, 2, 5, "more than its entries"},
        {0, END, 10, 2, 7, "an entry that is none"},
        {0, END, 10, 2, 65535, "too few entries"},
        {0, END, 12, 4, 1, "not all there"},
        {0, END, 16, 4, 1, "not all there"},
        {0, END, 16, 4, UINT32_MAX, "not all there"},
        {0, END, 20, 2, 1, "not the one of a whole archive"},
        {TORCH_ZIP_64, END64, 0, 4, 0, "ZIP64 record is not where"},
        {TORCH_ZIP_64, END64, 32, 8, UINT64_MAX, "too few entries"},
        {TORCH_ZIP_64, END64, 40, 8, UINT64_MAX, "not all there"},
        {TORCH_ZIP_64, END64, 48, 8, UINT64_MAX, "not all there"},
        {TORCH_ZIP_64, END64, 48, 8, UINT64_MAX - 100, "not all there"},
        {TORCH_ZIP_64, END64, 64, 8, 0, "ZIP64 record is not where"},
        {TORCH_ZIP_64, END64, 56, 4, 0, "not all there"},
        {TORCH_ZIP_64_ENTRIES, CENTRAL, 46 + 15 + 2, 2, 50, "ZIP64 field is damaged"},
        {TORCH_ZIP_64_ENTRIES, CENTRAL, 46 + 15 + 7, 2, 8, "ZIP64 field is damaged"},
        {TORCH_ZIP_64_ENTRIES, CENTRAL, 46 + 15 + 9, 8, UINT64_MAX, "not as long as it says"},
        {TORCH_ZIP_64_ENTRIES, CENTRAL, 46 + 15 + 25, 8, UINT64_MAX - 20, "outside the file"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct torch_zip_bytes zip = make(cases[i].kind);
        const size_t begin[] = {zip.entries[2].local, zip.entries[2].central, zip.end,
                                zip.end - 20 - 56};
        struct error error;
        torch_patch(&zip.file, begin[cases[i].place] + cases[i].at, cases[i].value,
                    cases[i].nbytes);
        CHECK(!opens(zip.file.bytes, zip.file.n, &error));
        CHECK_CONTAINS(error.text, cases[i].message);
    }
    // Both sizes larger than what is left, and larger than the file.
    static const uint64_t sizes[] = {1 << 16, UINT64_MAX, UINT64_MAX - 200};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct torch_zip_bytes zip = make(TORCH_ZIP_64_ENTRIES);
        struct error error;
        torch_patch(&zip.file, zip.entries[2].central + 46 + 15 + 9, sizes[i], 8);
        torch_patch(&zip.file, zip.entries[2].central + 46 + 15 + 17, sizes[i], 8);
        CHECK(!opens(zip.file.bytes, zip.file.n, &error));
        CHECK_CONTAINS(error.text, "outside the file");
    }
}

// What a local header may say of its entry: nothing, the same, or that ZIP64 says it.
static void local_headers(void) {
    for (int kind = 0; kind < 3; kind++) {
        struct torch_zip_bytes zip = make(TORCH_ZIP_PLAIN);
        struct error error;
        for (size_t i = 0; i < zip.n_entries; i++) {
            const size_t local = zip.entries[i].local;
            const uint64_t size = kind == 1 ? zip.entries[i].nbytes : kind == 2 ? UINT32_MAX : 0;
            torch_patch(&zip.file, local + 14, kind > 0 ? zip.entries[i].crc : 0, 4);
            torch_patch(&zip.file, local + 18, size, 4);
            torch_patch(&zip.file, local + 22, size, 4);
        }
        CHECK(opens(zip.file.bytes, zip.file.n, &error));
    }
    // Encrypted, compressed, of another checksum, of other sizes.
    static const struct {
        size_t at, nbytes;
        uint64_t value;
    } wrong[] = {{6, 2, 0x809}, {8, 2, 8}, {14, 4, 1}, {18, 4, 9}, {22, 4, 11}};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct torch_zip_bytes zip = make(TORCH_ZIP_PLAIN);
        struct error error;
        torch_patch(&zip.file, zip.entries[2].local + wrong[i].at, wrong[i].value, wrong[i].nbytes);
        CHECK(!opens(zip.file.bytes, zip.file.n, &error));
        CHECK_CONTAINS(error.text, "\"any name/data/0\" of the zip archive: its header says");
    }
}

static void refused(struct torch_zip_bytes *zip, const char *message) {
    struct error error;
    torch_zip_put_end(zip, TORCH_ZIP_PLAIN);
    CHECK(!opens(zip->file.bytes, zip->file.n, &error));
    CHECK_CONTAINS(error.text, message);
}

static void folders(void) {
    struct torch_zip_bytes zip = {0};
    refused(&zip, "without a folder that has a data.pkl");
    zip = (struct torch_zip_bytes){0};
    torch_zip_put(&zip, "data.pkl", "x", 1);
    torch_zip_put(&zip, "a/b/data.pkl", "x", 1);
    torch_zip_put(&zip, "a/data.pkl2", "x", 1);
    torch_zip_put(&zip, "", "", 0);
    refused(&zip, "without a folder that has a data.pkl");
    zip = (struct torch_zip_bytes){0};
    torch_zip_put(&zip, "a/data.pkl", "x", 1);
    torch_zip_put(&zip, "b/data.pkl", "x", 1);
    refused(&zip, "another folder has a data.pkl too");
    zip = (struct torch_zip_bytes){0};
    torch_zip_put(&zip, "a/data.pkl", "x", 1);
    torch_zip_put(&zip, "a/data/0", "x", 1);
    torch_zip_put(&zip, "a/data/0", "y", 1);
    refused(&zip, "\"a/data/0\" of the zip archive: two have this name");
}

// Two entries of the directory for the same bytes; and one whose bytes lie in another's.
static void overlaps(void) {
    struct torch_zip_bytes zip = {0}, inner = {0};
    struct error error;
    torch_zip_put(&inner, "a/data/1", "y", 1);
    torch_zip_put(&zip, "a/data.pkl", "x", 1);
    torch_zip_put(&zip, "a/data/0", inner.file.bytes, inner.file.n);
    torch_zip_put(&zip, "a/data/1", "z", 1);
    torch_zip_put_end(&zip, TORCH_ZIP_PLAIN);
    CHECK(opens(zip.file.bytes, zip.file.n, &error));
    torch_patch(&zip.file, zip.entries[2].central + 42, zip.entries[1].begin, 4);
    CHECK(!opens(zip.file.bytes, zip.file.n, &error));
    CHECK_CONTAINS(error.text, "\"a/data/1\" of the zip archive: it overlaps");
}

static void checksums(void) {
    struct torch_zip_bytes zip = make(TORCH_ZIP_PLAIN);
    const struct span file = {zip.file.bytes, zip.file.n};
    struct torch_zip opened;
    struct error error = {""};
    zip.file.bytes[zip.entries[2].begin] ^= 1;
    CHECK_INT(torch_zip_open(file, "x.bin", &opened, &error), STATUS_OK);
    const struct torch_zip_entry *entry = torch_zip_find(&opened, "data/", span_text("0"));
    CHECK_INT(torch_zip_check(entry, "x.bin", &error), STATUS_MODEL);
    CHECK_CONTAINS(error.text, "x.bin: entry \"data/0\" of the zip archive: its checksum");
    torch_zip_close(&opened);
    torch_patch(&zip.file, zip.entries[2].central + 16, 0, 4);
    CHECK_INT(torch_zip_open(file, "x.bin", &opened, &error), STATUS_OK);
    entry = torch_zip_find(&opened, "data/", span_text("0"));
    CHECK_INT(torch_zip_check(entry, "x.bin", &error), STATUS_OK);
    torch_zip_close(&opened);
}

int main(void) {
    good();
    every_length();
    every_bit();
    spoiled();
    local_headers();
    folders();
    overlaps();
    checksums();
    return check_result();
}
