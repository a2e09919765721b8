// SPDX-License-Identifier: Apache-2.0
//
// What a commit does beside the output and its record: the rejects file comes and goes with it,
// figures that do not add up commit nothing, and the record tells what was wrong with the input.
// And a file system without locks.
#include <errno.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/base/json.h"
#include "host/job/commit.h"
#include "tests/check.h"
#include "tests/support/gzip_bytes.h"
#include "tests/support/temp_dir.h"

static char dir[TEMP_PATH_MAX], in_path[TEMP_PATH_MAX], out_path[TEMP_PATH_MAX];
static char record_path[TEMP_PATH_MAX], rejects_file[TEMP_PATH_MAX];

static int flock_fails_with;  // 0: it does not

int __real_flock(int fd, int operation);
int __wrap_flock(int fd, int operation);
int __wrap_flock(int fd, int operation) {
    if (flock_fails_with == 0) return __real_flock(fd, operation);
    errno = flock_fails_with;
    return -1;
}

static bool exists(const char *path) {
    return access(path, F_OK) == 0;
}

static struct provenance provenance_here(void) {
    struct provenance provenance = {.weights_name = "model.safetensors", .settings = "{}"};
    memset(provenance.model_sha256, 'a', SHA256_HEX_LEN);
    memset(provenance.tokenizer_sha256, 'b', SHA256_HEX_LEN);
    return provenance;
}

static struct output *open_output(const char *path, const char *text) {
    struct output *output;
    CHECK_INT(output_open(path, &output, NULL), STATUS_OK);
    CHECK_INT(output_write(output, text, strlen(text), NULL), STATUS_OK);
    return output;
}

// Commits an output of `totals` with `marks`; its rejects, where it has any, hold two lines.
static enum status commit_with(const struct totals *totals, struct marks marks, bool rejects,
                               struct error *error) {
    struct input *input;
    struct commit_lock lock;
    char bytes[100];
    size_t n = 1;
    const struct provenance provenance = provenance_here();
    CHECK_INT(input_open(in_path, &input, NULL), STATUS_OK);
    while (n > 0) CHECK_INT(input_read(input, bytes, sizeof bytes, &n, NULL), STATUS_OK);
    CHECK_INT(commit_lock_take(out_path, &lock, NULL), STATUS_OK);
    struct output *output = open_output(out_path, "row\n");
    if (rejects) marks.rejects = open_output(rejects_file, "one\ntwo\n");
    const struct commit_facts facts = {.output_path = out_path,
                                       .input_path = in_path,
                                       .output = output,
                                       .input = input,
                                       .totals = totals,
                                       .marks = marks};
    enum status status = commit_publish(&facts, &provenance, &lock, error);
    output_close(output);
    output_close(marks.rejects);
    commit_lock_release(&lock);
    input_close(input);
    return status;
}

static struct commit_found look(void) {
    const struct provenance provenance = provenance_here();
    const struct commit_lock no_lock = {.fd = -1};
    struct commit_found found;
    CHECK_INT(commit_look(out_path, in_path, &provenance, &no_lock, NULL, &found, NULL), STATUS_OK);
    return found;
}

// The record's member `key` is the JSON `want`; NULL: there is none.
static void check_member(const char *key, const char *want) {
    struct buffer text = {0};
    struct json_value record, value;
    struct json_fault fault;
    file_add(&text, record_path);
    CHECK(json_parse((struct span){text.bytes, text.len}, &record, &fault));
    const bool found = json_pointer(record, key, &value);
    if (found != (want != NULL) || (found && !span_equal(value.raw, want))) {
        CHECK_FAIL("the record's %s is not %s:\n%.*s", key, want != NULL ? want : "left out",
                   (int)text.len, text.bytes);
    }
    buffer_free(&text);
}

static const struct totals two_bad = {
    .read = 9, .records = 9, .by_status = {[RECORD_OK] = 7, [RECORD_BAD_JSON] = 2}};

static void rejects(void) {
    struct error error = {""};
    CHECK_INT(commit_with(&two_bad, (struct marks){.n_rejects = 2}, true, &error), STATUS_OK);
    CHECK_STR(error.text, "");
    check_member("/rejects/name", "\"out.jsonl.rejects.jsonl.gz\"");
    check_member("/rejects/rows", "2");
    check_member("/rejects/nbytes", "8");
    check_member("/rejects/sha256",
                 "\"c3f9c8c283a2b1f2f1896f27a01cbe3cddc0c9d93f752e4639035a0f5b36f6e8\"");
    check_member("/rows/in", "9");
    check_member("/rows/out", "9");
    struct stat info;
    char nbytes[32];
    CHECK_INT(stat(rejects_file, &info), 0);
    snprintf(nbytes, sizeof nbytes, "%lld", (long long)info.st_size);
    check_member("/rejects/file_nbytes", nbytes);
    struct commit_found found = look();
    CHECK_INT(found.state, COMMIT_DONE);
    CHECK(found.bad == 2 && found.marks.has_rejects);
    CHECK(!found.marks.salvaged && !found.marks.trailing && !found.marks.duplicates_counted);
    CHECK_INT(truncate(rejects_file, 3), 0);
    CHECK(!look().marks.has_rejects);
    unlink(rejects_file);
    CHECK(!look().marks.has_rejects);

    // The next commit without rejects takes an old file away.
    temp_dir_write_text(dir, "out.jsonl.rejects.jsonl.gz", "stale");
    CHECK_INT(commit_with(&two_bad, (struct marks){0}, false, &error), STATUS_OK);
    CHECK(!exists(rejects_file));
    check_member("/rejects", NULL);
    CHECK(!look().marks.has_rejects);
}

