// SPDX-License-Identifier: Apache-2.0
#include "host/cli/label_resume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/bench/host_facts.h"
#include "host/cli/report.h"

// ---- the key

// "2 x NVIDIA H200": how many there are decides no byte.
static const char *kind_of(const char *hardware) {
    const size_t n = strspn(hardware, "0123456789");
    return n > 0 && strncmp(hardware + n, " x ", 3) == 0 ? hardware + n + 3 : hardware;
}

enum status describe_program(const struct engine *engine, struct buffer *text,
                             struct error *error) {
    struct host_facts facts;
    host_facts_read(&facts);
    if (!engine->is_cuda && facts.cpu_fault != 0) {
        return error_set(error, STATUS_IO, "/proc/cpuinfo: %s", strerror(facts.cpu_fault));
    }
    buffer_add_format(text, "wader %s\n%s\n", WADER_VERSION, facts.libraries);
    if (engine->is_cuda) {
        buffer_add_text(text, kind_of(engine->hardware));
    } else {
        buffer_add_format(text, "%s\n%s\n%s", facts.cpu, facts.flags, facts.kernels);
    }
    return STATUS_OK;
}

static enum status hash_text(struct buffer *text, char key[SHA256_HEX_LEN + 1],
                             struct error *error) {
    enum status status = buffer_check(text, error);
    if (status == STATUS_OK) status = sha256_of(text->bytes, text->len, key, error);
    buffer_clear(text);
    return status;
}

// Waits for the model's hashes where they are not there yet.
static enum status make_key(struct resume *resume, struct error *error) {
    char(*key)[SHA256_HEX_LEN + 1] = resume->journal->key;
    struct provenance provenance;
    struct buffer text = {0};
    if (resume->has_key) return STATUS_OK;
    enum status status = provenance_wait(resume->provenance, &provenance, error);
    if (status != STATUS_OK) return status;
    buffer_add_format(&text, "%s\n%llu\n%lld", resume->input_path,
                      (unsigned long long)input_total_nbytes(resume->input),
                      (long long)input_mtime_ns(resume->input));
    status = hash_text(&text, key[JOURNAL_INPUT], error);
    buffer_add_format(&text, "%s\n%s\n%s", provenance.weights_name, provenance.model_sha256,
                      provenance.tokenizer_sha256);
    if (status == STATUS_OK) status = hash_text(&text, key[JOURNAL_MODEL], error);
    const struct span last = span_text(resume->paths[resume->n_outputs - 1]);
    buffer_add_format(&text, "%s\n%s", resume->settings,
                      span_ends_in(last, SCORES_SUFFIX) ? "scores are kept" : "");
    if (status == STATUS_OK) status = hash_text(&text, key[JOURNAL_SETTINGS], error);
    if (status == STATUS_OK) status = describe_program(resume->engine, &text, error);
    if (status == STATUS_OK) status = hash_text(&text, key[JOURNAL_PROGRAM], error);
    buffer_free(&text);
    resume->has_key = status == STATUS_OK;
    return status;
}

// ---- saving

static enum status save(struct resume *resume, const struct checkpoint *at, struct error *error) {
    struct journal *journal = resume->journal;
    enum status status = make_key(resume, error);
    for (uint32_t i = 0; i < resume->n_outputs && status == STATUS_OK; i++) {
        status = output_sync(resume->outputs[i], error);
        snprintf(journal->temporary[i], sizeof journal->temporary[i], "%s",
                 output_temporary(resume->outputs[i]));
    }
    if (status != STATUS_OK) return status;
    journal->at = *at;
    status = journal_write(resume->paths[0], journal, error);
    if (status == STATUS_OK) resume->saved = true;
    resume->written = now_seconds();
    return status;
}

void resume_take(struct resume *resume, struct pipeline *pipeline) {
    if (resume->active && pipeline_checkpoint(pipeline, &resume->latest)) resume->is_new = true;
}

enum status resume_save(struct resume *resume, bool must, struct error *error) {
    const double every = resume->active ? resume->options->checkpoint_seconds : 0.0;
    if (!resume->is_new || (!must && now_seconds() - resume->written < every)) return STATUS_OK;
    resume->is_new = false;
    return save(resume, resume->latest, error);
}

int resume_wait_ms(const struct resume *resume, int most) {
    return resume->active && resume->options->checkpoint_seconds == 0 ? 1 : most;
}

// ---- going on

static enum status reopen(struct resume *resume, struct input **input, struct error *error) {
    input_close(*input);
    enum status status = input_open(resume->input_path, input, error);
    if (status == STATUS_OK) status = input_keep_points(*input, error);
    resume->input = *input;
    return status;
}

static void close_outputs(struct resume *resume) {
    for (uint32_t i = 0; i < resume->n_outputs; i++) {
        output_close(resume->outputs[i]);
        resume->outputs[i] = NULL;
    }
}

