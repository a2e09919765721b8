// SPDX-License-Identifier: Apache-2.0
#include "tests/support/fake_encoder.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum slot_state { IDLE, SUBMITTED, RUNNING, DONE };

struct fake_slot {
    struct encoder_slot slot;
    enum slot_state state;
    int64_t batch;
};

struct fake {
    struct encoder encoder;  // first: a pointer to it is a pointer to this
    struct fake_encoder_spec spec;
    struct fake_slot *slots;  // [n_slots]
    pthread_t *threads;       // [n_threads]
    pthread_mutex_t mutex;    // guards all below and every slot's state
    pthread_cond_t changed;
    int64_t n_batches, n_titles;
    unsigned random;
    bool quit;
    const char *fault;
};

static struct fake *fake_of(struct encoder *encoder) {
    return (struct fake *)(void *)encoder;
}

static void *allocate(size_t n, size_t size) {
    void *memory = calloc(n, size);
    if (memory == NULL) {
        perror("fake encoder");
        exit(1);
    }
    return memory;
}

void fake_encoder_logits(const int32_t *token_ids, int32_t n, int32_t nan_id,
                         float logits[FAKE_LABELS]) {
    uint32_t hash = 2166136261U;
    bool finite = true;
    for (int32_t i = 0; i < n; i++) {
        hash = (hash ^ (uint32_t)token_ids[i]) * 16777619U;
        finite = finite && token_ids[i] != nan_id;
    }
    for (int k = 0; k < FAKE_LABELS; k++) logits[k] = (float)(hash >> 6 * k & 63) / 8.0f;
    if (!finite) logits[FAKE_LABELS - 1] = NAN;
}

static void compute(struct fake *fake, const struct fake_slot *batch, unsigned delay_us) {
    const struct encoder_slot *slot = &batch->slot;
    if (delay_us > 0) usleep(delay_us);
    for (int32_t t = 0; t < slot->n_titles; t++) {
        fake_encoder_logits(slot->token_ids + slot->cu_seqlens[t],
                            slot->cu_seqlens[t + 1] - slot->cu_seqlens[t], fake->spec.nan_id,
                            slot->logits + (size_t)t * FAKE_LABELS);
    }
    // As a bit that tipped over would.
    if (batch->batch + 1 == fake->spec.lie_at) slot->logits[0] = -slot->logits[0] - 1;
}

// Under the mutex.
static unsigned next_random(struct fake *fake) {
    fake->random = fake->random * 1664525U + 1013904223U;
    return fake->random >> 8;
}

static unsigned next_delay(struct fake *fake) {
    return fake->spec.delay_us > 0 ? next_random(fake) % (unsigned)fake->spec.delay_us : 0;
}

// Under the mutex: any batch that waits to be computed, or NULL.
static struct fake_slot *pick(struct fake *fake) {
    const int32_t n = fake->spec.n_slots, first = (int32_t)(next_random(fake) % (unsigned)n);
    for (int32_t i = 0; i < n; i++) {
        struct fake_slot *slot = &fake->slots[(first + i) % n];
        if (slot->state == SUBMITTED) return slot;
    }
    return NULL;
}

static void *work(void *argument) {
    struct fake *fake = argument;
    pthread_mutex_lock(&fake->mutex);
    while (!fake->quit) {
        struct fake_slot *slot = pick(fake);
        if (slot == NULL) {
            pthread_cond_wait(&fake->changed, &fake->mutex);
            continue;
        }
        slot->state = RUNNING;
        const unsigned delay_us = next_delay(fake);
        pthread_mutex_unlock(&fake->mutex);
        compute(fake, slot, delay_us);
        pthread_mutex_lock(&fake->mutex);
        slot->state = DONE;
        pthread_cond_broadcast(&fake->changed);
    }
    pthread_mutex_unlock(&fake->mutex);
    return NULL;
}

static struct encoder_slot *fake_slot(struct encoder *encoder, int32_t i) {
    return &fake_of(encoder)->slots[i].slot;
}

static void fake_submit(struct encoder *encoder, int32_t i) {
    struct fake *fake = fake_of(encoder);
    struct fake_slot *slot = &fake->slots[i];
    pthread_mutex_lock(&fake->mutex);
    if (slot->state != IDLE) fake->fault = "a slot in flight was submitted again";
    slot->state = SUBMITTED;
    slot->batch = fake->n_batches++;
    fake->n_titles += slot->slot.n_titles;
    // Whoever reads logits before they are there shall not find good ones.
    memset(slot->slot.logits, 0xff,
           (size_t)encoder->titles_cap * FAKE_LABELS * sizeof *slot->slot.logits);
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->mutex);
}

