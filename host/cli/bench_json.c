// SPDX-License-Identifier: Apache-2.0
//
// `wader bench --json`: one object on one line. Keys are stable; what was not measured is null.
//   wader        version
//   command      the command line
//   machine      cpu, flags, kernels (instruction set of the encoder's own kernels), processors (to
//                be used), processors_online, memory_nbytes, load (before), system, libraries
//   model        path, layers, hidden_size, heads, intermediate_size, labels
//   device, hardware (null on the CPU), workers, threads, precision, max_length, batch_tokens,
//   slots titles       input (null: made up), lengths, seed (null for an input), cut (whether the
//   input
//                went on), records, titles, bytes (mean), tokens: mean, median, p95, max
//   measured     rounds, seconds
//   ceilings     the best of all rounds: copy_bytes_per_s (256 KiB, one thread), memory_bytes_per_s
//   (64 MiB, one thread),
//                memory_bytes_per_s_all (all threads), gemm: null, or flops_per_s (one thread or
//                GPU), flops_per_s_all (all that encode), rows, in, out
//   stages       of each: name (host/bench/bench.h; those not measured are left out), threads, unit
//                (of the next four), rate (median), rate_min, rate_max, ceiling, ceiling_is
//                ("copy", "gemm", "slowest stage", ...), share (rate / ceiling), titles_per_s,
//                tokens_per_s
//   end_to_end   titles_per_s, tokens_per_s, titles and seconds of a run, busy: of the run's time
//                the share that the threads of read, tokenize, encode and write worked
//   encoder      flops_per_title (products and attention), flops_per_s, mfu and end_to_end_mfu
//                (shares of the gemm ceiling; null without), padding_efficiency (needed operations
//                / computed ones), token_tile, title_tile (products compute rows in whole multiples
//                of these), token_rows, token_rows_computed, title_rows, title_rows_computed (of
//                what encode had in a round), works: null, or of each part of some batches on one
//                thread or device: name, seconds, flops, bytes (moved at least)
//   verdict      bound, next (stages), margin, why, lift (sentences)
//   host         ns_per_title (of a core), feed_titles_per_s, cores_per_100k_titles_per_s,
//                cores_per_gpu (null on the CPU)
//   startup      seconds (median), min, max: from a command's start to its first label
#include <math.h>

#include "host/cli/bench.h"

static void add_text(struct buffer *out, const char *key, const char *text) {
    buffer_add_format(out, "\"%s\":", key);
    if (text == NULL || *text == '\0') {
        buffer_add_text(out, "null");
    } else {
        buffer_add_json_string(out, span_text(text));
    }
}

// Six figures are more than any clock is good for.
static void add_number(struct buffer *out, const char *key, double value) {
    if (isfinite(value)) {
        buffer_add_format(out, "\"%s\":%.6g", key, value);
    } else {
        buffer_add_format(out, "\"%s\":null", key);
    }
}

static void add_machine(const struct host_facts *host, struct buffer *out) {
    buffer_add_text(out, "{");
    add_text(out, "cpu", host->cpu);
    buffer_add_text(out, ",");
    add_text(out, "flags", host->flags);
    buffer_add_text(out, ",");
    add_text(out, "kernels", host->kernels);
    buffer_add_format(out, ",\"processors\":%d,\"processors_online\":%d,\"memory_nbytes\":%llu,",
                      host->processors, host->processors_online,
                      (unsigned long long)host->memory_nbytes);
    add_number(out, "load", host->load);
    buffer_add_text(out, ",");
    add_text(out, "system", host->system);
    buffer_add_text(out, ",");
    add_text(out, "libraries", host->libraries);
    buffer_add_text(out, "}");
}

static void add_model(const struct bench_report *report, struct buffer *out) {
    const struct engine *engine = &report->engine;
    const struct bert_config *config = &engine->model->config;
    buffer_add_text(out, "{");
    add_text(out, "path", report->options->model);
    buffer_add_format(out,
                      ",\"layers\":%d,\"hidden_size\":%d,\"heads\":%d,\"intermediate_size\":%d,"
                      "\"labels\":%d},",
                      config->n_layers, config->hidden_size, config->n_heads,
                      config->intermediate_size, config->n_labels);
    add_text(out, "device", engine->device);
    buffer_add_text(out, ",");
    add_text(out, "hardware", engine->hardware);
    buffer_add_text(out, ",");
    add_text(out, "workers", engine->workers);
    buffer_add_format(out, ",\"threads\":%d,", engine->n_threads);
    add_text(out, "precision", engine->precision);
    buffer_add_format(out, ",\"max_length\":%d,\"batch_tokens\":%d,\"slots\":%d",
                      (int)engine->max_length, (int)engine->encoder->batch_tokens,
                      (int)engine->encoder->n_slots);
}

