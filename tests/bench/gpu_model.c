// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/gpu_model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/bench/verdict.h"

static bool titles_per_s(const struct gpu_settings *settings, const struct gpu_rates *rates,
                         enum run_tier tier, int32_t n_rows, bool alone, struct run_model *model) {
    const struct run_request request = {.config = &settings->config,
                                        .rates = rates,
                                        .tier = tier,
                                        .n_rows = n_rows,
                                        .title_tokens = settings->title_tokens,
                                        .launches_alone = alone,
                                        .all_e4m3 = settings->all_e4m3};
    return run_model_make(&request, model);
}

static struct gpu_rates rates_of(const struct gpu_settings *settings,
                                 const struct gpu_facts *facts) {
    struct gpu_rates rates = gpu_expected(facts);
    if (settings->measured_memory > 0) rates.memory = settings->measured_memory;
    if (settings->measured_pcie > 0) rates.pcie = settings->measured_pcie;
    for (int tier = 0; tier < RUN_TIERS; tier++) {
        const double square = settings->measured_square[tier];
        if (square > 0) rates.product[tier] = square * (SQUARE + rates.fill[tier]) / SQUARE;
    }
    return rates;
}

// Multiples of an eighth of the default, closer where there are few.
static void sweep(const struct gpu_settings *settings, const struct gpu_rates *rates,
                  struct gpu_case *one) {
    const int32_t quantum = run_model_rows(one->facts->n_multiprocessors) / 8;
    for (int32_t k = 1; k * quantum <= SWEEP_ROWS_MAX && one->n_sweep < SWEEP_MAX;) {
        struct run_model graph, alone;
        if (titles_per_s(settings, rates, one->tier, k * quantum, false, &graph) &&
            titles_per_s(settings, rates, one->tier, k * quantum, true, &alone)) {
            one->sweep[one->n_sweep].n_rows = k * quantum;
            one->sweep[one->n_sweep].titles_per_s = graph.titles_per_s;
            one->sweep[one->n_sweep++].titles_per_s_alone = alone.titles_per_s;
        }
        k += k < 4 ? 1 : k < 16 ? 2 : k < 32 ? 4 : 8;
    }
    for (int32_t i = 1; i < one->n_sweep; i++) {
        if (one->sweep[i].titles_per_s > one->sweep[one->best].titles_per_s) one->best = i;
    }
}

bool gpu_case_make(const struct gpu_settings *settings, const struct gpu_facts *facts,
                   enum run_tier tier, struct gpu_case *out) {
    const struct gpu_rates rates = rates_of(settings, facts), roof = gpu_roof(facts);
    struct run_model at_peak;
    *out = (struct gpu_case){.facts = facts,
                             .tier = tier,
                             .n_rows = settings->n_rows > 0
                                           ? settings->n_rows
                                           : run_model_rows(facts->n_multiprocessors)};
    if (!titles_per_s(settings, &rates, tier, out->n_rows, settings->launches_alone, &out->model) ||
        !titles_per_s(settings, &roof, tier, out->n_rows, false, &at_peak)) {
        return false;
    }
    const double gap = settings->launches_alone ? rates.gap_alone : rates.gap;
    for (int32_t i = 0; i < out->model.n_steps; i++) {
        const struct run_step *step = &out->model.steps[i];
        out->share[step->bound == RUN_BY_GAPS ? RUN_BY_MEMORY : step->bound] +=
            (step->seconds - step->n_launches * gap) / out->model.seconds;
    }
    out->share[RUN_BY_GAPS] = out->model.gap_seconds / out->model.seconds;
    out->roof_titles_per_s = at_peak.titles_per_s;
    out->of_peak = out->model.titles_per_s *
                   run_title_operations(&settings->config, settings->title_tokens, false) /
                   facts->peak[tier];
    out->feed = run_feed_of(&settings->host, settings->n_gpus * out->model.titles_per_s);
    sweep(settings, &rates, out);
    return true;
}

// ---- text

void gpu_print_head(const struct gpu_settings *settings, struct buffer *out) {
    const struct bert_config *config = &settings->config;
    buffer_add_format(
        out,
        "MODELLED, nothing here is measured (cuda/run_model.h, cuda/gpu_table.c): %d "
        "layers, %d wide,\n%d heads, %d feed-forward, titles of %d tokens; the host's "
        "work: %s\n\n",
        (int)config->n_layers, (int)config->hidden_size, (int)config->n_heads,
        (int)config->intermediate_size, (int)settings->title_tokens, settings->host_name);
    buffer_add_format(out,
                      "GPU   tier    rows    a batch   titles/s      tokens/s  of its  at its peaks"
                      "   tensor  memory  gaps   cores that\n"
                      "                           ms                            peak      titles/s"
                      "    cores                %s\n",
                      settings->n_gpus > 1 ? "feed them all" : "feed it");
}

