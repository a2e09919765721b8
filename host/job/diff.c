// SPDX-License-Identifier: Apache-2.0
#include "host/job/diff.h"

#include <string.h>

enum { STOP_EVERY = 4096 };  // rows

struct run {
    struct diff *diff;
    struct fingerprint_key key;
    struct diff_waiting waiting[DIFF_SIDES];
    bool order_is_known;
};

// The row that stands at the front of a side, and what is kept of it.
struct front {
    struct diff_row row;
    struct diff_seen seen;
    bool found;
};

// ---- the model's order of labels

static enum status add_known(struct run *run, struct span name, struct error *error) {
    struct diff_labels *labels = &run->diff->counts.labels;
    uint32_t number;
    return diff_labels_number(labels, name, &number, error);
}

// TSV's column names between score and status. What is escaped there is left to the order of names.
static enum status order_of_header(struct run *run, struct span header, struct error *error) {
    struct span cell;
    size_t at = 0;
    enum status status = STATUS_OK;
    for (int i = 0; status == STATUS_OK && diff_row_next_cell(header, &at, &cell); i++) {
        if (i < 3) continue;
        if (span_equal(cell, "status") || memchr(cell.ptr, '\\', cell.len) != NULL) break;
        status = add_known(run, cell, error);
    }
    return status;
}

static enum status order_of_scores(struct run *run, struct json_value scores, struct error *error) {
    struct buffer name = {0};
    enum status status = STATUS_OK;
    for (struct json_walk walk = json_walk(scores); status == STATUS_OK && json_next(&walk);) {
        buffer_clear(&name);
        char *at = buffer_reserve(&name, walk.key.raw.len);
        if (at != NULL) name.len = json_string(walk.key, at);
        status = buffer_check(&name, error);
        if (status == STATUS_OK) {
            status = add_known(run, (struct span){name.bytes, name.len}, error);
        }
    }
    buffer_free(&name);
    return status;
}

// Records do not hold the labels' names, but rows with every label's score do, and headers. The
// first row of OLD decides, or else that of NEW.
static enum status learn_order(struct run *run, struct front fronts[DIFF_SIDES],
                               struct error *error) {
    struct diff_labels *labels = &run->diff->counts.labels;
    enum status status = STATUS_OK;
    run->order_is_known = true;
    for (int side = 0; side < DIFF_SIDES && status == STATUS_OK && labels->n == 0; side++) {
        if (!fronts[side].found) continue;
        const struct span header = diff_side_header(&run->diff->sides[side]);
        if (header.len > 0) status = order_of_header(run, header, error);
        if (status == STATUS_OK) status = order_of_scores(run, fronts[side].row.scores, error);
    }
    labels->n_ordered = labels->n;
    return status;
}

// ---- rows

// A row whose other half has come already makes a pair with it, or else waits for it.
static enum status settle(struct run *run, int side, const struct front *front,
                          struct error *error) {
    const int other = DIFF_OLD + DIFF_NEW - side;
    const struct fingerprint id = fingerprint_of(&run->key, front->row.id);
    struct diff_seen half;
    if (!diff_waiting_take(&run->waiting[other], &id, &half)) {
        return diff_waiting_put(&run->waiting[side], &id, &front->seen, error);
    }
    const bool is_new = side == DIFF_NEW;
    return diff_counts_pair(&run->diff->counts, front->row.id, is_new ? &half : &front->seen,
                            is_new ? &front->seen : &half, error);
}

static bool same_id(const struct front fronts[DIFF_SIDES]) {
    const struct span old = fronts[DIFF_OLD].row.id, new = fronts[DIFF_NEW].row.id;
    return old.len == new.len && (old.len == 0 || memcmp(old.ptr, new.ptr, old.len) == 0);
}