// Opens outputs and input where the journal says. `*why`, from `reason`, tells where it cannot be.
static enum status go_on(struct resume *resume, bool (*stop)(void), struct input **input,
                         const char **why, struct error *reason) {
    const struct checkpoint *at = &resume->found->at;
    if (at->n_outputs != resume->n_outputs) {
        *why = "it was begun with another --on-bad";
        return STATUS_OK;
    }
    if (totals_bad(&at->totals) > 0 && resume->options->on_bad == ON_BAD_FAIL) {
        *why = "it has rows of bad records, which --on-bad fail does not take";
        return STATUS_OK;
    }
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < at->n_outputs && status == STATUS_OK; i++) {
        status = output_resume(resume->paths[i], resume->found->temporary[i], &at->outputs[i], stop,
                               &resume->outputs[i], reason);
    }
    if (status == STATUS_OK) {
        status = input_resume(*input, &at->input, reason);
        if (status == STATUS_INPUT) {
            struct error unread = *reason;
            enum status reopened = reopen(resume, input, reason);
            if (reopened != STATUS_OK) status = reopened;
            if (reopened == STATUS_OK) *reason = unread;
        }
    }
    if (status != STATUS_OK) close_outputs(resume);
    if (status != STATUS_INPUT) return status;
    *why = reason->text;
    return STATUS_OK;
}

// There is a journal. Leaves `resume->found` where it is used.
static enum status use_journal(struct resume *resume, bool (*stop)(void), struct input **input,
                               struct error *error) {
    void *memory;
    const char *why;
    struct error reason = {""};
    char count[32];
    enum status status = make_key(resume, error);
    if (status == STATUS_OK) {
        status = alloc_zeroed(&memory, 1, sizeof *resume->found, "a journal", error);
    }
    if (status != STATUS_OK) return status;
    resume->found = memory;
    const char *output = resume->paths[0];
    if (journal_read(output, resume->journal, resume->found, &why) == JOURNAL_FITS) {
        status = go_on(resume, stop, input, &why, &reason);
    }
    if (status != STATUS_OK) {
        if (error != NULL) *error = reason;
        return status;
    }
    const bool quiet = resume->options->quiet;
    if (resume->outputs[0] == NULL) {
        if (!quiet && why != NULL) {
            report_note("%s: begun by an earlier run, but starting from the beginning: %s", output,
                        why);
        }
        free(resume->found);
        resume->found = NULL;
        journal_remove(output);
        commit_sweep(output, NULL, NULL, NULL);
        return STATUS_OK;
    }
    if (!quiet) {
        report_note("%s: going on behind record %s, where an earlier run stopped", output,
                    with_commas(resume->found->at.n_records, count));
    }
    // The old unfinished file goes when the journal speaks of the new one.
    status = save(resume, &resume->found->at, error);
    if (status != STATUS_OK) return status;
    const char *rejects = NULL, *scores = NULL;
    for (uint32_t i = 1; i < resume->n_outputs; i++) {
        const bool is_scores = span_ends_in(span_text(resume->paths[i]), SCORES_SUFFIX);
        *(is_scores ? &scores : &rejects) = output_temporary(resume->outputs[i]);
    }
    commit_sweep(output, output_temporary(resume->outputs[0]), rejects, scores);
    journal_sweep(output);
    return STATUS_OK;
}

enum status resume_begin(struct resume *resume, bool (*stop)(void), struct input **input,
                         struct error *error) {
    void *memory;
    enum status status = input_keep_points(*input, error);
    if (status == STATUS_OK) {
        status = alloc_zeroed(&memory, 1, sizeof *resume->journal, "a journal", error);
    }
    if (status != STATUS_OK) return status;
    resume->journal = memory;
    status = alloc_zeroed(&memory, 1, sizeof *resume->latest, "a checkpoint", error);
    if (status != STATUS_OK) return status;
    resume->latest = memory;
    resume->input = *input;
    if (journal_exists(resume->paths[0])) status = use_journal(resume, stop, input, error);
    const bool opened = resume->outputs[0] != NULL;
    for (uint32_t i = 0; i < resume->n_outputs && status == STATUS_OK && !opened; i++) {
        status = output_open(resume->paths[i], &resume->outputs[i], error);
    }
    if (status != STATUS_OK) return status;
    resume->active = true;
    resume->written = now_seconds();
    return STATUS_OK;
}

void resume_configure(const struct resume *resume, struct pipeline_config *config) {
    if (!resume->active) return;
    // Noting costs little, and when there is no time to wait for a batch the latest note counts.
    config->checkpoints = true;
    config->checkpoint_every = resume->options->checkpoint_seconds < 1 ? 0.0 : 1.0;
    config->resume = resume->found != NULL ? &resume->found->at : NULL;
}

struct totals resume_before(const struct resume *resume) {
    return resume->found != NULL ? resume->found->at.totals : (struct totals){0};
}

void resume_end(struct resume *resume, enum status status) {
    if (resume->active && status == STATUS_AGAIN) {
        for (uint32_t i = 0; i < resume->n_outputs && resume->saved; i++) {
            output_keep(resume->outputs[i]);
        }
    } else if (resume->active && status != STATUS_LOCKED) {
        journal_remove(resume->paths[0]);
    }
    free(resume->journal);
    free(resume->found);
    free(resume->latest);
    *resume = (struct resume){0};
}

void resume_clear(const char *output_path) {
    if (!journal_exists(output_path)) return;
    journal_remove(output_path);
    commit_sweep(output_path, NULL, NULL, NULL);
}
