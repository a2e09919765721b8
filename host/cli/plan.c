// SPDX-License-Identifier: Apache-2.0
//
// `wader plan`: what labelling a catalog takes, before it begins. It reads a sample of the inputs,
// or all of them, with the tokenizer that label uses, and labels a few of the titles to see how
// fast that goes here.
#include "host/cli/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "host/cli/catalog.h"
#include "host/cli/commands.h"
#include "host/cli/report.h"
#include "host/cli/stop.h"

// Where less of the bytes lies in inputs that were not looked into, units are parts of inputs.
#define LEFT_OUT_MAX 0.1

// ---- inputs

static enum status list_inputs(struct plan_report *report, struct error *error) {
    const struct options *options = report->options;
    if (options->n_inputs == 0) {
        return error_set(error, STATUS_USAGE, "give the INPUTs that are to be labelled");
    }
    struct plan_request request = {.inputs = options->inputs,
                                   .n_inputs = options->n_inputs,
                                   .output = options->output != NULL ? options->output : "./",
                                   .tsv = output_is_tsv(options),
                                   .look_only = true};
    enum status status = catalog_shard(options, &request.shard, error);
    if (status == STATUS_OK) status = plan_create(&request, &report->plan, error);
    if (status != STATUS_OK) return status;
    void *memory;
    status = alloc_zeroed(&memory, report->plan.n_items, sizeof *report->sizes, "sizes", error);
    report->sizes = memory;
    for (size_t i = 0; i < report->plan.n_items && status == STATUS_OK; i++) {
        const char *input = report->plan.items[i].input;
        struct stat info;
        if (strcmp(input, "-") == 0) {
            return error_set(error, STATUS_USAGE, "plan reads files, not stdin (-)");
        }
        errno = 0;
        if (stat(input, &info) != 0 || !S_ISREG(info.st_mode)) {
            return error_set(error, STATUS_INPUT, "%s: %s", input,
                             errno != 0 ? strerror(errno) : "not a regular file");
        }
        report->sizes[i] = (uint64_t)info.st_size;
        report->input_nbytes += report->sizes[i];
    }
    return status;
}

// ---- estimates

#define AMOUNT(field) offsetof(struct plan_unit, field)

static double amount_of(const struct plan_unit *unit, size_t field) {
    double amount;
    memcpy(&amount, (const char *)unit + field, sizeof amount);
    return amount;
}

// The units of one input, which stand together, are one where `by_file`. *known: of all units,
// those included that tell no ratio.
static size_t make_units(const struct plan_sample *sample, size_t field, bool by_file,
                         struct estimate_unit *units, double *known) {
    size_t n = 0, last = SIZE_MAX;
    *known = 0;
    for (size_t i = 0; i < sample->n_units; i++) {
        const struct plan_unit *unit = &sample->units[i];
        *known += amount_of(unit, field);
        if (!unit->is_warm) continue;
        if (!by_file || unit->file != last) units[n++] = (struct estimate_unit){0};
        last = unit->file;
        units[n - 1].nbytes += unit->nbytes;
        units[n - 1].amount += amount_of(unit, field);
    }
    return n;
}

// What was left out: of each input, and whether inputs were that hold a good part of all bytes.
static struct estimate_rest find_rest(const struct plan_report *report, bool *by_file) {
    const struct plan_sample *sample = &report->sample;
    struct estimate_rest rest = {0, 0};
    double left_out = 0, seen = 0;
    for (size_t i = 0, unit = 0; i < report->plan.n_items; i++) {
        double part = (double)report->sizes[i];
        const bool is_seen = unit < sample->n_units && sample->units[unit].file == i;
        for (; unit < sample->n_units && sample->units[unit].file == i; unit++) {
            part -= sample->units[unit].nbytes;
            seen += sample->units[unit].nbytes;
        }
        if (!is_seen) left_out += part;
        if (part < 0.5) continue;  // of rounding
        rest.nbytes += part;
        rest.squares += part * part;
    }
    *by_file = left_out > LEFT_OUT_MAX * (double)report->input_nbytes;
    if (sample->is_whole) return (struct estimate_rest){0, 0};
    // Parts of inputs are as independent of each other as they are: each is a part of its own.
    if (!*by_file) rest.squares = rest.nbytes * seen / (double)sample->n_units;
    return rest;
}