static enum status fake_wait(struct encoder *encoder, int32_t i, struct error *error) {
    struct fake *fake = fake_of(encoder);
    struct fake_slot *slot = &fake->slots[i];
    pthread_mutex_lock(&fake->mutex);
    if (slot->state == IDLE) {
        fake->fault = "a slot without a batch was waited for";
    } else if (fake->spec.n_threads == 0) {
        compute(fake, slot, next_delay(fake));
        slot->state = DONE;
    }
    while (slot->state == SUBMITTED || slot->state == RUNNING) {
        pthread_cond_wait(&fake->changed, &fake->mutex);
    }
    slot->state = IDLE;
    slot->slot.seconds = 0.001;
    const bool fails = fake->spec.fail_at >= 0 && slot->batch >= fake->spec.fail_at;
    pthread_mutex_unlock(&fake->mutex);
    return fails ? error_set(error, fake->spec.failure, "the fake device failed") : STATUS_OK;
}

static void fake_destroy(struct encoder *encoder) {
    struct fake *fake = fake_of(encoder);
    pthread_mutex_lock(&fake->mutex);
    fake->quit = true;
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->mutex);
    for (int i = 0; i < fake->spec.n_threads; i++) pthread_join(fake->threads[i], NULL);
    for (int32_t i = 0; i < fake->spec.n_slots; i++) {
        free(fake->slots[i].slot.token_ids);
        free(fake->slots[i].slot.cu_seqlens);
        free(fake->slots[i].slot.logits);
    }
    pthread_cond_destroy(&fake->changed);
    pthread_mutex_destroy(&fake->mutex);
    free(fake->slots);
    free(fake->threads);
    free(fake);
}

struct encoder *fake_encoder_create(const struct fake_encoder_spec *spec) {
    static const struct encoder_ops ops = {
        .slot = fake_slot, .submit = fake_submit, .wait = fake_wait, .destroy = fake_destroy};
    struct fake *fake = allocate(1, sizeof *fake);
    fake->spec = *spec;
    fake->fault = "";
    fake->encoder = (struct encoder){.ops = &ops,
                                     .n_slots = spec->n_slots,
                                     .batch_tokens = spec->batch_tokens,
                                     .titles_cap = spec->titles_cap,
                                     .n_labels = FAKE_LABELS,
                                     .max_length = spec->max_length};
    fake->slots = allocate((size_t)spec->n_slots, sizeof *fake->slots);
    for (int32_t i = 0; i < spec->n_slots; i++) {
        struct encoder_slot *slot = &fake->slots[i].slot;
        slot->token_ids = allocate((size_t)spec->batch_tokens, sizeof(int32_t));
        slot->cu_seqlens = allocate((size_t)spec->titles_cap + 1, sizeof(int32_t));
        slot->logits = allocate((size_t)spec->titles_cap * FAKE_LABELS, sizeof(float));
    }
    pthread_mutex_init(&fake->mutex, NULL);
    pthread_cond_init(&fake->changed, NULL);
    fake->threads = allocate((size_t)spec->n_threads + 1, sizeof *fake->threads);
    for (int i = 0; i < spec->n_threads; i++) {
        if (pthread_create(&fake->threads[i], NULL, work, fake) != 0) exit(1);
    }
    return &fake->encoder;
}

int64_t fake_encoder_titles(struct encoder *encoder) {
    struct fake *fake = fake_of(encoder);
    pthread_mutex_lock(&fake->mutex);
    const int64_t n_titles = fake->n_titles;
    pthread_mutex_unlock(&fake->mutex);
    return n_titles;
}

const char *fake_encoder_fault(struct encoder *encoder) {
    struct fake *fake = fake_of(encoder);
    pthread_mutex_lock(&fake->mutex);
    const char *fault = fake->fault;
    for (int32_t i = 0; i < fake->spec.n_slots; i++) {
        if (fake->slots[i].state != IDLE) fault = "a slot was left in flight";
    }
    pthread_mutex_unlock(&fake->mutex);
    return fault;
}