static void add_titles(const struct bench_report *report, const struct bench_lengths *lengths,
                       struct buffer *out) {
    const struct corpus *corpus = &report->corpus;
    buffer_add_text(out, "{");
    add_text(out, "input", report->input);
    buffer_add_text(out, ",");
    add_text(out, "lengths", report->input == NULL ? report->options->lengths : NULL);
    if (report->input == NULL) {
        buffer_add_format(out, ",\"seed\":%d", report->options->seed);
    } else {
        buffer_add_text(out, ",\"seed\":null");
    }
    buffer_add_format(out, ",\"cut\":%s,\"records\":%zu,\"titles\":%zu,",
                      corpus->is_cut ? "true" : "false", corpus->n_records, corpus->n_titles);
    add_number(out, "bytes", lengths->nbytes);
    buffer_add_text(out, ",\"tokens\":{");
    add_number(out, "mean", lengths->mean);
    buffer_add_format(out, ",\"median\":%d,\"p95\":%d,\"max\":%d}}", (int)lengths->median,
                      (int)lengths->p95, (int)lengths->max);
}

static void add_ceilings(const struct ceilings *ceilings, struct buffer *out) {
    buffer_add_text(out, "{");
    add_number(out, "copy_bytes_per_s", samples_spread(&ceilings->copy).max);
    buffer_add_text(out, ",");
    add_number(out, "memory_bytes_per_s", samples_spread(&ceilings->memory).max);
    buffer_add_text(out, ",");
    add_number(out, "memory_bytes_per_s_all", samples_spread(&ceilings->memory_all).max);
    if (!ceilings->has_gemm) {
        buffer_add_text(out, ",\"gemm\":null}");
        return;
    }
    buffer_add_text(out, ",\"gemm\":{");
    add_number(out, "flops_per_s", samples_spread(&ceilings->gemm).max);
    buffer_add_text(out, ",");
    add_number(out, "flops_per_s_all", samples_spread(&ceilings->gemm_all).max);
    buffer_add_format(out, ",\"rows\":%d,\"in\":%d,\"out\":%d}}", (int)ceilings->gemm_rows,
                      (int)ceilings->gemm_in, (int)ceilings->gemm_out);
}

static void add_stages(const struct bench_result *result, struct buffer *out) {
    const char *separator = "";
    buffer_add_text(out, "[");
    for (int id = 0; id < STAGES; id++) {
        const struct bench_stage *stage = &result->stages[id];
        const bool has_ceiling = stage->ceiling_name != NULL;
        if (!stage->is_measured) continue;
        buffer_add_format(out, "%s{\"name\":\"%s\",\"threads\":%d,\"unit\":\"%s\",", separator,
                          stage->name, (int)stage->n_threads, stage->unit);
        add_number(out, "rate", stage->rate.median);
        buffer_add_text(out, ",");
        add_number(out, "rate_min", stage->rate.min);
        buffer_add_text(out, ",");
        add_number(out, "rate_max", stage->rate.max);
        buffer_add_text(out, ",");
        add_number(out, "ceiling", has_ceiling ? stage->ceiling : NAN);
        buffer_add_text(out, ",");
        add_text(out, "ceiling_is", stage->ceiling_name);
        buffer_add_text(out, ",");
        add_number(out, "share", has_ceiling ? stage->share : NAN);
        buffer_add_text(out, ",");
        add_number(out, "titles_per_s", stage->titles_per_s);
        buffer_add_text(out, ",");
        add_number(out, "tokens_per_s", stage->tokens_per_s);
        buffer_add_text(out, "}");
        separator = ",";
    }
    buffer_add_text(out, "]");
}

static void add_end_to_end(const struct bench_result *result, struct buffer *out) {
    const struct bench_stage *whole = &result->stages[STAGE_END_TO_END];
    buffer_add_text(out, "{");
    add_number(out, "titles_per_s", whole->titles_per_s);
    buffer_add_text(out, ",");
    add_number(out, "tokens_per_s", whole->tokens_per_s);
    buffer_add_format(out, ",\"titles\":%llu,", (unsigned long long)result->run_titles);
    add_number(out, "seconds", result->run_seconds);
    buffer_add_text(out, ",\"busy\":{");
    add_number(out, "read", result->busy.read);
    buffer_add_text(out, ",");
    add_number(out, "tokenize", result->busy.tokenize);
    buffer_add_text(out, ",");
    add_number(out, "encode", result->busy.encode);
    buffer_add_text(out, ",");
    add_number(out, "write", result->busy.write);
    buffer_add_text(out, "}}");
}

static void add_works(const struct bench_report *report, struct buffer *out) {
    const struct bench_result *result = &report->result;
    const char *separator = "";
    if (!result->has_profile) {
        buffer_add_text(out, "null");
        return;
    }
    buffer_add_text(out, "[");
    for (int w = 0; w < ENCODER_WORKS; w++) {
        if (!(result->profile[w].median > 0)) continue;
        buffer_add_format(out, "%s{\"name\":\"%s\",", separator,
                          encoder_work_key((enum encoder_work)w));
        add_number(out, "seconds", result->profile[w].median);
        buffer_add_text(out, ",");
        add_number(out, "flops", result->profile_flops.by_work[w]);
        buffer_add_text(out, ",");
        add_number(out, "bytes", bench_work_nbytes(report, (enum encoder_work)w));
        buffer_add_text(out, "}");
        separator = ",";
    }
    buffer_add_text(out, "]");
}

