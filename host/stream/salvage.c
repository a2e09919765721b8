// SPDX-License-Identifier: Apache-2.0
#include "host/stream/salvage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SURVEY_NBYTES = 64 * 1024 };

// Where records ended: before a place, the last end of line and how many there were.
struct ends {
    uint64_t nbytes, records;
};

struct survey {
    uint64_t plain_nbytes;  // read so far
    struct ends all;        // of all that was read
    struct ends checked;    // of the members whose CRC held
};

static void count_lines(const char *bytes, size_t n, uint64_t offset, struct ends *ends) {
    for (const char *at = bytes; at < bytes + n;) {
        const char *newline = memchr(at, '\n', (size_t)(bytes + n - at));
        if (newline == NULL) return;
        at = newline + 1;
        ends->records++;
        ends->nbytes = offset + (uint64_t)(at - bytes);
    }
}

// Members end between two reads or at the very beginning of one, never amid the bytes it gives.
static void note_checked(struct survey *survey, const struct input *input) {
    if (input_damage(input).checked_nbytes == survey->plain_nbytes) survey->checked = survey->all;
}

static enum status read_all(struct input *input, bool (*stop)(void), struct survey *survey,
                            struct error *error) {
    void *memory;
    enum status status = alloc_array(&memory, SURVEY_NBYTES, 1, "a look at the input", error);
    if (status != STATUS_OK) return status;
    char *bytes = memory;
    for (size_t n = 1; status == STATUS_OK && n > 0;) {
        if (stop != NULL && stop()) {
            status = error_set(error, STATUS_AGAIN, "%s: stopped", input_name(input));
            break;
        }
        status = input_read(input, bytes, SURVEY_NBYTES, &n, error);
        note_checked(survey, input);
        count_lines(bytes, n, survey->plain_nbytes, &survey->all);
        survey->plain_nbytes += n;
        note_checked(survey, input);
        if (n > 0 && !input_is_gzip(input)) break;  // plain bytes cannot be told from damaged ones
    }
    free(bytes);
    return status;
}

static enum status judge(const char *path, const struct input_damage *damage,
                         const struct survey *survey, struct salvage *salvage,
                         struct error *error) {
    const struct ends keep = damage->kind == DAMAGE_CORRUPT ? survey->checked : survey->all;
    *salvage = (struct salvage){
        .damaged = true,
        .compressed_at = damage->compressed_at,
        .plain_nbytes = keep.nbytes,
        .records = keep.records,
        .unchecked = keep.records - survey->checked.records,
    };
    // The message begins with the path, which is this machine's business.
    const size_t skip = strncmp(error->text, path, strlen(path)) == 0 ? strlen(path) + 2 : 0;
    snprintf(salvage->reason, sizeof salvage->reason, "%s", error->text + skip);
    if (keep.records > 0) return STATUS_OK;
    return error_set(error, STATUS_INPUT, "%s: %s; there is no record to salvage before it", path,
                     salvage->reason);
}

enum status salvage_survey(const char *path, enum trailing trailing, bool (*stop)(void),
                           struct salvage *salvage, struct error *error) {
    struct input *input;
    struct survey survey = {0};
    struct error reason = {""};
    *salvage = (struct salvage){0};
    enum status status = input_open(path, &input, error);
    if (status != STATUS_OK) return status;
    if (!input_can_be_reopened(input)) {
        status = error_set(error, STATUS_USAGE,
                           "%s: --salvage reads its input twice, so it must be a regular file",
                           input_name(input));
        input_close(input);
        return status;
    }
    input_set_rules(input, (struct input_rules){.trailing = trailing});
    status = read_all(input, stop, &survey, &reason);
    const struct input_damage damage = input_damage(input);
    if (status == STATUS_INPUT && damage.kind != DAMAGE_NONE) {
        status = judge(path, &damage, &survey, salvage, &reason);
    }
    if (status != STATUS_OK && error != NULL) *error = reason;
    input_close(input);
    return status;
}
