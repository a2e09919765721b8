// SPDX-License-Identifier: Apache-2.0
//
// When an output counts as done, and that two runs never work on one output.
#include "host/job/commit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/base/json.h"
#include "tests/check.h"
#include "tests/support/gzip_bytes.h"
#include "tests/support/temp_dir.h"

static char dir[TEMP_PATH_MAX], in_path[TEMP_PATH_MAX], out_path[TEMP_PATH_MAX];
static char record_path[TEMP_PATH_MAX], lock_path[TEMP_PATH_MAX];

static const char settings[] = "{\"device\": \"cpu\", \"name\": \"a \\\"b\\\"\"}";

static struct provenance provenance_here(void) {
    struct provenance provenance = {.weights_name = "model.safetensors", .settings = settings};
    memset(provenance.model_sha256, 'a', SHA256_HEX_LEN);
    memset(provenance.tokenizer_sha256, 'b', SHA256_HEX_LEN);
    return provenance;
}

static const struct commit_lock no_lock = {.fd = -1};

static enum commit_state look(const struct provenance *provenance) {
    struct commit_found found;
    struct error error = {""};
    CHECK_INT(commit_look(out_path, in_path, provenance, &no_lock, NULL, &found, &error),
              STATUS_OK);
    CHECK_STR(error.text, "");
    return found.state;
}

// Reads the input, writes a row or two, commits the output and its record, as a run does.
static void commit_output(void) {
    struct input *input;
    struct output *output;
    char bytes[100];
    size_t n = 1;
    const struct totals totals = {
        .read = 12,
        .records = 12,
        .by_status =
            {[RECORD_OK] = 3, [RECORD_TRUNCATED] = 2, [RECORD_ABSTAIN] = 4, [RECORD_BLANK] = 3},
        .tokens = 55,
        .ill_formed_utf8 = 1,
    };
    const struct provenance provenance = provenance_here();
    CHECK_INT(input_open(in_path, &input, NULL), STATUS_OK);
    while (n > 0) CHECK_INT(input_read(input, bytes, sizeof bytes, &n, NULL), STATUS_OK);
    CHECK_INT(output_open(out_path, &output, NULL), STATUS_OK);
    CHECK_INT(output_write(output, "row\n", 4, NULL), STATUS_OK);
    const struct commit_facts facts = {.output_path = out_path,
                                       .input_path = in_path,
                                       .output = output,
                                       .input = input,
                                       .totals = &totals,
                                       .seconds = 2.5};
    struct error error = {""};
    struct commit_lock lock;
    CHECK_INT(commit_lock_take(out_path, &lock, NULL), STATUS_OK);
    CHECK_INT(commit_publish(&facts, &provenance, &lock, &error), STATUS_OK);
    CHECK_STR(error.text, "");
    commit_lock_release(&lock);
    output_close(output);
    input_close(input);
}

// The member at `pointer` of the record is the JSON `want`.
static void check_member(struct json_value record, const char *pointer, const char *want) {
    struct json_value value;
    if (!json_pointer(record, pointer, &value) || !span_equal(value.raw, want)) {
        CHECK_FAIL("the record's %s is not %s", pointer, want);
    }
}

static void record(void) {
    struct buffer text = {0};
    struct json_value value;
    struct json_fault fault;
    commit_output();
    file_add(&text, record_path);
    CHECK(json_parse((struct span){text.bytes, text.len}, &value, &fault));
    check_member(value, "/schema", "1");
    check_member(value, "/wader", "\"" WADER_VERSION "\"");
    check_member(value, "/input/name", "\"in \\\"1\\\".txt\"");
    check_member(value, "/input/nbytes", "6");
    check_member(value, "/input/sha256",
                 "\"7d3f9b6284c6f36e77b425cac882e8fbbcc97a4727ec20790853076d0f463453\"");
    check_member(value, "/output/name", "\"out.jsonl.gz\"");
    check_member(value, "/output/nbytes", "4");
    check_member(value, "/output/sha256",
                 "\"83ad05a6ffdb5c97fb81a8501561e30cc3458bed5a83525e931acb0f8486a393\"");
    check_member(value, "/model/weights", "\"model.safetensors\"");
    check_member(value, "/settings", settings);
    check_member(value, "/rows",
                 "{\"in\": 12, \"out\": 12, \"labelled\": 5, \"truncated\": 2, \"abstained\": 4, "
                 "\"ill_formed_utf8\": 1, \"bad\": 3, \"blank_line\": 3}");
    check_member(value, "/tokens", "55");
    check_member(value, "/seconds", "2.500");
    buffer_free(&text);
}

// Sets the input's time to `seconds` after the epoch.
static void touch(time_t seconds) {
    const struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    CHECK_INT(utimensat(AT_FDCWD, in_path, times, 0), 0);
}

static bool always(void) {
    return true;
}

