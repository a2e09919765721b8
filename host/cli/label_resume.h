// SPDX-License-Identifier: Apache-2.0
//
// `wader label` inside one output: going on where an earlier run stopped, and saving the way so far
// for a later one. What is saved, and in what order, is told in host/job/journal.h.
#ifndef WADER_HOST_CLI_LABEL_RESUME_H
#define WADER_HOST_CLI_LABEL_RESUME_H

#include "host/cli/label_setup.h"
#include "host/job/journal.h"
#include "host/job/provenance.h"

// A zeroed one saves nothing: that is for stdin, pipes and stdout, which nobody can go back in.
struct resume {
    bool active;
    const struct options *options;
    const struct engine *engine;
    struct provenance_task *provenance;
    const char *input_path, *settings;
    const char *paths[CHECKPOINT_OUTPUTS_MAX];  // of the output, its rejects, its kept scores
    uint32_t n_outputs;
    const struct input *input;
    struct output *outputs[CHECKPOINT_OUTPUTS_MAX];
    struct journal *journal;    // what is written
    struct journal *found;      // what was gone on from, or NULL
    struct checkpoint *latest;  // taken from the pipeline
    bool has_key, is_new;       // `latest` was not written yet
    bool saved;                 // there is a journal that names our unfinished outputs
    double written;             // when
};

// What decides the last bits of logits, besides model and precision: version, libraries, and the
// processor or the kind of device. STATUS_IO where the system does not tell.
enum status describe_program(const struct engine *engine, struct buffer *text, struct error *error);

// Fills in the rest, opens `outputs`, the caller's from then on, where the journal says, or at the
// beginning, and makes `*input`, which is a file that nothing was read of, fit. Says on stderr
// which, and why a journal could not be used. STATUS_AGAIN when `stop` says so: what was there is
// untouched.
enum status resume_begin(struct resume *resume, bool (*stop)(void), struct input **input,
                         struct error *error);

// What the pipeline is to be told, where the run is active.
void resume_configure(const struct resume *resume, struct pipeline_config *config);

// Figures of attempts before this one; zeros where there was none.
struct totals resume_before(const struct resume *resume);

// Takes the pipeline's latest note; resume_save writes it down, if there is one that was not yet
// and `must`, or if it is time to. STATUS_IO, and STATUS_LOCKED when another run has taken over.
void resume_take(struct resume *resume, struct pipeline *pipeline);
enum status resume_save(struct resume *resume, bool must, struct error *error);

// How long to wait between two looks, in ms.
int resume_wait_ms(const struct resume *resume, int most);

// At the end, before the outputs are closed: keeps what the next run can use after STATUS_AGAIN,
// removes the journal after anything else. Frees.
void resume_end(struct resume *resume, enum status status);

// The output is done: nothing of attempts at it may stay.
void resume_clear(const char *output_path);

#endif