// What does not add up is not committed, and what was there stays.
static void figures(void) {
    struct error error = {""};
    struct totals lost = two_bad;
    lost.read = 10;
    CHECK_INT(commit_with(&lost, (struct marks){0}, false, &error), STATUS_IO);
    CHECK_CONTAINS(error.text, "10 records were read and 9 rows written");
    CHECK_INT(commit_with(&two_bad, (struct marks){.n_rejects = 3}, true, &error), STATUS_IO);
    CHECK_CONTAINS(error.text, "2 bad and 3 rejected");
    CHECK_INT(look().state, COMMIT_DONE);
    CHECK(exists(out_path) && exists(record_path) && !exists(rejects_file));
}

// Rejects that cannot take their name: nothing looks done.
static void rejects_in_the_way(void) {
    struct error error = {""};
    CHECK_INT(mkdir(rejects_file, 0700), 0);
    CHECK_INT(commit_with(&two_bad, (struct marks){0}, false, &error), STATUS_IO);
    CHECK_CONTAINS(error.text, rejects_file);
    CHECK(!exists(out_path) && !exists(record_path));
    CHECK_INT(rmdir(rejects_file), 0);
    CHECK_INT(commit_with(&two_bad, (struct marks){.n_rejects = 2}, true, &error), STATUS_OK);
    CHECK(exists(out_path) && exists(record_path) && exists(rejects_file));
}

static void others(void) {
    struct error error = {""};
    struct id_set *ids;
    const struct salvage salvage = {.damaged = true,
                                    .compressed_at = 77,
                                    .records = 9,
                                    .unchecked = 4,
                                    .reason = "truncated \"here\""};
    CHECK_INT(id_set_create(2, &ids, NULL), STATUS_OK);
    CHECK_INT(id_set_add(ids, span_text("a"), NULL), STATUS_OK);
    CHECK_INT(id_set_add(ids, span_text("a"), NULL), STATUS_OK);
    const struct marks marks = {
        .ids = ids, .salvage = &salvage, .trailing = {.found = true, .compressed_at = 5}};
    CHECK_INT(commit_with(&two_bad, marks, false, &error), STATUS_OK);
    check_member("/salvaged",
                 "{\"compressed_byte\": 77, \"records\": 9, \"unchecked_records\": 4, "
                 "\"reason\": \"truncated \\\"here\\\"\"}");
    check_member("/trailing", "{\"compressed_byte\": 5}");
    check_member("/duplicate_ids", "1");
    check_member("/duplicate_ids_exact", NULL);
    const struct commit_found found = look();
    CHECK(found.marks.salvaged && found.marks.trailing && found.marks.duplicates_counted);
    CHECK_INT(id_set_add(ids, span_text("b"), NULL), STATUS_OK);
    CHECK_INT(id_set_add(ids, span_text("c"), NULL), STATUS_OK);
    CHECK_INT(commit_with(&two_bad, (struct marks){.ids = ids}, false, &error), STATUS_OK);
    check_member("/duplicate_ids_exact", "false");
    check_member("/salvaged", NULL);
    id_set_destroy(ids);
}

// Unfinished rejects of a dead attempt go with its unfinished output.
static void swept(void) {
    struct commit_lock lock;
    static const char left[] = ".out.jsonl.rejects.jsonl.gz.12-34-56.tmp";
    char path[TEMP_PATH_MAX];
    path_join(path, sizeof path, dir, left, NULL);
    temp_dir_write_text(dir, left, "half");
    temp_dir_write_text(dir, ".out.jsonl.lock", "");
    CHECK_INT(commit_lock_take(out_path, &lock, NULL), STATUS_OK);
    CHECK(!exists(path));
    commit_lock_release(&lock);
}

static void no_locks(void) {
    static const int reasons[] = {ENOLCK, EOPNOTSUPP, ENOSYS, EINVAL};
    char lock_path[TEMP_PATH_MAX];
    path_join(lock_path, sizeof lock_path, dir, ".out.jsonl.lock", NULL);
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        struct error error = {""};
        struct commit_lock lock;
        flock_fails_with = reasons[i];
        CHECK_INT(commit_lock_take(out_path, &lock, &error), STATUS_IO);
        flock_fails_with = 0;
        CHECK_CONTAINS(error.text, out_path);
        CHECK_CONTAINS(error.text, "takes no locks (flock: ");
        CHECK_CONTAINS(error.text, "give a directory elsewhere");
        CHECK(!exists(lock_path));
    }
}

int main(void) {
    temp_dir_make(dir);
    path_join(in_path, sizeof in_path, dir, "in.txt", NULL);
    path_join(out_path, sizeof out_path, dir, "out.jsonl", NULL);
    path_join(record_path, sizeof record_path, dir, "out.jsonl.meta.json", NULL);
    path_join(rejects_file, sizeof rejects_file, dir, "out.jsonl.rejects.jsonl.gz", NULL);
    temp_dir_write_text(dir, "in.txt", "input\n");
    rejects();
    figures();
    rejects_in_the_way();
    others();
    swept();
    no_locks();
    temp_dir_remove(dir);
    return check_result();
}
