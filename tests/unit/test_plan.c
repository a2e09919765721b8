// SPDX-License-Identifier: Apache-2.0
//
// From the inputs on the command line to files and the names of their outputs; shares of them.
#include "host/job/plan.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/job/commit.h"

#include "tests/check.h"
#include "tests/support/temp_dir.h"

enum { INPUTS_MAX = 8 };

static char dir[TEMP_PATH_MAX];

// "dir/name"; eight results may be in use at a time.
static char *in_dir(const char *name) {
    static char paths[INPUTS_MAX][TEMP_PATH_MAX];
    static int turn;
    char *path = paths[turn++ % INPUTS_MAX];
    path_join(path, TEMP_PATH_MAX, dir, name, NULL);
    return path;
}

static enum status make(char *const *inputs, const char *output, struct plan *plan,
                        struct error *error) {
    int n = 0;
    while (inputs[n] != NULL) n++;
    const struct plan_request request = {.inputs = inputs, .n_inputs = n, .output = output};
    return plan_create(&request, plan, error);
}

// That the plan is these inputs and outputs, one pair after the other.
static void check_plan(char *const *inputs, const char *output, const char *const *want) {
    struct plan plan;
    struct error error = {""};
    CHECK_INT(make(inputs, output, &plan, &error), STATUS_OK);
    CHECK_STR(error.text, "");
    size_t i = 0;
    for (; want[2 * i] != NULL && i < plan.n_items; i++) {
        CHECK_STR(plan.items[i].input, want[2 * i]);
        CHECK_STR(plan.items[i].output, want[2 * i + 1]);
    }
    CHECK_INT(plan.n_items, i);
    CHECK(want[2 * i] == NULL);
    plan_free(&plan);
}

static void check_refused(char *const *inputs, const char *output, enum status status,
                          const char *part) {
    struct plan plan;
    struct error error = {""};
    CHECK_INT(make(inputs, output, &plan, &error), status);
    CHECK_CONTAINS(error.text, part);
    CHECK(plan.n_items == 0 && plan.items == NULL);
}

#define LIST(...)  ((char *const[]){__VA_ARGS__, NULL})
#define PAIRS(...) ((const char *const[]){__VA_ARGS__, NULL, NULL})

static void one_input(void) {
    check_plan((char *const[]){NULL}, NULL, PAIRS("-", "-"));
    check_plan((char *const[]){NULL}, "out.tsv", PAIRS("-", "out.tsv"));
    check_plan(LIST("-"), NULL, PAIRS("-", "-"));
    check_plan(LIST("nowhere.jsonl"), NULL, PAIRS("nowhere.jsonl", "-"));
    check_plan(LIST("nowhere.jsonl"), "-", PAIRS("nowhere.jsonl", "-"));
    check_plan(LIST("a/b.txt"), "c/d.gz", PAIRS("a/b.txt", "c/d.gz"));
}

// A name that leaves no room for the ones beside it is refused before any work is done.
static void long_names(void) {
    char name[NAME_MAX + 1], path[2 * TEMP_PATH_MAX];
    const size_t most = NAME_MAX - COMMIT_NAME_ROOM;
    memset(name, 'n', sizeof name);
    name[most] = '\0';
    snprintf(path, sizeof path, "%s/%s", dir, name);
    check_plan(LIST("x.txt"), path, PAIRS("x.txt", path));
    check_plan(LIST("x.txt"), name, PAIRS("x.txt", name));
    name[most] = 'n';
    name[most + 1] = '\0';
    snprintf(path, sizeof path, "%s/%s", dir, name);
    check_refused(LIST("x.txt"), path, STATUS_USAGE, "the output's name has");
    check_refused(LIST("x.txt"), name, STATUS_USAGE, path_base(path));
    // One that is made of the input's.
    name[most - strlen(".labels.jsonl.gz") + 1] = '\0';
    snprintf(path, sizeof path, "in/%s.txt", name);
    check_refused(LIST(path), in_dir("out/"), STATUS_USAGE, "may have");
    name[strlen(name) - 1] = '\0';
    snprintf(path, sizeof path, "in/%s.txt", name);
    struct plan plan;
    CHECK_INT(make(LIST(path), in_dir("out/"), &plan, NULL), STATUS_OK);
    plan_free(&plan);
    rmdir(in_dir("out"));
}