// Only an input that has to be read again can be stopped at.
static void stopped(void) {
    const struct provenance provenance = provenance_here();
    struct commit_found found;
    struct error error = {""};
    CHECK_INT(commit_look(out_path, in_path, &provenance, &no_lock, always, &found, &error),
              STATUS_OK);
    CHECK_INT(found.state, COMMIT_DONE);
    CHECK_INT(found.rows, 12);
    CHECK_INT(found.bad, 3);
    struct stat info;
    CHECK_INT(stat(in_path, &info), 0);
    touch(info.st_mtim.tv_sec + 100);
    CHECK_INT(commit_look(out_path, in_path, &provenance, &no_lock, always, &found, &error),
              STATUS_AGAIN);
    const struct timespec times[2] = {info.st_mtim, info.st_mtim};
    CHECK_INT(utimensat(AT_FDCWD, in_path, times, 0), 0);
}

static void same_or_other(void) {
    struct provenance provenance = provenance_here();
    CHECK_INT(look(&provenance), COMMIT_DONE);
    provenance.model_sha256[0] = 'x';
    CHECK_INT(look(&provenance), COMMIT_OTHER);
    provenance = provenance_here();
    provenance.tokenizer_sha256[63] = 'x';
    CHECK_INT(look(&provenance), COMMIT_OTHER);
    provenance = provenance_here();
    provenance.settings = "{\"device\": \"cpu\"}";
    CHECK_INT(look(&provenance), COMMIT_OTHER);
    provenance = provenance_here();

    touch(1000000000);  // another time, the same bytes
    CHECK_INT(look(&provenance), COMMIT_DONE);
    temp_dir_write_text(dir, "in \"1\".txt", "one\ntwO\n");
    CHECK_INT(look(&provenance), COMMIT_OTHER);  // another size
    temp_dir_write_text(dir, "in \"1\".txt", "input?");
    touch(1000000001);
    CHECK_INT(look(&provenance), COMMIT_OTHER);  // the same size, other bytes
    unlink(in_path);
    CHECK_INT(look(&provenance), COMMIT_OTHER);
    temp_dir_write_text(dir, "in \"1\".txt", "input\n");
    CHECK_INT(look(&provenance), COMMIT_DONE);

    CHECK_INT(truncate(out_path, 3), 0);
    CHECK_INT(look(&provenance), COMMIT_OTHER);
    unlink(out_path);
    CHECK_INT(look(&provenance), COMMIT_ABSENT);
}

// Files beside the output that are no record of it.
static void strange(void) {
    const struct provenance provenance = provenance_here();
    static const char *const records[] = {"", "{", "[]", "null", "\"schema\"", "{} {}", "\xff"};
    temp_dir_write_text(dir, "out.jsonl.gz", "not ours");
    unlink(record_path);
    CHECK_INT(look(&provenance), COMMIT_STRANGE);
    for (size_t i = 0; i < ARRAY_LEN(records); i++) {
        temp_dir_write_text(dir, "out.jsonl.gz.meta.json", records[i]);
        CHECK_INT(look(&provenance), COMMIT_STRANGE);
    }
    static const char *const objects[] = {
        "{}", "{\"schema\":1}", "{\"schema\":2,\"output\":{\"file_nbytes\":8}}",
        "{\"schema\":1,\"output\":{\"file_nbytes\":8},\"model\":[],\"settings\":{},\"input\":7}"};
    for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
        temp_dir_write_text(dir, "out.jsonl.gz.meta.json", objects[i]);
        CHECK_INT(look(&provenance), COMMIT_OTHER);
    }
    // An attempt died between the output and its record: its lock file tells whose this is.
    unlink(record_path);
    struct commit_found found;
    const struct commit_lock left = {.fd = -1, .was_left = true};
    CHECK_INT(commit_look(out_path, in_path, &provenance, &left, NULL, &found, NULL), STATUS_OK);
    CHECK_INT(found.state, COMMIT_ABSENT);
}

// A record that cannot be written leaves all as it was.
static void failed_replacement(void) {
    struct error error = {""};
    struct commit_lock lock;
    struct input *input;
    struct output *output;
    const struct totals totals = {0};
    const struct provenance provenance = provenance_here();
    unlink(record_path);
    CHECK_INT(mkdir(record_path, 0700), 0);
    CHECK_INT(input_open(in_path, &input, NULL), STATUS_OK);
    CHECK_INT(output_open(out_path, &output, NULL), STATUS_OK);
    CHECK_INT(commit_lock_take(out_path, &lock, NULL), STATUS_OK);
    const struct commit_facts facts = {.output_path = out_path,
                                       .input_path = in_path,
                                       .output = output,
                                       .input = input,
                                       .totals = &totals};
    CHECK_INT(commit_publish(&facts, &provenance, &lock, &error), STATUS_IO);
    CHECK_CONTAINS(error.text, record_path);
    output_close(output);
    commit_lock_release(&lock);
    CHECK_INT(rmdir(record_path), 0);
    CHECK(access(out_path, F_OK) == 0);
    CHECK_INT(commit_lock_take(out_path, &lock, NULL), STATUS_OK);
    CHECK(!lock.was_left);
    commit_lock_release(&lock);
    input_close(input);
}

