// SPDX-License-Identifier: Apache-2.0
//
// How fast GPUs should be, before one is there, and what would hold them up (cuda/run_model.h):
//   bench_gpu_model [--gpu NAME] [--tier fp32|fp16|bf16|fp8] [--rows N] [--tokens 20] [--gpus 1]
//                   [--graph 1] [--layers 12] [--hidden 768] [--heads 12] [--feed 3072]
//                   [--labels 8] [--host FILE] [--rates FILE] [--all-e4m3 0] [--json 0]
//                   [--svg FILE]
// Every GPU of cuda/gpu_table.c in every tier in a line each; with --gpu that one alone, and with
// --tier too, where a batch's time goes and how that depends on the rows. --host: what `wader bench
// --json` measured of the host that is to feed it. --rates: {"memory": bytes/s, "pcie": bytes/s,
// "fp32": operations/s of a square product of 8192, "fp16", "bf16", "fp8"}, whichever were
// measured. --all-e4m3 1: fp8 as the encoder does not have it, with every product in e4m3.
#include <stdio.h>
#include <stdlib.h>

#include "host/base/json.h"
#include "tests/bench/gpu_model.h"
#include "tests/support/must.h"

enum { CASES_MAX = 64, FILE_NBYTES_MAX = 1 << 20 };

struct asked {
    const char *gpu, *tier, *host, *rates, *svg;
    int32_t json, graph, all_e4m3;
};

static void stop(const char *what, const char *why) {
    fprintf(stderr, "bench_gpu_model: %s: %s\n", what, why);
    exit(STATUS_USAGE);
}

static void read_number(const char *name, const char *text, int32_t least, int32_t *value) {
    char *end;
    const long number = strtol(text, &end, 10);
    if (end == text || *end != '\0' || number < least || number > 1 << 20) {
        stop(name, "takes a number, and not that one");
    }
    *value = (int32_t)number;
}

static void read_options(int argc, char **argv, struct gpu_settings *settings,
                         struct asked *asked) {
    struct bert_config *config = &settings->config;
    const struct {
        const char *name, **text;
        int32_t *value;
        int32_t least;
    } known[] = {{"--gpu", &asked->gpu, NULL, 0},
                 {"--tier", &asked->tier, NULL, 0},
                 {"--host", &asked->host, NULL, 0},
                 {"--rates", &asked->rates, NULL, 0},
                 {"--svg", &asked->svg, NULL, 0},
                 {"--json", NULL, &asked->json, 0},
                 {"--graph", NULL, &asked->graph, 0},
                 {"--all-e4m3", NULL, &asked->all_e4m3, 0},
                 {"--rows", NULL, &settings->n_rows, 1},
                 {"--tokens", NULL, &settings->title_tokens, 2},
                 {"--gpus", NULL, &settings->n_gpus, 1},
                 {"--layers", NULL, &config->n_layers, 1},
                 {"--hidden", NULL, &config->hidden_size, 1},
                 {"--heads", NULL, &config->n_heads, 1},
                 {"--feed", NULL, &config->intermediate_size, 1},
                 {"--labels", NULL, &config->n_labels, 1}};
    for (int i = 1; i < argc; i += 2) {
        size_t k = 0;
        while (k < ARRAY_LEN(known) && strcmp(argv[i], known[k].name) != 0) k++;
        if (k == ARRAY_LEN(known) || i + 1 == argc) stop(argv[i], "not an option with a value");
        if (known[k].text != NULL) {
            *known[k].text = argv[i + 1];
        } else {
            read_number(argv[i], argv[i + 1], known[k].least, known[k].value);
        }
    }
    settings->launches_alone = asked->graph == 0;
    settings->all_e4m3 = asked->all_e4m3 != 0;
}

// ---- files

static struct json_value read_file(const char *path, struct buffer *text) {
    struct json_value root;
    struct json_fault fault;
    FILE *file = fopen(path, "rb");
    char *to = buffer_reserve(text, FILE_NBYTES_MAX);
    if (file == NULL || to == NULL) stop(path, "cannot be read");
    text->len = fread(to, 1, FILE_NBYTES_MAX, file);
    fclose(file);
    if (!json_parse((struct span){text->bytes, text->len}, &root, &fault)) {
        stop(path, "not a JSON value");
    }
    return root;
}

static void read_rate(struct json_value root, const char *name, double *rate) {
    struct json_value value;
    double number;
    if (!json_member(root, name, &value)) return;
    if (!json_double(value, &number) || !(number > 0)) stop(name, "not a rate");
    *rate = number;
}

