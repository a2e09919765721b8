// SPDX-License-Identifier: Apache-2.0
//
// Which share is whose: I/N, and what engines set in the environment.
#include "host/job/shard.h"

#include <stdlib.h>
#include <string.h>

#include "tests/check.h"

// "NAME=value NAME=value", parted by single spaces.
static const char *environment;

static const char *get(const char *name) {
    static char value[64];
    const size_t len = strlen(name);
    for (const char *at = environment; *at != '\0';) {
        const size_t n = strcspn(at, " ");
        if (n > len && strncmp(at, name, len) == 0 && at[len] == '=') {
            snprintf(value, sizeof value, "%.*s", (int)(n - len - 1), at + len + 1);
            return value;
        }
        at += n + (at[n] == ' ' ? 1 : 0);
    }
    return NULL;
}

static void check_share(const char *variables, int index, int n) {
    struct shard shard = {-1, -1};
    struct error error = {""};
    environment = variables;
    CHECK_INT(shard_from_environment(get, &shard, &error), STATUS_OK);
    CHECK_STR(error.text, "");
    if (shard.index != index || shard.n != n) {
        CHECK_FAIL("%s: share %d/%d, not %d/%d", variables, shard.index, shard.n, index, n);
    }
}

static void check_refused(const char *variables, const char *part) {
    struct shard shard;
    struct error error = {""};
    environment = variables;
    CHECK_INT(shard_from_environment(get, &shard, &error), STATUS_USAGE);
    if (strstr(error.text, part) == NULL) CHECK_FAIL("%s: %s", variables, error.text);
}

#define ARRAY(id, min, max, count, step)                                                   \
    "SLURM_ARRAY_TASK_ID=" #id " SLURM_ARRAY_TASK_MIN=" #min " SLURM_ARRAY_TASK_MAX=" #max \
    " SLURM_ARRAY_TASK_COUNT=" #count " SLURM_ARRAY_TASK_STEP=" #step

static void slurm(void) {
    check_share(ARRAY(0, 0, 7, 8, 1), 0, 8);
    check_share(ARRAY(7, 0, 7, 8, 1), 7, 8);
    check_share(ARRAY(1, 1, 16, 16, 1), 0, 16);
    check_share(ARRAY(16, 1, 16, 16, 1), 15, 16);
    check_share(ARRAY(5, 5, 5, 1, 1), 0, 1);
    check_share(ARRAY(9, 3, 11, 5, 2), 3, 5);
    check_share(ARRAY(9, 3, 12, 5, 2), 3, 5);  // --array=3-12:2, where no id is 12
    check_share(
        "SLURM_ARRAY_TASK_ID=2 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=3 "
        "SLURM_ARRAY_TASK_COUNT=3",
        1, 3);
    // Some of sixteen again: the ids are the shares.
    check_share(ARRAY(7, 3, 9, 4, 1) " WADER_SHARDS=16", 7, 16);
    check_share("SLURM_ARRAY_TASK_ID=15 WADER_SHARDS=16", 15, 16);
    check_refused(ARRAY(7, 3, 9, 4, 1), "no range");
    check_refused(ARRAY(10, 3, 11, 5, 2), "not among");
    check_refused(ARRAY(2, 3, 11, 9, 1), "not among");
    check_refused(ARRAY(12, 3, 11, 9, 1), "not among");
    check_refused(ARRAY(16, 0, 16, 17, 1) " WADER_SHARDS=16", "0 to 15");
    check_refused("SLURM_ARRAY_TASK_ID=2", "WADER_SHARDS");
    check_refused("SLURM_ARRAY_TASK_ID=2 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_MAX=3", "_COUNT");
    check_refused(ARRAY(x, 0, 7, 8, 1), "SLURM_ARRAY_TASK_ID");
    check_refused(ARRAY(1, 0, 7, 0, 1), "SLURM_ARRAY_TASK_COUNT");
    check_refused(ARRAY(1, 0, 7, 8, 0), "SLURM_ARRAY_TASK_STEP");
    check_refused(ARRAY(1, 0, 4294967303, 8, 1), "SLURM_ARRAY_TASK_MAX");
    check_refused(ARRAY(-1, 0, 7, 8, 1), "SLURM_ARRAY_TASK_ID");
}

static void counted(void) {
    static const char *const names[] = {"JOB_COMPLETION_INDEX", "AWS_BATCH_JOB_ARRAY_INDEX"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char variables[200];
        snprintf(variables, sizeof variables, "%s=3 WADER_SHARDS=8", names[i]);
        check_share(variables, 3, 8);
        snprintf(variables, sizeof variables, "%s=0 WADER_SHARDS=1", names[i]);
        check_share(variables, 0, 1);
        snprintf(variables, sizeof variables, "%s=8 WADER_SHARDS=8", names[i]);
        check_refused(variables, names[i]);
        snprintf(variables, sizeof variables, "%s=3", names[i]);
        check_refused(variables, "WADER_SHARDS");
        snprintf(variables, sizeof variables, "%s=3 WADER_SHARDS=many", names[i]);
        check_refused(variables, "many");
        snprintf(variables, sizeof variables, "%s=3 WADER_SHARDS=0", names[i]);
        check_refused(variables, "at least 1");
    }
    check_refused("", "nothing tells");
    check_refused("WADER_SHARDS=8", "nothing tells");
    check_refused("JOB_COMPLETION_INDEX= WADER_SHARDS=8", "nothing tells");
}

static void several(void) {
    check_share("JOB_COMPLETION_INDEX=2 AWS_BATCH_JOB_ARRAY_INDEX=2 WADER_SHARDS=4", 2, 4);
    check_refused("JOB_COMPLETION_INDEX=2 AWS_BATCH_JOB_ARRAY_INDEX=3 WADER_SHARDS=4",
                  "JOB_COMPLETION_INDEX tells share 2/4, AWS_BATCH_JOB_ARRAY_INDEX tells 3/4");
    check_refused("SLURM_ARRAY_TASK_ID=1 JOB_COMPLETION_INDEX=2 WADER_SHARDS=4",
                  "SLURM_ARRAY_TASK_ID tells share 1/4");
    check_share("SLURM_ARRAY_TASK_ID=2 JOB_COMPLETION_INDEX=2 WADER_SHARDS=4", 2, 4);
}

static void texts(void) {
    static const char *const bad[] = {
        "",
        "1",
        "1/",
        "/2",
        "2/2",
        "-1/2",
        "0/0",
        "0/-1",
        "1/2x",
        "a/b",
        "1/2/",
        "1 /2",
        " 0/2",
        "0/ 2",
        "0.5/2",
        "+0/2",
        "4294967296/4294967297",
        "0/99999999999999999999",
        "0x0/2",
    };
    struct shard shard;
    struct error error = {""};
    CHECK_INT(shard_parse("0/1", &shard, &error), STATUS_OK);
    CHECK(shard.index == 0 && shard.n == 1);
    CHECK_INT(shard_parse("99/100", &shard, &error), STATUS_OK);
    CHECK(shard.index == 99 && shard.n == 100);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        error = (struct error){""};
        const enum status status = shard_parse(bad[i], &shard, &error);
        if (status != STATUS_USAGE) CHECK_FAIL("--shard \"%s\" is taken", bad[i]);
        CHECK_CONTAINS(error.text, "--shard");
    }
}

int main(void) {
    texts();
    slurm();
    counted();
    several();
    return check_result();
}