static void add_encoder(const struct bench_report *report, struct buffer *out) {
    const struct bench_result *result = &report->result;
    const struct flops *flops = &result->flops;
    const struct bench_stage *encode = &result->stages[STAGE_ENCODE];
    const bool has_mfu = result->mfu > 0;
    buffer_add_text(out, "{");
    add_number(out, "flops_per_title",
               flops->titles > 0 ? flops->total / (double)flops->titles : NAN);
    buffer_add_text(out, ",");
    add_number(out, "flops_per_s", encode->rate.median * 1e9);
    buffer_add_text(out, ",");
    add_number(out, "mfu", has_mfu ? result->mfu : NAN);
    buffer_add_text(out, ",");
    add_number(out, "end_to_end_mfu", has_mfu ? result->end_to_end_mfu : NAN);
    buffer_add_text(out, ",");
    add_number(out, "padding_efficiency", flops_padding_efficiency(flops));
    buffer_add_format(out,
                      ",\"token_tile\":%d,\"title_tile\":%d,\"token_rows\":%llu,"
                      "\"token_rows_computed\":%llu,\"title_rows\":%llu,"
                      "\"title_rows_computed\":%llu,\"works\":",
                      (int)report->engine.encoder->token_tile,
                      (int)report->engine.encoder->title_tile, (unsigned long long)flops->tokens,
                      (unsigned long long)flops->token_rows, (unsigned long long)flops->titles,
                      (unsigned long long)flops->title_rows);
    add_works(report, out);
    buffer_add_text(out, "}");
}

static void add_sentences(struct buffer *out, const char *key,
                          void (*say)(const struct bench_settings *settings,
                                      const struct bench_result *result,
                                      const struct verdict *verdict, struct buffer *text),
                          const struct bench_report *report) {
    struct buffer text = {0};
    say(&report->settings, &report->result, &report->verdict, &text);
    buffer_add_format(out, "\"%s\":", key);
    buffer_add_json_string(out, (struct span){text.bytes, text.len});
    out->failed = out->failed || text.failed;
    buffer_free(&text);
}

static void add_verdict(const struct bench_report *report, struct buffer *out) {
    const struct verdict *verdict = &report->verdict;
    const struct bench_stage *stages = report->result.stages;
    buffer_add_format(out, "{\"bound\":\"%s\",\"next\":\"%s\",", stages[verdict->bound].name,
                      stages[verdict->second].name);
    add_number(out, "margin", verdict->margin);
    buffer_add_text(out, ",");
    add_sentences(out, "why", verdict_bound, report);
    buffer_add_text(out, ",");
    add_sentences(out, "lift", verdict_lift, report);
    buffer_add_text(out, "},\"host\":{");
    add_number(out, "ns_per_title", report->result.host_ns);
    buffer_add_text(out, ",");
    add_number(out, "feed_titles_per_s", verdict->feed_titles_per_s);
    buffer_add_text(out, ",");
    add_number(out, "cores_per_100k_titles_per_s", verdict->cores_per_100k);
    buffer_add_text(out, ",");
    add_number(out, "cores_per_gpu",
               verdict->cores_per_worker > 0 ? verdict->cores_per_worker : NAN);
    buffer_add_text(out, "}");
}

void bench_print_json(const struct bench_report *report, const struct bench_lengths *lengths,
                      struct buffer *out) {
    const struct bench_result *result = &report->result;
    const struct spread startup = samples_spread(&report->startup);
    buffer_add_text(out, "{\"wader\":\"" WADER_VERSION "\",\"command\":");
    buffer_add_json_string(out, (struct span){report->command.bytes, report->command.len});
    buffer_add_text(out, ",\"machine\":");
    add_machine(&report->host, out);
    buffer_add_text(out, ",\"model\":");
    add_model(report, out);
    buffer_add_text(out, ",\"titles\":");
    add_titles(report, lengths, out);
    buffer_add_format(out, ",\"measured\":{\"rounds\":%d,", result->n_rounds);
    add_number(out, "seconds", result->seconds);
    buffer_add_text(out, "},\"ceilings\":");
    add_ceilings(&result->ceilings, out);
    buffer_add_text(out, ",\"stages\":");
    add_stages(result, out);
    buffer_add_text(out, ",\"end_to_end\":");
    add_end_to_end(result, out);
    buffer_add_text(out, ",\"encoder\":");
    add_encoder(report, out);
    buffer_add_text(out, ",\"verdict\":");
    add_verdict(report, out);
    buffer_add_text(out, ",\"startup\":{");
    add_number(out, "seconds", startup.median);
    buffer_add_text(out, ",");
    add_number(out, "min", startup.min);
    buffer_add_text(out, ",");
    add_number(out, "max", startup.max);
    buffer_add_text(out, "}}\n");
}