static void read_rates(const char *path, struct gpu_settings *settings) {
    struct buffer text = {0};
    const struct json_value root = read_file(path, &text);
    read_rate(root, "memory", &settings->measured_memory);
    read_rate(root, "pcie", &settings->measured_pcie);
    for (int tier = 0; tier < RUN_TIERS; tier++) {
        read_rate(root, run_tier_name((enum run_tier)tier), &settings->measured_square[tier]);
    }
    buffer_free(&text);
}

static double of_stage(struct json_value stages, const char *wanted) {
    for (struct json_walk walk = json_walk(stages); json_next(&walk);) {
        struct json_value name, rate, threads;
        double titles_per_s, n_threads;
        if (json_member(walk.value, "name", &name) && json_string_equal(name, wanted) &&
            json_member(walk.value, "titles_per_s", &rate) && json_double(rate, &titles_per_s) &&
            json_member(walk.value, "threads", &threads) && json_double(threads, &n_threads) &&
            titles_per_s > 0) {
            return n_threads / titles_per_s;
        }
    }
    stop(wanted, "no such stage in the file of --host: `wader bench --json` writes one");
    return 0;
}

static void read_host(const char *path, struct gpu_settings *settings) {
    struct buffer text = {0};
    struct json_value stages;
    if (!json_member(read_file(path, &text), "stages", &stages)) {
        stop(path, "not what `wader bench --json` writes");
    }
    settings->host = (struct run_host){.inflate = of_stage(stages, "inflate"),
                                       .pack = of_stage(stages, "pack"),
                                       .write = of_stage(stages, "write"),
                                       .parse = of_stage(stages, "parse"),
                                       .tokenize = of_stage(stages, "tokenize_1"),
                                       .whole = of_stage(stages, "host")};
    settings->host_name = path;
    buffer_free(&text);
}

// ---- all of it

static int32_t make_cases(const struct gpu_settings *settings, const struct asked *asked,
                          struct gpu_case *cases) {
    const struct gpu_facts *only = asked->gpu != NULL ? gpu_find(asked->gpu) : NULL;
    if (asked->gpu != NULL && only == NULL) stop(asked->gpu, "not in cuda/gpu_table.c");
    int32_t n = 0;
    for (int32_t g = 0; g < gpu_table_n; g++) {
        if (only != NULL && only != &gpu_table[g]) continue;
        for (int tier = 0; tier < RUN_TIERS && n < CASES_MAX; tier++) {
            const char *name = run_tier_name((enum run_tier)tier);
            if (asked->tier != NULL && strcmp(asked->tier, name) != 0) continue;
            n += gpu_case_make(settings, &gpu_table[g], (enum run_tier)tier, &cases[n]);
        }
    }
    return n;
}

static void write_svg(const char *path, const struct buffer *picture) {
    FILE *file = fopen(path, "wb");
    const bool written =
        file != NULL && fwrite(picture->bytes, 1, picture->len, file) == picture->len;
    if (file == NULL || fclose(file) != 0 || !written) stop(path, "cannot be written");
}

int main(int argc, char **argv) {
    static struct gpu_case cases[CASES_MAX];
    struct gpu_settings settings = {.config = {.gelu = GELU_ERF,
                                               .vocab_size = 119547,
                                               .max_positions = 512,
                                               .hidden_size = 768,
                                               .intermediate_size = 3072,
                                               .n_layers = 12,
                                               .n_heads = 12,
                                               .n_labels = 8},
                                    .title_tokens = 20,
                                    .n_gpus = 1,
                                    .host = run_host_measured(),
                                    .host_name = "measured on a core of an AMD EPYC of Zen 5"};
    struct asked asked = {.graph = 1};
    struct buffer out = {0}, picture = {0};
    struct error error;
    read_options(argc, argv, &settings, &asked);
    if (asked.host != NULL) read_host(asked.host, &settings);
    if (asked.rates != NULL) read_rates(asked.rates, &settings);
    const int32_t n = make_cases(&settings, &asked, cases);
    if (n == 0) stop("no figures", "there is no such tier, or the kernels take no such model");
    if (asked.json) {
        gpu_print_json(&settings, cases, n, &out);
    } else {
        gpu_print_head(&settings, &out);
        for (int32_t i = 0; i < n; i++) gpu_print_row(&settings, &cases[i], &out);
        if (n == 1) gpu_print_details(&cases[0], &out);
    }
    if (asked.svg != NULL) {
        gpu_print_svg(&settings, cases, n, &picture);
        must(buffer_check(&picture, &error), &error);
        write_svg(asked.svg, &picture);
    }
    must(buffer_check(&out, &error), &error);
    if (fwrite(out.bytes, 1, out.len, stdout) != out.len || fflush(stdout) != 0) return STATUS_IO;
    buffer_free(&picture);
    buffer_free(&out);
    return 0;
}
