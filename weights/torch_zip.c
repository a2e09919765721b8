// SPDX-License-Identifier: Apache-2.0
#include "weights/torch_zip.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "weights/model.h"
#include "weights/quote.h"

enum {
    LOCAL_NBYTES = 30,
    CENTRAL_NBYTES = 46,
    END_NBYTES = 22,
    END64_NBYTES = 56,
    LOCATOR_NBYTES = 20,
    ENCRYPTED = 1,  // a flag
    ZIP64_EXTRA = 1,
    CHECK_NBYTES = 8 << 20,
};

struct reading {
    struct span file;
    const char *path;
    struct error *error;
    size_t directory, directory_nbytes, n_entries;
};

// The little-endian number at `at`, which lies in the file.
static uint64_t number(const struct reading *reading, size_t at, size_t nbytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < nbytes; i++) {
        value |= (uint64_t)(unsigned char)reading->file.ptr[at + i] << 8 * i;
    }
    return value;
}

static bool is_at(const struct reading *reading, size_t at, const char *signature) {
    return at + 4 <= reading->file.len && memcmp(reading->file.ptr + at, signature, 4) == 0;
}

static enum status broken(const struct reading *reading, const char *what) {
    return error_set(reading->error, STATUS_MODEL,
                     "%s: as the zip archive that it begins as, %s: the file is damaged or cut "
                     "short",
                     reading->path, what);
}

bool torch_zip_is(struct span file) {
    return file.len >= 4 && memcmp(file.ptr, "PK\3\4", 4) == 0;
}

// Where the directory is, by the records that stand behind it.
static enum status find_directory(struct reading *reading) {
    const size_t len = reading->file.len;
    if (len < END_NBYTES || !is_at(reading, len - END_NBYTES, "PK\5\6")) {
        return broken(reading, "it has no end record");
    }
    size_t end = len - END_NBYTES;
    uint64_t n = number(reading, end + 10, 2), nbytes = number(reading, end + 12, 4);
    uint64_t at = number(reading, end + 16, 4);
    if (number(reading, end + 4, 4) != 0 || number(reading, end + 20, 2) != 0) {
        return broken(reading, "its end record is not the one of a whole archive");
    }
    if (end >= LOCATOR_NBYTES && is_at(reading, end - LOCATOR_NBYTES, "PK\6\7")) {
        size_t locator = end - LOCATOR_NBYTES;
        uint64_t end64 = number(reading, locator + 8, 8);
        if (locator < END64_NBYTES || end64 != locator - END64_NBYTES ||
            !is_at(reading, locator - END64_NBYTES, "PK\6\6")) {
            return broken(reading, "its ZIP64 record is not where it should be");
        }
        end = locator - END64_NBYTES;
        n = number(reading, end + 32, 8);
        nbytes = number(reading, end + 40, 8);
        at = number(reading, end + 48, 8);
    }
    if (at > end || nbytes != end - at) return broken(reading, "its directory is not all there");
    if (n > nbytes / CENTRAL_NBYTES) return broken(reading, "its directory has too few entries");
    reading->directory = (size_t)at;
    reading->directory_nbytes = (size_t)nbytes;
    reading->n_entries = (size_t)n;
    return STATUS_OK;
}

// Sizes and place of an entry; those of all bits set are in its ZIP64 field, in this order.
static bool read_sizes(const struct reading *reading, size_t at, struct span extra,
                       uint64_t sizes[3]) {
    sizes[0] = number(reading, at + 24, 4);  // uncompressed
    sizes[1] = number(reading, at + 20, 4);  // compressed
    sizes[2] = number(reading, at + 42, 4);  // the local header's place
    size_t field = (size_t)(extra.ptr - reading->file.ptr), end = field + extra.len;
    for (size_t nbytes; end - field >= 4; field += nbytes) {
        nbytes = 4 + (size_t)number(reading, field + 2, 2);
        if (nbytes > end - field) return false;
        if (number(reading, field, 2) != ZIP64_EXTRA) continue;
        size_t value = field + 4;
        for (size_t i = 0; i < 3; i++) {
            if (sizes[i] != UINT32_MAX) continue;
            if (value + 8 > field + nbytes) return false;
            sizes[i] = number(reading, value, 8);
            value += 8;
        }
        return true;
    }
    return true;
}

static enum status refuse_entry(const struct reading *reading, struct span name, const char *what) {
    return error_set(reading->error, STATUS_MODEL, "%s: entry %s of the zip archive: %s",
                     reading->path, quote(name).text, what);
}