static void names(void) {
    const char *out = in_dir("out");
    static const struct {
        const char *input, *base;
    } cases[] = {
        {"a.jsonl.gz", "a"},
        {"x/y/b.jsonl", "b"},
        {"c.tsv.gz", "c"},
        {"d.txt", "d"},
        {"e.gz", "e"},
        {"f.csv.gz", "f.csv"},
        {"g", "g"},
        {"h.jsonl.gz.gz", "h.jsonl.gz"},
        {".jsonl", ".jsonl"},
        {"i.txt.tsv", "i.txt"},
        {"part-00001.v2.jsonl.gz", "part-00001.v2"},
    };
    CHECK_INT(mkdir(out, 0700), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char input[100], want[TEMP_PATH_MAX + 100];
        snprintf(input, sizeof input, "%s", cases[i].input);
        snprintf(want, sizeof want, "%s/%s.labels.jsonl.gz", out, cases[i].base);
        check_plan(LIST(input), out, PAIRS(input, want));

        struct plan plan;
        const struct plan_request tsv = {
            .inputs = LIST(input), .n_inputs = 1, .output = out, .tsv = true};
        snprintf(want, sizeof want, "%s/%s.labels.tsv.gz", out, cases[i].base);
        CHECK_INT(plan_create(&tsv, &plan, NULL), STATUS_OK);
        CHECK_STR(plan.items[0].output, want);
        plan_free(&plan);
    }
    rmdir(out);
}

static void directories(void) {
    static const char *const files[] = {
        "b.jsonl.gz", "a.jsonl",           "c.tsv",        "d.txt.gz",    ".hidden.jsonl",
        "e.csv",      "a.labels.jsonl.gz", "a.labels.tsv", "a.meta.json", "f.jsonl.tmp",
        "README",     "g.jsonl.gz.part",   ".b.lock",      "labels.txt",
    };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) temp_dir_write_text(dir, files[i], "t\n");
    check_refused(LIST(dir), NULL, STATUS_USAGE, "-o DIR");
    check_refused(LIST(dir), in_dir("README"), STATUS_USAGE, "the output is a directory");
    check_refused(LIST(dir), "/nowhere/at/all", STATUS_IO, "/nowhere/at/all");
    char *first = in_dir("d.txt.gz");
    check_refused(LIST(first, dir), in_dir("new"), STATUS_USAGE, "d.labels.jsonl.gz");
    rmdir(in_dir("new"));

    // The directory is made; the files come by name, after those given before.
    struct plan plan;
    char *elsewhere = in_dir("z.jsonl");
    char *const out = in_dir("new");
    CHECK_INT(make(LIST(elsewhere, dir), out, &plan, NULL), STATUS_OK);
    static const char *const want[] = {"z.jsonl", "a.jsonl",  "b.jsonl.gz",
                                       "c.tsv",   "d.txt.gz", "labels.txt"};
    CHECK_INT(plan.n_items, ARRAY_LEN(want));
    for (size_t i = 0; i < plan.n_items && i < ARRAY_LEN(want); i++) {
        char path[TEMP_PATH_MAX];
        path_join(path, sizeof path, dir, want[i], NULL);
        CHECK_STR(plan.items[i].input, path);
        CHECK(strncmp(plan.items[i].output, out, strlen(out)) == 0);
    }
    plan_free(&plan);
    struct stat info;
    CHECK(stat(out, &info) == 0 && S_ISDIR(info.st_mode));
    check_refused(LIST(out), out, STATUS_INPUT, "no .jsonl, .tsv or .txt file");
    rmdir(out);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) unlink(in_dir(files[i]));
}