static const char *grouped(double value, char text[32]) {
    char digits[32];
    snprintf(digits, sizeof digits, "%.0f", value);
    const size_t n = strlen(digits);
    size_t at = 0;
    for (size_t i = 0; i < n && at < 30; i++) {
        if (i > 0 && (n - i) % 3 == 0) text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = '\0';
    return text;
}

void gpu_print_row(const struct gpu_settings *settings, const struct gpu_case *one,
                   struct buffer *out) {
    char titles[32], tokens[32], roof[32];
    const struct run_model *model = &one->model;
    buffer_add_format(out,
                      "%-5s %-4s %8d %9.3f %10s %13s  %4.0f %% %13s   %4.0f %%  %4.0f %%  %3.0f %%"
                      "  %4.2f to %.2f",
                      one->facts->name, run_tier_name(one->tier), (int)one->n_rows,
                      1e3 * model->seconds, grouped(model->titles_per_s, titles),
                      grouped(model->tokens_per_s, tokens), 100 * one->of_peak,
                      grouped(one->roof_titles_per_s, roof), 100 * one->share[RUN_BY_PRODUCTS],
                      100 * (one->share[RUN_BY_MEMORY] + one->share[RUN_BY_VECTORS]),
                      100 * one->share[RUN_BY_GAPS], one->feed.cores, one->feed.cores_whole);
    if (one->feed.titles_per_s < settings->n_gpus * model->titles_per_s) {
        buffer_add_format(out, "; %s stops at %s titles/s", one->feed.slowest,
                          grouped(one->feed.most_titles_per_s, titles));
    }
    buffer_add_text(out, "\n");
}

static void print_steps(const struct gpu_case *one, struct buffer *out) {
    const struct run_model *model = &one->model;
    buffer_add_format(
        out,
        "\nMODELLED: a batch of %d rows on %s in %s, %.0f titles, %d launches, %.3f ms; "
        "copies beside it %.3f ms\n",
        (int)one->n_rows, one->facts->what, run_tier_name(one->tier), model->titles,
        (int)model->n_launches, 1e3 * model->seconds, 1e3 * model->copy_seconds);
    buffer_add_text(
        out,
        "step                   launches   us each  of time        MB      GFLOP   GB/s  "
        " TFLOP/s  tile  waves full  bound by\n");
    for (int32_t i = 0; i < model->n_steps; i++) {
        const struct run_step *step = &model->steps[i];
        char tile[24] = "", waves[16] = "";
        if (step->is_product) {
            snprintf(tile, sizeof tile, "%d", (int)step->tile_columns);
            snprintf(waves, sizeof waves, "%.0f %%", 100 * step->waves);
        }
        buffer_add_format(out, "%-22s %8d %9.1f %6.1f %% %9.1f %10.2f %6.0f %9.1f %5s %11s  %s\n",
                          step->name, (int)step->n_launches, 1e6 * step->seconds / step->n_launches,
                          100 * step->seconds / model->seconds, 1e-6 * step->bytes,
                          1e-9 * step->operations, 1e-9 * step->bytes / step->seconds,
                          1e-12 * step->operations / step->seconds, tile, waves,
                          run_bound_name(step->bound));
    }
}

void gpu_print_details(const struct gpu_case *one, struct buffer *out) {
    print_steps(one, out);
    const double best = one->sweep[one->best].titles_per_s;
    buffer_add_format(out, "\nMODELLED: rows a batch on %s in %s\n", one->facts->name,
                      run_tier_name(one->tier));
    buffer_add_text(out, "    rows   titles/s   of best   launched one by one\n");
    for (int32_t i = 0; i < one->n_sweep; i++) {
        char titles[32], alone[32];
        const double rate = one->sweep[i].titles_per_s;
        buffer_add_format(out, "%8d %10s %7.1f %%  %10s %6.1f %%%s%s\n", (int)one->sweep[i].n_rows,
                          grouped(rate, titles), 100 * rate / best,
                          grouped(one->sweep[i].titles_per_s_alone, alone),
                          100 * one->sweep[i].titles_per_s_alone / best,
                          one->sweep[i].n_rows == run_model_rows(one->facts->n_multiprocessors)
                              ? "  the encoder's choice"
                              : "",
                          i == one->best ? "  the best" : "");
    }
}

// ---- JSON

static void add_steps(const struct gpu_case *one, struct buffer *out) {
    buffer_add_text(out, "\"steps\":[");
    for (int32_t i = 0; i < one->model.n_steps; i++) {
        const struct run_step *step = &one->model.steps[i];
        buffer_add_format(
            out,
            "%s{\"name\":\"%s\",\"work\":\"%s\",\"is_product\":%s,\"launches\":%d,\"us\":%.4g,"
            "\"bytes\":%.8g,"
            "\"operations\":%.8g,\"waves\":%.4f,\"tile_columns\":%d,\"bound\":\"%s\"}",
            i > 0 ? "," : "", step->name, encoder_work_key(step->work),
            step->is_product ? "true" : "false", (int)step->n_launches,
            1e6 * step->seconds / step->n_launches, step->bytes, step->operations, step->waves,
            (int)step->tile_columns, run_bound_name(step->bound));
    }
    buffer_add_text(out, "],\"sweep\":[");
    for (int32_t i = 0; i < one->n_sweep; i++) {
        buffer_add_format(out, "%s{\"rows\":%d,\"titles_per_s\":%.0f,\"titles_per_s_alone\":%.0f}",
                          i > 0 ? "," : "", (int)one->sweep[i].n_rows, one->sweep[i].titles_per_s,
                          one->sweep[i].titles_per_s_alone);
    }
    buffer_add_text(out, "]");
}

static void add_case(const struct gpu_case *one, struct buffer *out) {
    const struct run_model *model = &one->model;
    buffer_add_format(out,
                      "{\"gpu\":\"%s\",\"tier\":\"%s\",\"rates_measured\":%s,\"rows\":%d,"
                      "\"titles\":%.0f,\"batch_ms\":%.5g,\"titles_per_s\":%.0f,"
                      "\"tokens_per_s\":%.0f,\"roof_titles_per_s\":%.0f,\"of_peak\":%.4f,",
                      one->facts->name, run_tier_name(one->tier),
                      gpu_expected(one->facts).is_measured ? "true" : "false", (int)one->n_rows,
                      model->titles, 1e3 * model->seconds, model->titles_per_s, model->tokens_per_s,
                      one->roof_titles_per_s, one->of_peak);
    buffer_add_format(out,
                      "\"share\":{\"tensor_cores\":%.4f,\"memory\":%.4f,\"vector_units\":%.4f,"
                      "\"gaps\":%.4f},\"launches\":%d,\"copy_in_bytes\":%.0f,\"copy_out_bytes\":"
                      "%.0f,\"copy_ms\":%.4g,",
                      one->share[RUN_BY_PRODUCTS], one->share[RUN_BY_MEMORY],
                      one->share[RUN_BY_VECTORS], one->share[RUN_BY_GAPS], (int)model->n_launches,
                      model->copy_in_nbytes, model->copy_out_nbytes, 1e3 * model->copy_seconds);
    buffer_add_format(out,
                      "\"host\":{\"cores\":%.3f,\"cores_whole\":%.3f,\"most_titles_per_s\":%.0f,"
                      "\"slowest\":\"%s\",\"titles_per_s\":%.0f},",
                      one->feed.cores, one->feed.cores_whole, one->feed.most_titles_per_s,
                      one->feed.slowest, one->feed.titles_per_s);
    add_steps(one, out);
    buffer_add_text(out, "}");
}

void gpu_print_json(const struct gpu_settings *settings, const struct gpu_case *cases,
                    int32_t n_cases, struct buffer *out) {
    const struct bert_config *config = &settings->config;
    buffer_add_format(out,
                      "{\"what\":\"modelled\",\"config\":{\"layers\":%d,\"hidden_size\":%d,"
                      "\"heads\":%d,\"intermediate_size\":%d,\"labels\":%d},\"title_tokens\":%d,"
                      "\"gpus\":%d,\"graph\":%s,\"host\":",
                      (int)config->n_layers, (int)config->hidden_size, (int)config->n_heads,
                      (int)config->intermediate_size, (int)config->n_labels,
                      (int)settings->title_tokens, (int)settings->n_gpus,
                      settings->launches_alone ? "false" : "true");
    buffer_add_json_string(out, span_text(settings->host_name));
    buffer_add_text(out, ",\"cases\":[");
    for (int32_t i = 0; i < n_cases; i++) {
        if (i > 0) buffer_add_text(out, ",\n");
        add_case(&cases[i], out);
    }
    buffer_add_text(out, "]}\n");
}