// How taking the lock goes in another process, which ends with it still taken, or killed.
static enum status take_elsewhere(void) {
    pid_t pid = fork();
    if (pid == 0) {
        struct commit_lock lock;
        struct error error = {""};
        enum status status = commit_lock_take(out_path, &lock, &error);
        if (status == STATUS_LOCKED && strstr(error.text, "another run is writing") == NULL) {
            _exit(99);
        }
        _exit((int)status);
    }
    int how;
    waitpid(pid, &how, 0);
    CHECK(WIFEXITED(how));
    return (enum status)WEXITSTATUS(how);
}

static void locks(void) {
    struct commit_lock lock, second;
    struct error error = {""};
    CHECK_INT(commit_lock_take(out_path, &lock, &error), STATUS_OK);
    CHECK(!lock.was_left);
    CHECK(access(lock_path, F_OK) == 0);
    CHECK_INT(take_elsewhere(), STATUS_LOCKED);
    CHECK_INT(commit_lock_take(out_path, &second, &error), STATUS_LOCKED);
    CHECK_CONTAINS(error.text, out_path);
    commit_lock_release(&second);  // one that was not taken is none
    CHECK_INT(take_elsewhere(), STATUS_LOCKED);
    commit_lock_release(&lock);
    CHECK(access(lock_path, F_OK) != 0);
    commit_lock_release(&lock);

    // Its run dead, a lock holds nobody up. It tells only of a run that died while it replaced the
    // output: that one had marked it.
    CHECK_INT(take_elsewhere(), STATUS_OK);
    CHECK(access(lock_path, F_OK) == 0);
    CHECK_INT(commit_lock_take(out_path, &lock, &error), STATUS_OK);
    CHECK(!lock.was_left);
    commit_lock_release(&lock);
    temp_dir_write_text(dir, ".out.jsonl.gz.lock", "wader\n");
    CHECK_INT(commit_lock_take(out_path, &lock, &error), STATUS_OK);
    CHECK(lock.was_left);
    commit_lock_release(&lock);
    // An output without a record: the mark that tells whose it is stays until it has one, or goes.
    CHECK(access(out_path, F_OK) == 0 && access(record_path, F_OK) != 0);
    CHECK(access(lock_path, F_OK) == 0);
    CHECK(unlink(out_path) == 0);
    CHECK_INT(commit_lock_take(out_path, &lock, &error), STATUS_OK);
    CHECK(lock.was_left);
    commit_lock_release(&lock);
    CHECK(access(lock_path, F_OK) != 0);
    commit_lock_release(&(struct commit_lock){0});

    CHECK_INT(commit_lock_take("/nowhere/out", &lock, &error), STATUS_IO);
    CHECK_CONTAINS(error.text, "/nowhere/out: cannot be written");
}

// Many processes take and release one lock: no two of them have it at a time.
static void contended(void) {
    enum { N_PROCESSES = 4, N_ROUNDS = 100 };
    char busy[TEMP_PATH_MAX];
    path_join(busy, sizeof busy, dir, "busy", NULL);
    pid_t pids[N_PROCESSES];
    for (int i = 0; i < N_PROCESSES; i++) {
        pids[i] = fork();
        if (pids[i] != 0) continue;
        for (int round = 0; round < N_ROUNDS;) {
            struct commit_lock lock;
            if (commit_lock_take(out_path, &lock, NULL) != STATUS_OK) continue;
            if (mkdir(busy, 0700) != 0 || rmdir(busy) != 0) _exit(1);
            if (lock.was_left) _exit(2);  // nobody died
            commit_lock_release(&lock);
            round++;
        }
        _exit(0);
    }
    for (int i = 0; i < N_PROCESSES; i++) {
        int how;
        waitpid(pids[i], &how, 0);
        CHECK(WIFEXITED(how));
        CHECK_INT(WEXITSTATUS(how), 0);
    }
    CHECK(access(lock_path, F_OK) != 0);
}

int main(void) {
    alarm(120);
    temp_dir_make(dir);
    path_join(in_path, sizeof in_path, dir, "in \"1\".txt", NULL);
    path_join(out_path, sizeof out_path, dir, "out.jsonl.gz", NULL);
    path_join(record_path, sizeof record_path, dir, "out.jsonl.gz.meta.json", NULL);
    path_join(lock_path, sizeof lock_path, dir, ".out.jsonl.gz.lock", NULL);
    temp_dir_write_text(dir, "in \"1\".txt", "input\n");
    record();
    stopped();
    same_or_other();
    strange();
    failed_replacement();
    locks();
    contended();
    temp_dir_remove(dir);
    return check_result();
}