// Whether the local header says what the directory does: who reads the file by the one sees what
// another sees by the other. Writers that knew a checksum and sizes only afterwards left 0 here, as
// torch does; ZIP64 has sizes elsewhere.
static bool agrees(const struct reading *reading, const struct torch_zip_entry *entry,
                   uint64_t nbytes) {
    const uint64_t crc = number(reading, entry->header + 14, 4);
    if ((number(reading, entry->header + 6, 2) & ENCRYPTED) != 0) return false;
    if (number(reading, entry->header + 8, 2) != 0) return false;  // compressed
    if (crc != 0 && crc != entry->crc) return false;
    for (size_t at = 18; at <= 22; at += 4) {
        const uint64_t size = number(reading, entry->header + at, 4);
        if (size != 0 && size != UINT32_MAX && size != nbytes) return false;
    }
    return true;
}

// The local header tells once more what the directory says, and where the bytes begin.
static const char *find_bytes(const struct reading *reading, struct torch_zip_entry *entry,
                              const uint64_t sizes[3]) {
    if (sizes[0] != sizes[1]) return "it is not as long as it says: the file is damaged";
    if (sizes[2] > reading->directory || reading->directory - sizes[2] < LOCAL_NBYTES) {
        return "it is outside the file, which is damaged";
    }
    entry->header = (size_t)sizes[2];
    if (!is_at(reading, entry->header, "PK\3\4")) return "it has no header: the file is damaged";
    const size_t name_nbytes = (size_t)number(reading, entry->header + 26, 2);
    const size_t extra_nbytes = (size_t)number(reading, entry->header + 28, 2);
    const size_t name = entry->header + LOCAL_NBYTES, begin = name + name_nbytes + extra_nbytes;
    if (begin > reading->directory || sizes[0] > reading->directory - begin) {
        return "it is outside the file, which is damaged";
    }
    if (name_nbytes != entry->name.len ||
        memcmp(reading->file.ptr + name, entry->name.ptr, name_nbytes) != 0) {
        return "its header has another name: the file is damaged";
    }
    if (!agrees(reading, entry, sizes[0])) {
        return "its header says otherwise than the directory: the file is damaged";
    }
    entry->bytes = (struct span){reading->file.ptr + begin, (size_t)sizes[0]};
    return NULL;
}

// Reads the entry of the directory at `*at`, and goes to the next.
static enum status read_entry(const struct reading *reading, size_t *at,
                              struct torch_zip_entry *entry) {
    const size_t end = reading->directory + reading->directory_nbytes, begin = *at;
    if (end - begin < CENTRAL_NBYTES || !is_at(reading, begin, "PK\1\2")) {
        return broken(reading, "its directory has an entry that is none");
    }
    const size_t name_nbytes = (size_t)number(reading, begin + 28, 2);
    const size_t extra_nbytes = (size_t)number(reading, begin + 30, 2);
    const size_t nbytes =
        CENTRAL_NBYTES + name_nbytes + extra_nbytes + (size_t)number(reading, begin + 32, 2);
    if (nbytes > end - begin) return broken(reading, "its directory has an entry that is none");
    *at = begin + nbytes;
    const char *name = reading->file.ptr + begin + CENTRAL_NBYTES;
    *entry = (struct torch_zip_entry){.name = {name, name_nbytes}};
    entry->crc = (uint32_t)number(reading, begin + 16, 4);
    if ((number(reading, begin + 8, 2) & ENCRYPTED) != 0) {
        return refuse_entry(reading, entry->name, "it is encrypted, which torch does not do");
    }
    if (number(reading, begin + 10, 2) != 0) {
        return refuse_entry(reading, entry->name,
                            "it is compressed, which torch does not do: load the file in Python "
                            "and save it anew");
    }
    uint64_t sizes[3];
    struct span extra = {name + name_nbytes, extra_nbytes};
    if (!read_sizes(reading, begin, extra, sizes)) {
        return refuse_entry(reading, entry->name, "its ZIP64 field is damaged");
    }
    const char *wrong = find_bytes(reading, entry, sizes);
    return wrong == NULL ? STATUS_OK : refuse_entry(reading, entry->name, wrong);
}

static int compare_places(const void *a, const void *b) {
    size_t first = ((const struct torch_zip_entry *)a)->header;
    size_t second = ((const struct torch_zip_entry *)b)->header;
    return first < second ? -1 : first > second;
}

static int compare_names(const void *a, const void *b) {
    struct span first = ((const struct torch_zip_entry *)a)->name;
    struct span second = ((const struct torch_zip_entry *)b)->name;
    size_t common = first.len < second.len ? first.len : second.len;
    int order = common > 0 ? memcmp(first.ptr, second.ptr, common) : 0;
    return order != 0 ? order : first.len < second.len ? -1 : first.len > second.len;
}

// That no entry overlaps another and none shares a name. Leaves them in order of name.
static enum status check_entries(const struct reading *reading, struct torch_zip *zip) {
    struct torch_zip_entry *entries = zip->entries;
    if (zip->n_entries == 0) return STATUS_OK;
    qsort(entries, zip->n_entries, sizeof *entries, compare_places);
    for (size_t i = 1; i < zip->n_entries; i++) {
        const struct span before = entries[i - 1].bytes;
        if (before.ptr + before.len > reading->file.ptr + entries[i].header) {
            return refuse_entry(reading, entries[i].name, "it overlaps another one");
        }
    }
    qsort(entries, zip->n_entries, sizeof *entries, compare_names);
    for (size_t i = 1; i < zip->n_entries; i++) {
        if (compare_names(&entries[i - 1], &entries[i]) == 0) {
            return refuse_entry(reading, entries[i].name, "two have this name");
        }
    }
    return STATUS_OK;
}