static enum status match(struct run *run, const struct front fronts[DIFF_SIDES],
                         struct error *error) {
    const uint64_t n_waiting = run->waiting[DIFF_OLD].n_rows + run->waiting[DIFF_NEW].n_rows;
    enum status status = STATUS_OK;
    // Where nothing waits, equal ids need no table.
    if (n_waiting == 0 && fronts[DIFF_OLD].found && fronts[DIFF_NEW].found && same_id(fronts)) {
        return diff_counts_pair(&run->diff->counts, fronts[DIFF_OLD].row.id, &fronts[DIFF_OLD].seen,
                                &fronts[DIFF_NEW].seen, error);
    }
    for (int side = 0; side < DIFF_SIDES && status == STATUS_OK; side++) {
        if (fronts[side].found) status = settle(run, side, &fronts[side], error);
    }
    return status;
}

static void show(const struct diff *diff, const struct diff_watcher *watcher) {
    const struct diff_side *old = &diff->sides[DIFF_OLD], *new = &diff->sides[DIFF_NEW];
    if (watcher->show == NULL) return;
    watcher->show(watcher->context, diff_side_at(old) + diff_side_at(new),
                  old->nbytes + new->nbytes);
}

static enum status read_all(struct run *run, const struct diff_watcher *watcher,
                            struct error *error) {
    struct diff *diff = run->diff;
    struct front fronts[DIFF_SIDES] = {{.found = true}, {.found = true}};
    enum status status = STATUS_OK;
    for (uint64_t n = 0; status == STATUS_OK; n++) {
        if (n % STOP_EVERY == 0) show(diff, watcher);
        if (n % STOP_EVERY == 0 && watcher->stop != NULL && watcher->stop()) {
            return error_set(error, STATUS_AGAIN, "stopped by a signal; nothing was written");
        }
        for (int side = 0; side < DIFF_SIDES && status == STATUS_OK; side++) {
            struct front *front = &fronts[side];
            if (!front->found) continue;
            status = diff_side_next(&diff->sides[side], &front->row, &front->found, error);
        }
        if (status == STATUS_OK && !run->order_is_known) status = learn_order(run, fronts, error);
        if (!fronts[DIFF_OLD].found && !fronts[DIFF_NEW].found) break;
        for (int side = 0; side < DIFF_SIDES && status == STATUS_OK; side++) {
            struct front *front = &fronts[side];
            if (!front->found) continue;
            status = diff_counts_row(&diff->counts, side, &front->row, &front->seen, error);
        }
        if (status == STATUS_OK) status = match(run, fronts, error);
    }
    diff->counts.gone = run->waiting[DIFF_OLD].n_rows;
    diff->counts.added = run->waiting[DIFF_NEW].n_rows;
    return status;
}

enum status diff_open(const char *old_path, const char *new_path, struct diff *diff,
                      struct error *error) {
    struct diff_side *old = &diff->sides[DIFF_OLD], *new = &diff->sides[DIFF_NEW];
    *diff = (struct diff){0};
    enum status status = diff_side_open(old_path, old, error);
    if (status == STATUS_OK) status = diff_side_open(new_path, new, error);
    // The numbers of lines start anew in every file: only with the file's name do they tell rows.
    old->names_files = new->names_files =
        old->is_directory &&new->is_directory && old->numbers_lines &&new->numbers_lines;
    return status;
}

enum status diff_run(struct diff *diff, const struct diff_watcher *watcher, struct error *error) {
    struct run run = {.diff = diff};
    enum status status = fingerprint_key_make(&run.key, error);
    if (status == STATUS_OK) status = diff_counts_create(&diff->counts, &run.key, error);
    if (status == STATUS_OK) status = read_all(&run, watcher, error);
    diff_waiting_free(&run.waiting[DIFF_OLD]);
    diff_waiting_free(&run.waiting[DIFF_NEW]);
    return status;
}

void diff_free(struct diff *diff) {
    diff_side_close(&diff->sides[DIFF_OLD]);
    diff_side_close(&diff->sides[DIFF_NEW]);
    diff_counts_free(&diff->counts);
}
