// SPDX-License-Identifier: Apache-2.0
#include "host/bench/verdict.h"

#include <stdio.h>

static const struct {
    const char *key, *name;
    bool is_product;
} works[ENCODER_WORKS] = {
    [ENCODER_EMBED] = {"embed", "embeddings", false},
    [ENCODER_QKV] = {"qkv", "QKV product", true},
    [ENCODER_ATTENTION] = {"attention", "attention", false},
    [ENCODER_ATTENTION_OUTPUT] = {"attention_output", "attention's output product", true},
    [ENCODER_NORM] = {"norm", "residual and LayerNorm", false},
    [ENCODER_INTERMEDIATE] = {"intermediate", "feed-forward product in, GELU", true},
    [ENCODER_OUTPUT] = {"output", "feed-forward product out", true},
    [ENCODER_HEAD] = {"head", "pooler and classifier", true},
    [ENCODER_COPY] = {"copy", "copies to the device and back", false},
};

const char *encoder_work_name(enum encoder_work work) {
    return works[work].name;
}

const char *encoder_work_key(enum encoder_work work) {
    return works[work].key;
}

bool encoder_work_is_product(enum encoder_work work) {
    return works[work].is_product;
}

static enum bench_stage_id slowest_but(const struct bench_result *result, enum bench_stage_id but) {
    static const enum bench_stage_id of_a_run[] = {STAGE_INFLATE, STAGE_TOKENIZE, STAGE_PACK,
                                                   STAGE_WRITE, STAGE_ENCODE};
    enum bench_stage_id worst = but == STAGE_INFLATE ? STAGE_TOKENIZE : STAGE_INFLATE;
    for (size_t i = 0; i < ARRAY_LEN(of_a_run); i++) {
        if (of_a_run[i] != but && bench_stage_titles_per_s(result, of_a_run[i]) <
                                      bench_stage_titles_per_s(result, worst)) {
            worst = of_a_run[i];
        }
    }
    return worst;
}

static void find_slowest_work(const struct bench_result *result, struct verdict *verdict) {
    double rest = 0, most = 0, products = 0, flops = 0;
    if (!result->has_profile) return;
    for (int w = 0; w < ENCODER_WORKS; w++) {
        const double seconds = result->profile[w].median;
        if (works[w].is_product) {
            products += seconds;
            flops += result->profile_flops.by_work[w];
            continue;
        }
        rest += seconds;
        if (seconds <= most) continue;
        most = seconds;
        verdict->slowest_work = (enum encoder_work)w;
    }
    if (!(products + rest > 0)) return;
    verdict->slowest_work_share = most / (products + rest);
    verdict->rest_share = rest / (products + rest);
    if (result->ceilings.has_gemm && products > 0) {
        verdict->products_share = flops / products / samples_spread(&result->ceilings.gemm).max;
    }
}

void verdict_of(const struct bench_settings *settings, const struct bench_result *result,
                struct verdict *verdict) {
    *verdict = (struct verdict){.bound = bench_slowest(result)};
    verdict->second = slowest_but(result, verdict->bound);
    verdict->margin = bench_stage_titles_per_s(result, verdict->second) /
                      bench_stage_titles_per_s(result, verdict->bound);
    verdict->feed_titles_per_s = result->stages[STAGE_HOST].titles_per_s;
    verdict->cores_per_100k = result->host_ns * 1e-9 * 1e5;
    if (settings->is_cuda) {
        verdict->cores_per_worker = result->host_ns * 1e-9 *
                                    result->stages[STAGE_ENCODE].titles_per_s / settings->n_workers;
    }
    find_slowest_work(result, verdict);
}

// 1,234,567 or 39.4
static void add_number(struct buffer *out, double value) {
    char digits[32];
    if (value < 99.95) {
        buffer_add_format(out, "%.*f", value < 9.995 ? 2 : 1, value);
        return;
    }
    const int n = snprintf(digits, sizeof digits, "%.0f", value);
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0) buffer_add_text(out, ",");
        buffer_add(out, digits + i, 1);
    }
}

void verdict_bound(const struct bench_settings *settings, const struct bench_result *result,
                   const struct verdict *verdict, struct buffer *out) {
    const struct bench_stage *stages = result->stages;
    (void)settings;
    buffer_add_format(out, "%s bounds the run: ", stages[verdict->bound].name);
    add_number(out, bench_stage_titles_per_s(result, verdict->bound));
    buffer_add_format(out, " titles/s alone, where %s, the next, has ",
                      stages[verdict->second].name);
    add_number(out, bench_stage_titles_per_s(result, verdict->second));
    buffer_add_text(out, " (");
    add_number(out, verdict->margin);
    buffer_add_format(out, " times); the run reaches %.0f %% of it.",
                      100 * stages[STAGE_END_TO_END].share);
}

// What an encoder loses, and to what.
static void lift_encoder(const struct bench_settings *settings, const struct bench_result *result,
                         const struct verdict *verdict, struct buffer *out) {
    const double share = result->stages[STAGE_ENCODE].share;
    const double padding = flops_padding_efficiency(&result->flops);
    if (settings->is_cuda) {
        if (share > 0) {
            buffer_add_format(out, "It is at %.0f %% of the products' ceiling in %s. ", 100 * share,
                              settings->precision);
        }
        buffer_add_text(out, "More GPUs would lift it, as long as the host feeds them (see host).");
    } else if (share >= 0.8) {
        buffer_add_format(out,
                          "It is at %.0f %% of the products' ceiling in %s, so little is left in "
                          "this tier: more cores, a lower --precision or a GPU would lift it.",
                          100 * share, settings->precision);
    } else if (share > 0) {
        buffer_add_format(out, "It is at %.0f %% of the products' ceiling in %s", 100 * share,
                          settings->precision);
        if (verdict->products_share > 0) {
            buffer_add_format(out,
                              ": on one thread its products reach %.0f %%, and %.0f %% of its time "
                              "goes to the rest, %s before all (%.0f %%)",
                              100 * verdict->products_share, 100 * verdict->rest_share,
                              works[verdict->slowest_work].name, 100 * verdict->slowest_work_share);
        }
        buffer_add_text(out, ". Closing that gap would lift it, and so would more cores.");
    } else {
        buffer_add_text(out, "More cores or a GPU would lift it.");
    }
    if (padding < 0.9) {
        buffer_add_format(out,
                          " %.0f %% of what it computes is padding: a larger --batch-tokens has "
                          "less.",
                          100 * (1 - padding));
    }
}

void verdict_lift(const struct bench_settings *settings, const struct bench_result *result,
                  const struct verdict *verdict, struct buffer *out) {
    switch (verdict->bound) {
        case STAGE_ENCODE:
            lift_encoder(settings, result, verdict, out);
            break;
        case STAGE_TOKENIZE:
            buffer_add_format(out,
                              "%d threads tokenize: more processors would lift it, up to %d "
                              "threads a run.",
                              (int)settings->n_tokenizers, (int)settings->n_tokenizers_max);
            break;
        default:
            buffer_add_text(out,
                            "One thread of a run does it, whatever the processors: several runs "
                            "on inputs of their own (--shard) would lift it.");
            break;
    }
    if (result->stages[STAGE_END_TO_END].share < 0.85) {
        buffer_add_format(out,
                          " The run falls short of its slowest stage by %.0f %%: starting and "
                          "emptying the pipeline, and stages that share processors.",
                          100 * (1 - result->stages[STAGE_END_TO_END].share));
    }
}