// Keeps the entries of the folder with a data.pkl, without the folder's name.
static enum status enter_folder(const struct reading *reading, struct torch_zip *zip) {
    struct span folder = {0};  // with its slash
    for (size_t i = 0; i < zip->n_entries; i++) {
        struct span name = zip->entries[i].name;
        const char *slash = name.len > 0 ? memchr(name.ptr, '/', name.len) : NULL;
        if (slash == NULL || !span_ends_in(name, "/data.pkl")) continue;
        if (slash != name.ptr + name.len - strlen("/data.pkl")) continue;
        if (folder.len > 0) return refuse_entry(reading, name, "another folder has a data.pkl too");
        folder = (struct span){name.ptr, (size_t)(slash - name.ptr) + 1};
    }
    if (folder.len == 0) {
        return error_set(reading->error, STATUS_MODEL,
                         "%s: a zip archive without a folder that has a data.pkl: torch did not "
                         "write it",
                         reading->path);
    }
    size_t n = 0;
    for (size_t i = 0; i < zip->n_entries; i++) {
        struct torch_zip_entry entry = zip->entries[i];
        if (entry.name.len < folder.len || memcmp(entry.name.ptr, folder.ptr, folder.len) != 0) {
            continue;
        }
        entry.name.ptr += folder.len;
        entry.name.len -= folder.len;
        zip->entries[n++] = entry;
    }
    zip->n_entries = n;
    return STATUS_OK;
}

enum status torch_zip_open(struct span file, const char *path, struct torch_zip *zip,
                           struct error *error) {
    *zip = (struct torch_zip){0};
    struct reading reading = {.file = file, .path = path, .error = error};
    enum status status = find_directory(&reading);
    if (status != STATUS_OK) return status;
    void *entries = NULL;
    status =
        alloc_array(&entries, reading.n_entries, sizeof *zip->entries, "a zip directory", error);
    zip->entries = entries;
    size_t at = reading.directory;
    for (; status == STATUS_OK && zip->n_entries < reading.n_entries; zip->n_entries++) {
        status = read_entry(&reading, &at, &zip->entries[zip->n_entries]);
    }
    if (status == STATUS_OK && at != reading.directory + reading.directory_nbytes) {
        status = broken(&reading, "its directory has more than its entries");
    }
    if (status == STATUS_OK) status = check_entries(&reading, zip);
    if (status == STATUS_OK) status = enter_folder(&reading, zip);
    if (status != STATUS_OK) torch_zip_close(zip);
    return status;
}

void torch_zip_close(struct torch_zip *zip) {
    free(zip->entries);
    *zip = (struct torch_zip){0};
}

const struct torch_zip_entry *torch_zip_find(const struct torch_zip *zip, const char *prefix,
                                             struct span name) {
    // By hand, since the two parts of the name are not one run of bytes.
    const size_t n_prefix = strlen(prefix);
    size_t low = 0, high = zip->n_entries;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct torch_zip_entry *entry = &zip->entries[middle];
        const struct span got = entry->name;
        const size_t head = got.len < n_prefix ? got.len : n_prefix;
        int order = head > 0 ? memcmp(got.ptr, prefix, head) : 0;
        if (order == 0 && got.len < n_prefix) order = -1;
        if (order == 0) {
            const struct torch_zip_entry rest = {.name = {got.ptr + head, got.len - head}};
            const struct torch_zip_entry want = {.name = name};
            order = compare_names(&rest, &want);
        }
        if (order == 0) return entry;
        if (order < 0) low = middle + 1;
        if (order > 0) high = middle;
    }
    return NULL;
}

enum status torch_zip_check(const struct torch_zip_entry *entry, const char *path,
                            struct error *error) {
    if (entry->crc == 0) return STATUS_OK;
    // Piece by piece, so that pages that are not needed soon do not count as memory in use.
    unsigned long crc = 0;
    for (size_t at = 0, n; at < entry->bytes.len; at += n) {
        n = entry->bytes.len - at < CHECK_NBYTES ? entry->bytes.len - at : CHECK_NBYTES;
        crc = crc32_z(crc, (const unsigned char *)entry->bytes.ptr + at, n);
        tensor_forget((struct tensor){entry->bytes.ptr + at, n / sizeof(float), DTYPE_F32});
    }
    if (crc == entry->crc) return STATUS_OK;
    return error_set(error, STATUS_MODEL,
                     "%s: entry %s of the zip archive: its checksum is not that of its bytes: the "
                     "file is damaged",
                     path, quote(entry->name).text);
}