static enum status estimate_all(struct plan_report *report, struct error *error) {
    const struct plan_sample *sample = &report->sample;
    const struct {
        size_t field;
        struct estimate *to;
        bool is_rare;
    } figures[] = {
        {AMOUNT(records), &report->records, false},
        {AMOUNT(titles), &report->titles, false},
        {AMOUNT(tokens), &report->tokens, false},
        {AMOUNT(truncated), &report->truncated, true},
        {AMOUNT(bad), &report->bad, true},
        {AMOUNT(plain_nbytes), &report->plain_nbytes, false},
        {AMOUNT(row_nbytes), &report->row_nbytes, false},
    };
    void *memory;
    enum status status = alloc_array(&memory, sample->n_units + 1, sizeof(struct estimate_unit),
                                     "an estimate", error);
    if (status != STATUS_OK) return status;
    struct estimate_unit *units = memory;
    bool by_file;
    const struct estimate_rest rest = find_rest(report, &by_file);
    for (size_t i = 0; i < ARRAY_LEN(figures); i++) {
        double known;
        const size_t n = make_units(sample, figures[i].field, by_file, units, &known);
        *figures[i].to = figures[i].is_rare ? estimate_rare(units, n, known, rest)
                                            : estimate_total(units, n, known, rest);
    }
    free(units);
    const bool packs = report->plan.many || report->options->output == NULL ||
                       name_ends_in_gz(report->options->output);
    const double ratio =
        packs && sample->packed_of > 0 ? (double)sample->packed / (double)sample->packed_of : 1;
    report->file_nbytes = estimate_times(report->row_nbytes, ratio);
    if (report->options->keep_scores == KEEP_SCORES) {
        const int32_t n_labels = report->engine.model->config.n_labels;
        const uint64_t many = SCORE_RUN_ROWS;
        report->scores_nbytes =
            estimate_times(report->titles, (double)score_run_nbytes(n_labels, many) / (double)many);
    }
    return STATUS_OK;
}

static double longest_share(const struct plan_report *report) {
    const size_t n_shards = (size_t)report->options->shards;
    double longest = 0;
    for (size_t shard = 0; shard < n_shards; shard++) {
        double nbytes = 0;
        for (size_t i = shard; i < report->plan.n_items; i += n_shards) {
            nbytes += (double)report->sizes[i];
        }
        if (nbytes > longest) longest = nbytes;
    }
    return report->input_nbytes > 0 ? longest / (double)report->input_nbytes : 0;
}

// ---- the host

static enum status parse_rate(const char *text, struct estimate *rate, struct error *error) {
    char *end;
    const double value = strtod(text, &end);
    if (*text < '0' || *text > '9' || *end != '\0' || !(value > 0) || value > 1e12) {
        return error_set(error, STATUS_USAGE,
                         "--titles-per-s %s: give a number above 0, such as 3500", text);
    }
    *rate = (struct estimate){value, value, value};
    return STATUS_OK;
}

static enum status measure_memory(void *context, const struct device_choice *choice,
                                  struct error *error) {
    struct plan_report *report = context;
    const struct model *model = report->engine.model;
    return choice->is_cuda ? encoder_cuda_measure(model, &choice->cuda, &report->cuda, error)
                           : encoder_cpu_measure(&model->config, &choice->cpu, &report->cpu, error);
}