static void collisions(void) {
    char *const a = in_dir("a.jsonl"), *const other = in_dir("a.tsv.gz"), *const b = in_dir("b.gz");
    char *const out = in_dir("out");
    check_refused(LIST(a, b, other), out, STATUS_USAGE, "both be written to");
    check_refused(LIST(a, a), out, STATUS_USAGE, "a.jsonl and ");
    check_refused(LIST(a, "-"), out, STATUS_USAGE, "stdin");
    check_refused(LIST(a, b), NULL, STATUS_USAGE, "several inputs");
    check_refused(LIST(a, b), "-", STATUS_USAGE, "several inputs");
    rmdir(out);

    temp_dir_write_text(dir, "a.jsonl", "t\n");
    check_refused(LIST(a), a, STATUS_USAGE, "the output is the input itself");
    char *const link_path = in_dir("link");
    CHECK_INT(symlink(a, link_path), 0);
    check_refused(LIST(a), link_path, STATUS_USAGE, "the input itself");
    check_refused(LIST(link_path), a, STATUS_USAGE, "the input itself");
    unlink(link_path);
    unlink(a);
    // An input that another one's output, or the rejects of any, would replace.
    char *const x = in_dir("x.jsonl"), *const labels = in_dir("x.labels.jsonl.gz");
    char *const rejects = in_dir("x.labels.jsonl.gz.rejects.jsonl.gz");
    temp_dir_write_text(dir, "x.labels.jsonl.gz", "t\n");
    check_refused(LIST(x, labels), dir, STATUS_USAGE, "x.labels.jsonl.gz: this input would be");
    check_refused(LIST(labels, x), dir, STATUS_USAGE, "x.labels.jsonl.gz: this input would be");
    temp_dir_write_text(dir, "x.labels.jsonl.gz.rejects.jsonl.gz", "t\n");
    check_refused(LIST(rejects), labels, STATUS_USAGE, "replaced by");
    check_refused(LIST(x, rejects), dir, STATUS_USAGE, "and its rejects");
    check_plan(LIST(rejects), x, PAIRS(rejects, x));
    unlink(rejects);
    unlink(labels);
    // Labels of labels, beside them: the name would be the input's own.
    temp_dir_write_text(dir, "x.labels.jsonl.gz", "t\n");
    check_plan(LIST(in_dir("x.labels.jsonl.gz")), dir,
               PAIRS(in_dir("x.labels.jsonl.gz"), in_dir("x.labels.labels.jsonl.gz")));
    unlink(in_dir("x.labels.jsonl.gz"));
}

// The shares of any number of files hold each file once, in order, evenly.
static void shares(void) {
    enum { N_FILES = 23 };
    char inputs[N_FILES][32], *list[N_FILES];
    for (int i = 0; i < N_FILES; i++) {
        snprintf(inputs[i], sizeof inputs[i], "f%02d.jsonl", i);
        list[i] = inputs[i];
    }
    char *const out = in_dir("out");
    for (int n_files = 1; n_files <= N_FILES; n_files += 11) {
        for (int n_shards = 1; n_shards <= 30; n_shards++) {
            int n_seen[N_FILES] = {0};
            for (int shard = 0; shard < n_shards; shard++) {
                const struct plan_request request = {
                    .inputs = list, .n_inputs = n_files, .output = out, .shard = {shard, n_shards}};
                struct plan plan;
                CHECK_INT(plan_create(&request, &plan, NULL), STATUS_OK);
                const int n = (int)plan.n_items;
                CHECK(n == n_files / n_shards || n == n_files / n_shards + 1);
                for (int i = 0; i < n; i++) {
                    n_seen[atoi(plan.items[i].input + 1)]++;
                    if (i > 0) CHECK(strcmp(plan.items[i - 1].input, plan.items[i].input) < 0);
                }
                plan_free(&plan);
            }
            for (int i = 0; i < n_files; i++) CHECK_INT(n_seen[i], 1);
        }
    }
    rmdir(out);
}

int main(void) {
    temp_dir_make(dir);
    one_input();
    long_names();
    names();
    directories();
    collisions();
    shares();
    temp_dir_remove(dir);
    return check_result();
}