static enum status look_at_memory(struct plan_report *report, struct error *error) {
    const struct device_user user = {.take = measure_memory, .context = report};
    return choose_device(report->options, &report->engine.model->config, report->engine.max_length,
                         &user, &report->device, error);
}

// With a rate from elsewhere nothing is computed here, and rows' formats need words for it only.
static enum status open_engine(struct plan_report *report, struct error *error) {
    const struct options *options = report->options;
    if (options->titles_per_s == NULL) return engine_open(options, &report->engine, error);
    enum status status = parse_rate(options->titles_per_s, &report->rate, error);
    if (status == STATUS_OK) status = engine_open_model(options, &report->engine, error);
    report->engine.device = report->engine.precision = "";
    return status;
}

// Of OUT's directory, or of the one it is to be made in.
static void look_for_room(struct plan_report *report) {
    const char *output = report->options->output;
    char path[PATH_NBYTES_MAX];
    struct statvfs room;
    if (output == NULL || strlen(output) >= sizeof path || strcmp(output, "-") == 0) return;
    snprintf(path, sizeof path, "%s", output);
    report->room_of = output;
    while (statvfs(path, &room) != 0) {
        size_t len = strlen(path);
        while (len > 0 && path[len - 1] == '/') len--;
        while (len > 0 && path[len - 1] != '/') len--;
        const bool is_root = len == 1 && strcmp(path, "/") == 0;
        if (errno != ENOENT || is_root) return;
        path[len] = '\0';
        if (len == 0) snprintf(path, sizeof path, ".");
    }
    report->free_nbytes = (uint64_t)room.f_bavail * room.f_frsize;
    report->has_room = true;
}

double plan_disk_nbytes(const struct plan_report *report) {
    return report->file_nbytes.high + report->scores_nbytes.high;
}

static void warn(const struct plan_report *report) {
    char needed[32], there[32];
    if (!report->has_room || plan_disk_nbytes(report) <= (double)report->free_nbytes) return;
    report_warning("%s: %s MiB are free there, and the outputs may take %s MiB", report->room_of,
                   with_commas(report->free_nbytes >> 20, there),
                   with_commas((uint64_t)(plan_disk_nbytes(report) / 1048576.0) + 1, needed));
}

// ---- all of it

static enum status make_report(struct plan_report *report, struct error *error) {
    const struct options *options = report->options;
    enum status status = list_inputs(report, error);
    if (status == STATUS_OK && report->plan.n_items == 0) {
        return error_set(error, STATUS_USAGE, "this share is empty: there are %zu inputs",
                         report->plan.n_all);
    }
    if (status == STATUS_OK) status = open_engine(report, error);
    if (status == STATUS_OK) status = plan_sample_read(report, error);
    if (status == STATUS_OK) status = estimate_all(report, error);
    if (status == STATUS_OK) status = look_at_memory(report, error);
    if (status == STATUS_OK && options->titles_per_s == NULL) {
        status = plan_measure_rate(report, error);
    }
    if (status != STATUS_OK) return status;
    report->seconds = estimate_ratio(report->titles, report->rate);
    if (options->shards > 0) report->longest_share = longest_share(report);
    look_for_room(report);
    return STATUS_OK;
}

enum status command_plan(const struct options *options, struct error *error) {
    struct plan_report *report;
    struct buffer text = {0};
    void *memory;
    stop_at_once();
    enum status status = alloc_zeroed(&memory, 1, sizeof *report, "a plan", error);
    if (status != STATUS_OK) return status;
    report = memory;
    report->options = options;
    status = make_report(report, error);
    if (status == STATUS_OK) {
        if (options->json) {
            plan_add_json(report, &text);
        } else {
            plan_add_text(report, &text);
        }
        status = catalog_print(&text, error);
        if (!options->quiet) warn(report);
    }
    buffer_free(&text);
    plan_sample_free(&report->sample);
    engine_close(&report->engine);
    plan_free(&report->plan);
    free(report->sizes);
    free(report);
    return status;
}
